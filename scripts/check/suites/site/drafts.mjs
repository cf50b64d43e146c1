// Text that hasn't been sent yet is kept, however the user leaves its box.

import assert from "node:assert/strict";
import { SITE, ask, eventually, finish, journeys, newPage, newUser } from "./lib/browser.mjs";
import { answered, chatPage, focused, heading, holdsTokens, logIn, newChat, said, say } from "./lib/chatting.mjs";

const UNSENT = "Not sent yet";

const box = (page) => page.getByLabel("Your message");

/** Waits until the box contains this text. */
const holds = (page, text) => eventually(() => box(page).inputValue(), text);

/** Begins a chat whose first answer is still being written, and types the next message. */
async function typeDuringAnswer(page, { name }) {
  const slow = `Slowly one two three four five six ${name}`;
  await say(page, slow);
  await said(page, "Slowly one").waitFor();
  await box(page).pressSequentially(UNSENT);
  return slow;
}

/** Ends all sessions of a user. */
async function endSessions({ name, password }) {
  const { body } = await ask("POST", "api/login/", { username: name, password });
  await ask("POST", "api/logout/", { all: true }, body.access);
}

await journeys({
  async "text typed during a chat's first answer belongs to that chat"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const slow = await typeDuringAnswer(page, ann);
    await finish(slow);
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    await holds(page, UNSENT);
    await page.reload();
    await answered(page);
    await holds(page, UNSENT);
    await newChat(page);
    await holds(page, "");
    await page.goBack();
    await holds(page, UNSENT);
  },

  async "text typed during a first answer survives a reload"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const slow = await typeDuringAnswer(page, ann);
    await page.reload();
    await holds(page, UNSENT);
    await finish(slow);
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    await page.reload();
    await answered(page);
    await holds(page, UNSENT);
  },

  async "text typed during a first answer survives the session's end"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const slow = await typeDuringAnswer(page, ann);
    await finish(slow);
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    await endSessions(ann);
    await page.reload();
    await heading(page, "Log in");
    await logIn(page, ann);
    await answered(page);
    await holds(page, UNSENT);
  },

  async "a refused first message returns with what followed it"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, `Silently ${ann.name}`);
    await page.getByText("Thinking").waitFor();
    await holdsTokens(ann);
    await box(page).pressSequentially(UNSENT);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Edit message" }).click();
    await holds(page, `Silently ${ann.name}\n\n${UNSENT}`);
    await page.reload();
    await holds(page, `Silently ${ann.name}\n\n${UNSENT}`);
  },

  async "text in a chat that another tab deletes moves to a new chat"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, "Hello!");
    await answered(page);
    await box(page).pressSequentially(UNSENT);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    const other = await newPage({ beside: page });
    await other.goto(page.url());
    await answered(other);
    await other.getByRole("button", { name: "More about this chat" }).click();
    await other.getByRole("button", { name: "Delete", exact: true }).click();
    await other.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("was deleted in another tab. The text that you hadn't sent is in a new chat.").waitFor();
    await heading(page, "What would you like to know?");
    await holds(page, UNSENT);
  },

  async "text in a chat that another device deletes moves to a new chat"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, "Hello!");
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    await box(page).pressSequentially(UNSENT);
    const [{ id }] = (await ann.api("GET", "api/conversations/")).body;
    await ann.api("DELETE", `api/conversations/${id}/`);
    await page.reload();
    await heading(page, "Not found");
    await page.getByRole("link", { name: "Start a new chat" }).click();
    await holds(page, UNSENT);
  },

  async "an edited message is kept until it is sent or cancelled"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, "Hello!");
    await answered(page);
    const edit = async () => {
      await page.getByRole("button", { name: "Edit this message" }).click();
      return page.getByLabel("Edit the message");
    };
    await (await edit()).fill(UNSENT);
    await page.reload();
    await answered(page);
    assert.equal(await (await edit()).inputValue(), UNSENT);
    await page.getByRole("button", { name: "Cancel" }).click();
    assert.equal(await (await edit()).inputValue(), "Hello!");
  },

  async "Escape asks before an edited message is lost"() {
    const page = await chatPage(await newUser("ann"));
    await say(page, "Hello!");
    await answered(page);
    const pencil = page.getByRole("button", { name: "Edit this message" });
    const text = page.getByLabel("Edit the message");
    // An unchanged text isn't lost.
    await pencil.click();
    await text.press("Escape");
    await text.waitFor({ state: "detached" });
    await pencil.click();
    await text.fill(UNSENT);
    await text.press("Escape");
    const question = page.getByRole("dialog", { name: "Discard your text?" });
    await question.getByRole("button", { name: "Cancel" }).click();
    await question.waitFor({ state: "detached" });
    assert.equal(await text.inputValue(), UNSENT);
    assert.equal(await focused(page), "Edit the message");
    await text.press("Escape");
    await question.getByRole("button", { name: "Discard" }).click();
    await text.waitFor({ state: "detached" });
    assert.equal(await focused(page), "Edit this message");
  },

  async "a log-out asks before it discards unsent text"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const question = page.getByRole("dialog", { name: "Discard your text?" });
    const logOut = async () => {
      await page.getByRole("button", { name: "Your account" }).click();
      await page.getByRole("button", { name: "Log out" }).click();
    };
    await box(page).fill(UNSENT);
    await logOut();
    await question.getByRole("button", { name: "Cancel" }).click();
    await holds(page, UNSENT);
    await page.goto(`${SITE}#/account/sessions`);
    await page.getByRole("button", { name: "Log out everywhere" }).click();
    await question.getByRole("button", { name: "Cancel" }).click();
    await question.waitFor({ state: "detached" });
    assert.equal(await page.getByRole("dialog").count(), 0);
    // The text in another chat counts too.
    await page.goto(`${SITE}#/history`);
    await logOut();
    await question.getByRole("button", { name: "Log out" }).click();
    await heading(page, "Log in");
    await logIn(page, ann);
    await heading(page, "What would you like to know?");
    await holds(page, "");
    // A message that was answered isn't asked about.
    await say(page, "Hello!");
    await answered(page);
    await logOut();
    await heading(page, "Log in");
    assert.equal(await question.count(), 0);
  },

  async "Escape asks before a dialog's long text is lost"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, "Hello!");
    await answered(page);
    await page.getByRole("button", { name: "More about this chat" }).click();
    await page.getByRole("button", { name: "Instructions", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: "Instructions for this chat" });
    const text = dialog.getByLabel("How should the AI answer in this chat?");
    await text.fill(UNSENT);
    await page.keyboard.press("Escape");
    const question = page.getByRole("dialog", { name: "Discard your text?" });
    await question.waitFor();
    await page.keyboard.press("Escape");
    await question.waitFor({ state: "detached" });
    assert.equal(await text.inputValue(), UNSENT);
    await page.keyboard.press("Escape");
    await question.getByRole("button", { name: "Discard" }).click();
    await dialog.waitFor({ state: "detached" });
  },

  async "Escape asks before a key that is shown once is lost"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await page.goto(`${SITE}#/account/api-keys`);
    await page.getByRole("button", { name: "New key" }).click();
    const dialog = page.getByRole("dialog", { name: "New API key" });
    await dialog.getByLabel("Name", { exact: true }).fill("once");
    await dialog.getByRole("button", { name: "Create key" }).click();
    const key = await dialog.getByLabel("API key", { exact: true }).inputValue();
    await page.keyboard.press("Escape");
    const question = page.getByRole("dialog", { name: "Close without a copy?" });
    await question.getByRole("button", { name: "Cancel" }).click();
    assert.equal(await dialog.getByLabel("API key", { exact: true }).inputValue(), key);
    // A copied key can't be lost.
    await dialog.getByRole("button", { name: "Copy" }).click();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
  },
});
