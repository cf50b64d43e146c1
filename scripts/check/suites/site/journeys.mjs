// Journeys of users through the chat page and the documentation, in a browser.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { SITE, ask, eventually, fetched, finish, journeys, mailedLink, manage, newPage, newUser, replyTo, watchAnnouncements } from "./lib/browser.mjs";
import { answer, answered, balance, chatPage, copies, focused, heading, logIn, newChat, rests, said, say, stayLost, toBeginning } from "./lib/chatting.mjs";
import { newWire } from "./lib/wire.mjs";

const [PRICE, FIRST_GRANT] = [100, 4000];

await journeys({
  async "a new user asks and reads the answer as it is written"() {
    const page = await newPage();
    await page.goto(SITE);
    await heading(page, "Log in");
    await page.getByRole("link", { name: "Create an account" }).click();
    await heading(page, "Create an account");
    await page.getByText("Includes 4,000 free tokens: about 40 answers.").waitFor();
    const name = `Ann${Date.now().toString(36)}`;
    await page.getByLabel("Username", { exact: true }).fill(name);
    await page.getByLabel("Password", { exact: true }).fill("correct horse battery staple");
    await page.getByRole("button", { name: "Create account" }).click();
    await heading(page, "What would you like to know?");
    assert.equal(await focused(page), "Your message");
    await balance(page, FIRST_GRANT);

    await watchAnnouncements(page);
    const slow = "Slowly one two three four five six seven eight";
    await say(page, slow);
    await page.getByRole("button", { name: "Stop" }).waitFor();
    await said(page, "Slowly one").waitFor();
    assert(!(await answer(page).innerText()).includes("eight"), "it is not all here yet");
    await finish(slow);
    await answered(page);
    await balance(page, FIRST_GRANT - PRICE);
    await page.getByText(`An answer costs ${PRICE} tokens`).waitFor();
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    assert.match(await page.title(), /^Slowly one/);
    // Screen readers announce the finished answer, not every word.
    await page.waitForFunction(() => globalThis.announced.some((text) => text.includes("seven eight")));
    const told = await page.evaluate(() => globalThis.announced.filter((text) => text.includes("You said")));
    assert.equal(told.length, 1, told.join("\n"));
    assert.match(told[0], /seven eight/);

    await page.reload();
    await said(page, "Slowly one").waitFor();
    await balance(page, FIRST_GRANT - PRICE);
    const list = page.getByRole("navigation", { name: "Chats" });
    await list.getByRole("link", { name: "Slowly one" }).waitFor();
    await say(page, "And now?");
    await answered(page);
    await said(page, "And now?").waitFor();
    assert.equal(await list.getByRole("listitem").count(), 1);
    const storage = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
    assert(!storage.includes("eyJ"), "no script can read a token that lasts");
  },

  async "a refusal isn't followed by the news that it was sent"() {
    const page = await chatPage(await newUser("ann"));
    await page.route("**/api/chat/stream/", (route) => route.fulfill({ status: 502, json: { status: 502, code: "ai_unavailable", detail: "The AI failed." } }));
    await say(page, "Hello");
    await page.getByRole("alert").waitFor();
    // The page announces a text after a pause. Its earlier timers end before this one.
    await page.evaluate(() => new Promise((done) => setTimeout(done, 200)));
    assert.equal(await page.getByRole("status").filter({ hasText: "on its way" }).count(), 0);
  },

  async "an answer is announced as text, with pauses"() {
    const page = await chatPage(await newUser("ann"));
    await watchAnnouncements(page);
    await say(page, "Markdown");
    await answered(page);
    const spoken = await (await page.waitForFunction(() => globalThis.announced.find((text) => text.startsWith("Answer: A title")))).jsonValue();
    assert.match(spoken, /^Answer: A title. A bold claim, with emphasis, code and a link/);
    assert.match(spoken, /Way. Minutes. Bus. 25. Bicycle. 30. for way in ways:/);
  },

  async "a new user hears of an e-mail only if it is sent"() {
    for (const isSent of [false, true]) {
      const page = await newPage();
      await page.route("**/api/health/", async (route) => {
        const response = await fetched(route);
        await route.fulfill({ response, json: { ...(await response.json()), email_verification: isSent } });
      });
      await page.goto(`${SITE}#/register`);
      await page.getByText("Includes 4,000 free tokens").waitFor();
      const name = `mia${Date.now().toString(36)}`;
      await page.getByLabel("Username", { exact: true }).fill(name);
      await page.getByLabel("E-mail address").fill(`${name}@example.com`);
      await page.getByLabel("Password", { exact: true }).fill("correct horse battery staple");
      await page.getByRole("button", { name: "Create account" }).click();
      const said = isSent ? `Welcome, ${name}! We've sent you a verification e-mail.` : `Welcome, ${name}!`;
      await page.locator(".toast").getByText(said, { exact: true }).waitFor();
    }
  },

  async "form errors appear beside their fields and keep the input"() {
    const ann = await newUser("ann");
    const page = await newPage();
    await page.goto(`${SITE}#/register`);
    await page.getByRole("button", { name: "Create account" }).click();
    assert.equal(await page.getByText("Please fill this in.").count(), 2);
    assert.equal(await focused(page), "Username");
    await page.getByLabel("Username", { exact: true }).fill(ann.name);
    await page.getByLabel("E-mail address").fill("nonsense");
    await page.getByLabel("Password", { exact: true }).fill("short");
    await page.getByRole("button", { name: "Create account" }).click();
    await page.getByText("A password must have at least 8 characters.").waitFor();
    assert.match(await described(page.getByLabel("Password", { exact: true })), /at least 8 characters\.$/);
    assert.match(await described(page.getByLabel("E-mail address")), /^Used to reset a forgotten password\. .+/);
    assert.equal(await focused(page), "E-mail address");
    await page.getByLabel("E-mail address").fill("");
    await page.getByLabel("Password", { exact: true }).fill("correct horse battery staple");
    await page.getByRole("button", { name: "Create account" }).click();
    await page.getByText("Another account has this username. Choose another one.").waitFor();
    assert.equal(await focused(page), "Username");

    await page.getByRole("link", { name: "Log in" }).click();
    await logIn(page, { ...ann, password: "not this one" });
    await page.getByRole("alert").getByText("Incorrect username or password.").waitFor();
    assert.equal(await page.getByLabel("Username or e-mail address").inputValue(), ann.name);
    await page.getByRole("button", { name: "Show password" }).click();
    assert.equal(await page.getByLabel("Password", { exact: true }).getAttribute("type"), "text");
    await page.getByLabel("Password", { exact: true }).fill(ann.password);
    await page.keyboard.press("Enter");
    await heading(page, "What would you like to know?");
  },

  async "Markdown answers are rendered and never run"() {
    const page = await chatPage(await newUser("ann"), { permissions: ["clipboard-read", "clipboard-write"] });
    await say(page, "Markdown please");
    await answered(page);
    const said = answer(page);
    assert.deepEqual(await said.getByRole("heading").allInnerTexts(), ["A title"]);
    assert.equal(await said.getByRole("row").count(), 3);
    assert.equal(await said.locator("strong, em").count(), 2);
    assert.deepEqual(await said.getByRole("link").evaluateAll((links) => links.map(({ href, rel }) => [href, rel])), [
      ["https://example.com/path", "noopener noreferrer nofollow"],
    ]);
    assert.equal(await said.locator("img, script").count(), 0);
    await said.getByText("<img src=x onerror=alert(1)>").waitFor();
    await said.locator(".code-keyword").first().waitFor();
    await copies(page, said.getByRole("button", { name: "Copy", exact: true }), 'for way in ways:\n    print(f"{way} <b>is</b> a way")');
    await copies(page, said.getByRole("button", { name: "Copy the answer" }), /^# A title/);
  },

  async "a stopped answer is charged once and can be continued"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, `Slowly one two three four five six seven eight nine ten ${ann.name}`);
    await said(page, "Slowly one").waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText(`You stopped this answer. It cost ${PRICE} tokens.`).waitFor();
    assert(!(await answer(page).innerText()).includes(ann.name));
    await balance(page, FIRST_GRANT - PRICE);
    await page.locator(".turn-more", { hasText: `The new answer costs ${PRICE} tokens.` }).waitFor();
    await page.getByRole("button", { name: "Regenerate the answer" }).click();
    await page.getByRole("button", { name: `Regenerate for ${PRICE} tokens` }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Continue" }).click();
    await said(page, "Continue", true).waitFor();
    await answered(page);
    assert.equal((await ann.api("GET", "api/conversations/")).body.length, 1);
    const rows = (await ann.api("GET", "api/user/ledger/")).body;
    assert.deepEqual(
      rows.map(({ amount, reason }) => [amount, reason]),
      [
        [-PRICE, "chat"],
        [-PRICE, "stopped"],
        [FIRST_GRANT, "registration"],
      ],
    );
    // The statement, the history and the export also show the stopped answer.
    await page.goto(`${SITE}#/statement`);
    await heading(page, "Statement");
    await page.getByRole("row").filter({ hasText: "” · stopped" }).waitFor();
    await page.goto(`${SITE}#/history`);
    await page.locator(".badge").getByText("stopped").waitFor();
    const { chats } = (await ann.api("GET", "api/user/export/")).body;
    assert.deepEqual(
      chats.map(({ finish_reason: reason }) => reason),
      ["stop", "stopped"],
    );
  },

  async "retries after a broken connection cost one message"() {
    const ann = await newUser("ann");
    const wire = await newWire();
    const page = await chatPage(ann, { url: wire.url });
    await stayLost(page);
    const slow = "Slowly one two three four five six seven eight nine ten";
    await say(page, slow);
    await said(page, "Slowly one").waitFor();
    wire.lose(true);
    wire.cut();
    await page.getByText("The answer broke off. The connection was lost before the end of the reply.").waitFor();
    await page.getByText("the message is only charged once").waitFor();
    await page.getByRole("button", { name: "Retry" }).click();
    await page.getByText("The server can't be reached.").waitFor();
    wire.lose(false);
    await finish(slow);
    await page.getByRole("button", { name: "Retry" }).click();
    await answered(page);
    assert.match(await answer(page).innerText(), /ten/);
    await balance(page, FIRST_GRANT - PRICE);
    assert.deepEqual(
      (await ann.api("GET", "api/user/ledger/")).body.map(({ amount }) => amount),
      [-PRICE, FIRST_GRANT],
    );
  },

  async "a failed AI costs nothing and one press retries"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    for (const [message, sign] of [
      [`Fail ${ann.name}`, /^The AI did not answer\. Nothing was charged/],
      [`Break ${ann.name} after some words of mine`, /^The answer broke off\. You weren't charged\./],
    ]) {
      const late = await hold(page, "**/api/tokens/");
      await say(page, message);
      await page.getByRole("alert").getByText(sign).waitFor();
      await late.answered;
      await page.getByRole("button", { name: "Retry" }).click();
      await said(page, `${message}`).waitFor();
      await answered(page);
      // The reply contains the balance at the moment when the AI failed, but arrives after the
      // charge for the answer.
      await late.letGo();
    }
    await balance(page, FIRST_GRANT - 2 * PRICE);
    assert.equal(await page.getByRole("alert").count(), 0);
  },

  async "low balances warn, and empty ones keep the message"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, "Hello!");
    await answered(page);
    await manage("adjust", ann.name, String(-(FIRST_GRANT - 3 * PRICE)), "--reason", "for a test");
    await say(page, "How many are left?");
    await page.getByText("Your tokens are enough for 1 more answer.").waitFor();
    await leadsToMore(page);
    await say(page, "The last one");
    await page.getByText("You have 0 tokens. An answer costs 100.").waitFor();
    await leadsToMore(page);
    await say(page, "One too many");
    await page.getByText("You don't have enough tokens. You have 0 tokens. An answer costs 100.").waitFor();
    await leadsToMore(page);
    assert.equal(await page.getByLabel("Your message").inputValue(), "One too many");
    assert.equal(await page.locator(".said", { hasText: "One too many" }).count(), 0, "it is only in the box");
    await page.reload();
    await said(page, "The last one").waitFor();
    assert.equal(await page.getByLabel("Your message").inputValue(), "One too many");
    await manage("adjust", ann.name, "1000", "--reason", "a gift");
    await page.getByRole("button", { name: "Send" }).click();
    await said(page, "One too many").waitFor();
    await balance(page, 900);
  },

  async "held tokens are shown until the message ends"() {
    const ann = await newUser("ann");
    await manage("adjust", ann.name, String(-(FIRST_GRANT - PRICE)), "--reason", "for a test");
    const slow = `Slowly one two three ${Date.now()}`;
    const answering = ann.api("POST", "api/chat/stream/", { message: slow });
    const isHeld = async () => (await ann.api("GET", "api/tokens/")).body.tokens_held === PRICE;
    await eventually(isHeld, true, "the price is held");
    const page = await chatPage(ann, { place: "#/statement" });
    const holding = page.locator(".balance-held");
    await holding.waitFor();
    assert.equal(await holding.innerText(), "100 held for an unfinished message");
    await page.getByText("100 tokens held for an unfinished message. They are part of the balances").waitFor();
    await page.goto(SITE);
    await say(page, "Another one");
    await page.getByText("You don't have enough tokens. You have 0 tokens, and 100 are held for an unfinished message. An answer costs 100.").waitFor();
    await finish(slow);
    await answering;
    // The page reads the balance again without a click.
    await holding.waitFor({ state: "hidden" });
    await balance(page, 0);
  },

  async "a small grant warns at once and says how to get more"() {
    const ann = await newUser("ann");
    await manage("adjust", ann.name, String(-(FIRST_GRANT - 4 * PRICE)), "--reason", "for a test");
    const page = await chatPage(ann);
    await page.getByText("Your tokens are enough for 4 more answers.").waitFor();
    await page.goto(`${SITE}#/statement`);
    await heading(page, "Statement");
    await leadsToMore(page);

    await manage("adjust", ann.name, String(-4 * PRICE), "--reason", "for a test");
    await page.route("**/api/user/profile/", async (route) => {
      const response = await fetched(route);
      await route.fulfill({ response, json: { ...(await response.json()), top_up: { text: "", url: null } } });
    });
    await page.reload();
    await page.getByText("You have 0 tokens. An answer costs 100.").waitFor();
    await page.getByText("An administrator can give you more tokens.").waitFor();
    assert.equal(await page.getByRole("link", { name: "Buy more tokens in our shop." }).count(), 0);
  },

  async "refusals are explained and retried under the same key"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const keys = [];
    const refusals = [
      [503, "unavailable", "The database did not confirm in time.", "3"],
      [504, "ai_timed_out", "The AI did not answer in time. Nothing was charged.", null],
      [429, "too_many_chats", "Too many chats of this account are waiting.", "2"],
      [409, "idempotency_key_running", "This request was sent before and is still running.", "1"],
    ];
    await page.route("**/api/chat/stream/", (route) => {
      keys.push(route.request().headers()["idempotency-key"]);
      const [status, code, detail, seconds] = refusals[keys.length - 1] ?? [];
      if (!status) return route.continue();
      const headers = seconds ? { "Retry-After": seconds } : {};
      return route.fulfill({ status, headers, contentType: "application/problem+json", body: JSON.stringify({ status, code, detail }) });
    });
    // The button's text may change before this script looks at it.
    await page.evaluate(() => {
      globalThis.counted = [];
      const note = () => document.querySelectorAll(".turn .note-actions .button").forEach(({ textContent }) => globalThis.counted.push(textContent));
      new MutationObserver(note).observe(document.body, { childList: true, characterData: true, subtree: true });
    });
    await say(page, "Is anybody there?");
    for (const [, code, detail, seconds] of refusals.slice(0, 3)) {
      await page.getByText(detail).waitFor();
      assert.equal(await page.getByText("charged once").count(), code === "unavailable" ? 1 : 0);
      // The button counts down.
      if (seconds) await page.waitForFunction((text) => globalThis.counted.includes(text), `Retry in ${seconds} s`);
      await page.evaluate(() => (globalThis.counted = []));
      await page.getByRole("button", { name: "Retry", exact: true }).click();
    }
    // The page waits for the running message without a click.
    await answered(page);
    await said(page, "Is anybody there?").waitFor();
    assert.equal(keys.length, refusals.length + 1);
    assert.equal(new Set(keys).size, 1);
    await page.unroute("**/api/chat/stream/");

    // For other errors, the page shows the API's message.
    await page.route("**/api/user/profile/", async (route) => {
      const response = await fetched(route);
      await route.fulfill({ response, json: { ...(await response.json()), message_limit: undefined } });
    });
    await page.reload();
    await said(page, "Is anybody there?").waitFor();
    await say(page, "x".repeat(32_001));
    await page.getByText("A message can have at most 32000 characters.").waitFor();
    assert.equal((await page.getByLabel("Your message").inputValue()).length, 32_001);
    await page.getByLabel("Your message").fill("short");
    assert.equal(await page.getByText("A message can have at most").count(), 0);
  },

  async "a failed message returns to the box above the new text"() {
    const page = await chatPage(await newUser("ann"));
    await stayLost(page);
    await page.route("**/api/chat/stream/", (route) => route.abort());
    await say(page, "First try");
    await page.getByRole("button", { name: "Retry" }).waitFor();
    await page.getByLabel("Your message").fill("and more");
    await page.getByRole("button", { name: "Edit message" }).click();
    await heading(page, "What would you like to know?");
    assert.equal(await page.getByLabel("Your message").inputValue(), "First try\n\nand more");
    assert.equal(await page.locator(".conversations li").count(), 0);
    await page.unroute("**/api/chat/stream/");

    // If the first message of a conversation is refused, the conversation never begins.
    const refusal = { status: 400, code: "invalid_fields", detail: "The request is invalid.", errors: { message: ["A message can't be this."] } };
    await page.route("**/api/chat/stream/", (route) => route.fulfill({ status: 400, json: refusal }), { times: 1 });
    await say(page, "Refused");
    await page.getByText("A message can't be this.").waitFor();
    await heading(page, "What would you like to know?");
    assert.equal(await page.locator(".conversations li").count(), 0);
    await say(page, "Short");
    await answered(page);
    await said(page, "Short").waitFor();
  },

  async "long messages show their length and are not sent"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const sent = [];
    page.on("request", (request) => request.url().endsWith("/api/chat/stream/") && sent.push(request.url()));
    const box = page.getByLabel("Your message");
    const length = page.locator(".composer-length");
    await box.fill("x".repeat(28_000));
    assert.equal(await length.textContent(), "");
    // A character of two code units counts once.
    await box.fill("🎫".repeat(30_000));
    await length.getByText("30,000 of 32,000 characters").waitFor();
    await say(page, "x".repeat(32_012));
    await page.getByRole("alert").getByText("A message can have at most 32,000 characters. Remove 12 characters.").waitFor();
    await length.getByText("32,012 of 32,000 characters").waitFor();
    assert.equal(await box.getAttribute("aria-invalid"), "true");
    assert.deepEqual([sent, (await box.inputValue()).length, await focused(page)], [[], 32_012, "Your message"]);
    await say(page, "y".repeat(32_000));
    await answered(page);
    assert.equal(sent.length, 1);

    // An edited message has the same limit.
    await page.locator(".said").hover();
    await page.getByRole("button", { name: "Edit this message" }).click();
    await page.getByLabel("Edit the message").fill("x".repeat(32_001));
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("Remove 1 character.").waitFor();
    assert.equal(sent.length, 1);
    await balance(page, FIRST_GRANT - PRICE);
  },

  async "API key samples keep their look after a reload"() {
    const page = await chatPage(await newUser("ann"), { place: "#/account/api-keys" });
    await page.reload();
    await heading(page, "API keys");
    const border = await page
      .locator(".example .code")
      .first()
      .evaluate((code) => getComputedStyle(code).borderTopWidth);
    assert.equal(border, "1px");
  },

  async "a page closed during an answer loses nothing"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, "Slowly one two three");
    await said(page, "Slowly one").waitFor();
    await page.reload();
    await rests(page);
    await finish("Slowly one two three");
    await answered(page);
    assert.match(await answer(page).innerText(), /three/);
    await balance(page, FIRST_GRANT - PRICE);

    const slow = "Slowly nine ten eleven twelve thirteen";
    await say(page, slow);
    await said(page, "Slowly nine").waitFor();
    await page.goto(`${SITE}#/history`);
    await heading(page, "History");
    const opening = page.locator(".toast", { hasText: "New answer in" }).getByRole("button", { name: "Show", exact: true }).click();
    await Promise.all([opening, finish(slow)]);
    await page.locator(".prose", { hasText: "twelve thirteen" }).waitFor();
    await page.getByLabel("Your message").fill("half a thou");
    await page.reload();
    await page.locator(".prose", { hasText: "twelve thirteen" }).waitFor();
    assert.equal(await page.getByLabel("Your message").inputValue(), "half a thou");
  },

  async "conversations are listed, renamed, continued and deleted"() {
    const ann = await newUser("ann");
    for (let number = 0; number < 33; number += 1) await ann.api("POST", "api/chat/", { message: `Talk ${number}` });
    const page = await chatPage(ann);
    const list = page.getByRole("navigation", { name: "Chats" });
    await list.getByRole("link", { name: "Talk 32" }).waitFor();
    assert.equal(await list.getByRole("listitem").count(), 30);
    await list.evaluate((element) => (element.scrollTop = element.scrollHeight));
    await list.getByRole("link", { name: "Talk 0", exact: true }).click();
    await heading(page, "Talk 0");
    await said(page, "Talk 0").waitFor();
    assert.equal(await list.getByRole("listitem").count(), 33);
    await say(page, "Once more");
    await answered(page);
    await said(page, "Once more").waitFor();
    assert.equal(await list.getByRole("listitem").first().innerText(), "Talk 0");

    await page.getByRole("button", { name: "More about this chat" }).click();
    await page.getByRole("button", { name: "Rename" }).click();
    await page.getByRole("dialog").getByLabel("Title").fill("Fares & <b>tickets</b>");
    await page.keyboard.press("Enter");
    await heading(page, "Fares & <b>tickets</b>");
    assert.equal(await list.getByRole("listitem").first().innerText(), "Fares & <b>tickets</b>");

    await page.getByRole("button", { name: "More about this message" }).last().click();
    await page.getByRole("button", { name: "Delete this message" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await said(page, "Once more").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "More about this chat" }).click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await heading(page, "What would you like to know?");
    assert.equal(await list.getByRole("link", { name: "Fares" }).count(), 0);
    assert.equal((await ann.api("GET", "api/conversations/?limit=100")).body.length, 32);
  },

  async "a conversation deleted elsewhere is replaced by a new one"() {
    const ann = await newUser("ann");
    const { body: chat } = await ann.api("POST", "api/chat/", { message: "First" });
    const page = await chatPage(ann, { place: `#/c/${chat.conversation_id}` });
    await said(page, "First").waitFor();
    await ann.api("DELETE", `api/conversations/${chat.conversation_id}/`);
    await say(page, "Second");
    await page.getByText("This chat was deleted.").waitFor();
    await page.getByRole("button", { name: "Ask in a new chat" }).click();
    await heading(page, "What would you like to know?");
    assert.equal(await page.getByLabel("Your message").inputValue(), "Second");
    await page.goto(`${SITE}#/c/${chat.conversation_id}`);
    await heading(page, "Not found");
  },

  async "earlier chats of a conversation load on request"() {
    const ann = await newUser("ann");
    const { body: first } = await ann.api("POST", "api/chat/", { message: "Number 0" });
    for (let number = 1; number < 25; number += 1) await ann.api("POST", "api/chat/", { message: `Number ${number}`, conversation_id: first.conversation_id });
    const page = await chatPage(ann, { place: `#/c/${first.conversation_id}` });
    await said(page, "Number 24").waitFor();
    assert.equal(await page.locator(".turn").count(), 20);
    await page.getByRole("button", { name: "Show earlier messages" }).click();
    await said(page, "Number 0", true).waitFor();
    assert.deepEqual((await page.locator(".said p").allInnerTexts()).slice(0, 3), ["Number 0", "Number 1", "Number 2"]);
    await toBeginning(page);
    await page.getByRole("button", { name: "To the newest message" }).click();
    await page.getByRole("button", { name: "To the newest message" }).waitFor({ state: "hidden" });
  },

  async "search results in the history are marked and open"() {
    const ann = await newUser("ann");
    for (const message of ["The zebra crosses", "A lion sleeps", "ZEBRAS again"]) await ann.api("POST", "api/chat/", { message });
    const page = await chatPage(ann, { place: "#/history" });
    await heading(page, "History");
    const lion = page.locator(".chat-row", { hasText: "A lion sleeps" });
    await lion.waitFor();
    await page.getByLabel("Search messages and answers").fill("zebra");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/#/history?q=zebra");
    await page.locator("mark").first().waitFor();
    const found = page.locator(".chat-row");
    assert.equal(await found.count(), 2);
    await page.getByText("Messages and answers that contain “zebra”, newest first.").waitFor();
    assert.deepEqual(await found.first().locator("mark").allInnerTexts(), ["ZEBRA", "ZEBRA"]);
    await found.last().locator("summary").click();
    await found.last().locator(".prose").getByText("You said: The zebra crosses").waitFor();
    await found.last().getByRole("link", { name: "Open" }).click();
    await heading(page, "The zebra crosses");
    await page.goBack();
    assert.equal(await page.getByLabel("Search messages and answers").inputValue(), "zebra");
    await page.getByRole("link", { name: "Show all messages" }).click();
    await lion.waitFor();
    await page.locator(".chat-row").first().getByRole("button", { name: "Delete this message" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("The message has been deleted.").first().waitFor();
    assert.equal((await ann.api("GET", "api/chat/")).body.length, 2);
    await page.goto(`${SITE}#/history?q=giraffe`);
    await page.getByText("No results for “giraffe”").waitFor();
  },

  async "the statement shows every token and downloads whole"() {
    const ann = await newUser("ann");
    for (let number = 0; number < 4; number += 1) await ann.api("POST", "api/chat/", { message: `Number ${number}` });
    await manage("adjust", ann.name, "250", "--reason", "Sorry, and thanks");
    const page = await newPage();
    // With two rows per page, a few rows fill several pages.
    await page.route("**/api/user/ledger/?limit*", (route) =>
      route.continue({
        url: route
          .request()
          .url()
          .replace(/limit=\d+/, "limit=2"),
      }),
    );
    await page.goto(`${SITE}#/statement`);
    await logIn(page, ann);
    await heading(page, "Statement");
    // The list loads more pages while its end is in view.
    await page.getByText("Grant for a new account").waitFor();
    const rows = await page.locator("tbody tr").evaluateAll((all) => all.map((row) => [...row.cells].slice(1).map((cell) => cell.innerText)));
    assert.deepEqual(rows, [
      ["Adjustment: Sorry, and thanks", "+250", "3,850"],
      ["“Number 3” · answer", "−100", "3,600"],
      ["“Number 2” · answer", "−100", "3,700"],
      ["“Number 1” · answer", "−100", "3,800"],
      ["“Number 0” · answer", "−100", "3,900"],
      ["Grant for a new account", "+4,000", "4,000"],
    ]);
    const coming = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download CSV" }).click();
    const file = await coming;
    assert.equal(file.suggestedFilename(), "farebox-statement.csv");
    const lines = (await readFile(await file.path(), "utf8")).trimEnd().split("\r\n");
    assert.equal(lines.length, 1 + rows.length);
    assert.equal(lines.filter((line) => line.startsWith('"id",')).length, 1);
  },

  async "e-mails verify an address and replace a password"() {
    const email = `ann${Date.now().toString(36)}@example.com`;
    const ann = await newUser("ann", { email });
    const page = await chatPage(ann, { place: "#/account" });
    await page.getByText("not verified").waitFor();
    await page.getByRole("button", { name: "Send the e-mail again" }).click();
    await page.getByText(/We've sent an e-mail/).waitFor();
    const elsewhere = await newPage();
    await elsewhere.goto(`${SITE}#/log-in`);
    await logIn(elsewhere, ann);
    await heading(elsewhere, "What would you like to know?");
    await page.goto(await mailedLink(email, "verify-email"));
    await heading(page, "Verify your e-mail address");
    await page.getByRole("button", { name: "Verify my e-mail address" }).click();
    await page.getByText(`${email} is verified.`).waitFor();
    await page.getByText("You have been logged out everywhere else.").waitFor();
    // This session continues, and the sessions on other devices have ended.
    await page.getByRole("link", { name: "Continue" }).click();
    await heading(page, "What would you like to know?");
    await page.reload();
    await heading(page, "What would you like to know?");
    await page.goto(`${SITE}#/account`);
    await page.getByText("verified", { exact: true }).waitFor();
    await elsewhere.goto(`${SITE}#/history`);
    await elsewhere.getByText("Your session has ended.").waitFor();
    await heading(elsewhere, "Log in");

    const lost = await newPage();
    await lost.goto(`${SITE}#/log-in`);
    await lost.getByRole("link", { name: "Forgotten your password?" }).click();
    // The log-in has a field with a similar label.
    await heading(lost, "Forgotten password");
    await lost.getByLabel("E-mail address").fill(email);
    await lost.keyboard.press("Enter");
    await lost.getByText("we've sent an e-mail to it", { exact: false }).waitFor();
    const link = await mailedLink(email, "reset-password");
    await lost.goto(link);
    await lost.getByLabel("New password").fill("password1");
    await lost.getByRole("button", { name: "Change password" }).click();
    await lost.locator(".field-error").waitFor();
    await lost.getByLabel("New password").fill("a better horse with a battery");
    await lost.keyboard.press("Enter");
    await heading(lost, "Log in");
    await logIn(lost, { name: email, password: "a better horse with a battery" });
    await heading(lost, "What would you like to know?");
    // The sessions that began before the change have ended.
    await page.goto(`${SITE}#/history`);
    await page.getByText("Your session has ended.").waitFor();
    await page.goto(link);
    await page.getByLabel("New password").fill("yet another horse");
    await page.keyboard.press("Enter");
    await page.getByText("This link is invalid, has already been used, or has expired.").waitFor();
    await page.getByRole("link", { name: "Get a new link" }).click();
    await heading(page, "Forgotten password");
    await page.goto(`${SITE}#/verify-email`);
    await page.getByText("This link is incomplete.").waitFor();
  },

  async "verifying without a session sets a new password"() {
    const email = `eve${Date.now().toString(36)}@example.com`;
    const eve = await newUser("eve", { email });
    const link = await mailedLink(email, "verify-email");
    const other = await chatPage(await newUser("ben"), { place: "#/account" });
    await other.goto(link);
    await other.getByRole("button", { name: "Verify my e-mail address" }).click();
    await other.getByLabel("New password").waitFor();

    const reader = await newPage();
    await reader.goto(link);
    await heading(reader, "Verify your e-mail address");
    await reader.getByLabel("New password").fill("password1");
    await reader.keyboard.press("Enter");
    await reader.locator(".field-error").waitFor();
    await reader.getByLabel("New password").fill("a better horse with a battery");
    await reader.keyboard.press("Enter");
    await reader.getByText(`${email} is verified.`).waitFor();
    await reader.getByRole("link", { name: "Log in", exact: true }).click();
    await logIn(reader, eve);
    await reader.getByText("Incorrect username or password.", { exact: false }).waitFor();
    await reader.getByLabel("Password", { exact: true }).fill("a better horse with a battery");
    await reader.keyboard.press("Enter");
    await heading(reader, "What would you like to know?");
  },

  async "profile changes are saved and wrong passwords explained"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann, { place: "#/account" });
    const other = await chatPage(ann);
    await page.getByLabel("First name").fill("Ann");
    await page.getByLabel("Last name").fill("Smith");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("Your name has been saved.").waitFor();
    await page.getByRole("button", { name: "Your account" }).getByText("Ann", { exact: true }).waitFor();
    // A profile that arrives late contains an old balance.
    const late = await hold(page, "**/api/user/profile/");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await late.answered;
    await newChat(page);
    await say(page, "Meanwhile");
    await answered(page);
    await balance(page, FIRST_GRANT - PRICE);
    await late.letGo();
    await balance(page, FIRST_GRANT - PRICE);
    await page.goto(`${SITE}#/account`);

    const address = page.getByRole("region", { name: "E-mail address" });
    await address.getByLabel("Address", { exact: true }).fill(`${ann.name}@example.com`);
    await address.getByLabel("Current password").fill("not this one");
    await address.getByRole("button", { name: "Add address" }).click();
    await address.getByText("This is not the account's current password. Nothing was changed.").waitFor();
    await address.getByLabel("Current password").fill(ann.password);
    await page.keyboard.press("Enter");
    await address.getByText(`${ann.name}@example.com`).first().waitFor();

    const password = page.getByRole("region", { name: "Password" });
    await password.getByLabel("Current password").fill(ann.password);
    await password.getByLabel("New password").fill("another horse and battery");
    await password.getByRole("button", { name: "Change password" }).click();
    await page.getByText("Your password has been changed.").waitFor();
    await page.reload();
    await heading(page, "Profile");
    await say(other, "Still here?");
    await other.getByText("Your session has ended.").waitFor();
    await logIn(other, { ...ann, password: "another horse and battery" });
    await said(other, "Still here?").waitFor();
  },

  async "instructions for all or one chat reach the AI"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann, { place: "#/account" });
    const own = page.getByRole("region", { name: "Instructions for the AI" });
    const box = own.getByLabel("How should the AI answer?");
    const save = own.getByRole("button", { name: "Save instructions" });
    await box.fill("é".repeat(1001));
    await save.click();
    await own.getByText("Instructions can have at most 2000 bytes.").waitFor();
    await box.fill("Answer in one sentence.\nUse metres.");
    await save.click();
    await page.getByText("Your instructions have been saved.").waitFor();
    await page.reload();
    await eventually(() => box.inputValue(), "Answer in one sentence.\nUse metres.");

    const recall = async (message) => {
      await say(page, `Recall ${message}`);
      await page.locator(".said", { hasText: `Recall ${message}` }).waitFor();
      await answered(page);
      return answer(page).innerText();
    };
    await newChat(page);
    assert.match(await recall("one"), /Answer in one sentence\.\s+Use metres\./);
    await page.getByRole("button", { name: "More about this chat" }).click();
    await page.getByRole("button", { name: "Instructions", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: "Instructions for this chat" });
    await dialog.getByLabel("How should the AI answer in this chat?").fill("Speak French.");
    // A click outside of the dialog doesn't lose the typed text.
    await page.mouse.click(5, 5);
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.getByText("The instructions for this chat have been saved.").waitFor();
    assert.match(await recall("two"), /Use metres\.[^]*Speak French\./);
    await newChat(page);
    assert.doesNotMatch(await recall("three"), /French/);

    const [{ id }] = (await ann.api("GET", "api/conversations/?limit=2")).body.slice(1);
    await page.goto(`${SITE}#/c/${id}`);
    // Until this chat is loaded, the page shows the previous chat, with a menu of the same name.
    await heading(page, "Recall one");
    await page.getByRole("button", { name: "More about this chat" }).click();
    await page.getByRole("button", { name: "Instructions", exact: true }).click();
    const given = dialog.getByLabel("How should the AI answer in this chat?");
    assert.equal(await given.inputValue(), "Speak French.");
    await given.fill("");
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.getByText("The instructions for this chat have been removed.").waitFor();
    assert.doesNotMatch(await recall("four"), /French/);
    await page.goto(`${SITE}#/account`);
    await box.fill("");
    await save.click();
    await page.getByText("Your instructions have been removed.").waitFor();
    await newChat(page);
    assert.match(await recall("five"), /I was told nothing\./);
    await balance(page, FIRST_GRANT - 5 * PRICE);
  },

  async "sessions are ended singly or all at once"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann, { place: "#/account/sessions" });
    const other = await chatPage(ann);
    await page.reload();
    const list = page.getByRole("region", { name: "Sessions" }).getByRole("listitem");
    await list.nth(2).waitFor();
    await list
      .filter({ hasText: "Chrome on" })
      .getByRole("button", { name: /^End the session/ })
      .first()
      .click();
    await page.getByRole("dialog").getByRole("button", { name: "End session" }).click();
    await page.getByText("The session has ended.").first().waitFor();
    assert.equal(await list.count(), 2);
    await other.goto(`${SITE}#/statement`);
    await other.getByText("Your session has ended.").waitFor();
    await logIn(other, ann);
    await heading(other, "Statement");
    await page.getByRole("button", { name: "Log out everywhere" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Log out everywhere" }).click();
    await heading(page, "Log in");
    await other.goto(`${SITE}#/history`);
    await other.getByText("Your session has ended.").waitFor();
  },

  async "an API key is shown once and stops when revoked"() {
    const page = await chatPage(await newUser("ann"), { place: "#/account/api-keys" });
    await page.getByRole("button", { name: "New key" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Create key" }).click();
    await dialog.getByText("Please fill this in.").waitFor();
    await dialog.getByLabel("Name").fill("build server");
    await dialog.getByRole("button", { name: "Create key" }).click();
    const key = await dialog.getByLabel("API key").inputValue();
    assert.match(key, /^sk-/);
    await eventually(() => focused(page), "Copy");
    await dialog.getByRole("button", { name: "Done" }).click();
    await page.getByText("build server", { exact: true }).waitFor();
    await page.getByText(`base_url="${SITE}v1"`).waitFor();
    const chat = () => replyTo(ask("POST", "v1/chat/completions", { model: "any", messages: [{ role: "user", content: "Hello!" }] }, key));
    assert.equal((await chat()).body.choices[0].message.content, "You said: Hello!");
    await page.getByRole("button", { name: "Revoke build server" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByText("No API keys").waitFor();
    assert.equal((await chat()).status, 401);
    await page.goto(`${SITE}#/history`);
    await page.getByText("via API").waitFor();
  },

  async "all data is exported and the account deleted"() {
    const ann = await newUser("ann");
    await ann.api("POST", "api/chat/", { message: "Remember me" });
    const page = await chatPage(ann, { place: "#/account/data" });
    const coming = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download everything" }).click();
    const kept = JSON.parse(await readFile(await (await coming).path(), "utf8"));
    assert.equal(kept.chats[0].message, "Remember me");

    await page.getByRole("button", { name: "Delete my account" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("with its balance of 3,900 tokens").waitFor();
    await dialog.getByLabel("Your password").fill("not this one");
    await dialog.getByRole("button", { name: "Delete for good" }).click();
    await dialog.getByText("This is not the account's current password.").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    assert.equal(await focused(page), "Delete my account");
    await page.getByRole("button", { name: "Delete my account" }).click();
    await dialog.getByLabel("Your password").fill(ann.password);
    await page.keyboard.press("Enter");
    await heading(page, "Log in");
    await logIn(page, ann);
    await page.getByText("Incorrect username or password.").waitFor();
  },

  async "two tabs share one session"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const second = await newPage({ beside: page });
    await second.goto(`${SITE}#/statement`);
    await heading(second, "Statement");
    await page.getByRole("button", { name: "Your account" }).click();
    await page.getByRole("button", { name: "Log out" }).click();
    await heading(page, "Log in");
    await heading(second, "Log in");
    await logIn(page, ann);
    await heading(second, "What would you like to know?");
    // Many requests may need a new access token at the same time.
    await Promise.all([page.reload(), second.reload()]);
    await heading(page, "What would you like to know?");
    await heading(second, "What would you like to know?");
  },

  async "a keyboard is enough"() {
    const page = await chatPage(await newUser("ann"));
    await page.reload();
    await heading(page, "What would you like to know?");
    await page.locator("body").press("Tab");
    await page.evaluate(() => document.querySelector(".skip-link").focus());
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    const box = page.getByLabel("Your message");
    await box.focus();
    await page.keyboard.type("line one");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("line two");
    await page.keyboard.press("Enter");
    await answered(page);
    assert.match(await page.locator(".said").innerText(), /line one\nline two/);
    assert.equal(await focused(page), "Your message");
    await page.getByRole("button", { name: "Your account" }).focus();
    await page.keyboard.press("Enter");
    assert.equal(await focused(page), "Account");
    await page.keyboard.press("ArrowDown");
    assert.equal(await focused(page), "History");
    await page.keyboard.press("Escape");
    assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /Your account/);
    await page.keyboard.press("Enter");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await heading(page, "History");
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
    assert.equal(await page.title(), "History · Farebox");
  },

  async "narrow windows show conversations in a drawer"() {
    const ann = await newUser("ann");
    await ann.api("POST", "api/chat/", { message: "Talk" });
    const page = await chatPage(ann, { viewport: { width: 320, height: 640 } });
    await page.locator("#sidebar").getByText("Talk", { exact: true }).waitFor({ state: "attached" });
    assert.equal(await page.getByRole("link", { name: "Talk" }).count(), 0, "what is not seen is not reached");
    const opener = page.getByRole("button", { name: "Chats" });
    await opener.click();
    await page.getByRole("link", { name: "Talk" }).waitFor();
    await page.keyboard.press("Escape");
    assert.equal(await opener.getAttribute("aria-expanded"), "false");
    await opener.click();
    await page.getByRole("link", { name: "Talk" }).click();
    await heading(page, "Talk");
    await said(page, "Talk").waitFor();
    await page.getByRole("link", { name: "Talk" }).waitFor({ state: "hidden" });
  },

  async "the choice of colours is remembered"() {
    const page = await newPage({ colorScheme: "light" });
    await page.goto(SITE);
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    const choose = async (name) => {
      await page.getByRole("button", { name: "Colours", exact: true }).click();
      await page.getByRole("button", { name }).click();
    };
    await choose("Dark");
    const dark = await ground();
    assert.notEqual(light, dark);
    await page.reload();
    assert.equal(await ground(), dark);
    await choose("Light");
    assert.equal(await ground(), light);
    // The choice takes precedence over the system's colours.
    await page.emulateMedia({ colorScheme: "dark" });
    assert.equal(await ground(), light);
    await choose("System");
    assert.equal(await ground(), dark);
    await page.reload();
    assert.equal(await ground(), dark);
    await page.emulateMedia({ colorScheme: "light" });
    assert.equal(await ground(), light);
  },

  async "a menu reopens at once and its button closes it"() {
    const page = await newPage();
    await page.goto(SITE);
    const opener = page.getByRole("button", { name: "Colours", exact: true });
    const choice = page.getByRole("button", { name: "Dark" });
    await opener.click();
    await opener.evaluate((button) => {
      button.nextElementSibling.lastElementChild.click();
      button.dispatchEvent(new PointerEvent("pointerdown"));
      button.dispatchEvent(new MouseEvent("click", { detail: 1 }));
    });
    await choice.waitFor();
    await opener.click();
    await choice.waitFor({ state: "hidden" });
    assert.equal(await opener.getAttribute("aria-expanded"), "false");
  },

  async "an offline user is told and continues when connected"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    // The other views are loaded after the first view is shown, and import further files.
    const isRead = (file) => performance.getEntriesByType("resource").some(({ name }) => name.endsWith(file));
    for (const file of ["/account/statement.js", "/ui/list.js", "/chat/turn.js"]) await page.waitForFunction(isRead, file);
    await page.evaluate(() => import(new URL("../account/statement.js", document.querySelector("script[src$='chat/page.js']").src)));
    // Wait until the list of chats is loaded. Otherwise the sidebar would be offline, too.
    await page.getByText("Your chats will appear here.").waitFor();
    await page.context().setOffline(true);
    await say(page, "Hello?");
    await page.getByText("You are offline. Try again when you are connected.").waitFor();
    await page.goto(`${SITE}#/statement`);
    await heading(page, "Statement");
    await page.getByRole("alert").getByText("You are offline.").waitFor();
    await page.context().setOffline(false);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("Grant for a new account").waitFor();
    // The page has sent the message again without a click.
    await page.getByRole("link", { name: "Hello?", exact: true }).click();
    await said(page, "Hello?").waitFor();
  },
});

// --- Steps and checks ---

/**
 * Delays the API's reply to the next call of a URL. `answered` resolves when the API has replied,
 * and `letGo` passes the reply on.
 */
async function hold(page, url) {
  let tell;
  const answered = new Promise((resolve) => {
    tell = resolve;
  });
  await page.route(url, async (route) => tell([route, await fetched(route)]), { times: 1 });
  const letGo = async () => {
    const [route, response] = await answered;
    const heard = page.waitForEvent("requestfinished", (request) => request === route.request());
    await route.fulfill({ response });
    await heard;
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  };
  return { answered, letGo };
}

/** Checks that the page contains one link to the operator's shop. */
async function leadsToMore(page) {
  const link = page.getByRole("link", { name: "Buy more tokens in our shop." });
  await link.waitFor();
  assert.deepEqual(await link.evaluateAll((links) => links.map(({ href, target, rel }) => [href, target, rel])), [
    ["https://shop.example.com/tokens", "_blank", "noopener noreferrer"],
  ]);
}

/** Returns a field's description for screen readers. */
function described(field) {
  return field.evaluate((field) =>
    field
      .getAttribute("aria-describedby")
      .split(" ")
      .map((id) => document.getElementById(id)?.textContent)
      .join(" ")
      .trim(),
  );
}
