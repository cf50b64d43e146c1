// Journeys of users who edit messages, regenerate answers, and switch between versions.

import assert from "node:assert/strict";
import { SITE, finish, journeys, newPage, newUser } from "./lib/browser.mjs";
import { answer, answered, balance, chatPage, emptyBalance, focused, heading, holdsTokens, regenerate, rests, said, say, stayLost } from "./lib/chatting.mjs";

const [PRICE, FIRST_GRANT] = [100, 4000];

const messages = (page) => page.locator(".said p").allInnerTexts();
/**
 * Returns a turn's version switch, which shows `2 / 3`, for example. A turn with only one version
 * has no switch.
 */
const version = (page, turn = 0) =>
  page
    .locator(".turn")
    .nth(turn)
    .getByRole("group", { name: /^Versions of this/ });
const shows = (page, words, turn = 0) => version(page, turn).getByText(words, { exact: true }).waitFor();
const previous = (page, turn = 0) => version(page, turn).getByRole("button", { name: "Previous version" });
const next = (page, turn = 0) => version(page, turn).getByRole("button", { name: "Next version" });
const says = (page, text) => page.locator(".turn .prose").getByText(text, { exact: true }).waitFor();

/** Opens a message for editing. Returns its box. */
async function opens(page, turn = 0) {
  const tools = page.locator(".turn").nth(turn).locator(".said");
  await tools.hover();
  await tools.getByRole("button", { name: "Edit this message" }).click();
  return page.getByLabel("Edit the message");
}

/** Presses a key until the element with this name has the focus. */
async function goTo(page, name, key = "Tab") {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press(key);
    if ((await focused(page)) === name) return;
  }
  throw new Error(`${key} does not lead to ${name}`);
}

await journeys({
  async "a regenerated answer keeps both versions"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const vary = `Vary ${ann.name}`;
    await say(page, vary);
    await says(page, "Answer 1");
    await answered(page);
    assert.equal(await version(page).isVisible(), false);
    await regenerate(page);
    await says(page, "Answer 2");
    await shows(page, "2 / 2");
    assert.deepEqual(await messages(page), [vary]);
    assert.equal(await focused(page), "Your message");
    await balance(page, FIRST_GRANT - 2 * PRICE);

    await previous(page).click();
    await says(page, "Answer 1");
    await shows(page, "1 / 2");
    assert.equal(await focused(page), "Previous version");
    await say(page, "Told and now?");
    await says(page, `${vary} -> Answer 1 | Told and now?`);
    await answered(page);
    assert.deepEqual(await messages(page), [vary, "Told and now?"]);

    // After a reload, the page shows the same branch.
    await next(page).click();
    await says(page, "Answer 2");
    assert.deepEqual(await messages(page), [vary]);
    await page.reload();
    await says(page, "Answer 2");
    await shows(page, "2 / 2");
    assert.deepEqual(await messages(page), [vary]);
    await say(page, "Told and here?");
    await says(page, `${vary} -> Answer 2 | Told and here?`);
    await answered(page);
    await previous(page).click();
    await says(page, `${vary} -> Answer 1 | Told and now?`);

    const { body: chats } = await ann.api("GET", "api/chat/");
    assert.equal(new Set(chats.map((chat) => chat.conversation_id)).size, 1);
    assert.deepEqual(
      chats.map(({ after }) => after),
      [chats[2].id, undefined, "start", undefined],
    );
    await balance(page, FIRST_GRANT - 4 * PRICE);
  },

  async "regenerating asks for confirmation of the price"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, `Vary ${ann.name}`);
    await answered(page);
    await page.getByRole("button", { name: "Regenerate the answer" }).click();
    const choice = page.getByRole("button", { name: `Regenerate for ${PRICE} tokens` });
    await choice.waitFor();
    await page.keyboard.press("Escape");
    await choice.waitFor({ state: "hidden" });
    await balance(page, FIRST_GRANT - PRICE);
    assert.equal((await ann.api("GET", "api/tokens/")).body.tokens, FIRST_GRANT - PRICE);
  },

  async "the version switch is below the part that differs"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, `Vary ${ann.name}`);
    await answered(page);
    await regenerate(page);
    await shows(page, "2 / 2");
    await page.locator(".answer").getByRole("group", { name: "Versions of this answer" }).waitFor();
    // The switch doesn't move away from the pointer.
    const place = () => version(page).boundingBox();
    await answered(page);
    // This line below the title moves the text.
    await page.locator(".thread-about").getByText("Charged 200 tokens so far").waitFor();
    const { y } = await place();
    await previous(page).click();
    await says(page, "Answer 1");
    assert(Math.abs((await place()).y - y) < 2);

    await (await opens(page)).fill("Something else");
    await page.keyboard.press("Enter");
    await said(page, "Something else").waitFor();
    await page.locator(".said").getByRole("group", { name: "Versions of this message" }).getByText("3 / 3", { exact: true }).waitFor();
    assert.equal(await page.locator(".answer .versions").count(), 0);
  },

  async "a message is edited in place and Escape cancels"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    for (const message of ["Number one", "Number two", "Number three"]) {
      await say(page, message);
      await said(page, message).waitFor();
      await answered(page);
    }
    const box = await opens(page, 1);
    assert.equal(await box.inputValue(), "Number two");
    await box.fill("Told something else");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog", { name: "Discard your text?" }).getByRole("button", { name: "Discard" }).click();
    await box.waitFor({ state: "detached" });
    assert.equal(await focused(page), "Edit this message");
    assert.deepEqual(await messages(page), ["Number one", "Number two", "Number three"]);
    await balance(page, FIRST_GRANT - 3 * PRICE);

    await (await opens(page, 1)).fill("Told something else\nin two lines");
    await page.keyboard.press("Enter");
    await page.locator(".prose").getByText("Number one -> You said: Number one | Told something else").waitFor();
    await answered(page);
    assert.deepEqual(await messages(page), ["Number one", "Told something else\nin two lines"]);
    await shows(page, "2 / 2", 1);
    await previous(page, 1).click();
    assert.deepEqual(await messages(page), ["Number one", "Number two", "Number three"]);

    // Arrow up in the empty box edits the last message.
    await page.getByLabel("Your message").focus();
    await page.keyboard.press("ArrowUp");
    await page.getByLabel("Edit the message").waitFor();
    assert.equal(await focused(page), "Edit the message");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("Told a third time");
    await page.keyboard.press("Enter");
    await says(page, "Number one -> You said: Number one | Number two -> You said: Number two | Told a third time");
    await answered(page);
    await shows(page, "2 / 2", 2);
    // Typed text stays in the box.
    await page.getByLabel("Your message").fill("half a thou");
    await page.keyboard.press("ArrowUp");
    assert.equal(await focused(page), "Your message");
    await balance(page, FIRST_GRANT - 5 * PRICE);
  },

  async "a keyboard is enough to register and regenerate"() {
    const page = await newPage();
    await page.goto(SITE);
    await heading(page, "Log in");
    await page.locator("body").press("Tab");
    await goTo(page, "Create an account");
    await page.keyboard.press("Enter");
    await heading(page, "Create an account");
    if ((await focused(page)) !== "Username") await goTo(page, "Username");
    const name = `Ann${Date.now().toString(36)}`;
    await page.keyboard.type(name);
    await goTo(page, "Password");
    await page.keyboard.type("correct horse battery staple");
    await page.keyboard.press("Enter");
    await heading(page, "What would you like to know?");
    assert.equal(await focused(page), "Your message");
    await page.keyboard.type(`Vary ${name}`);
    await page.keyboard.press("Enter");
    await says(page, "Answer 1");
    await answered(page);
    await goTo(page, "Regenerate the answer", "Shift+Tab");
    await page.keyboard.press("Enter");
    assert.equal(await focused(page), `Regenerate for ${PRICE} tokens`);
    await page.keyboard.press("Enter");
    await says(page, "Answer 2");
    await answered(page);
    assert.equal(await focused(page), "Your message");
    await goTo(page, "Previous version", "Shift+Tab");
    await page.keyboard.press("Enter");
    await says(page, "Answer 1");
    assert.equal(await focused(page), "Previous version");
    // At the first version, the button for the previous version is disabled, but still shown.
    assert.equal(await previous(page).getAttribute("aria-disabled"), "true");
    await page.keyboard.press("Enter");
    await shows(page, "1 / 2");
    await page.keyboard.press("ArrowRight");
    await says(page, "Answer 2");
    assert.equal(await focused(page), "Next version");
  },

  async "a refused or stopped version is free and reverts"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, "Number one");
    await said(page, "Number one").waitFor();
    await answered(page);

    // If the version is stopped before its answer begins, its text returns to the box.
    const silent = `Silently ${ann.name}`;
    await (await opens(page)).fill(silent);
    await page.keyboard.press("Enter");
    await page.getByText("Thinking").waitFor();
    await holdsTokens(ann);
    await page.getByRole("button", { name: "Stop" }).click();
    await page.locator(".composer-notice").getByText("Nothing was charged.").waitFor();
    assert.equal(await page.getByLabel("Edit the message").inputValue(), silent);
    assert.equal(await page.getByLabel("Your message").inputValue(), "");
    await page.getByLabel("Edit the message").press("Escape");
    await page.getByRole("dialog", { name: "Discard your text?" }).getByRole("button", { name: "Discard" }).click();
    await page.getByLabel("Edit the message").waitFor({ state: "detached" });
    assert.deepEqual(await messages(page), ["Number one"]);
    assert.equal(await version(page).isVisible(), false);

    // If a regeneration is refused, there is no typed text to keep.
    const refusal = { status: 402, code: "insufficient_tokens", detail: "You have 0 tokens. A message costs 100 tokens. Nothing was charged." };
    await page.route("**/api/chat/stream/", (route) => route.fulfill({ status: 402, json: refusal }));
    await emptyBalance(page);
    await regenerate(page);
    await page.getByText("You don't have enough tokens.").waitFor();
    assert.deepEqual(await messages(page), ["Number one"]);
    assert.equal(await page.getByLabel("Your message").inputValue(), "");
    await page.unroute("**/api/chat/stream/");
    await page.unroute("**/api/tokens/");

    // If the version fails, the user can retry it or return to the previous version.
    await stayLost(page);
    await page.route("**/api/chat/stream/", (route) => route.abort());
    await regenerate(page);
    await page.getByRole("button", { name: "Retry" }).waitFor();
    await shows(page, "2 / 2");
    await previous(page).click();
    await said(page, "Number one").waitFor();
    await next(page).click();
    await page.unroute("**/api/chat/stream/");
    await page.getByRole("button", { name: "Retry" }).click();
    await answered(page);
    await shows(page, "2 / 2");
    await balance(page, FIRST_GRANT - 2 * PRICE);
  },

  async "a reload during a version continues it and blocks sending"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, "Number one");
    await said(page, "Number one").waitFor();
    await answered(page);
    const slow = `Slowly one two three four ${ann.name}`;
    await (await opens(page)).fill(slow);
    await page.keyboard.press("Enter");
    await said(page, "Slowly one").waitFor();
    await previous(page).click();
    await said(page, "Number one").waitFor();
    await regenerate(page);
    await page.getByText("Wait until the answer is complete, or stop it.").waitFor();
    await page.reload();
    await rests(page);
    await shows(page, "2 / 2");
    await finish(slow);
    await answered(page);
    assert.match(await answer(page).innerText(), new RegExp(ann.name));
    assert.deepEqual(await messages(page), [slow]);
    await shows(page, "2 / 2");
    await balance(page, FIRST_GRANT - 2 * PRICE);
    const { body: chats } = await ann.api("GET", "api/chat/");
    assert.deepEqual(
      chats.map(({ after }) => after),
      ["start", undefined],
    );
  },

  async "versions from another tab appear without a switch"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, `Vary ${ann.name}`);
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    const second = await newPage({ beside: page });
    await second.goto(page.url());
    await answered(second);
    await regenerate(second);
    await says(second, "Answer 2");
    await shows(page, "1 / 2");
    await says(page, "Answer 1");
    // A message in each tab follows the version that the tab shows.
    await say(page, "Told in the first tab");
    await says(page, `Vary ${ann.name} -> Answer 1 | Told in the first tab`);
    await answered(page);
    await say(second, "Told in the second tab");
    await says(second, `Vary ${ann.name} -> Answer 2 | Told in the second tab`);
  },

  async "deleting a version moves its children to its parent"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    for (const message of ["Number one", "Number two"]) {
      await say(page, message);
      await said(page, message).waitFor();
      await answered(page);
    }
    await (await opens(page, 1)).fill("Another two");
    await page.keyboard.press("Enter");
    await said(page, "Another two").waitFor();
    await answered(page);
    await say(page, "And three");
    await said(page, "And three").waitFor();
    await answered(page);
    const remove = async (turn) => {
      await page.getByRole("button", { name: "More about this message" }).nth(turn).click();
      await page.getByRole("button", { name: "Delete this message" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await page.getByRole("dialog").waitFor({ state: "detached" });
    };
    await remove(1);
    assert.deepEqual(await messages(page), ["Number one", "And three"]);
    await shows(page, "2 / 2", 1);
    await page.reload();
    await said(page, "And three").waitFor();
    assert.deepEqual(await messages(page), ["Number one", "And three"]);
    await shows(page, "2 / 2", 1);
    await remove(1);
    await said(page, "Number two").waitFor();
    assert.deepEqual(await messages(page), ["Number one", "Number two"]);
    assert.equal(await version(page, 1).isVisible(), false);
  },

  async "found messages open in their version"() {
    const ann = await newUser("ann");
    const { body: first } = await ann.api("POST", "api/chat/", { message: "Number one" });
    const send = (message, after) => ann.api("POST", "api/chat/", { message, conversation_id: first.id, after });
    const { body: giraffe } = await send("Where is the giraffe?", first.id);
    await send("Where is the lion?", first.id);
    for (let number = 0; number < 24; number += 1) await send(`Later ${number}`);
    const page = await chatPage(ann, { place: `#/c/${first.id}` });
    await said(page, "Later 23").waitFor();
    await page.goto(`${SITE}#/history?q=giraffe`);
    await page.getByRole("link", { name: /^Open/ }).click();
    await said(page, "Where is the giraffe?").waitFor();
    assert.deepEqual(await messages(page), ["Number one", "Where is the giraffe?"]);
    await next(page, 1).click();
    await said(page, "Where is the lion?").waitFor();
    assert.equal((await messages(page)).length, 26);
    // The address no longer contains the id of the found message.
    await page.reload();
    await said(page, "Later 23").waitFor();
    assert.equal(await said(page, "Where is the giraffe?").count(), 0);

    // The search in the sidebar and the rows of the statement also lead to the message.
    await page.keyboard.press("Control+k");
    await page.keyboard.type("giraffe");
    await page.locator(".found a", { hasText: "giraffe" }).click();
    await said(page, "Where is the giraffe?").waitFor();
    assert.deepEqual(await messages(page), ["Number one", "Where is the giraffe?"]);
    await next(page, 1).click();
    await said(page, "Where is the lion?").waitFor();
    await page.goto(`${SITE}#/m/${giraffe.id}`);
    await said(page, "Where is the giraffe?").waitFor();
    assert.deepEqual(await messages(page), ["Number one", "Where is the giraffe?"]);
  },

  async "an old branch is shown again after a reload"() {
    const ann = await newUser("ann");
    const { body: first } = await ann.api("POST", "api/chat/", { message: "Number one" });
    const send = (message, after) => ann.api("POST", "api/chat/", { message, conversation_id: first.id, after });
    await send("An old branch", "start");
    for (let number = 0; number < 28; number += 1) await send(`Later ${number}`, number === 0 ? first.id : undefined);
    const page = await chatPage(ann, { place: `#/c/${first.id}` });
    await said(page, "Later 27").waitFor();
    await page.getByRole("button", { name: "Show earlier messages" }).click();
    await said(page, "Number one").waitFor();
    await shows(page, "1 / 2");
    await next(page).click();
    await said(page, "An old branch").waitFor();
    assert.deepEqual(await messages(page), ["An old branch"]);
    await page.reload();
    await said(page, "An old branch").waitFor();
    assert.deepEqual(await messages(page), ["An old branch"]);
    await shows(page, "2 / 2");
    assert.equal(await page.getByRole("button", { name: "Show earlier messages" }).count(), 0);
  },
});
