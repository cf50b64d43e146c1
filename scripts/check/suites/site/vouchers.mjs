// Journeys of an administrator who creates vouchers, and of users who redeem them.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { adminPage, rows } from "./lib/administering.mjs";
import { SITE, eventually, journeys, looksRight, newPage, newUser } from "./lib/browser.mjs";
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
    await eventually(() => page.evaluate(() => document.activeElement.textContent), /^Save the 3 codes of /);
    await looksRight(page, "vouchers-codes");
    const saving = page.waitForEvent("download");
    await dialog.getByRole("button", { name: "Download CSV" }).click();
    const file = await readFile(await (await saving).path(), "utf8");
    assert.equal(file, ["code", ...codes, ""].join("\r\n"));
    await dialog.getByRole("button", { name: "Done" }).click();
    await row(page, name).getByText("Valid").waitFor();

    const user = await chatPage(await newUser("ann"), { place: "#/statement" });
    const month = user.locator(".months tbody tr");
    await user.getByText("Totals by month").click();
    await month.getByText("+4,000").waitFor();
    const wrong = await redeem(
      user,
      codes[0].replace(/.$/, (last) => (last === "0" ? "1" : "0")),
    );
    await wrong.getByText("typing mistakes").waitFor();
    await wrong.getByLabel("Code").fill(codes[0].toLowerCase().replaceAll("-", " "));
    await wrong.getByRole("button", { name: "Redeem", exact: true }).click();
    await wrong.waitFor({ state: "detached" });
    await balance(user, FIRST_GRANT + 500);
    await user.locator(".statement").getByText(`Voucher: ${name}`).waitFor();
    await month.getByText("+4,500").waitFor();
    await looksRight(user, "vouchers-statement");
    await page.reload();
    await row(page, name)
      .getByRole("link", { name: `1: show who redeemed ${name}` })
      .click();
    await page.getByRole("heading", { level: 1, name: `Redemptions of ${name}` }).waitFor();
    await page.getByText("Used 1 time, of at most 3. Each use grants 500 tokens.").waitFor();
    await row(page, "ann").waitFor();
    assert.equal(await page.locator("tbody tr").count(), 1);
    assert.equal(await page.getByText("can't be listed").isVisible(), false);
    const savingUsers = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download CSV" }).click();
    const redeemed = await readFile(await (await savingUsers).path(), "utf8");
    assert.match(redeemed, /^"id","timestamp","user_id","username","tokens"\r\n"[0-9a-f-]{36}","[^"]+","[0-9a-f-]{36}","ann\w+","500"\r\n$/);
    await looksRight(page, "vouchers-redemptions");
    await redeem(user, codes[0]);
    await user.getByText(/^You redeemed this voucher on .+\. Its 500 tokens from “Spring \d+” are already in your balance\.$/).waitFor();
    await balance(user, FIRST_GRANT + 500);

    const other = await chatPage(await newUser("ben"), { place: "#/statement", viewport: { width: 390, height: 800 } });
    const used = await redeem(other, codes[0]);
    await used.getByText("has been used already").waitFor();
    await looksRight(other, "vouchers-redeem-390");
  },

  async "new vouchers' numbers may have thousands separators"() {
    const page = await vouchersPage();
    const name = `Large ${Date.now()}`;
    const { dialog, codes } = await create(page, { Name: name, Tokens: "5,000", Codes: "1", "Uses of each code": "1,000" });
    await dialog.getByText("Each use grants 5,000 tokens.").waitFor();
    // The codes can't be shown again, so Escape asks first, wherever the focus is.
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("Escape");
    const asked = page.getByRole("dialog", { name: "Close without a copy?" });
    await asked.getByText("This is shown only once, and can't be shown again.").waitFor();
    await looksRight(page, "vouchers-closing");
    await asked.getByRole("button", { name: "Cancel" }).click();
    await asked.waitFor({ state: "detached" });
    assert.equal(await dialog.getByLabel("Codes", { exact: true }).inputValue(), codes[0]);
    // A copy has been made, so Escape closes the dialog.
    await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: { writeText: async () => {} } }));
    await dialog.getByRole("button", { name: "Copy" }).click();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await row(page, name).getByText("5,000").waitFor();
    const user = await chatPage(await newUser("ann"), { place: "#/statement" });
    await (await redeem(user, codes[0])).waitFor({ state: "detached" });
    await balance(user, FIRST_GRANT + 5000);
  },

  async "an administrator voids vouchers"() {
    const page = await vouchersPage({ viewport: { width: 390, height: 800 } });
    const name = `Leaked ${Date.now()}`;
    const { dialog, codes } = await create(page, { Name: name, Tokens: "5", "Uses of each code": "2", "Last day": "2099-12-31" });
    await dialog.getByRole("button", { name: "Done" }).click();
    await row(page, name)
      .getByRole("button", { name: `Void ${name}` })
      .click();
    await page.getByRole("dialog").getByRole("button", { name: "Void", exact: true }).click();
    await row(page, name).getByText("Voided").waitFor();
    await eventually(() => row(page, name).evaluate((element) => element === document.activeElement), true, "the focus stays in the list");
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
