// Journeys of an administrator who creates vouchers, and of users who redeem them.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { adminPage, rows } from "./lib/administering.mjs";
import { SITE, journeys, looksRight, newPage, newUser } from "./lib/browser.mjs";
import { balance, chatPage, logIn } from "./lib/chatting.mjs";

const FIRST_GRANT = 4000;

async function vouchersPage(options) {
  const page = await adminPage({ url: SITE }, "#/vouchers", options);
  await page.getByRole("heading", { level: 1, name: "Vouchers" }).waitFor();
  return page;
}

/** Creates vouchers in the dialog, and returns their codes. */
async function create(page, fields) {
  await page.getByRole("button", { name: "New vouchers" }).click();
  const dialog = page.getByRole("dialog", { name: "New vouchers" });
  for (const [label, value] of Object.entries(fields)) await dialog.getByLabel(label, { exact: label !== "Last day" }).fill(value);
  await dialog.getByRole("button", { name: "Create vouchers" }).click();
  const codes = await dialog.getByLabel("Codes", { exact: true }).and(page.locator("textarea")).inputValue();
  return { dialog, codes: codes.split("\n") };
}

async function redeem(page, code) {
  await page.getByRole("button", { name: "Redeem a voucher" }).click();
  const dialog = page.getByRole("dialog", { name: "Redeem a voucher" });
  await dialog.getByLabel("Code").fill(code);
  await dialog.getByRole("button", { name: "Redeem", exact: true }).click();
  return dialog;
}

const row = (page, name) => page.locator("tbody tr").filter({ hasText: name });

await journeys({
  async "an administrator creates vouchers and a user redeems one"() {
    const page = await vouchersPage();
    const name = `Spring ${Date.now()}`;
    const { dialog, codes } = await create(page, { Name: name, Tokens: "500", Codes: "3" });
    assert.equal(new Set(codes).size, 3);
    await looksRight(page, "vouchers-codes");
    const saving = page.waitForEvent("download");
    await dialog.getByRole("button", { name: "Download CSV" }).click();
    const file = await readFile(await (await saving).path(), "utf8");
    assert.equal(file, ["code", ...codes, ""].join("\r\n"));
    await dialog.getByRole("button", { name: "Done" }).click();
    await row(page, name).getByText("Valid").waitFor();

    const user = await chatPage(await newUser("ann"), { place: "#/statement" });
    const wrong = await redeem(user, codes[0].replace(/.$/, (last) => (last === "0" ? "1" : "0")));
    await wrong.getByText("typing mistakes").waitFor();
    await wrong.getByLabel("Code").fill(codes[0].toLowerCase().replaceAll("-", " "));
    await wrong.getByRole("button", { name: "Redeem", exact: true }).click();
    await wrong.waitFor({ state: "detached" });
    await balance(user, FIRST_GRANT + 500);
    await user.locator(".statement").getByText(name).waitFor();
    await looksRight(user, "vouchers-statement");
    await redeem(user, codes[0]);
    await user.getByText(/^You redeemed this voucher on .+\. Its 500 tokens from “Spring \d+” are already in your balance\.$/).waitFor();
    await balance(user, FIRST_GRANT + 500);

    const other = await chatPage(await newUser("ben"), { place: "#/statement", viewport: { width: 390, height: 800 } });
    const used = await redeem(other, codes[0]);
    await used.getByText("has been used already").waitFor();
    await looksRight(other, "vouchers-redeem-390");
  },

  async "an administrator voids vouchers"() {
    const page = await vouchersPage({ viewport: { width: 390, height: 800 } });
    const name = `Leaked ${Date.now()}`;
    const { dialog, codes } = await create(page, { Name: name, Tokens: "5", "Uses of each code": "2", "Last day": "2099-12-31" });
    await dialog.getByRole("button", { name: "Done" }).click();
    await row(page, name).getByRole("button", { name: `Void ${name}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Void", exact: true }).click();
    await row(page, name).getByText("Voided").waitFor();
    await looksRight(page, "vouchers-390");
    const user = await chatPage(await newUser("ann"), { place: "#/statement" });
    await (await redeem(user, codes[0])).getByText("no longer valid").waitFor();
    await page.goto(`${SITE}admin/#/trail?act=vouchers`);
    await page.getByText(`voided: ${name}`).waitFor();
  },

  async "vouchers of a demoted administrator can be voided"() {
    const eve = await newUser("eve");
    const page = await adminPage({ url: SITE }, `#/users/${eve.id}`);
    const decide = async (action) => {
      await page.getByRole("region", { name: "Role and status" }).getByRole("button", { name: action }).click();
      await page.getByRole("dialog").getByRole("button", { name: action }).click();
    };
    await decide("Make an administrator");
    await page.getByText(`${eve.name} is an administrator now.`).waitFor();
    const hers = await newPage();
    await hers.goto(`${SITE}admin/#/vouchers`);
    await logIn(hers, eve);
    const names = [`First ${Date.now()}`, `Second ${Date.now()}`];
    for (const name of names) {
      const { dialog } = await create(hers, { Name: name, Tokens: "5", Codes: "2", "Uses of each code": "3" });
      await dialog.getByRole("button", { name: "Done" }).click();
    }
    await decide("Make an ordinary user");
    const dialog = page.getByRole("dialog", { name: "Void these vouchers?" });
    await dialog.locator("tbody tr").nth(1).waitFor();
    assert.deepEqual(
      (await rows(dialog)).map((cells) => cells.slice(0, 3)),
      names.toReversed().map((name) => [name, "5", "0 of 6"]),
    );
    await looksRight(page, "vouchers-of-an-administrator");
    await dialog.getByRole("button", { name: `Void ${names[0]}` }).click();
    await dialog.getByText("Voided").waitFor();
    await dialog.getByRole("button", { name: "Done" }).click();
    await page.goto(`${SITE}admin/#/vouchers`);
    await row(page, names[0]).getByText("Voided").waitFor();
    await row(page, names[1]).getByText("Valid").waitFor();
  },
});
