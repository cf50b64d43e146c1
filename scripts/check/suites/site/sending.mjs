// Journeys of users who send messages and then stop an answer, reload the page, lose the session or
// use a second tab.

import assert from "node:assert/strict";
import { SITE, ask, eventually, finish, journeys, leftAt, newPage, newUser, watchAnnouncements } from "./lib/browser.mjs";
import { answer, answered, balance, chatPage, drawn, focused, heading, holdsTokens, logIn, newChat, rests, said, say, stayLost } from "./lib/chatting.mjs";
import { newWire } from "./lib/wire.mjs";

const [PRICE, FIRST_GRANT] = [100, 4000];

const chats = (page) => page.getByRole("navigation", { name: "Chats" });

/** Returns the number of chats in the sidebar, once it has loaded them. */
async function listed(page) {
  await chats(page).getByText("Loading").waitFor({ state: "detached" });
  return chats(page).getByRole("listitem").count();
}
const messages = (page) => page.locator(".said p").allTextContents();
/** Returns an access token from a new session, for requests that the page doesn't send. */
const session = async ({ name, password }) => (await ask("POST", "api/login/", { username: name, password })).body.access;
/** Returns how many times a user was charged. */
const spent = async (person) => (await ask("GET", "api/user/ledger/", null, await session(person))).body.filter(({ kind }) => kind === "chat").length;
/** Ends all sessions of a user. */
const endSessions = async (person) => ask("POST", "api/logout/", { all: true }, await session(person));

/**
 * Sends a message, and breaks all connections once its answer has begun. Resolves with the note about
 * the loss.
 */
async function loses(page, wire, message) {
  const lost = page.getByText("The answer broke off.");
  await say(page, message);
  await said(page, "Slowly one").waitFor();
  wire.lose(true);
  wire.cut();
  await lost.waitFor();
  return lost;
}

await journeys({
  async "Stop ends the answer at the AI; the next message works"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const slow = `Slowly one two three four five six ${ann.name}`;
    await say(page, slow);
    await said(page, "Slowly one two").waitFor();
    await page.evaluate(() => addEventListener("click", () => (globalThis.pressed = Date.now()), { capture: true, once: true }));
    await page.getByRole("button", { name: "Stop" }).click();
    assert.equal(await focused(page), "Your message");
    await page.getByText("You stopped this answer.").waitFor();
    const took = (await leftAt(slow)) - (await page.evaluate(() => globalThis.pressed));
    // The AI never ends this answer, and has 100 seconds for it.
    assert(took <= 30_000, `the AI was left after ${took} ms`);
    assert.equal(await focused(page), "Your message");
    await drawn(page);
    const part = await page.locator(".prose").first().innerText();
    assert.match(part, /^You said: Slowly one two/);
    assert(!part.includes(ann.name), part);
    await balance(page, FIRST_GRANT - PRICE);
    await say(page, "And a second one");
    await said(page, "And a second one").waitFor();
    await answered(page);
    await page.reload();
    await page.getByText("You stopped this answer.").waitFor();
    await drawn(page);
    assert.deepEqual(await messages(page), [slow, "And a second one"]);
    assert.equal(await page.locator(".prose").first().innerText(), part);
    assert.equal(await listed(page), 1);
    assert.equal(await spent(ann), 2);
  },

  async "a message sent during a stop is answered after it"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const slow = `Slowly one two three four ${ann.name}`;
    await say(page, slow);
    await said(page, "Slowly one").waitFor();
    await page.keyboard.press("Escape");
    await say(page, "And a second one");
    await said(page, "And a second one").waitFor();
    await answered(page);
    assert.deepEqual(await messages(page), [slow, "And a second one"]);
    await page.getByText("You stopped this answer.").waitFor();
    assert.equal(await listed(page), 1);
    assert.equal(await spent(ann), 2);
    // The second message continues the first one's conversation.
    const { body } = await ask("GET", "api/chat/", null, await session(ann));
    assert.equal(new Set(body.map((chat) => chat.conversation_id)).size, 1);
  },

  async "a message stopped before its answer returns for free"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const silent = `Silently ${ann.name}`;
    const notice = page.locator(".composer-notice").getByText("Nothing was charged.");
    await say(page, silent);
    await page.getByText("Thinking").waitFor();
    await holdsTokens(ann);
    await page.getByRole("button", { name: "Stop" }).click();
    await notice.waitFor();
    await heading(page, "What would you like to know?");
    assert.deepEqual([await page.getByLabel("Your message").inputValue(), await focused(page)], [silent, "Your message"]);
    assert.equal(await listed(page), 0);
    await balance(page, FIRST_GRANT);

    // Text that was typed while the AI was thinking stays in the box, and begins the conversation.
    await page.keyboard.press("Enter");
    await page.getByText("Thinking").waitFor();
    await holdsTokens(ann);
    await page.keyboard.type("Something else");
    await page.keyboard.press("Escape");
    await page.locator(".turn .note").getByText("Nothing was charged.").waitFor();
    await page.getByRole("button", { name: "Edit message" }).waitFor();
    await page.keyboard.press("Enter");
    await said(page, "Something else").waitFor();
    await answered(page);
    assert.equal(await spent(ann), 1);
    await balance(page, FIRST_GRANT - PRICE);
  },

  async "Stop after a reload ends the running answer"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const slow = `Slowly one two three four ${ann.name}`;
    await say(page, slow);
    await said(page, "Slowly one").waitFor();
    await page.reload();
    await rests(page);
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText("You stopped this answer.").waitFor();
    assert.match(await page.locator(".prose").first().innerText(), /^You said: Slowly one/);
    assert((await leftAt(slow)) > 0);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    assert.equal(await spent(ann), 1);
    await balance(page, FIRST_GRANT - PRICE);

    // A reload right after Stop doesn't request an answer, even if the stop request was lost.
    const asked = [];
    for (const [manner, isTold] of [
      ["Silently", true],
      ["Silently", false],
      ["Slowly five six seven", false],
    ]) {
      await newChat(page);
      const message = `${manner} ${isTold} ${ann.name}`;
      await say(page, message);
      if (manner === "Silently") await page.getByText("Thinking").waitFor();
      else await said(page, "Slowly five").waitFor();
      // The first stop request, which the page sends before the reload, is lost. Later requests
      // arrive.
      const lost = () =>
        new Promise((sent) => {
          let stops = 0;
          page.route("**/api/chat/stop/", (route) => (stops++ === 0 ? sent() : route.continue()));
        });
      // If the stop request arrives, the page may say so before the reload.
      const isSaid = () => [...document.querySelectorAll(".composer-notice")].some((note) => note.textContent.includes("Nothing was charged."));
      const told = manner === "Silently" && page.waitForFunction(isSaid);
      const ended = isTold ? page.waitForResponse("**/api/chat/stop/") : lost();
      await page.keyboard.press("Escape");
      // If the request arrives, the page says so only for a moment.
      if (!isTold) await page.locator(".turn-state").getByText("Stopping").waitFor();
      await ended;
      page.on("request", (request) => request.url().endsWith("/api/chat/stream/") && asked.push(request.url()));
      await page.reload();
      if (manner === "Silently") {
        await told;
        await page.waitForFunction((message) => document.querySelector("#message")?.value === message, message);
        await page.getByLabel("Your message").fill("");
      } else {
        await page.getByText("You stopped this answer.").waitFor();
        assert(!(await answer(page).innerText()).includes(ann.name), "it is not whole");
      }
      page.removeAllListeners("request");
      await page.unrouteAll({ behavior: "ignoreErrors" });
      assert.deepEqual(asked, []);
    }
    assert.equal(await spent(ann), 2);
    await balance(page, FIRST_GRANT - 2 * PRICE);
  },

  async "a lost answer is there when the user returns"() {
    const ann = await newUser("ann");
    const wire = await newWire();
    const page = await chatPage(ann, { url: wire.url });
    await stayLost(page);
    const slow = `Slowly one two three four ${ann.name}`;
    await loses(page, wire, slow);
    wire.lose(false);
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await rests(page);
    await finish(slow);
    await answered(page);
    assert.match(await answer(page).innerText(), new RegExp(ann.name));
    assert.deepEqual(await messages(page), [slow]);
    assert.equal(await spent(ann), 1);
    await balance(page, FIRST_GRANT - PRICE);
  },

  async "a lost answer returns without a word from the browser"() {
    const ann = await newUser("ann");
    const wire = await newWire();
    const page = await chatPage(ann, { url: wire.url });
    const slow = `Slowly one two three four ${ann.name}`;
    const lost = await loses(page, wire, slow);
    // While the API can't be reached, the note and its button stay. The pauses between the checks
    // grow.
    const timeout = 120_000;
    const checks = () => page.waitForEvent("requestfailed", { predicate: (request) => request.url().endsWith("/api/health/"), timeout });
    await checks();
    await checks();
    assert(await lost.isVisible());
    await page.getByText("This page asks for the answer again when the server can be reached. The message is only charged once.").waitFor();
    // The button that has the focus disappears.
    await page.getByRole("button", { name: "Retry" }).focus();
    await watchAnnouncements(page);
    wire.lose(false);
    await rests(page, { timeout });
    assert(await page.locator(".turn").evaluate((turn) => turn === document.activeElement));
    await page.waitForFunction(() => globalThis.announced.includes("Asking for the answer again."));
    await finish(slow);
    await answered(page);
    assert.match(await answer(page).innerText(), new RegExp(ann.name));
    assert.deepEqual(await messages(page), [slow]);
    assert.equal(await spent(ann), 1);
    await balance(page, FIRST_GRANT - PRICE);
  },

  async "a failed first message is sent again after a lost answer"() {
    const ann = await newUser("ann");
    const wire = await newWire();
    const page = await chatPage(ann, { url: wire.url });
    await stayLost(page);
    await say(page, `Fail ${ann.name}`);
    await page.getByText("The AI did not answer.").waitFor();
    const slow = `Slowly one two three four ${ann.name}`;
    await loses(page, wire, slow);
    wire.lose(false);
    await finish(slow);
    // The second message has begun the chat.
    await page.getByRole("button", { name: "Retry" }).first().click();
    await said(page, `Fail ${ann.name}`).waitFor();
    await answered(page);
    await page.getByText("2 / 2").waitFor();
    assert.equal(await page.getByRole("button", { name: "Retry" }).count(), 0);
    assert.equal(await spent(ann), 2);
    assert.equal(await listed(page), 1);
    await balance(page, FIRST_GRANT - 2 * PRICE);
  },

  async "an answer that cannot be stopped continues and costs once"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await page.route("**/api/chat/stop/", (route) => route.abort());
    const slow = `Slowly one two three four ${ann.name}`;
    await say(page, slow);
    await said(page, "Slowly one").waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.locator(".note").getByText("The answer could not be stopped").waitFor();
    await page.getByRole("button", { name: "Show the whole answer" }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Edit message" }).count(), 0);
    await finish(slow);
    await page.getByRole("button", { name: "Show the whole answer" }).click();
    await answered(page);
    await page.reload();
    await said(page, slow).waitFor();
    assert.deepEqual(await messages(page), [slow]);
    assert.equal(await spent(ann), 1);
    await balance(page, FIRST_GRANT - PRICE);
  },

  async "a reload continues the first answer in one chat"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const slow = `Slowly one two three four ${ann.name}`;
    await say(page, slow);
    await said(page, "Slowly one").waitFor();
    await page.reload();
    await rests(page);
    await finish(slow);
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    assert.equal(await listed(page), 1);
    assert.equal(await spent(ann), 1);

    // The answer may also arrive while no page is open.
    const later = `Slowly five six seven eight ${ann.name}`;
    await newChat(page);
    await say(page, later);
    await said(page, "Slowly five").waitFor();
    await page.goto("about:blank");
    await finish(later);
    await page.goto(SITE);
    await chats(page).getByRole("link", { name: "Slowly five" }).first().click();
    await said(page, later).waitFor();
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    assert.equal(await listed(page), 2);
    assert.equal(await spent(ann), 2);
  },

  async "the local address of a new chat shows it after its answer"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const slow = `Slowly one two ${ann.name}`;
    await say(page, slow);
    await page.waitForURL(/#\/c\/new-/);
    const local = page.url();
    await finish(slow);
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    const own = page.url();
    await newChat(page);
    // A click on the chat in the list may open this address if the answer replaced it only after
    // the click.
    await page.goto(local);
    await said(page, slow).waitFor();
    await page.waitForURL(own);
    assert.equal(await listed(page), 1);
  },

  async "a title stays the same after the answer, cut at a word"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const words = Array.from({ length: 20 }, (_, number) => `word${number}`).join(" ");
    const slow = `Slowly   ${words} ${ann.name}\nand a second line`;
    const title = `Slowly ${words.slice(0, words.indexOf(" word11"))}…`;
    await say(page, slow);
    await page.waitForFunction((title) => document.querySelector(".thread-title").textContent === title, title);
    await chats(page).getByRole("link", { name: title, exact: true }).waitFor();
    await finish(slow);
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    const { body } = await ann.api("GET", "api/conversations/");
    assert.deepEqual(
      body.map((conversation) => conversation.title),
      [title],
    );
    // The page has read the API's title together with what the chat was charged.
    const charged = page.locator(".thread-about").getByText("Charged 100 tokens so far");
    await charged.waitFor();
    assert.equal(await page.locator(".thread-title").textContent(), title);

    // The title of a chat that begins with code is the first line of code, both before and after
    // the answer.
    await newChat(page);
    const code = "```python\n\nimport os\n```\nSlowly, why?";
    await page.route("**/api/chat/stream/", async (route) => {
      await page.waitForFunction(() => document.querySelector(".thread-title").textContent === "import os");
      await route.continue();
    });
    await say(page, code);
    await answered(page);
    await charged.waitFor();
    assert.equal(await page.locator(".thread-title").textContent(), "import os");
    assert.equal((await ann.api("GET", "api/conversations/")).body[0].title, "import os");
  },

  async "a reload keeps the received part of an answer"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    for (const begins of ["one", "two"]) {
      const slow = `Slowly ${begins} three four five six ${ann.name}`;
      await say(page, slow);
      const part = page.locator(".turn").last().locator(".prose").getByText(`You said: Slowly ${begins} three four`);
      await part.waitFor();
      await page.reload();
      await rests(page);
      await part.waitFor();
      assert(!(await answer(page).innerText()).includes(ann.name));
      await finish(slow);
      await answered(page);
      assert.match(await answer(page).innerText(), new RegExp(`Slowly ${begins} three four five six ${ann.name}`));
    }
    assert.equal(await spent(ann), 2);
    const kept = await page.evaluate(() => Object.keys(sessionStorage).filter((name) => name.endsWith("unfinished")));
    assert.deepEqual(kept, [], "nothing stays of what is finished");
  },

  async "an answer still being written is awaited and costs once"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const detail = "A request with this Idempotency-Key is still running. Retry it unchanged in a moment.";
    let isRunning = true;
    let asked = 0;
    let seconds = "1";
    let see;
    const seen = new Promise((done) => (see = done));
    await page.route("**/api/chat/stream/", async (route) => {
      asked += 1;
      if (!isRunning) return route.continue();
      // With the third request, the page says something else.
      if (asked === 3) await seen;
      return route.fulfill({ status: 409, headers: { "Retry-After": seconds }, json: { status: 409, code: "idempotency_key_running", detail } });
    });
    const still = page.locator(".turn-state").getByText("The server is still finishing this message. You won't be charged twice.");
    await say(page, "Take your time");
    await page.getByText("Waiting for the rest of the answer").waitFor();
    see();
    await still.waitFor();
    await page.getByText("The answer will appear here.").waitFor();
    assert.equal(await page.getByText("Idempotency-Key").count(), 0);
    isRunning = false;
    await answered(page);
    assert.equal(await spent(ann), 1);

    // After some minutes, the page lets the user decide, and the user can't send the message again
    // by mistake.
    [isRunning, seconds, asked] = [true, "0", 0];
    await say(page, "Take even more time");
    await page.getByText("Ask for its answer again in a few minutes.").waitFor();
    assert(asked > 30, `asked ${asked} times`);
    await still.waitFor();
    assert.equal(await page.getByText("Idempotency-Key").count(), 0);
    assert.equal(await page.getByRole("button", { name: "Edit message" }).count(), 0);
    isRunning = false;
    await page.getByRole("button", { name: "Retry" }).click();
    await said(page, "Take even more time").waitFor();
    await answered(page);
    assert.equal(await spent(ann), 2);
  },

  async "a failed first message is deleted and not awaited"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const dot = page.locator(".waiting-dot");
    await stayLost(page);
    await page.route("**/api/chat/stream/", (route) => route.abort());
    for (const menu of ["More about Never sent", "More about this chat"]) {
      await say(page, "Never sent");
      await page.getByRole("button", { name: "Retry" }).waitFor();
      // The list of chats is redrawn a moment later.
      await dot.waitFor({ state: "detached" });
      assert.equal(await listed(page), 1);
      // After a reload, the message is also restored and sent again.
      const again = page.waitForEvent("requestfailed", (request) => request.url().endsWith("/api/chat/stream/"));
      await page.reload();
      await again;
      await page.getByRole("button", { name: "Retry" }).waitFor();
      await dot.waitFor({ state: "detached" });
      // If the page sends the message again meanwhile, it closes the menu.
      const deletion = page.locator(".menu").getByRole("button", { name: "Delete", exact: true });
      const dialog = page.getByRole("dialog");
      await eventually(async () => {
        if (!(await deletion.isVisible())) await page.getByRole("button", { name: menu }).click();
        return deletion.click({ timeout: 2000 }).then(
          () => true,
          () => false,
        );
      }, true);
      await dialog.getByRole("button", { name: "Delete" }).click();
      await heading(page, "What would you like to know?");
      assert.equal(await listed(page), 0);
      await page.reload();
      await heading(page, "What would you like to know?");
      assert.equal(await listed(page), 0);
    }
    await page.unroute("**/api/chat/stream/");

    // The page sends the message again and waits for its answer.
    await page.route("**/api/chat/stream/", (route) => route.abort(), { times: 1 });
    const slow = `Slowly one two ${ann.name}`;
    await say(page, slow);
    await page.getByRole("button", { name: "Retry" }).click();
    await said(page, "Slowly one").waitFor();
    await dot.waitFor();
    assert.equal(await page.getByRole("button", { name: "More about this chat" }).count(), 0);
    await finish(slow);
    await answered(page);
    await dot.waitFor({ state: "detached" });
    assert.equal(await spent(ann), 1);
  },

  async "a refused first message isn't sent again with the next one"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const refusal = { status: 502, code: "ai_failed", detail: "The AI did not answer. Nothing was charged." };
    await page.route("**/api/chat/stream/", (route) => route.fulfill({ status: 502, json: refusal }), { times: 1 });
    await say(page, "Forget this");
    await page.getByRole("button", { name: "Retry" }).waitFor();
    await say(page, "Hello");
    await answered(page);
    assert.equal(await spent(ann), 1);
    await said(page, "Hello").waitFor();
  },

  async "ideas return after a message is stopped before its answer"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const ideas = page.getByRole("list", { name: "Ideas to begin with" });
    await ideas.waitFor();
    await say(page, `Silently ${ann.name}`);
    await page.getByText("Thinking").waitFor();
    await holdsTokens(ann);
    assert.equal(await ideas.count(), 0);
    await page.getByRole("button", { name: "Stop" }).click();
    await heading(page, "What would you like to know?");
    await ideas.waitFor();
    await ideas.getByRole("button").first().click();
    assert.equal(await page.getByLabel("Your message").inputValue(), "Explain compound interest with an example");
  },

  async "a reload right after the first answer shows it"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    // The page requests the title of the new chat, and gets no reply.
    await page.route("**/api/conversations/*/", () => {});
    await say(page, "Stay where you are");
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    await page.unroute("**/api/conversations/*/");
    await page.reload();
    await said(page, "Stay where you are").waitFor();
    assert.deepEqual(await messages(page), ["Stay where you are"]);
  },

  async "a message sent after the session ended is kept and answered"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    // Otherwise the page may notice the end when it reads its lists.
    const lists = [/\/api\/conversations\/\?/, /\/api\/folders\//, /\/api\/user\/purchases\//];
    const read = Promise.all(lists.map(async (url) => (await page.waitForResponse(url)).finished()));
    await page.reload();
    await read;
    await heading(page, "What would you like to know?");
    await page.getByText("Your chats will appear here.").waitFor();
    await endSessions(ann);
    await say(page, "Do not lose me");
    await heading(page, "Log in");
    await page.getByText("what you wrote is kept").waitFor();
    await logIn(page, ann);
    await said(page, "Do not lose me").waitFor();
    await answered(page);
    assert.deepEqual(await messages(page), ["Do not lose me"]);
    assert.equal(await listed(page), 1);
    assert.equal(await spent(ann), 1);

    // Otherwise the page may notice the end when it reads what the chat was charged.
    await page.locator(".thread-about").getByText("Charged 100 tokens so far").waitFor();
    await endSessions(ann);
    await say(page, "And this one");
    await heading(page, "Log in");
    await logIn(page, ann);
    await said(page, "And this one").waitFor();
    assert.deepEqual(await messages(page), ["Do not lose me", "And this one"]);
    assert.equal(await spent(ann), 2);
  },

  async "two tabs show the same balance, chats and messages"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const second = await newPage({ beside: page });
    await second.goto(SITE);
    await heading(second, "What would you like to know?");
    await say(page, "From the first tab");
    await answered(page);
    await balance(second, FIRST_GRANT - PRICE);
    await chats(second).getByRole("link", { name: "From the first tab" }).click();
    await said(second, "From the first tab").waitFor();

    await say(second, "From the second tab");
    await answered(second);
    await said(page, "From the second tab").waitFor();
    await balance(page, FIRST_GRANT - 2 * PRICE);
    assert.deepEqual(await messages(page), ["From the first tab", "From the second tab"]);

    await second.getByRole("button", { name: "More about this message" }).first().click();
    await second.getByRole("button", { name: "Delete this message" }).click();
    await second.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await said(page, "From the first tab").waitFor({ state: "detached" });
    assert.deepEqual(await messages(page), ["From the second tab"]);

    await second.getByRole("button", { name: "More about this chat" }).click();
    await second.getByRole("button", { name: "Rename" }).click();
    await second.getByRole("dialog").getByLabel("Title").fill("Both of them");
    await second.keyboard.press("Enter");
    await heading(page, "Both of them");
    await chats(page).getByRole("link", { name: "Both of them" }).waitFor();

    await second.getByRole("button", { name: "More about this chat" }).click();
    await second.getByRole("button", { name: "Delete", exact: true }).click();
    await second.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("was deleted in another tab").waitFor();
    await heading(page, "What would you like to know?");
    assert.equal(await listed(page), 0);
  },

  async "a tab with a running answer shows the other tab's message"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, "Hello!");
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    const second = await newPage({ beside: page });
    await second.goto(page.url());
    await answered(second);
    const slow = `Slowly one two three four five six ${ann.name}`;
    await say(page, slow);
    await said(page, "Slowly one").waitFor();
    await say(second, "From the second tab");
    await said(second, "From the second tab").waitFor();
    await answered(second);
    await finish(slow);
    const all = page.locator(".said").filter({ hasText: "From the second tab" });
    // Both messages follow the same parent, so the second tab's message is another version of the
    // first.
    await all.or(page.getByText("2 of 2")).or(page.getByText("1 of 2")).first().waitFor();
  },

  async "tabs of two accounts share nothing"() {
    const [ann, bob] = [await newUser("ann"), await newUser("bob")];
    const page = await chatPage(ann);
    const other = await chatPage(bob);
    await say(page, "Only for me");
    await answered(page);
    await balance(other, FIRST_GRANT);
    assert.equal(await listed(other), 0);
  },
});
