// The line below a chat's title shows what the chat was charged. Temporary chats are in no list. A
// model writes the titles of new chats.

import assert from "node:assert/strict";
import { SITE, fetched, journeys, looksRight, newUser } from "./lib/browser.mjs";
import { answered, balance, chatPage, heading, newChat, say, said, stayLost } from "./lib/chatting.mjs";
import { newServer } from "./lib/server.mjs";

const about = (page, text) => page.locator(".thread-about").getByText(text).waitFor();
const listed = (page, name) => page.getByRole("navigation", { name: "Chats" }).getByRole("link", { name, exact: true });

const edit = (page) => page.getByRole("button", { name: "Edit message" });

/** Lets the API answer the next message, and loses the answer before its first word. */
async function loseAnswer(page) {
  const lose = async (route) => {
    await fetched(route);
    await route.abort();
  };
  await stayLost(page);
  await page.route("**/api/chat/stream/", lose, { times: 1 });
}

/** Returns how many times a user was charged. */
const spent = async ({ api }) => (await api("GET", "api/user/ledger/")).body.filter(({ kind }) => kind === "chat").length;

/** Begins a temporary chat with this message. */
async function whisper(page, message) {
  await page.getByLabel("Temporary chat").check();
  await page.getByText("is deleted after a day. Messages cost the same.").waitFor();
  await say(page, message);
}

await journeys({
  async "a chat shows what its messages were charged"() {
    const page = await chatPage(await newUser("ann"));
    // The same module draws the switch and the line.
    await page.getByLabel("Temporary chat").waitFor();
    assert.equal(await page.locator(".thread-about").isVisible(), false);
    await say(page, "One");
    await answered(page);
    await about(page, "Charged 100 tokens so far");
    assert.match(await page.getByText("Charged 100 tokens so far").last().getAttribute("title"), /^Before refunds\./);
    await say(page, "Two");
    await about(page, "Charged 200 tokens so far");
    // A deleted message was charged.
    await page.getByRole("button", { name: "More about this message" }).last().click();
    await page.getByRole("button", { name: "Delete this message" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByText("The message has been deleted.").waitFor();
    await about(page, "Charged 200 tokens so far");
    await page.reload();
    await about(page, "Charged 200 tokens so far");
    await newChat(page);
    await page.locator(".thread-about").waitFor({ state: "hidden" });
  },

  async "a chat too long to add up its charges says so"() {
    const page = await chatPage(await newUser("ann"));
    await page.route(/api\/conversations\/[0-9a-f-]{36}\/$/, async (route) => {
      const response = await fetched(route);
      await route.fulfill({ response, json: { ...(await response.json()), charged: null } });
    });
    await say(page, "One");
    await answered(page);
    await page.reload();
    await about(page, "Charges not added up");
    assert.match(await page.getByText("Charges not added up").last().getAttribute("title"), /Your statement contains all charges\.$/);
  },

  async "a temporary chat is in no list, and says so"() {
    const page = await chatPage(await newUser("ann"));
    await say(page, "Kept");
    await answered(page);
    await newChat(page);
    await whisper(page, "Psst");
    await answered(page);
    await about(page, /^Temporary: not in your history, deleted on .+ · Charged 100 tokens so far$/);
    await say(page, "And more");
    await said(page, "And more").waitFor();
    await about(page, /Charged 200 tokens so far$/);
    await balance(page, 3700);
    await listed(page, "Kept").waitFor();
    assert.equal(await listed(page, "Psst").count(), 0);
    await page.locator(".thread-head").getByRole("button", { name: "More about this chat" }).click();
    await page.getByRole("button", { name: "Rename", exact: true }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Pin", exact: true }).count(), 0);
    await page.keyboard.press("Escape");
    // Its address still works, until it is deleted.
    await page.reload();
    await heading(page, "Psst");
    await about(page, /^Temporary: /);
    await answered(page);
    await looksRight(page, "temporary-chat");
    await page.goto(`${SITE}#/history`);
    await page.locator(".chat-row", { hasText: "Kept" }).waitFor();
    await listed(page, "Kept").waitFor();
    assert.equal(await page.getByText("Psst").count(), 0);
  },

  async "a temporary chat can't be shared"() {
    const { url } = await newServer(null, { SHARING: "on" });
    const page = await chatPage(await newUser("ann", { site: url }), { url });
    const menu = page.locator(".thread-head").getByRole("button", { name: "More about this chat" });
    const share = page.getByRole("button", { name: "Share", exact: true });
    await say(page, "Kept");
    await answered(page);
    await menu.click();
    await share.waitFor();
    await page.keyboard.press("Escape");
    await newChat(page);
    await whisper(page, "Psst");
    await answered(page);
    await menu.click();
    await page.getByRole("button", { name: "Print", exact: true }).waitFor();
    assert.equal(await share.count(), 0);
  },

  async "a failed message of a temporary chat stays temporary"() {
    const page = await chatPage(await newUser("ann"));
    await whisper(page, "Fail once, please");
    await page.getByRole("button", { name: "Retry" }).waitFor();
    await page.reload();
    await page.getByRole("button", { name: "Retry" }).click();
    await answered(page);
    await about(page, /^Temporary: /);
    await page.getByText("Your chats will appear here.").waitFor();
    assert.equal(await listed(page, "Fail once, please").count(), 0);
  },

  async "a lost answer of a new temporary chat costs once"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await loseAnswer(page);
    await whisper(page, "Psst");
    await page.getByRole("button", { name: "Retry" }).waitFor();
    assert.equal(await edit(page).count(), 0);
    // Nor can the message be edited long after a reload.
    await page.addInitScript(() => {
      for (const name of Object.keys(sessionStorage).filter((name) => name.endsWith(".unfinished")))
        sessionStorage.setItem(name, sessionStorage.getItem(name).replace(/"sent":\d+/, `"sent":${Date.now() - 11 * 60_000}`));
    });
    await page.reload();
    await page.getByText("You left this page before the answer was complete.").waitFor();
    assert.equal(await edit(page).count(), 0);
    // The history contains another chat with the same text, which isn't its answer.
    await ann.api("POST", "api/chat/", { message: "Psst" });
    await page.reload();
    await page.getByText("You left this page before the answer was complete.").waitFor();
    await page.getByRole("button", { name: "Retry" }).click();
    await answered(page);
    await about(page, /^Temporary: /);
    assert.equal(await spent(ann), 2);
  },

  async "a message that returns to the box stays temporary"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const choice = page.getByLabel("Temporary chat");
    const box = page.getByLabel("Your message");
    /** Checks that the new chat contains this text and is temporary. */
    const keeps = async (text) => {
      await heading(page, "What would you like to know?");
      await page.waitForFunction((text) => document.getElementById("message")?.value === text, text);
      assert.equal(await choice.isChecked(), true);
    };
    const replies = (status, json) =>
      page.route("**/api/chat/stream/", (route) => route.fulfill({ status, json: { status, detail: "Nothing was charged.", ...json } }), { times: 1 });
    // The user edits a message that failed.
    await replies(502, { code: "ai_failed" });
    await whisper(page, "Psst");
    await edit(page).click();
    await keeps("Psst");
    await page.getByRole("link", { name: "History" }).click();
    await heading(page, "History");
    await newChat(page);
    await keeps("Psst");
    await page.reload();
    await keeps("Psst");
    // The API refuses a message.
    await replies(402, { code: "insufficient_tokens" });
    await box.press("Enter");
    await page.getByText("You don't have enough tokens.").waitFor();
    await keeps("Psst");
    await page.reload();
    await keeps("Psst");
    await box.press("Enter");
    await answered(page);
    await about(page, /^Temporary: /);
    // Another device deletes the chat.
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    await ann.api("DELETE", `api/conversations/${page.url().split("/").at(-1)}/`);
    await say(page, "And more");
    await page.getByRole("button", { name: "Ask in a new chat" }).click();
    await keeps("And more");
    // The next chat isn't temporary.
    await box.press("Enter");
    await answered(page);
    await newChat(page);
    assert.equal(await choice.isChecked(), false);
    assert.equal(await box.inputValue(), "");
  },

  async "text in a temporary chat that is gone stays temporary"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await whisper(page, "Psst");
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    await page.getByLabel("Your message").pressSequentially("Not sent yet");
    await ann.api("DELETE", `api/conversations/${page.url().split("/").at(-1)}/`);
    await page.reload();
    await heading(page, "Not found");
    await page.getByRole("link", { name: "Start a new chat" }).click();
    await heading(page, "What would you like to know?");
    assert.equal(await page.getByLabel("Your message").inputValue(), "Not sent yet");
    assert.equal(await page.getByLabel("Temporary chat").isChecked(), true);
  },

  async "deleting in a temporary chat promises only what is true"() {
    const { url } = await newServer(null, { SHARING: "on" });
    const page = await chatPage(await newUser("ann", { site: url }), { url });
    const menu = page.locator(".thread-head").getByRole("button", { name: "More about this chat" });
    const dialog = page.getByRole("dialog");
    const ask = async () => {
      await menu.click();
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      await dialog.waitFor();
    };
    await stayLost(page);
    await page.route("**/api/chat/stream/", (route) => route.abort(), { times: 1 });
    await whisper(page, "Psst");
    await page.getByRole("button", { name: "Retry" }).waitFor();
    await ask();
    await dialog.getByText("it is charged, and you won't find its answer.").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Retry" }).click();
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    await about(page, /^Temporary: not in your history, deleted on /);
    await ask();
    await dialog.getByText("Their cost stays in your statement.").waitFor();
    assert.equal(await dialog.getByText("A shared copy stays").count(), 0);
    await dialog.getByRole("button", { name: "Delete" }).click();
    await heading(page, "What would you like to know?");
  },

  async "Edit finds the lost answer in a temporary chat"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await whisper(page, "Psst");
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    await loseAnswer(page);
    await say(page, "And more");
    await edit(page).click();
    await said(page, "And more").waitFor();
    assert.equal(await page.getByLabel("Your message").inputValue(), "");
    assert.equal(await spent(ann), 2);
  },

  async "a model's title appears without a reload"() {
    const server = await newServer(null, { TITLE_MODEL: "namer" });
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    await say(page, "How do I name a chat?");
    await answered(page);
    await heading(page, "Named by a model");
    await listed(page, "Named by a model").waitFor();
    assert.match(await page.title(), /^Named by a model/);
    await page.reload();
    await heading(page, "Named by a model");
  },
});
