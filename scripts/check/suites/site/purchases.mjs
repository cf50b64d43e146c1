// Journeys of users who buy packs of tokens, and of administrators who sell them. Payments are
// simulated: no money moves.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { adminPage, rows } from "./lib/administering.mjs";
import { eventually, fetched, fitsItsBox, journeys, looksRight, newPage, newUser } from "./lib/browser.mjs";
import { answered, balance, chatPage, heading, logIn, say } from "./lib/chatting.mjs";
import { newServer } from "./lib/server.mjs";

const FIRST_GRANT = 4000;
const { ADMIN, ADMIN_PASSWORD } = process.env;

/** The packs of a server that simulates payments: 1,000 tokens, 5,000 tokens and 20,000 tokens. */
const SMALL = "1,000 tokens";

const newShop = (settings) => newServer(null, { PAYMENTS: "simulated", ...settings });

/** Opens a page in which a new user sees the packs. */
async function buyer(server, options) {
  const ann = await newUser("ann", { site: server.url });
  const page = await chatPage(ann, { url: server.url, place: "#/buy", ...options });
  await heading(page, "Buy tokens");
  return { ann, page };
}

/** Orders a pack, and presses a button on the payment page. */
async function order(page, choice, name = SMALL) {
  await page.getByRole("button", { name: `Buy ${name}`, exact: true }).click();
  await heading(page, "Simulated payment");
  await page.getByRole("button", { name: choice, exact: true }).click();
}

/** Acts on the newest payment, as the buyer's bank or the operator. */
async function act(server, choice, beside) {
  const page = await newPage({ beside });
  await page.goto(server.payments);
  await page.getByRole("button", { name: choice, exact: true }).first().click();
  await heading(page, "Simulated payments");
  await page.close();
}

const packs = (page) => page.getByRole("list", { name: "Packs" }).getByRole("listitem");
const purchase = (page) => page.getByRole("region", { name: "Your purchases" }).locator(".list > li").first();

/**
 * Waits until the first purchase has this state. The payment's event may arrive at any time, and
 * the page doesn't wait for it.
 */
function becomes(page, state) {
  const read = async () => {
    const reading = page.waitForResponse((response) => new URL(response.url()).pathname === "/api/user/purchases/");
    await page.reload();
    await reading;
    return purchase(page).locator(".badge").innerText();
  };
  return eventually(read, state);
}

/** The administrators' list of purchases. Its sums are in a table of their own. */
const listed = (admin) => admin.getByRole("region", { name: "Purchases, newest first" });

const card = (page, name) => page.locator(".admin-cards > .card").filter({ has: page.getByRole("heading", { name, exact: true }) });
/** The sum of the tokens granted in the administrators' list. */
const granted = async (admin) => (await rows(listed(admin))).reduce((sum, cells) => sum + Number(cells[5].split(" ")[0].replace(",", "")), 0);

const save = (page) => page.getByRole("button", { name: "Save the packs" }).click();

await journeys({
  async "a user buys a pack and gets its tokens"() {
    const server = await newShop();
    const { page } = await buyer(server);
    await packs(page).getByText("€2.99").waitFor();
    await packs(page).first().getByText("about 10 answers", { exact: true }).waitFor();
    await balance(page, FIRST_GRANT);
    await looksRight(page, "purchases-packs");
    await order(page, "Pay");
    await page.getByText("1,000 tokens are in your balance. Thank you!").waitFor();
    await balance(page, FIRST_GRANT + 1000);
    await eventually(() => new URL(page.url()).hash, "#/buy");
    await purchase(page).getByText("Paid", { exact: true }).waitFor();
    await looksRight(page, "purchases-paid");
    const receipt = purchase(page).getByRole("link", { name: "Receipt" });
    assert.match(await receipt.getAttribute("href"), /^http:/);
    assert.deepEqual([await receipt.getAttribute("target"), await receipt.getAttribute("rel")], ["_blank", "noopener noreferrer"]);

    await page.getByRole("link", { name: "Balance:" }).click();
    await heading(page, "Statement");
    const row = page.locator("tbody tr").first();
    await row.getByText("€2.99").waitFor();
    assert.match(await row.innerText(), /Purchase: 1,000 tokens · €2\.99/);
    assert.match(await row.innerText(), /\+1,000/);
    await looksRight(page, "purchases-statement");
    await row.getByRole("link", { name: "Purchase" }).click();
    await heading(page, "Buy tokens");
    // After a reload, the page doesn't announce the outcome again.
    await page.reload();
    await purchase(page).waitFor();
    assert.equal(await page.getByText("Thank you!").count(), 0);
  },

  async "a pack says how many answers of the default model it buys"() {
    const fare = { input: 50_000, cached: 5000, output: 400_000 };
    const models = [
      { name: "deep", via: ["openai"], fare },
      { name: "quick", via: ["openai"], fare: { message: 100 } },
    ];
    const server = await newServer({ currency: "USD", million_tokens: "20.00", models }, { PAYMENTS: "simulated" });
    const { page } = await buyer(server);
    // A prompt of 1,000 and an answer of 500 model tokens cost 250.
    await packs(page).first().getByText("about 4 answers of a usual length with deep", { exact: true }).waitFor();
    // The account's own answers count more: 1,000 * 0.05 + 100 * 0.4
    await page.goto(server.url);
    await say(page, "Counted 100 0 100");
    await answered(page);
    await page.goto(`${server.url}#/buy`);
    await packs(page).first().getByText("about 11 answers of a usual length with deep", { exact: true }).waitFor();
  },

  async "a declined or cancelled payment changes nothing"() {
    const server = await newShop();
    const { ann, page } = await buyer(server);
    await order(page, "Decline");
    await page.getByText("Your card was declined. Nothing was paid.").waitFor();
    await page.getByRole("link", { name: "Cancel" }).click();
    await heading(page, "Buy tokens");
    await purchase(page).getByText("Not paid").waitFor();
    await balance(page, FIRST_GRANT);
    assert.equal(await page.getByText("Waiting for the payment").count(), 0);
    assert.equal((await ann.api("GET", "api/user/ledger/")).body.length, 1);
  },

  async "a later payment is pending until the money arrives"() {
    const server = await newShop();
    const { page } = await buyer(server, { viewport: { width: 390, height: 800 } });
    await order(page, "Pay later");
    await page.getByText("You'll get the tokens when the money arrives, which may take a few days.").waitFor();
    await purchase(page).getByText("Payment pending").waitFor();
    await balance(page, FIRST_GRANT);
    await looksRight(page, "purchases-pending-390");
    await act(server, "Money arrives", page);
    await becomes(page, "Paid");
    await balance(page, FIRST_GRANT + 1000);
  },

  async "the page waits for a late event and can ask again"() {
    const server = await newShop();
    const { page } = await buyer(server);
    // The first replies still show the state before the event.
    let held = 0;
    let look;
    const looked = new Promise((done) => (look = done));
    await page.route("**/api/user/purchases/", async (route) => {
      if (route.request().method() !== "GET" || held === 2) return route.continue();
      held += 1;
      if (held === 2) await looked;
      const response = await fetched(route);
      const reply = await response.json();
      const open = { state: "open", paid: null, tokens_granted: 0, receipt_url: null };
      return route.fulfill({ response, json: { ...reply, purchases: reply.purchases.map((one) => ({ ...one, ...open })) } });
    });
    await order(page, "Pay");
    await page.getByText("Waiting for the payment…").waitFor();
    await looksRight(page, "purchases-waiting");
    await page.getByRole("button", { name: `Buy ${SMALL}`, exact: true }).focus();
    look();
    await page.getByText("1,000 tokens are in your balance.").waitFor();
    await page.waitForFunction(() => document.activeElement.matches(".buy"));
    await page.getByText("Waiting for the payment…").waitFor({ state: "detached" });
    assert.equal(held, 2);
    await balance(page, FIRST_GRANT + 1000);
  },

  async "a refund takes the tokens back, or leaves them owed"() {
    const server = await newShop();
    const { ann, page } = await buyer(server);
    await order(page, "Pay");
    await balance(page, FIRST_GRANT + 1000);
    await act(server, "Refund half", page);
    await becomes(page, "Partly refunded");
    const refunded = await purchase(page).innerText();
    assert.match(refunded, /€2\.99 · €1\.49 refunded/);
    // Half of an odd price is rounded down, and so are the remaining tokens.
    const { body } = await ann.api("GET", "api/tokens/");
    await balance(page, body.tokens);
    assert(body.tokens >= FIRST_GRANT + 500 && body.tokens < FIRST_GRANT + 510, `${body.tokens}`);
    await server.manage("adjust", ann.name, String(-body.tokens), "--reason", "for a test");
    await act(server, "Refund", page);
    await becomes(page, "Refunded");
    const owed = body.tokens - FIRST_GRANT;
    await page.getByText(`You owe ${owed} tokens for refunded purchases. They'll be deducted from the next tokens you receive.`).waitFor();
    await balance(page, 0);
    await looksRight(page, "purchases-owed");
    await page.goto(`${server.url}#/statement`);
    const refund = page.locator("tbody tr").filter({ hasText: /^[^]*Refund: 1,000 tokens · €1\.49/ });
    await refund.first().waitFor();
    assert.match(await refund.first().innerText(), /−/);

    const admin = await adminPage(server, "#/purchases?attention=true");
    await admin.getByText(`${owed} tokens owed`).waitFor();
    assert.equal(await admin.getByLabel("Show", { exact: true }).inputValue(), "true");
    await looksRight(admin, "purchases-admin-attention");
  },

  async "an administrator sees unpaid orders only when they are asked for"() {
    const server = await newShop();
    const { page } = await buyer(server);
    await order(page, "Decline");
    await page.goto(`${server.url}#/buy`);
    await heading(page, "Buy tokens");
    await order(page, "Pay");
    await balance(page, FIRST_GRANT + 1000);
    const admin = await adminPage(server, "#/purchases");
    const states = async () => (await rows(listed(admin))).map((cells) => cells[4].split(" ")[0]);
    await eventually(states, ["Paid"]);
    await admin.getByLabel("State", { exact: true }).selectOption("Not paid");
    await admin.getByText("Not paid", { exact: true }).and(admin.locator(".badge")).waitFor();
    await eventually(states, ["Not"]);
    assert.match(admin.url(), /#\/purchases\?state=unpaid$/);
    await looksRight(admin, "purchases-admin-unpaid");
    await admin.getByLabel("State", { exact: true }).selectOption("All states");
    await eventually(states, ["Paid", "Not"]);
    await admin.getByLabel("State", { exact: true }).selectOption("Refunded");
    await admin.getByText("No purchase matches these filters.").waitFor();
  },

  async "an administrator adds up a user's purchases and opens one at Stripe"() {
    const server = await newShop();
    const { ann, page } = await buyer(server);
    await order(page, "Pay");
    await balance(page, FIRST_GRANT + 1000);
    await act(server, "Refund half", page);
    await becomes(page, "Partly refunded");
    const { ann: ben, page: other } = await buyer(server);
    await order(other, "Pay");
    await balance(other, FIRST_GRANT + 1000);
    const admin = await adminPage(server, "#/purchases");
    const sums = admin.getByRole("region", { name: "Sums by currency" });
    // The list and its sums are read separately.
    await listed(admin).locator("tbody tr").nth(1).waitFor();
    const both = (await granted(admin)).toLocaleString("en");
    await eventually(() => rows(sums), [["EUR", "2", "€5.98", "€1.49", "€4.49", both]]);
    await admin.getByText("Sums of 2 purchases with these filters.").waitFor();
    await looksRight(admin, "purchases-admin-sums");

    await admin.getByLabel("User", { exact: true }).fill(ben.name);
    await admin.getByText("Sums of 1 purchase with these filters.").waitFor();
    await eventually(() => rows(sums), [["EUR", "1", "€2.99", "€0.00", "€2.99", "1,000"]]);
    const payment = listed(admin).getByRole("link", { name: "at Stripe" });
    assert.match(await payment.getAttribute("href"), /^https:\/\/dashboard\.stripe\.com\/test\/payments\/pi_\w+$/);
    assert.deepEqual([await payment.getAttribute("target"), await payment.getAttribute("rel")], ["_blank", "noopener noreferrer"]);
    await admin.getByLabel("From", { exact: true }).fill("2100-01-01");
    await admin.getByText("No purchase matches these filters.").waitFor();
    await eventually(() => sums.count(), 0);
    await admin.goto(`${server.url}admin/#/purchases?user=nobody`);
    await admin.getByText("No purchase matches these filters.").waitFor();

    await admin.goto(`${server.url}admin/#/users/${ann.id}`);
    await admin
      .getByRole("navigation", { name: `About ${ann.name}` })
      .getByRole("link", { name: "Purchases" })
      .click();
    await heading(admin, "Purchases");
    assert.equal(await admin.getByLabel("User", { exact: true }).inputValue(), ann.name);
    await listed(admin).getByText("Partly refunded").waitFor();
    const coming = admin.waitForEvent("download");
    await admin.getByRole("button", { name: "Download CSV" }).click();
    const file = await coming;
    assert.equal(file.suggestedFilename(), `purchases-${ann.name}.csv`);
    const [names, ...lines] = (await readFile(await file.path(), "utf8")).trimEnd().split("\r\n");
    assert.equal(lines.length, 1);
    const cells = (line) => line.slice(1, -1).split('","');
    const cell = (name) => cells(lines[0])[cells(names).indexOf(name)];
    assert.deepEqual(["username", "state", "price", "refunded", "kept", "currency"].map(cell), [ann.name, "refunded", "2.99", "1.49", "1.50", "EUR"]);
    await admin.setViewportSize({ width: 390, height: 800 });
    await looksRight(admin, "purchases-admin-sums-390");
  },

  async "a low balance leads to the packs"() {
    const server = await newShop();
    const ann = await newUser("ann", { site: server.url });
    await server.manage("adjust", ann.name, String(150 - FIRST_GRANT), "--reason", "for a test");
    const page = await chatPage(ann, { url: server.url });
    await page.getByText("Your tokens are enough for 1 more answer.").waitFor();
    await page.getByRole("link", { name: "Buy more tokens in our shop." }).waitFor();
    await looksRight(page, "purchases-low");
    await page.getByRole("link", { name: "Buy tokens", exact: true }).click();
    await heading(page, "Buy tokens");
    await page.goto(`${server.url}#/statement`);
    await page.locator(".page-head").getByRole("link", { name: "Buy tokens" }).waitFor();
    await page.goto(`${server.url}#/account`);
    await page.getByRole("navigation", { name: "Account", exact: true }).getByRole("link", { name: "Buy", exact: true }).click();
    await heading(page, "Buy tokens");
    assert.equal(await page.locator(".tabs [aria-current]").innerText(), "Buy");
  },

  async "the frame leads to the packs where tokens are sold"() {
    const server = await newShop();
    const page = await chatPage(await newUser("ann", { site: server.url }), { url: server.url });
    await page.locator(".topbar").getByRole("link", { name: "Buy", exact: true }).click();
    await heading(page, "Buy tokens");
    await page.setViewportSize({ width: 390, height: 800 });
    const shop = page.waitForResponse("**/api/user/purchases/**");
    await page.goto(server.url);
    await heading(page, "What would you like to know?");
    // The menu has the link once the page knows that tokens are sold.
    await (await shop).finished();
    await page.waitForFunction(() => document.querySelector(".bar-buy")?.hidden === false);
    assert.equal(await page.getByRole("link", { name: "Buy", exact: true }).count(), 0);
    await page.getByRole("button", { name: "Your account" }).click();
    await page.getByRole("link", { name: "Buy tokens", exact: true }).click();
    await heading(page, "Buy tokens");
  },

  async "where nothing is sold no link leads to packs"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann, { place: "#/buy" });
    await page.getByText("No tokens are on sale").waitFor();
    assert.equal(await page.getByRole("link", { name: "Buy", exact: true }).count(), 0);
    await looksRight(page, "purchases-none");
    await page.getByRole("button", { name: "Your account" }).click();
    const menu = page.locator(".menu:popover-open");
    await menu.getByRole("link", { name: "Statement", exact: true }).waitFor();
    assert.equal(await menu.getByText("Buy tokens").count(), 0);
    await page.keyboard.press("Escape");
    await page.getByRole("link", { name: "Balance:" }).click();
    await heading(page, "Statement");
    assert.equal(await page.getByRole("link", { name: "Buy tokens", exact: true }).count(), 0);
  },

  async "an administrator changes a price and sees the revenue"() {
    const server = await newShop();
    const admin = await adminPage(server, "#/purchases");
    await admin.getByText("There are no purchases yet.").waitFor();
    await admin.getByRole("link", { name: "Packs" }).click();
    await heading(admin, "Packs");
    const small = card(admin, SMALL);
    await small.getByText("Users pay €2.99.").waitFor();
    const price = small.getByLabel("Price", { exact: true });
    // A comma isn't a decimal point here.
    for (const wrong of ["49,9", "0", "4.999"]) {
      await price.fill(wrong);
      const refusal = small.getByText("Enter an amount above 0 with at most 2 decimals, such as 4.99.");
      await refusal.waitFor({ state: "detached" });
      await save(admin);
      await refusal.waitFor();
    }
    await price.fill("12.5");
    await small.getByText("Users pay €12.50.").waitFor();
    await admin.getByRole("button", { name: "Remove: 20,000 tokens" }).click();
    await admin.getByRole("button", { name: "Move up: 5,000 tokens" }).click();
    await admin.getByRole("button", { name: "Add a pack" }).click();
    const fresh = card(admin, "New pack");
    await fresh.getByLabel("Id").fill("yen");
    await fresh.getByLabel("Tokens", { exact: true }).fill("10,000");
    await fresh.getByLabel("Price", { exact: true }).fill("900");
    await fresh.getByLabel("Currency").fill("JPY");
    await fresh.getByLabel("Name").fill("10,000 tokens");
    await card(admin, "10,000 tokens").getByText("Users pay ¥900.").waitFor();
    await card(admin, "10,000 tokens").getByLabel("Price", { exact: true }).fill("900.50");
    await save(admin);
    await card(admin, "10,000 tokens").getByText("Enter an amount above 0 without decimals, such as 499.").waitFor();
    await card(admin, "10,000 tokens").getByLabel("Price", { exact: true }).fill("900");
    await save(admin);
    await admin.getByText("The packs have been saved.").waitFor();
    await admin.locator(".lead").getByText("Set by you").waitFor();

    const { page } = await buyer(server);
    const shown = () => page.locator(".pack").evaluateAll((all) => all.map((one) => one.innerText.split("\n").filter(Boolean)));
    await eventually(
      async () => (await shown()).map((lines) => [lines[0], lines.at(-2)]),
      [
        ["5,000 tokens", "€9.99"],
        [SMALL, "€12.50"],
        ["10,000 tokens", "¥900"],
      ],
    );
    await order(page, "Pay");
    await balance(page, FIRST_GRANT + 1000);
    await order(page, "Pay", "10,000 tokens");
    await balance(page, FIRST_GRANT + 11_000);

    await admin.goto(`${server.url}admin/#/purchases`);
    await listed(admin).locator("tbody tr").nth(1).waitFor();
    const orders = await rows(listed(admin));
    assert.deepEqual(
      orders.map((cells) => [cells[2], cells[3], cells[5]]),
      [
        ["10,000 tokens", "¥900", "10,000"],
        [SMALL, "€12.50", "1,000"],
      ],
    );
    for (const cells of orders) {
      assert.match(cells[0], /^ann/);
      assert.match(cells[4], /^Paid \d/);
      assert.match(cells[6], /^cs_test_\w+ pi_\w+$/);
    }
    await admin.goto(`${server.url}admin/#/figures`);
    const stat = (name) => admin.locator(".stat").filter({ hasText: name });
    await stat("Revenue in EUR").getByText("€12.50").waitFor();
    await stat("Revenue in JPY").getByText("¥900").waitFor();
    const revenue = admin.getByRole("slider", { name: /^Revenue in EUR by day/ });
    await eventually(() => revenue.getAttribute("aria-valuetext"), /: €12\.50 revenue, so far$/);
    assert.match(await admin.getByRole("slider", { name: /^Revenue in JPY by day/ }).getAttribute("aria-valuetext"), /: ¥900 /);
    await looksRight(admin, "purchases-figures");
    await admin.getByText("The same numbers as a table").click();
    await admin.getByRole("button", { name: "Revenue in EUR" }).click();
    await eventually(async () => (await rows(admin.locator(".admin-days")))[0].slice(-2), ["€12.50", "¥900"]);
    await admin.goto(`${server.url}admin/#/trail?act=packs`);
    await admin.locator("tbody tr").nth(1).waitFor();
    assert.deepEqual(
      (await rows(admin)).map((cells) => cells.slice(1, 3)),
      [
        ["Set the packs", "you"],
        ["Set the packs", "the manage command"],
      ],
    );
  },

  async "two administrators don't overwrite each other's packs"() {
    const server = await newShop();
    const [one, other] = [await adminPage(server, "#/purchases/packs"), await adminPage(server, "#/purchases/packs")];
    await card(one, SMALL).getByLabel("Price", { exact: true }).fill("1.99");
    await card(other, SMALL).getByLabel("Price", { exact: true }).fill("0.99");
    await save(one);
    await one.getByText("The packs have been saved.").waitFor();
    await save(other);
    await other.getByRole("alert").getByText("Your changes stay here until you load the newer packs.").waitFor();
    assert.equal(await card(other, SMALL).getByLabel("Price", { exact: true }).inputValue(), "0.99");
    await looksRight(other, "purchases-admin-conflict");
    await other.getByRole("button", { name: "Load the newer packs" }).click();
    await other.getByText("The newer packs have been loaded.").waitFor();
    await eventually(() => card(other, SMALL).getByLabel("Price", { exact: true }).inputValue(), "1.99");
    await save(other);
    await other.getByText("The packs have been saved.").waitFor();
    await other.getByRole("button", { name: "Stop selling" }).click();
    await other.getByRole("dialog").getByRole("button", { name: "Stop selling" }).click();
    await other.getByText("Sales have been stopped.").waitFor();
    await other.locator(".lead").getByText("No tokens are on sale.").waitFor();
    assert.equal((await server.admin("GET", "api/admin/packs/")).body.packs, null);
  },

  async "unsaved packs are kept until they are discarded"() {
    const server = await newShop();
    const page = await adminPage(server, "#/purchases/packs");
    const price = card(page, SMALL).getByLabel("Price", { exact: true });
    const cancel = page.getByRole("button", { name: "Cancel" });
    await cancel.click();
    await heading(page, "Purchases");
    await page.goto(`${server.url}admin/#/purchases/packs`);
    await price.fill("1.99");
    await page.goto(`${server.url}admin/#/figures`);
    await heading(page, "Statistics");
    await page.goto(`${server.url}admin/#/purchases/packs`);
    await heading(page, "Packs");
    assert.equal(await price.inputValue(), "1.99");
    await cancel.click();
    const question = page.getByRole("dialog", { name: "Discard the changes?" });
    await question.getByRole("button", { name: "Cancel" }).click();
    await question.waitFor({ state: "detached" });
    assert.equal(await price.inputValue(), "1.99");
    await cancel.click();
    await question.getByRole("button", { name: "Discard" }).click();
    await heading(page, "Purchases");
    await page.goto(`${server.url}admin/#/purchases/packs`);
    assert.equal(await price.inputValue(), "2.99");
  },

  async "stopping the sales warns of unsaved packs"() {
    const server = await newShop();
    const page = await adminPage(server, "#/purchases/packs");
    const price = card(page, SMALL).getByLabel("Price", { exact: true });
    const stop = page.getByRole("button", { name: "Stop selling" });
    const question = page.getByRole("dialog", { name: "Stop selling?" });
    const loss = question.getByText("Your unsaved changes to the packs are lost.");
    await price.waitFor();
    await stop.click();
    await question.waitFor();
    assert.equal(await loss.count(), 0);
    await question.getByRole("button", { name: "Cancel" }).click();
    await question.waitFor({ state: "detached" });
    await price.fill("1.99");
    await stop.click();
    await loss.waitFor();
    await question.getByRole("button", { name: "Stop selling" }).click();
    await page.getByText("Sales have been stopped.").waitFor();
    await card(page, "New pack").waitFor();
  },

  async "a log-out asks before it discards unsaved changes"() {
    const server = await newShop();
    const page = await adminPage(server, "#/purchases/packs");
    const price = card(page, SMALL).getByLabel("Price", { exact: true });
    const out = page.getByRole("button", { name: "Log out" });
    const question = page.getByRole("dialog", { name: "Discard the changes?" });
    await price.fill("1.99");
    await out.click();
    await question.getByText("Your unsaved changes to the packs are lost when you log out.").waitFor();
    await looksRight(page, "purchases-admin-log-out");
    await question.getByRole("button", { name: "Cancel" }).click();
    await question.waitFor({ state: "detached" });
    assert.equal(await price.inputValue(), "1.99");
    await page.goto(`${server.url}admin/#/brand`);
    await heading(page, "Brand");
    await page.getByLabel("Name", { exact: true }).fill("Nova");
    await page.goto(`${server.url}admin/#/prices/edit`);
    await heading(page, "Edit the prices");
    await page.getByLabel("Currency").fill("EUR");
    await out.click();
    await question.getByText("Your unsaved changes to the packs, the brand, and the prices are lost when you log out.").waitFor();
    await question.getByRole("button", { name: "Log out" }).click();
    await heading(page, "Log in");
    await logIn(page, { name: ADMIN, password: ADMIN_PASSWORD });
    await heading(page, "Edit the prices");
    assert.equal(await page.getByLabel("Currency").inputValue(), "");
    await page.goto(`${server.url}admin/#/brand`);
    await heading(page, "Brand");
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "");
    await page.goto(`${server.url}admin/#/purchases/packs`);
    await heading(page, "Packs");
    assert.equal(await price.inputValue(), "2.99");
    // Nothing was changed since then, so there is no question.
    await out.click();
    await heading(page, "Log in");
  },

  async "unsaved packs outlive a session for their author only"() {
    const server = await newShop();
    const other = { name: "second", password: ADMIN_PASSWORD };
    await server.manage("create-admin", other.name, "--password-env", "ADMIN_PASSWORD");
    const page = await adminPage(server, "#/purchases/packs");
    const price = card(page, SMALL).getByLabel("Price", { exact: true });
    await price.fill("1.99");
    for (const [person, expected] of [
      [{ name: ADMIN, password: ADMIN_PASSWORD }, "1.99"],
      [other, "2.99"],
    ]) {
      await page.context().clearCookies();
      await page.route("**/api/admin/**", (route) => route.fulfill({ status: 401, json: { status: 401, code: "invalid_token", detail: "No." } }));
      await page.getByRole("link", { name: "Statistics" }).click();
      await page.getByText("Your session has ended.").waitFor();
      await page.unroute("**/api/admin/**");
      await logIn(page, person);
      await heading(page, "Statistics");
      await page.locator(".admin-who").getByText(person.name, { exact: true }).waitFor();
      await page.goto(`${server.url}admin/#/purchases/packs`);
      await heading(page, "Packs");
      assert.equal(await price.inputValue(), expected);
    }
  },

  async "a pack that was withdrawn is explained and disappears"() {
    const server = await newShop();
    const { page } = await buyer(server);
    const { body } = await server.admin("GET", "api/admin/packs/");
    const packs = body.packs.filter(({ id }) => id !== "small");
    await server.admin("PUT", "api/admin/packs/", { packs, version: body.version });
    await page.getByRole("button", { name: `Buy ${SMALL}`, exact: true }).click();
    await page.getByRole("alert").waitFor();
    await page.getByRole("button", { name: `Buy ${SMALL}`, exact: true }).waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Buy 5,000 tokens" }).waitFor();
  },

  async "the views of purchases fit all windows and are accessible"() {
    const server = await newShop({ CURRENCY: "credits" });
    for (const colorScheme of ["light", "dark"]) {
      for (const width of [1280, 320]) {
        const look = { colorScheme, viewport: { width, height: width < 600 ? 640 : 800 } };
        const ann = await newUser("ann", { site: server.url });
        const page = await chatPage(ann, { url: server.url, place: "#/buy", ...look });
        await heading(page, "Buy credits");
        await order(page, "Pay");
        await page.getByText("1,000 credits are in your balance. Thank you!").waitFor();
        await looksRight(page, `purchases-buy-${width}-${colorScheme}`);
        // Also check the width next to a 15-pixel scrollbar.
        await page.setViewportSize({ ...look.viewport, width: width - 15 });
        await fitsItsBox(page.locator(".tabs"), "the tabs");
        await page.setViewportSize(look.viewport);
        const text = (await page.locator("main").innerText()).replaceAll(/[\d,]+ tokens/g, "");
        assert.doesNotMatch(text, /\btokens?\b/i);
        await page.goto(`${server.url}#/statement`);
        await page.locator("tbody tr").nth(1).waitFor();
        await page.locator(".page-head").getByRole("link", { name: "Buy credits" }).waitFor();
        await looksRight(page, `purchases-statement-${width}-${colorScheme}`);
        await fitsItsBox(page.getByRole("region", { name: "Statement, newest first" }), "the statement");

        const admin = await adminPage(server, "#/purchases", look);
        for (const [place, title, sign] of [
          ["purchases", "Purchases", "tbody tr"],
          ["purchases/packs", "Packs", ".admin-cards .card"],
          ["figures", "Statistics", ".plot text"],
          ["trail?act=packs", "Audit log", "tbody tr, .empty"],
          [`users/${ann.id}/statement`, ann.name, "tbody tr"],
        ]) {
          await admin.goto(`${server.url}admin/#/${place}`);
          // Until a view is loaded, the page shows the previous view.
          await heading(admin, title);
          await admin.locator(sign).first().waitFor();
          if (place === "figures") await admin.getByText("The same numbers as a table").click();
          await looksRight(admin, `purchases-admin-${place.replaceAll(/\W/g, "-").slice(0, 20)}-${width}-${colorScheme}`);
          if (width < 600) for (const box of await admin.locator(".stacked:visible").all()) await fitsItsBox(box, place);
        }
      }
    }
  },
});
