// Steps and checks of journeys through the administration.

import { newPage } from "./browser.mjs";
import { logIn } from "./chatting.mjs";

const { ADMIN, ADMIN_PASSWORD } = process.env;

/** Opens a page in which a server's administrator is logged in. */
export async function adminPage({ url }, place, options) {
  const page = await newPage(options);
  await page.goto(`${url}admin/${place}`);
  await logIn(page, { name: ADMIN, password: ADMIN_PASSWORD });
  await page.getByRole("navigation", { name: "Administration", exact: true }).waitFor();
  return page;
}

/** Returns the text of each cell in a table, by row. */
export const rows = (page) =>
  page.locator("tbody tr").evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.innerText.replaceAll(/\s+/g, " ").trim())));
