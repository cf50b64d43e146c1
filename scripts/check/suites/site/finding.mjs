// Journeys of users who look for something: chats by day, pinned chats, search results, single
// messages, and the statement for a range of days, a model and an API key.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { adminPage } from "./lib/administering.mjs";
import { SITE, ask, eventually, fetched, journeys, looksRight, manage, newPage, newUser } from "./lib/browser.mjs";
import { answered, chatPage, focused, heading, logIn, said, say } from "./lib/chatting.mjs";
import { newServer } from "./lib/server.mjs";

const [PRICE, FIRST_GRANT] = [100, 4000];

/** A price list with two models. */
const LIST = {
  models: [
    { name: "quick", via: ["openai"], fare: { message: PRICE } },
    { name: "deep", via: ["openai"], fare: { message: 2 * PRICE } },
  ],
};

const chats = (page) => page.getByRole("navigation", { name: "Chats" });
const search = (page) => page.getByLabel("Search chats and messages");
const results = (page) => page.locator(".sidebar .found a");
/** Returns the list's groups, with the titles in each group. */
const groups = (page) =>
  chats(page).evaluate((list) =>
    [...list.querySelectorAll("h3")].map((group) => [
      group.textContent,
      [...group.nextElementSibling.querySelectorAll("li > a")].map((link) => link.textContent),
    ]),
  );
const texts = (locator) => locator.allInnerTexts();

/** Begins conversations with these messages. Resolves with their ids. */
async function begin({ api }, messages) {
  const ids = [];
  for (const message of messages) ids.push((await api("POST", "api/chat/", { message })).body.conversation_id);
  return ids;
}

/** Returns noon, in local time, this many days ago. */
function daysAgo(days) {
  const time = new Date();
  time.setHours(12, 0, 0, 0);
  time.setDate(time.getDate() - days);
  return days === 0 ? new Date() : time;
}

await journeys({
  async "chats are listed by day with pinned ones first"() {
    const ann = await newUser("ann");
    const page = await newPage();
    const month = (time) => time.toLocaleString("en", time.getFullYear() === new Date().getFullYear() ? { month: "long" } : { month: "long", year: "numeric" });
    const days = { Today: 0, Yesterday: 1, "Previous 7 days": 5, "Previous 30 days": 20, [month(daysAgo(45))]: 45, [month(daysAgo(420))]: 420 };
    let number = 0;
    const conversation = (title, time, pinned = false) => {
      const id = `01a1f7d1-6dd1-703a-9600-${String((number += 1)).padStart(12, "0")}`;
      return { id, title, created: time.toISOString(), last_used: time.toISOString(), pinned };
    };
    const first = [conversation("An old one", daysAgo(300), true), conversation("An older one", daysAgo(310), true)];
    const last = [];
    for (const [name, ago] of Object.entries(days)) {
      const list = ago < 300 ? first : last;
      for (let more = 0; more < (ago === 45 ? 40 : 2); more += 1) list.push(conversation(`${name} ${more}`, new Date(daysAgo(ago) - more * 1000)));
    }
    const asked = [];
    await page.route("**/api/conversations/?*", (route) => {
      const { searchParams } = new URL(route.request().url());
      asked.push(searchParams.get("cursor"));
      const headers = asked.length === 1 ? { Link: '</api/conversations/?cursor=the-next>; rel="next"' } : {};
      return route.fulfill({ headers, json: asked.length === 1 ? first : last });
    });
    await page.goto(SITE);
    await logIn(page, ann);
    await chats(page).getByRole("link", { name: "Today 0" }).waitFor();
    const shown = await groups(page);
    assert.deepEqual(
      shown.map(([name]) => name),
      ["Pinned", ...Object.keys(days).slice(0, 5)],
    );
    assert.deepEqual(shown[0][1], ["An old one", "An older one"]);
    assert.deepEqual(shown[1][1], ["Today 0", "Today 1"]);
    assert.deepEqual(asked, [null], "the end of the list is not seen yet");
    await chats(page).evaluate((list) => (list.scrollTop = list.scrollHeight));
    await chats(page)
      .getByRole("link", { name: `${Object.keys(days)[5]} 1` })
      .waitFor();
    assert.deepEqual(asked, [null, "the-next"]);
    assert.deepEqual(
      (await groups(page)).map(([name]) => name),
      ["Pinned", ...Object.keys(days)],
    );
    assert.equal(await chats(page).getByRole("button", { name: "Show more" }).count(), 0);
    await looksRight(page, "chats-by-day");
  },

  async "a pinned chat stays at the top until it is unpinned"() {
    const ann = await newUser("ann");
    const [one] = await begin(ann, ["Talk one", "Talk two", "Talk three"]);
    const page = await chatPage(ann);
    const second = await newPage({ beside: page });
    await second.goto(SITE);
    for (const tab of [page, second]) await chats(tab).getByRole("link", { name: "Talk one" }).waitFor();
    const all = ["Talk three", "Talk two", "Talk one"];
    assert.deepEqual(await groups(page), [["Today", all]]);
    const choose = async (choice) => {
      await chats(page).getByRole("button", { name: "More about Talk one" }).click();
      await page.getByRole("button", { name: choice, exact: true }).click();
    };
    await choose("Pin");
    const pinned = [
      ["Pinned", ["Talk one"]],
      ["Today", all.slice(0, 2)],
    ];
    for (const tab of [page, second]) {
      await chats(tab).getByRole("heading", { name: "Pinned" }).waitFor();
      assert.deepEqual(await groups(tab), pinned);
    }
    assert.equal(await focused(page), "More about Talk one", "the focus moves with the row");
    await page.reload();
    await chats(page).getByRole("heading", { name: "Pinned" }).waitFor();
    assert.deepEqual(await groups(page), pinned);

    // A new message doesn't move the chat, and the chat's menu shows that it is pinned.
    await chats(page).getByRole("link", { name: "Talk one" }).click();
    await heading(page, "Talk one");
    await say(page, "Once more");
    await answered(page);
    assert.deepEqual(await groups(page), pinned);
    await page.getByRole("button", { name: "More about this chat" }).click();
    await page.getByRole("button", { name: "Unpin" }).click();
    await chats(page).getByRole("heading", { name: "Pinned" }).waitFor({ state: "detached" });
    assert.deepEqual(await groups(page), [["Today", ["Talk one", "Talk three", "Talk two"]]]);
    assert.equal((await ann.api("GET", `api/conversations/${one}/`)).body.pinned, false);

    // A chat that another device has deleted leaves the list when the page notices it.
    await ann.api("DELETE", `api/conversations/${one}/`);
    await choose("Pin");
    await page.getByText("“Talk one” was deleted.").waitFor();
    assert.deepEqual(await groups(page), [["Today", ["Talk three", "Talk two"]]]);
  },

  async "the search finds titles and messages and opens them"() {
    const ann = await newUser("ann");
    const [long] = await begin(ann, ["Fares of the harbour line"]);
    await ann.api("POST", "api/chat/", { message: "Where is the giraffe?", conversation_id: long });
    for (let number = 0; number < 24; number += 1) await ann.api("POST", "api/chat/", { message: `Number ${number}`, conversation_id: long });
    await begin(ann, ["Of giraffes and zebras", "Nothing of the kind"]);
    const page = await chatPage(ann);
    await page.getByLabel("Your message").focus();
    await page.keyboard.press("Control+k");
    assert.equal(await focused(page), "Search chats and messages");
    await page.keyboard.type("GIRAFFE");
    // The page may also search for the first letters.
    await page
      .locator(".sidebar mark")
      .filter({ hasText: /^giraffe$/i })
      .nth(2)
      .waitFor();
    assert.equal(await chats(page).isVisible(), false);
    assert.deepEqual(await texts(page.locator(".sidebar .found-text")), ["Of giraffes and zebras", "Of giraffes and zebras", "Where is the giraffe?"]);
    assert.deepEqual(await texts(page.locator(".sidebar mark")), ["giraffe", "giraffe", "giraffe"]);
    assert.deepEqual(await texts(page.locator(".sidebar").getByRole("heading", { level: 3 })), ["Chats", "Messages"]);
    assert.deepEqual(await texts(page.locator(".sidebar .found-chat")), ["Of giraffes and zebras", "Fares of the harbour line"]);
    await looksRight(page, "search-in-sidebar");

    await page.keyboard.press("ArrowDown");
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("href").startsWith("#/c/")), true);
    await page.keyboard.press("ArrowUp");
    assert.equal(await focused(page), "Search chats and messages");
    // From the field, the Up key moves to the last result, which is the link to the history. The
    // next press moves to a message.
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
    await heading(page, "Fares of the harbour line");
    await page.waitForFunction(() => document.activeElement.matches(".turn") && document.activeElement.textContent.includes("giraffe"));
    const [box, main] = await Promise.all([page.locator(".turn-found").boundingBox(), page.locator("main").boundingBox()]);
    assert(box.y >= main.y - 1 && box.y < main.y + main.height / 2, `it begins at ${box.y}`);

    // The search has ended and the list is shown again.
    await chats(page).getByRole("link", { name: "Fares of the harbour line" }).waitFor();
    assert.equal(await search(page).inputValue(), "");

    await search(page).fill("no such thing at all");
    await page.getByText("No results for “no such thing at all”").waitFor();
    await page.getByRole("link", { name: "See all results" }).click();
    await page.waitForURL(/#\/history\?q=no\+such\+thing\+at\+all$/);
    await search(page).focus();
    await page.keyboard.press("Escape");
    assert.equal(await search(page).inputValue(), "");
    await chats(page).getByRole("link", { name: "Of giraffes" }).waitFor();
    await search(page).fill("zebra");
    await results(page).first().waitFor();
    await search(page).focus();
    await page.keyboard.press("Enter");
    await heading(page, "Of giraffes and zebras");
  },

  async "a search ends with its view and forgets deleted chats"() {
    const ann = await newUser("ann");
    await begin(ann, ["The giraffe of today"]);
    const [gone] = await begin(ann, ["A giraffe to be deleted"]);
    const { body: single } = await ann.api("POST", "api/chat/", { message: "One more giraffe", conversation_id: gone });
    for (let number = 0; number < 31; number += 1) await begin(ann, [`Later ${number}`]);
    const page = await chatPage(ann, { place: `#/c/${gone}` });
    await said(page, "One more giraffe").waitFor();
    const look = async (count) => {
      await search(page).fill("giraffe");
      await results(page)
        .nth(count - 1)
        .waitFor();
    };
    for (const [name, title] of [
      ["History", "History"],
      ["Account", "Profile"],
    ]) {
      await look(5);
      await page.locator(".sidebar-foot").getByRole("link", { name }).click();
      await heading(page, title);
      await chats(page).getByRole("link", { name: "Later 30" }).waitFor();
      assert.equal(await search(page).inputValue(), "");
    }
    // A result may be a message in the open chat.
    await page.goto(`${SITE}#/c/${gone}`);
    await said(page, "One more giraffe").waitFor();
    await look(5);
    // The results also show the titles of chats that the list hasn't read.
    await page.locator(".found-chat").getByText("The giraffe of today").waitFor();
    await results(page).filter({ hasText: "A giraffe to be deleted" }).first().click();
    await chats(page).waitFor();

    await look(5);
    await page.getByRole("button", { name: "More about this message" }).last().click();
    await page.getByRole("button", { name: "Delete this message" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("The message has been deleted.").waitFor();
    assert.equal(await results(page).count(), 4);
    assert.equal(await page.locator(`.found a[href$="${single.id}"]`).count(), 0);
    await page.getByRole("button", { name: "More about this chat" }).click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await heading(page, "What would you like to know?");
    await look(2);
    assert.deepEqual(await texts(results(page).filter({ hasText: "to be deleted" })), []);
  },

  async "the search works in narrow windows and explains failures"() {
    const ann = await newUser("ann");
    await begin(ann, ["Talk"]);
    const page = await chatPage(ann, { viewport: { width: 320, height: 640 } });
    await page.keyboard.press("Control+k");
    assert.equal(await focused(page), "Search chats and messages");
    await page.route("**/api/chat/?q=*", (route) => route.abort());
    await page.keyboard.type("talk");
    await page.getByText("The server can't be reached.").waitFor();
    await page.unroute("**/api/chat/?q=*");
    await search(page).fill("Tal");
    await results(page).first().waitFor();
    await looksRight(page, "search-in-drawer");
    await page.keyboard.press("Escape");
    assert.equal(await page.locator(".drawer-opener").getAttribute("aria-expanded"), "true", "the first Escape only ends the search");
    await search(page).fill("Talk");
    await results(page).first().click();
    await heading(page, "Talk");
    await search(page).waitFor({ state: "hidden" });
  },

  async "the history is limited to days and to a model"() {
    const ann = await newUser("ann");
    await begin(ann, ["The first tram", "A bus"]);
    const page = await chatPage(ann, { place: "#/history" });
    const rows = page.locator(".chat-asked");
    await rows.nth(1).waitFor();
    const today = new Date().toISOString().slice(0, 10);
    await page.getByLabel("From", { exact: true }).fill("2026-01-01");
    await page.getByLabel("To", { exact: true }).fill("2026-01-31");
    await page.getByLabel("To", { exact: true }).press("Enter");
    await page.getByText("No messages of these days or this model").waitFor();
    assert.match(page.url(), /#\/history\?from=2026-01-01&to=2026-01-31$/);
    // Days in the wrong order are swapped.
    await page.getByLabel("Search messages and answers").fill("tram first");
    await page.getByLabel("From", { exact: true }).fill("2100-01-01");
    await page.getByLabel("To", { exact: true }).fill(today);
    await page.getByRole("button", { name: "Search" }).click();
    await page.waitForURL(new RegExp(`from=${today}&to=2100-01-01$`));
    await page.getByText("Messages and answers that contain “tram first”, from").waitFor();
    await eventually(() => texts(rows), ["The first tram"]);
    await page.goto(`${SITE}#/history?model=no-such-model`);
    await page.getByText("No messages of these days or this model").waitFor();
    assert.equal(await page.getByLabel("Model").inputValue(), "no-such-model");
    await page.getByRole("link", { name: "Show all messages" }).click();
    await rows.nth(1).waitFor();
    await looksRight(page, "history-filters");
  },

  async "the history continues when its end is in view"() {
    const ann = await newUser("ann");
    await manage("adjust", ann.name, "1000", "--reason", "for a test");
    for (let number = 0; number < 45; number += 1) await ann.api("POST", "api/chat/", { message: `Number ${number}` });
    const page = await chatPage(ann, { place: "#/history" });
    const rows = page.locator(".chat-row");
    await rows.nth(19).waitFor();
    assert.equal(await rows.count(), 20);
    for (const count of [40, 45]) {
      await page.locator("main").evaluate((main) => (main.scrollTop = main.scrollHeight));
      await rows.nth(count - 1).waitFor();
    }
    assert.equal(await page.locator("main").getByRole("button", { name: "Show more" }).count(), 0);
    assert.equal((await texts(rows.last().locator(".chat-asked")))[0], "Number 0");
  },

  async "rows of the statement link to their message or say why not"() {
    const ann = await newUser("ann");
    const { body: first } = await ann.api("POST", "api/chat/", { message: "The first one" });
    for (let number = 0; number < 22; number += 1) await ann.api("POST", "api/chat/", { message: `Number ${number}`, conversation_id: first.conversation_id });
    const { body: key } = await ann.api("POST", "api/user/api-keys/", { name: "a program" });
    await ask("POST", "v1/chat/completions", { model: "any", messages: [{ role: "user", content: "By a program" }] }, key.key);
    const { body: gone } = await ann.api("POST", "api/chat/", { message: "To be deleted" });
    await ann.api("DELETE", `api/chat/${gone.id}/`);
    const page = await chatPage(ann, { place: "#/statement" });
    const answers = page.locator("tbody td a");
    await answers.nth(24).waitFor();
    const rows = () => page.locator("tbody tr").evaluateAll((all) => all.map((row) => row.cells[1].innerText));
    await eventually(
      async () => (await rows()).slice(0, 3),
      ["Answer · its message was deleted or is temporary", "“By a program” · answer · API key a program", "“Number 21” · answer"],
    );
    const times = await page.locator("tbody time").allInnerTexts();
    assert.match(times[0], /\d\d:\d\d:\d\d$/);
    await answers.nth(24).click();
    await heading(page, "The first one");
    await page.waitForFunction(() => document.activeElement.matches(".turn-found") && document.activeElement.textContent.includes("The first one"));
    await page.goBack();
    await heading(page, "Statement");
    await answers.nth(1).click();
    await heading(page, "Message");
    await page.getByText("By a program", { exact: true }).waitFor();
    await page.getByText("via API", { exact: true }).waitFor();
    await page.goBack();
    await answers.first().click();
    await heading(page, "This message was deleted");
    await page.getByRole("link", { name: "See your statement" }).click();
    await heading(page, "Statement");
    // The chat is shown without the deleted message.
    await page.goto(`${SITE}#/c/${first.conversation_id}?chat=${gone.id}`);
    await page.getByText("This message isn't in the chat any more.").waitFor();
    await said(page, "Number 21").waitFor();
  },

  async "the statement shows rows of an unknown kind"() {
    const ann = await newUser("ann");
    const { body: chat } = await ann.api("POST", "api/chat/", { message: "Hello!" });
    const page = await chatPage(ann);
    await page.route("**/api/user/ledger/?*", async (route) => {
      const response = await fetched(route);
      const [first, ...others] = await response.json();
      const gift = { ...first, kind: "gift_card", chat_id: null, excerpt: null, amount: 50, reason: "from Ben" };
      const voice = { ...first, kind: "voice", amount: -30, reason: "read aloud" };
      await route.fulfill({ response, json: [gift, voice, first, ...others] });
    });
    await page.goto(`${SITE}#/statement`);
    const rows = page.getByRole("region", { name: "Statement, newest first" }).locator("tbody tr");
    await rows.nth(3).waitFor();
    const cells = await rows.evaluateAll((all) => all.map((row) => [1, 2].map((cell) => row.cells[cell].innerText)));
    assert.deepEqual(cells, [
      ["Gift card: from Ben", "+50"],
      ["Voice: read aloud", "−30"],
      ["“Hello!” · answer", `−${PRICE}`],
      ["Grant for a new account", "+4,000"],
    ]);
    assert.match(await rows.nth(1).getByRole("link").getAttribute("href"), new RegExp(`#/m/${chat.id}$`));
  },

  async "the statement is limited to days, and months link to them"() {
    const ann = await newUser("ann");
    await begin(ann, ["One", "Two", "Three"]);
    await manage("adjust", ann.name, "-250", "--reason", "a mistake");
    const page = await chatPage(ann);
    const keys = page.waitForResponse("**/api/user/api-keys/");
    await page.goto(`${SITE}#/statement`);
    const rows = page.getByRole("region", { name: "Statement, newest first" }).locator("tbody tr");
    await rows.nth(4).waitFor();
    await (await keys).finished();
    const today = new Date().toISOString().slice(0, 10);
    const day = (days) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
    const limit = async (from, to) => {
      await page.getByLabel("From").fill(from);
      await page.getByLabel("To", { exact: true }).fill(to);
      await page.getByRole("button", { name: "Show", exact: true }).click();
    };
    assert.equal(await page.locator(".period select:visible").count(), 0, "there are no models or keys to choose from");
    await limit(day(-3), day(-2));
    await page.waitForURL(`**/#/statement?from=${day(-3)}&to=${day(-2)}`);
    await page.getByText("Your balance did not change on these days").waitFor();
    await limit(day(1), today);
    await page.waitForURL(`**/#/statement?from=${today}&to=${day(1)}`);
    await rows.nth(4).waitFor();
    assert.equal(await page.getByLabel("From").inputValue(), today);
    const coming = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download CSV" }).click();
    const file = await coming;
    assert.equal(file.suggestedFilename(), `farebox-statement-${today}-${day(1)}.csv`);
    assert.equal((await readFile(await file.path(), "utf8")).trimEnd().split("\r\n").length, 6);

    await page.getByText("Totals by month").click();
    const months = page.getByRole("region", { name: "Totals by month, newest first" }).locator("tbody tr");
    await months.first().waitFor();
    await page.getByRole("columnheader", { name: "Granted and adjusted" }).waitFor();
    await looksRight(page, "statement-by-month");
    const name = new Date(today).toLocaleString("en-GB", { month: "long", year: "numeric", timeZone: "UTC" });
    const cells = await months.evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.innerText)));
    const balance = (FIRST_GRANT - 250 - 3 * PRICE).toLocaleString("en");
    assert.deepEqual(cells, [[name, "3", String(3 * PRICE), `+${(FIRST_GRANT - 250).toLocaleString("en")}`, balance]]);
    await page.getByRole("link", { name }).click();
    await page.waitForURL(new RegExp(`#/statement\\?from=${today.slice(0, 7)}-01&to=${today.slice(0, 7)}-(28|29|30|31)$`));
    await rows.nth(4).waitFor();
    await page.getByRole("link", { name: "Show all changes" }).click();
    await page.waitForURL("**/#/statement");
    await rows.nth(4).waitFor();
  },

  async "the statement is limited to a model and an API key"() {
    const { url } = await newServer(LIST);
    const ann = await newUser("ann", { site: url });
    const keys = [];
    for (const name of ["a program", "an old program"]) keys.push((await ann.api("POST", "api/user/api-keys/", { name })).body);
    const [program, old] = keys;
    const completes = (key, model, content) => ask("POST", "v1/chat/completions", { model, messages: [{ role: "user", content }] }, key.key, url);
    await ann.api("POST", "api/chat/", { message: "Quickly", model: "quick" });
    await ann.api("POST", "api/chat/", { message: "Deeply", model: "deep" });
    await completes(program, "quick", "By a program");
    await completes(old, "deep", "By an old program");
    await ann.api("DELETE", `api/user/api-keys/${old.id}/`);

    const page = await chatPage(ann, { url, place: "#/statement" });
    const rows = page.getByRole("region", { name: "Statement, newest first" }).locator("tbody tr");
    const shown = () =>
      rows.evaluateAll((all) => all.map((row) => [row.cells[1].querySelector("a").innerText, row.cells[2].innerText, row.cells[3].innerText]));
    const [model, key] = ["model", "key"].map((name) => page.locator(`.period select[name=${name}]`));
    const show = () => page.getByRole("button", { name: "Show", exact: true }).click();
    await rows.nth(4).waitFor();
    await rows.first().getByText("revoked API key").waitFor();
    await key.locator("option", { hasText: "a program" }).waitFor({ state: "attached" });
    assert.deepEqual(await model.locator("option").allTextContents(), ["All models", "quick", "deep"]);
    const offered = async () => (await key.locator("option").allTextContents()).sort();
    await eventually(async () => (await offered()).map((text) => text.replace(/ \d.*/, " …")), ["All keys", "Revoked key, used on …", "a program"]);

    await model.selectOption("deep");
    await show();
    await page.waitForURL("**/#/statement?model=deep");
    await page.getByText("Charges for the model deep, newest first.").waitFor();
    await rows.nth(1).waitFor();
    // The balances also count the rows that aren't shown.
    await eventually(shown, [
      ["“By an old program”", "−200", "3,400"],
      ["“Deeply”", "−200", "3,700"],
    ]);
    await model.selectOption("");
    await key.selectOption(program.id);
    await show();
    await page.waitForURL(`**/#/statement?key=${program.id}`);
    await page.getByText("Charges by one API key, newest first.").waitFor();
    await rows.first().waitFor();
    await eventually(shown, [["“By a program”", "−100", "3,600"]]);
    const coming = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download CSV" }).click();
    const file = await coming;
    assert.equal(file.suggestedFilename(), "farebox-statement-key.csv");
    assert.equal((await readFile(await file.path(), "utf8")).trimEnd().split("\r\n").length, 2);

    await page.goto(`${url}#/statement?model=deep&key=${old.id}`);
    await page.getByText("Charges for the model deep by one API key, newest first.").waitFor();
    await rows.first().getByText("By an old program").waitFor();
    assert.equal(await rows.count(), 1);
    await eventually(() => key.locator("option:checked").textContent(), /^Revoked key/);
    await page.getByText("Totals by month, for all models and keys").waitFor();
    await looksRight(page, "statement-filters");
    await page.setViewportSize({ width: 320, height: 800 });
    await looksRight(page, "statement-filters-narrow");
    // Each label stays on one line.
    const labels = await page.locator(".period-day > span").evaluateAll((all) => all.map((label) => label.offsetHeight));
    assert(Math.max(...labels) < 40, labels.join());
    await page.goto(`${url}#/statement?model=quick&key=${old.id}`);
    await page.getByText("No charges match").waitFor();
    await page.getByRole("link", { name: "Show all changes" }).click();
    await page.waitForURL("**/#/statement");
    await rows.nth(4).waitFor();

    // Administrators have the same choices.
    const office = await adminPage({ url }, `#/users/${ann.id}/statement`);
    const listed = office.getByRole("region", { name: /^Statement of .*, newest first$/ }).locator("tbody tr");
    const messages = () => listed.evaluateAll((all) => all.map((row) => row.cells[1].querySelector("a").innerText));
    await listed.nth(4).waitFor();
    await office.getByLabel("Model", { exact: true }).selectOption("deep");
    await office.waitForURL("**/statement?model=deep");
    await listed.nth(1).waitFor();
    await eventually(messages, ["“By an old program”", "“Deeply”"]);
    await office.getByLabel("API key").selectOption(old.id);
    await office.waitForURL(`**/statement?model=deep&key=${old.id}`);
    await listed.nth(1).waitFor({ state: "detached" });
    await listed.first().waitFor();
    await eventually(messages, ["“By an old program”"]);
    await looksRight(office, "admin-statement-filters");
    const saved = office.waitForEvent("download");
    await office.getByRole("button", { name: "Download CSV" }).click();
    assert.equal((await saved).suggestedFilename(), `statement-${ann.name}-deep-key.csv`);
    // The address contains the choices.
    await office.goto(`${url}admin/#/users/${ann.id}/statement?model=quick&key=${program.id}`);
    await listed.first().getByText("By a program").waitFor();
    await eventually(() => office.getByLabel("API key").locator("option:checked").textContent(), "a program");
  },
});
