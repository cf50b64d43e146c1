// Journeys of users whose balance is topped up each day, week or month.

import assert from "node:assert/strict";
import { SITE, eventually, fetched, fitsItsBox, journeys, looksRight, newPage, newUser } from "./lib/browser.mjs";
import { answered, balance, chatPage, heading, said, say } from "./lib/chatting.mjs";
import { newServer } from "./lib/server.mjs";

const DAY = 86_400_000;

const newServerOf = (allowance, settings) => newServer(null, { ALLOWANCE: allowance, FIRST_GRANT: "0", ...settings });

/** Formats a day in UTC: `27 Nov 2026`. */
const inWords = (time) => new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: "UTC" }).format(time);

/** Returns today's date in UTC, or the date in this many days. */
const day = (after = 0) => new Date(Date.now() + after * DAY).toISOString().slice(0, 10);

const sentence = (tokens, per, next) => `Your balance is filled up to ${tokens} each ${per}, next on ${inWords(next)} (UTC).`;
const daily = () => sentence("300 tokens", "day", Date.now() + DAY);

/** Sends `count` messages, and waits for their answers. */
async function spend(page, count) {
  for (let number = 1; number <= count; number += 1) {
    await say(page, `Message ${number}`);
    await said(page, `Message ${number}`).waitFor();
    await answered(page);
  }
}

const refusal = (page) => page.getByRole("alert").filter({ hasText: "You don't have enough" });
const row = (page, name) => page.locator("tbody tr").filter({ hasText: name });

/**
 * Makes the page read, once, a profile with this balance and with an allowance that is due today.
 */
const outdate = (page, tokens) =>
  page.route(
    "**/api/user/profile/",
    async (route) => {
      const response = await fetched(route);
      const old = { tokens, tokens_left: tokens, remaining_tokens: tokens, tokens_held: 0, allowance: { tokens: 300, per: "day", next: day() } };
      await route.fulfill({ response, json: { ...(await response.json()), ...old } });
    },
    { times: 1 },
  );

/** Opens a page for a new user whose next allowance became due while the page was open. */
async function oldPage(server, tokens) {
  const ann = await newUser("ann", { site: server.url });
  const page = await chatPage(ann, { url: server.url });
  await balance(page, 300);
  await outdate(page, tokens);
  await page.reload();
  await balance(page, tokens);
  await page.getByText(sentence("300 tokens", "day", Date.now())).waitFor();
  return { ann, page };
}

await journeys({
  async "visitors see the allowance and what it buys"() {
    const page = await newPage();
    for (const [grant, sentence] of [
      ["0", "Your balance is filled up to 300 tokens each week: about 3 answers."],
      ["1000", "Includes 1,000 free tokens: about 10 answers. Your balance is filled up to 300 tokens each week."],
    ]) {
      const server = await newServerOf("300/week", { FIRST_GRANT: grant });
      await page.goto(`${server.url}#/register`);
      await page.getByText(sentence, { exact: true }).waitFor();
    }
  },

  async "a user spends a daily allowance and learns when the next one comes"() {
    const server = await newServerOf("300/day");
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    // When the page first reads the balance, the API tops it up.
    await balance(page, 300);
    const low = page.locator(".composer-notice");
    await low.getByText("Your tokens are enough for 3 more answers.").waitFor();
    await low.getByText(daily(), { exact: true }).waitFor();
    await low.getByRole("link", { name: "Buy more tokens in our shop." }).waitFor();
    assert.equal(await page.locator(".balance").getAttribute("title"), `An answer costs 100 tokens. ${daily()} Open your statement`);
    await looksRight(page, "allowances-low");

    await spend(page, 3);
    await balance(page, 0);
    await low.getByText("You have 0 tokens. An answer costs 100.").waitFor();
    await low.getByText(daily(), { exact: true }).waitFor();
    await say(page, "One too many");
    await refusal(page).getByText(daily(), { exact: true }).waitFor();
    assert.equal(await page.getByLabel("Your message").inputValue(), "One too many");
    await looksRight(page, "allowances-refused");

    await refusal(page).getByRole("link", { name: "See your statement" }).click();
    await heading(page, "Statement");
    const filled = row(page, `Allowance for ${inWords(Date.now())}`);
    await filled.getByText("+300").waitFor();
    assert.doesNotMatch(await filled.innerText(), /adjustment/i);
    assert.equal(await page.getByText("is filled up").count(), 1, "the note has the sentence");
    assert.deepEqual(
      (await ann.api("GET", "api/user/ledger/")).body.map(({ amount }) => amount),
      [-100, -100, -100, 300, 0],
    );
    await looksRight(page, "allowances-statement");
  },

  async "weeks and months are in the user's words"() {
    for (const per of ["week", "month"]) {
      const server = await newServerOf(`1000/${per}`, { TOP_UP_TEXT: "", TOP_UP_URL: "" });
      const ann = await newUser("ann", { site: server.url });
      const page = await chatPage(ann, { url: server.url, place: "#/statement" });
      await balance(page, 1000);
      const { next } = (await ann.api("GET", "api/tokens/")).body.allowance;
      const now = sentence("1,000 tokens", per, Date.parse(next));
      const lead = "All changes to your balance, newest first. Entries are never edited or removed.";
      await eventually(() => page.locator(".lead").innerText(), `${lead} ${now}`);
      const month = new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric", timeZone: "UTC" }).format(Date.now());
      const period = per === "week" ? `the week of ${inWords(Date.parse(next) - 7 * DAY)}` : month;
      await row(page, `Allowance for ${period}`).getByText("+1,000").waitFor();
      await looksRight(page, `allowances-${per}`);

      // The page lists the allowance among the ways to get more tokens. An administrator's reason
      // is only shown as a reason.
      await server.manage("adjust", ann.name, "-800", "--reason", "allowance for lunch");
      await server.manage("adjust", ann.name, "-100", "--reason", "allowance for 2026-13-01");
      await page.reload();
      await row(page, "Adjustment: allowance for lunch").waitFor();
      await row(page, "Adjustment: allowance for 2026-13-01").waitFor();
      await page.getByText("Your tokens are enough for 1 more answer.").waitFor();
      await page.getByText(now, { exact: true }).waitFor();
      assert.equal(await page.getByText("An administrator can give you more").count(), 0);
    }
  },

  async "an open page notices that the day has come"() {
    const server = await newServerOf("300/day");
    const { page } = await oldPage(server, 0);
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await balance(page, 300);
    await page.getByText(daily(), { exact: true }).waitFor();

    const other = await oldPage(server, 200);
    await spend(other.page, 1);
    await other.page.getByText(daily(), { exact: true }).waitFor();
    await balance(other.page, 200);
  },

  async "a refusal names the next day to a page that is open since yesterday"() {
    const server = await newServerOf("300/day");
    const { ann, page } = await oldPage(server, 0);
    for (let count = 1; count <= 3; count += 1) await ann.api("POST", "api/chat/", { message: "Elsewhere" });
    // The page shows the refusal's message.
    await page.route("**/api/tokens/", (route) => route.abort());
    await say(page, "One too many");
    await refusal(page).getByText(daily(), { exact: true }).waitFor();
  },

  async "without an allowance no page mentions one"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann, { place: "#/statement" });
    await page.getByText("Grant for a new account").waitFor();
    assert.equal(await page.locator(".lead").innerText(), "All changes to your balance, newest first. Entries are never edited or removed.");
    assert.equal(await page.locator(".balance").getAttribute("title"), "An answer costs 100 tokens. Open your statement");
    await page.goto(SITE);
    await heading(page, "What would you like to know?");
    await balance(page, 4000);
    assert.equal((await page.content()).includes("filled up"), false);
  },

  async "the allowance fits all windows and is accessible"() {
    const server = await newServerOf("30000/month", { CURRENCY: "credits", CHAT_PRICE: "10000", TOP_UP_TEXT: "Buy more credits in our shop." });
    for (const colorScheme of ["light", "dark"]) {
      for (const width of [1280, 320]) {
        const look = { colorScheme, viewport: { width, height: width < 600 ? 640 : 800 }, timezoneId: "America/Los_Angeles" };
        const shot = (view) => looksRight(page, `allowances-${view}-${width}-${colorScheme}`);
        const ann = await newUser("ann", { site: server.url });
        const page = await chatPage(ann, { url: server.url, ...look });
        const { next } = (await ann.api("GET", "api/tokens/")).body.allowance;
        // Days are shown in UTC, as in the API, even in time zones where the UTC day begins on the
        // previous local day.
        const monthly = sentence("30,000 credits", "month", Date.parse(next));
        await page.getByText("Your credits are enough for 3 more answers.").waitFor();
        await page.getByText(monthly, { exact: true }).waitFor();
        await shot("new");
        await fitsItsBox(page.locator(".composer"), "the warning");
        await spend(page, 3);
        await say(page, "One too many");
        await refusal(page).getByText(monthly, { exact: true }).waitFor();
        await shot("refused");
        await fitsItsBox(page.locator(".composer"), "the refusal");
        await page.goto(`${server.url}#/statement`);
        await row(page, "Allowance for").waitFor();
        await page.getByText(monthly, { exact: true }).waitFor();
        await shot("low-statement");
        await server.manage("adjust", ann.name, "90000", "--reason", "for a test");
        await page.reload();
        await page.locator(".lead").getByText(monthly).waitFor();
        await row(page, "Allowance for").waitFor();
        await shot("statement");
        await fitsItsBox(page.getByRole("region", { name: "Statement, newest first" }), "the statement");
        const text = await page.locator("main").innerText();
        assert.doesNotMatch(text, /\btokens?\b/i);
      }
    }
  },
});
