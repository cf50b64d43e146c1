// A user shares a copy of a chat, a visitor reads and reports it, and its author or an administrator
// ends it.

import assert from "node:assert/strict";
import { adminPage } from "./lib/administering.mjs";
import { SITE, eventually, fetched, journeys, loaded, looksRight, newPage, newUser } from "./lib/browser.mjs";
import { answered, chatPage, focused, heading, say } from "./lib/chatting.mjs";
import { newServer } from "./lib/server.mjs";

const { url, admin } = await newServer(null, { SHARING: "on" });

/** Opens the dialog that shares the chat that is shown. */
async function sharing(page) {
  await page.locator(".thread-head").getByRole("button", { name: "More about this chat" }).click();
  await page.getByRole("button", { name: "Share", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Share this chat" });
  await dialog.waitFor();
  return dialog;
}

/** Shares a new chat with this message through the API. Returns its address and its id. */
async function shared(person, message) {
  const { body: chat } = await person.api("POST", "api/chat/", { message });
  const { body } = await person.api("POST", "api/user/shares/", { conversation_id: chat.conversation_id });
  return { address: `${url}s/${body.link}`, id: body.id };
}

async function opened(address, options) {
  const page = await newPage(options);
  await page.goto(address);
  await page.locator("h1").waitFor();
  return page;
}

await journeys({
  async "a user shares a chat and a visitor reads the copy"() {
    const ann = await newUser("ann", { site: url });
    const page = await chatPage(ann, { url });
    await say(page, "What is **compound** interest?");
    await answered(page);
    const dialog = await sharing(page);
    await dialog.getByRole("region", { name: "Preview" }).getByText("What is **compound** interest?").first().waitFor();
    await looksRight(page, "share-dialog");
    await dialog.getByRole("button", { name: "Create a link" }).click();
    const link = dialog.getByRole("link", { name: "Open What is **compound** interest? in a new tab" });
    const address = await link.getAttribute("href");
    assert.match(address, /\/s\/[0-9a-f]{32}$/);
    await looksRight(page, "share-created");
    await dialog.locator(".dialog-actions").getByRole("button", { name: "Close" }).click();
    await say(page, "Written later");
    await answered(page);

    const visitor = await newPage();
    const sent = [];
    visitor.on("request", (request) => sent.push(request));
    await visitor.goto(address);
    await heading(visitor, "What is **compound** interest?");
    await visitor.locator(".shared-turn").first().waitFor();
    assert.equal(await visitor.locator(".shared-turn").count(), 1);
    const text = await visitor.locator("body").innerText();
    assert(!text.includes(ann.name) && !text.includes("Written later"), text);
    assert.equal(await visitor.locator("meta[name=robots]").getAttribute("content"), "noindex, nofollow");
    const origins = new Set(sent.map((request) => new URL(request.url()).origin));
    assert.deepEqual([...origins], [new URL(url).origin]);
    for (const request of sent) assert.equal((await request.allHeaders()).authorization, undefined);
    await looksRight(visitor, "shared-chat");
  },

  async "a username is shown only if its owner wants it"() {
    const ann = await newUser("ann", { site: url });
    const page = await chatPage(ann, { url });
    await say(page, "Hello");
    await answered(page);
    const dialog = await sharing(page);
    await dialog.getByLabel(`Show my username, ${ann.name}`).check();
    await dialog.getByRole("button", { name: "Create a link" }).click();
    const address = await dialog.getByRole("link", { name: "Open Hello in a new tab" }).getAttribute("href");
    const visitor = await opened(address);
    await visitor.getByText(`Shared by ${ann.name}`).waitFor();
  },

  async "its author ends a shared chat in the account"() {
    const ann = await newUser("ann", { site: url });
    const { address } = await shared(ann, "Hello");
    const page = await chatPage(ann, { place: "#/account/data", url });
    const row = page.locator("main .row").filter({ hasText: "Hello" });
    await row.waitFor();
    await looksRight(page, "account-shared");
    await row.getByRole("button", { name: "End the shared chat Hello" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End", exact: true }).click();
    await row.waitFor({ state: "detached" });
    const visitor = await opened(address);
    await heading(visitor, "Not shared");
    await looksRight(visitor, "shared-gone");
  },

  async "a visitor reports a chat and an administrator ends it"() {
    const ann = await newUser("ann", { site: url });
    const { address } = await shared(ann, `Report ${ann.name}`);
    const visitor = await opened(address);
    await visitor.getByRole("button", { name: "Report" }).click();
    const dialog = visitor.getByRole("dialog", { name: "Report this chat" });
    await looksRight(visitor, "shared-report");
    await dialog.getByLabel("What is wrong with it?").fill("It contains my address.");
    await dialog.getByRole("button", { name: "Report" }).click();
    await visitor.getByText("Thank you.").waitFor();

    const page = await adminPage({ url }, "#/shares");
    const row = page.locator("tbody tr").filter({ hasText: ann.name }).first();
    await row.getByText("It contains my address.").waitFor();
    await looksRight(page, "admin-shares");
    await row.getByRole("button", { name: /^End the shared chat/ }).click();
    await page.getByRole("dialog").getByLabel("Reason").fill("a private address");
    await page.getByRole("dialog").getByRole("button", { name: "End", exact: true }).click();
    await row.waitFor({ state: "detached" });
    await eventually(() => focused(page), "Shared chats");
    await visitor.reload();
    await heading(visitor, "Not shared");
    const { body } = await admin("GET", "api/admin/trail/?act=share");
    assert.equal(body[0].reason, "a private address");
  },

  async "an administrator dismisses a report"() {
    const ann = await newUser("ann", { site: url });
    const title = `Keep ${ann.name}`;
    const { address } = await shared(ann, title);
    const reports = `api/shares/${address.split("/").at(-1)}/reports/`;
    await ann.api("POST", reports, { reason: "I don't like it." });
    const page = await adminPage({ url }, "#/shares");
    const row = page.locator("tbody tr").filter({ hasText: ann.name }).first();
    await row.getByRole("button", { name: "Dismiss the report I don't like it." }).click();
    await page.getByRole("dialog").getByLabel("Reason").fill("a matter of taste");
    await page.getByRole("dialog").getByRole("button", { name: "Dismiss", exact: true }).click();
    await page.getByText("The report has been dismissed.").waitFor();
    await row.waitFor({ state: "detached" });
    await eventually(() => focused(page), "Shared chats");
    await page.goto(`${url}admin/#/trail?act=report_dismissal`);
    const dismissal = page.locator("tbody tr").filter({ hasText: ann.name });
    await dismissal.getByText("Dismissed a report about a shared chat of").waitFor();
    await dismissal.getByText("a matter of taste").waitFor();
    await heading(await opened(address), title);
  },

  async "a link is shown even if the reply was lost"() {
    const ann = await newUser("ann", { site: url });
    const page = await chatPage(ann, { url });
    await say(page, "Hello");
    await answered(page);
    const dialog = await sharing(page);
    const loses = async (route) => {
      await fetched(route);
      await route.abort();
    };
    await page.route("**/api/user/shares/", loses, { times: 1 });
    await dialog.getByRole("button", { name: "Create a link" }).click();
    await dialog.getByRole("link", { name: "Open Hello in a new tab" }).waitFor();
    await dialog.getByText("The server can't be reached.").waitFor();
  },

  async "messages of a shared chat run no script"() {
    const ann = await newUser("ann", { site: url });
    const hostile = `<img src=x onerror="document.title='bad'"> [x](javascript:document.title='bad') <script>document.title='bad'</script>`;
    const { address } = await shared(ann, hostile);
    const visitor = await opened(address);
    await visitor.locator(".shared-turn .prose").first().waitFor();
    await visitor.locator(".as-written").first().waitFor({ state: "detached" });
    assert.equal(await visitor.locator("main :is(script, iframe, object, img)").count(), 0);
    assert.equal(await visitor.locator("main a[href^=javascript]").count(), 0);
    assert.doesNotMatch(await visitor.title(), /^bad/);
  },

  async "a shared chat of long answers is drawn as it comes into view"() {
    const ann = await newUser("ann", { site: url });
    const { address } = await shared(ann, "Hello");
    const parts = ["# a\n", "- a\n", "```js\na\n```\n", "```\n```\n", "**a** ", "<br>"];
    const messages = Array.from({ length: 11 }, (_, number) => {
      const part = parts[number % parts.length];
      const answer = `${part.repeat(65_000 / part.length)}\n\nThe end of ${number}.`;
      return { message: `Number ${number}`, answer, model: "echo" };
    });
    const visitor = await newPage();
    await visitor.route("**/api/shares/*", (route) => route.fulfill({ json: { title: "Long", author: null, shared: "2026-11-20T07:17:39.995Z", messages } }));
    await visitor.goto(address);
    await heading(visitor, "Long");
    const prose = visitor.locator(".shared .prose");
    const unseen = visitor.locator(".unseen");
    await visitor.locator(".shared .prose > h3").first().waitFor();

    // Only the answer that is in view is drawn. All texts are in the page, so its search finds them.
    await eventually(() => unseen.count(), 10);
    assert.equal(await prose.count(), 11);
    const most = await visitor.locator(".shared *").count();
    assert(most < 10_000, `${most} elements`);
    const ends = () => prose.evaluateAll((all) => all.map(({ textContent }) => /The end of \d+\.$/.exec(textContent.trim())?.[0]));
    const all = messages.map((_, number) => `The end of ${number}.`);
    assert.deepEqual(await ends(), all);

    // An answer is drawn when it comes into view, and each has a limited number of elements.
    await unseen.first().evaluate((element) => element.scrollIntoView());
    await prose.nth(1).locator("li").first().waitFor();
    assert((await unseen.count()) >= 7, `${await unseen.count()} answers wait`);
    for (let left = await unseen.count(); left > 0; left = await unseen.count()) {
      await unseen.first().evaluate((element) => element.scrollIntoView());
      await visitor.waitForFunction((left) => document.querySelectorAll(".unseen").length < left, left);
    }
    assert.deepEqual(await ends(), all);
    const sizes = await prose.evaluateAll((all) => all.map((element) => element.querySelectorAll("*").length));
    assert(Math.max(...sizes) < 8100, sizes.join(", "));

    // A printed page contains all answers.
    await visitor.reload();
    await visitor.locator(".shared .prose > h3").first().waitFor();
    await visitor.evaluate(() => dispatchEvent(new Event("beforeprint")));
    assert.equal(await unseen.count(), 0);
    assert.deepEqual(await ends(), all);
  },

  async "nothing is shared unless the operator allows it"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, "Hello");
    await answered(page);
    await page.locator(".thread-head").getByRole("button", { name: "More about this chat" }).click();
    await page.getByRole("button", { name: "Copy as Markdown" }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Share", exact: true }).count(), 0);
    await page.goto(`${SITE}#/account/data`);
    await heading(page, "Your data");
    await loaded(page);
    assert.equal(await page.getByRole("heading", { name: "Shared chats" }).count(), 0);
    // What was shared before can still be ended.
    const before = { id: ann.name, link: "0".repeat(32), title: "Old", author: null, messages: 1, shared: "2026-11-20T07:17:39.995Z" };
    await page.route("**/api/user/shares/", (route) => route.fulfill({ json: [before] }));
    await page.reload();
    await page.getByRole("button", { name: "End the shared chat Old" }).waitFor();
    const visitor = await opened(`${SITE}s/${"0".repeat(32)}`);
    await heading(visitor, "Not shared");
  },

  async "a page that is left while its shared chats load reports nothing"() {
    const page = await chatPage(await newUser("ann"));
    await page.route("**/api/user/shares/", () => {});
    const asked = page.waitForRequest("**/api/user/shares/");
    await page.goto(`${SITE}#/account/data`);
    await asked;
    const ended = page.waitForEvent("requestfailed");
    await page.goto(`${SITE}#/history`);
    await ended;
    await heading(page, "History");
  },
});
