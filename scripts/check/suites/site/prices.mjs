// Journeys with a price list: users choose a model and pay for its usage, and administrators change
// prices. The server of the other journeys has no price list.

import assert from "node:assert/strict";
import { adminPage, rows } from "./lib/administering.mjs";
import { fitsItsBox, journeys, looksRight, newPage, newUser } from "./lib/browser.mjs";
import { answer, answered, balance, chatPage, focused, heading, logIn, say } from "./lib/chatting.mjs";
import { newServer } from "./lib/server.mjs";

const FIRST_GRANT = 4000;

/**
 * The price list for most of these journeys. The default model costs the same for every message.
 */
const LIST = {
  currency: "USD",
  million_tokens: "20.00",
  models: [
    { name: "quick", via: ["openai"], fare: { message: 100 } },
    {
      name: "deep",
      via: ["openai:thinker", "openai"],
      fare: { input: 50_000, cached: 5000, output: 400_000 },
      most: 1500,
      context: 128_000,
      about: "Slow, thorough",
      cost: { input: "1.25", cached: "0.125", output: "10.00" },
    },
    { name: "vast", via: ["openai"], fare: { input: 500_000, cached: 50_000, output: 5_000_000 }, most: 512 },
  ],
};

const list = (change) => {
  const copy = structuredClone(LIST);
  change(copy);
  return copy;
};

const number = (text) => Number(/[\d,]+/.exec(text)[0].replaceAll(",", ""));
const cost = (page) => page.locator(".composer-cost");
const most = async (page) => number(/at most .*/.exec(await cost(page).innerText())[0]);
const picker = (page) => page.getByRole("button", { name: /^Model: / });
const choices = (page) => page.locator(".menu:popover-open .menu-item");

async function choose(page, name) {
  await picker(page).click();
  await choices(page).filter({ hasText: name }).first().click();
  await page.getByRole("button", { name: `Model: ${name}`, exact: true }).waitFor();
}

/** Collects the bodies and keys of the messages that the page sends from now on. */
function sent(page) {
  const all = [];
  page.on("request", (request) => {
    if (request.url().endsWith("/api/chat/stream/")) all.push({ ...request.postDataJSON(), key: request.headers()["idempotency-key"] });
  });
  return all;
}

/** Takes all but this many tokens from a user. */
function leave(server, { name }, tokens) {
  return server.manage("adjust", name, String(tokens - FIRST_GRANT), "--reason", "for a test");
}

/** Returns a model's card in the form for the price list. */
const card = (page, name) => page.locator(".admin-cards > .card").filter({ has: page.getByRole("heading", { name }) });
const names = (page) => page.locator(".admin-cards h2 > span:first-child").allInnerTexts();
const save = (page) => page.getByRole("button", { name: "Save the prices" }).click();

/** Checks that the document is as high and wide as the window. */
async function fillsWindow(page, view) {
  const { scrollHeight, scrollWidth, height, width } = await page.evaluate(() => {
    const { scrollHeight, scrollWidth } = document.documentElement;
    return { scrollHeight, scrollWidth, height: innerHeight, width: innerWidth };
  });
  assert.equal(scrollHeight, height, `${view}: the document is ${scrollHeight} pixels high in a window of ${height}`);
  assert(scrollWidth <= width, `${view}: ${scrollWidth} pixels wide in a window of ${width}`);
}

await journeys({
  async "a chosen model shows its price before and after the answer"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    const messages = sent(page);
    await page.getByRole("button", { name: "Model: quick", exact: true }).waitFor();
    await cost(page).getByText("100 tokens", { exact: true }).waitFor();
    await picker(page).click();
    await choices(page).nth(2).waitFor();
    const shown = (await choices(page).allInnerTexts()).map((text) => text.split("\n").filter((line) => line !== "chosen"));
    assert.deepEqual(shown[0], ["quick", "100 tokens a message"]);
    assert.deepEqual(shown[1].slice(0, 2), ["deep", "Slow, thorough"]);
    assert.match(shown[1][2], /^Usually about 250, at most [\d,]+ tokens$/);
    await choices(page).nth(1).click();
    await page.locator(".composer-hint").getByText("Slow, thorough").waitFor();
    assert.equal(await most(page), number(shown[1][2].split("at most")[1]));

    // The price grows with the message: 800 letters cost 40 tokens, but 1,320 if each character may
    // need 33 model tokens.
    const empty = await most(page);
    const box = page.getByLabel("Your message");
    await box.fill("x".repeat(800));
    await page.waitForFunction((before) => !document.querySelector(".composer-cost").textContent.includes(before), empty.toLocaleString("en"));
    assert.equal(await most(page), empty + 40);
    await box.fill("\ufdfa".repeat(800));
    await page.waitForFunction((now) => document.querySelector(".composer-cost").textContent.includes(now), (empty + (800 * 33 * 50_000) / 1e6).toLocaleString("en"));

    await box.fill("Counted 1000 200 500");
    await page.waitForFunction((now) => document.querySelector(".composer-cost").textContent.includes(now), (empty + 1).toLocaleString("en"));
    const held = await most(page);
    await box.press("Enter");
    await answered(page);
    assert.deepEqual(messages.map(({ model, max_cost }) => [model, max_cost]), [["deep", held]]);
    // 800 * 0.05 + 200 * 0.005 + 500 * 0.4
    const receipt = answer(page).locator(".turn-receipt");
    assert.match(await receipt.locator("summary").innerText(), /^deep · 241 tokens · 1,000 prompt \(200 cached\) and 500 answer model tokens · /);
    await balance(page, FIRST_GRANT - 241);
    await receipt.locator("summary").click();
    await receipt.getByText(`At most ${held.toLocaleString("en")} tokens were held until the answer was complete`).waitFor();
    await receipt.getByText("1,000 model tokens, 200 of them from the provider's cache").waitFor();
    await receipt.getByText("50,000 for the prompt, 5,000 for the cached prompt, 400,000 for the answer").waitFor();

    // The next prompt contains the conversation, and the browser remembers the choice.
    await page.waitForFunction((before) => !document.querySelector(".composer-cost").textContent.includes(before), empty.toLocaleString("en"));
    assert(await most(page) > empty);
    await page.reload();
    await answered(page);
    await page.getByRole("button", { name: "Model: deep", exact: true }).waitFor();
    await answer(page).getByText("deep · 241 tokens").waitFor();

    const paid = "deep · 1,000 prompt (200 cached) and 500 answer model tokens";
    await page.goto(`${server.url}#/statement`);
    await page.locator("tbody").getByText(paid).waitFor();
    assert.equal((await rows(page))[0][2], "−241");
    await page.goto(`${server.url}#/history`);
    await page.locator(".chat-about").getByText("1,000 prompt (200 cached) and 500 answer model tokens").waitFor();
    await page.goto(`${server.url}#/account/api-keys`);
    await page.getByText("The model is one of quick, deep, vast.").waitFor();
    await page.getByText('model="quick"').waitFor();

    const admin = await adminPage(server, `#/users/${ann.id}/statement`);
    await admin.locator("tbody").getByText(paid).waitFor();
    await admin.goto(`${server.url}admin/#/chats`);
    await admin.locator(".admin-chat-head").getByText("1,000 prompt (200 cached) and 500 answer model tokens").waitFor();
    await admin.goto(`${server.url}admin/#/figures`);
    const used = admin.getByRole("region", { name: "Use of each model" });
    await used.waitFor();
    const [deep] = (await rows(used)).filter(([name]) => name === "deep");
    assert.deepEqual(deep.slice(0, 7), ["deep", "1", "241", "1,000", "200", "0", "500"]);
    assert.match(deep.slice(7).join(" | "), /^USD [\d.]+ \| USD [\d.]+ \| −?USD [\d.]+ \(−?[\d.,]+%\)$/);
  },

  async "a forgotten choice falls back to the default model"() {
    const server = await newServer(LIST);
    const page = await chatPage(await newUser("ann", { site: server.url }), { url: server.url });
    await page.evaluate(() => localStorage.setItem("farebox.model", "withdrawn"));
    await page.reload();
    await page.getByRole("button", { name: "Model: quick", exact: true }).waitFor();
    const messages = sent(page);
    await say(page, "Hello!");
    await answered(page);
    assert.deepEqual(messages.map(({ model, max_cost }) => [model, max_cost]), [["quick", 100]]);
    assert.match(await answer(page).locator("summary").innerText(), /^quick · 100 tokens · /);
    await balance(page, FIRST_GRANT - 100);
  },

  async "new versions show their price first and cost no more"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    await ann.api("PATCH", "api/user/profile/", { instructions: "Answer briefly.\nUse metres." });
    const page = await chatPage(ann, { url: server.url });
    const messages = sent(page);
    await choose(page, "deep");
    await say(page, "Counted 10 0 20");
    await answered(page);
    await page.getByRole("button", { name: "Regenerate the answer" }).click();
    const again = page.getByRole("button", { name: /^Regenerate for at most [\d,]+ tokens$/ });
    const regenerated = number(await again.innerText());
    await again.click();
    await page.getByText("2 / 2").waitFor();
    await answered(page);
    assert.deepEqual(messages.map(({ max_cost }) => max_cost), [regenerated, regenerated]);

    await page.locator(".said").hover();
    await page.getByRole("button", { name: "Edit this message" }).click();
    const box = page.getByLabel("Edit the message");
    await box.fill(`Counted 10 0 20 ${"x".repeat(800)}`);
    const hint = page.locator(".edit .hint");
    await hint.getByText(`The new answer costs at most ${(regenerated + 41).toLocaleString("en")} tokens. Your original message is kept.`).or(hint.getByText(`at most ${(regenerated + 40).toLocaleString("en")} tokens.`)).waitFor();
    const edited = number(await hint.innerText());
    // Choosing a different model also changes the price of the version that is being edited.
    await choose(page, "quick");
    await hint.getByText("The new answer costs 100 tokens.").waitFor();
    await choose(page, "deep");
    await box.press("Enter");
    await page.getByText("3 / 3").waitFor();
    await answered(page);
    assert.deepEqual([messages[2].model, messages[2].max_cost], ["deep", edited]);

    // The shown price covers the longest answer, even with instructions and in a conversation.
    const [{ id }] = (await ann.api("GET", "api/conversations/")).body;
    await ann.api("PATCH", `api/conversations/${id}/`, { instructions: "Speak French.\n".repeat(20) });
    await page.reload();
    await answered(page);
    for (const message of ["Markdown please", "Counted 1 0 1 \u{1f3ab}", "Told and now?"]) {
      const before = await page.locator(".turn").count();
      await say(page, message);
      await page.locator(".turn").nth(before).getByRole("button", { name: "Copy the answer" }).waitFor();
    }
    const { body: chats } = await ann.api("GET", `api/chat/?conversation_id=${id}`);
    assert.deepEqual(chats.map(({ receipt }) => receipt.shortened), Array.from({ length: 6 }));
    assert.deepEqual(chats.map(({ receipt }) => receipt.held), messages.map(({ max_cost }) => max_cost).reverse());
  },

  async "a repeated message keeps its model and price"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    const messages = sent(page);
    await choose(page, "deep");
    await page.route("**/api/chat/stream/", (route) => route.abort());
    await say(page, "Counted 100 0 100");
    await page.getByRole("button", { name: "Retry" }).waitFor();
    await choose(page, "quick");
    await page.getByRole("button", { name: "Retry" }).click();
    await page.getByRole("button", { name: "Retry" }).waitFor();
    await page.reload();
    // After a reload, the page also repeats the message, without a click.
    await page.getByText("The server can't be reached.").waitFor();
    await page.unroute("**/api/chat/stream/");
    await page.getByRole("button", { name: "Retry" }).click();
    await answered(page);
    assert(messages.length >= 4);
    assert.equal(new Set(messages.map((message) => JSON.stringify(message))).size, 1, JSON.stringify(messages));
    assert.equal(messages[0].model, "deep");
    await balance(page, FIRST_GRANT - 45);
    assert.equal((await ann.api("GET", "api/user/ledger/")).body.length, 2);
    await page.getByRole("button", { name: "Model: quick", exact: true }).waitFor();
  },

  async "a model by usage shows what its messages usually cost"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    const usual = (tokens) => cost(page).getByText(new RegExp(`^Usually about ${tokens}, at most [\\d,]+ tokens$`)).waitFor();
    await choose(page, "deep");
    await usual(250);
    // 1000 * 0.05 + 500 * 0.4, and then 100 * 0.05 + 10 * 0.4
    await say(page, "Counted 1000 0 500");
    await answered(page);
    await say(page, "Counted 100 0 10");
    await balance(page, FIRST_GRANT - 250 - 9);
    // The mean of 250 and 9, rounded up.
    await usual(130);
    // A new chat has read none of the messages, but the browser remembers their prices.
    await page.goto(server.url);
    await page.reload();
    await usual(130);
    await picker(page).click();
    await choices(page).filter({ hasText: /^deep.*Usually about 130, / }).waitFor();
    await choices(page).filter({ hasText: /^vast.*Usually about [1-9][\d,]*, / }).waitFor();
    await page.keyboard.press("Escape");

    // In another browser, the messages of the opened chat count.
    const other = await chatPage(ann, { url: server.url });
    await choose(other, "deep");
    await cost(other).getByText(/^Usually about 250, /).waitFor();
    await other.getByRole("navigation", { name: "Chats" }).getByRole("link", { name: "Counted 1000" }).click();
    await cost(other).getByText(/^Usually about 130, /).waitFor();

    // Other rates make the record worthless, and another account has its own.
    await server.admin("PUT", "api/admin/models", { list: list(({ models }) => (models[1].fare.output = 200_000)), version: (await server.admin("GET", "api/admin/models")).body.version });
    const ben = await newUser("ben", { site: server.url });
    await page.getByRole("button", { name: "Your account" }).click();
    await page.getByRole("button", { name: "Log out" }).click();
    await logIn(page, ben);
    await usual(250);
  },

  async "a balance for few usual answers is low"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    await choose(page, "deep");
    // 4,000 tokens are enough for sixteen usual answers, although some may cost more.
    await page.getByLabel("Your message").fill("\ufdfa".repeat(3000));
    await cost(page).getByText(/at most [4-9],\d\d\d tokens$/).waitFor();
    assert.equal(await page.locator(".composer-notice").getByText("You have").count(), 0);
    await leave(server, ann, 1000);
    await page.reload();
    await page.getByText(/^You have 1,000 tokens\. An answer usually costs about 250/).waitFor();
  },

  async "a low balance shortens the answer, and the page says so"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    await leave(server, ann, 300);
    const page = await chatPage(ann, { url: server.url });
    await choose(page, "deep");
    await page.getByText("You have 300 tokens. An answer usually costs about 250, and a long one may be shortened.").waitFor();
    await page.getByRole("link", { name: "Buy more tokens in our shop." }).waitFor();
    await say(page, "Long story");
    await page.getByText("This answer was shortened, because your balance didn't allow a longer one.").waitFor();
    await answered(page);
    const charged = number((await answer(page).locator("summary").innerText()).split("·")[1]);
    assert(charged > 100 && charged <= 300, `${charged}`);
    await balance(page, 300 - charged);
    await page.goto(`${server.url}#/history`);
    await page.locator(".badge").getByText("shortened").waitFor();
  },

  async "a refusal says what is missing and offers cheaper models"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    await leave(server, ann, 250);
    const page = await chatPage(ann, { url: server.url });
    const messages = sent(page);
    await choose(page, "vast");
    await say(page, "One too many");
    const refusal = page.getByRole("alert");
    await refusal.getByText(/^You don't have enough tokens\. You have 250 tokens\. This message may cost up to [\d,]+\.$/).waitFor();
    await refusal.getByText("Nothing was charged, and your message is kept.").waitFor();
    await refusal.getByRole("link", { name: "Buy more tokens in our shop." }).waitFor();
    assert.equal(await page.getByLabel("Your message").inputValue(), "One too many");
    assert.equal(await refusal.getByRole("button", { name: /deep/ }).count(), 0, "it may cost more than the balance");
    await refusal.getByRole("button", { name: "Send with quick for 100 tokens" }).click();
    await answered(page);
    assert.equal(await page.locator(".said").count(), 1);
    assert.deepEqual(messages.map(({ model }) => model), ["vast", "quick"]);
    assert.equal(await picker(page).innerText(), "quick");
    await balance(page, 150);

    // After a refusal, a version is sent again as a version.
    await choose(page, "vast");
    await page.getByRole("button", { name: "Regenerate the answer" }).click();
    await page.getByRole("button", { name: /^Regenerate for at most/ }).click();
    await refusal.getByRole("button", { name: "Send with quick for 100 tokens" }).click();
    await page.getByText("2 / 2").waitFor();
    await answered(page);
    await balance(page, 50);
    assert.equal(await page.locator(".said").count(), 1);
  },

  async "a changed price is shown before it is paid"() {
    const server = await newServer(list(({ models }) => models.splice(1, 2)));
    const [ann, ben] = [await newUser("ann", { site: server.url }), await newUser("ben", { site: server.url })];
    const page = await chatPage(ann, { url: server.url });
    await page.locator(".composer-hint").getByText("An answer costs 100 tokens").waitFor();
    assert.equal(await picker(page).isVisible(), false, "there is nothing to choose");

    const admin = await adminPage(server, "#/prices");
    await admin.getByRole("link", { name: "Edit" }).click();
    await heading(admin, "Edit the prices");
    await card(admin, "quick").getByLabel("Tokens a message").fill("150");
    await save(admin);
    await admin.getByText("The prices have been saved.").waitFor();
    await heading(admin, "Prices");
    await admin.getByText("150 tokens a message").waitFor();
    // The functions read the list again after at most a minute.
    const isRefused = async () => (await ben.api("POST", "api/chat/", { message: "Hello!", model: "quick", max_cost: 100 })).status === 409;
    const isListed = async () => (await ben.api("GET", "api/models")).body.models[0].fare.message === 150;
    for (let tries = 0; !((await isRefused()) && (await isListed())); tries += 1) {
      assert(tries < 25, "the list is read again within a minute");
      await new Promise((done) => setTimeout(done, 3000));
    }

    const messages = sent(page);
    await say(page, "Hello!");
    const refusal = page.getByRole("alert");
    await refusal.getByText("The price has changed. This message costs 150 tokens now, not 100 tokens.").waitFor();
    await refusal.getByText("Nothing was charged, and your message is kept.").waitFor();
    assert.equal(await page.getByLabel("Your message").inputValue(), "Hello!");
    await page.locator(".composer-hint").getByText("An answer costs 150 tokens").waitFor();
    await heading(page, "What would you like to know?");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await answered(page);
    await balance(page, FIRST_GRANT - 150);
    assert.deepEqual(messages.map(({ max_cost }) => max_cost), [100, 150]);
    assert.notEqual(messages[0].key, messages[1].key);

    // The chosen model isn't offered any more.
    await page.route("**/api/chat/stream/", (route) => route.fulfill({ status: 400, json: { status: 400, code: "invalid_fields", detail: "The request is invalid.", errors: { model: ["No model has this name."] } } }), { times: 1 });
    await say(page, "And now?");
    await refusal.getByText("The model quick isn't offered any more. Choose another one.").waitFor();
    assert.equal(await page.getByLabel("Your message").inputValue(), "And now?");
  },

  async "a refused price doesn't replace the text in the box"() {
    const server = await newServer(LIST);
    const page = await chatPage(await newUser("ann", { site: server.url }), { url: server.url });
    await choose(page, "deep");
    const messages = sent(page);
    let go;
    const going = new Promise((done) => (go = done));
    await page.route("**/api/chat/stream/", async (route) => {
      await going;
      const { max_cost } = route.request().postDataJSON();
      await route.fulfill({ status: 409, json: { status: 409, code: "costs_more", detail: "This message costs more than max_cost allows.", cost: max_cost + 50, max_cost } });
    }, { times: 1 });
    await say(page, "Counted 10 0 10");
    await page.getByLabel("Your message").fill("and more");
    go();
    const turn = page.locator(".turn");
    await turn.getByText(/^This message may cost up to [\d,]+ tokens, but its price was shown as at most [\d,]+ tokens\./).waitFor();
    assert.equal(await page.getByLabel("Your message").inputValue(), "and more");
    const again = turn.getByRole("button", { name: /^Send for at most [\d,]+ tokens$/ });
    const now = number(await again.innerText());
    await again.click();
    await answered(page);
    assert.deepEqual([messages[1].max_cost, messages[1].model], [now, "deep"]);
    assert.notEqual(messages[0].key, messages[1].key);
  },

  async "an administrator edits the list and sees mistakes at fields"() {
    const server = await newServer(LIST);
    const page = await adminPage(server, "#/prices");
    await heading(page, "Prices");
    const [quick, deep] = await rows(page);
    assert.deepEqual(quick, ["quick Default", "openai", "100 tokens a message", "100 tokens USD 0.002", "unknown", "unknown", ""]);
    assert.deepEqual(deep.slice(0, 6), [
      "deep Slow, thorough",
      "openai:thinker openai",
      "Prompt 50,000 50 for 1,000 Cached 5,000 5 for 1,000 Answer 400,000 200 for 500",
      "250 tokens USD 0.005",
      "USD 0.00625",
      "−USD 0.00125 (−25%)",
    ]);
    await page.getByRole("link", { name: "Edit" }).click();
    await heading(page, "Edit the prices");
    assert.deepEqual(await names(page), ["quick", "deep", "vast"]);

    // The page finds these mistakes.
    const rate = card(page, "deep").getByLabel("Rate of the answer");
    await rate.fill("0.4");
    await card(page, "quick").getByLabel("Name").fill("");
    await save(page);
    await page.getByText("Please fill this in.").waitFor();
    assert.equal(await focused(page), "Name");
    await page.locator(".admin-cards > .card").first().getByLabel("Name").fill("quick");
    await save(page);
    await card(page, "deep").getByText("Enter a whole number, such as 50000.").waitFor();
    assert.equal(await focused(page), "Rate of the answer");
    await rate.fill("400,000");
    await card(page, "deep").getByText("500 model tokens cost 200 tokens.").waitFor();
    await card(page, "deep").getByText("The example costs 250 tokens (USD 0.005), the provider asks USD 0.00625, and −USD 0.00125 (−25%) is left.").waitFor();

    // The server finds these mistakes.
    await card(page, "deep").getByLabel("Answered by").fill("openai\nnobody:gpt");
    await page.getByLabel("Currency").fill("usd");
    await save(page);
    const via = card(page, "deep").locator(".field", { has: page.getByLabel("Answered by") }).locator(".field-error");
    await via.waitFor();
    assert.match(await via.innerText(), /.{5}/);
    assert.equal(await focused(page), "Answered by");
    assert.equal(await card(page, "deep").getByLabel("Answered by").getAttribute("aria-invalid"), "true");
    await card(page, "deep").getByLabel("Answered by").fill("openai");
    await page.getByLabel("Currency").fill("USD");

    // The rows move, and the first one is the default.
    await page.getByRole("button", { name: "Move up: deep" }).click();
    assert.deepEqual(await names(page), ["deep", "quick", "vast"]);
    assert.equal(await focused(page), "Move up: deep");
    await card(page, "deep").getByText("Default").waitFor();
    await page.getByRole("button", { name: "Remove: vast" }).click();
    await page.getByRole("button", { name: "Add a model" }).click();
    assert.equal(await focused(page), "Name");
    await page.keyboard.type("tiny");
    await card(page, "tiny").getByLabel("Answered by").fill("openai");
    await card(page, "tiny").getByLabel("Tokens a message").fill("1");
    await card(page, "tiny").getByLabel("Description").fill("For <b>small</b> questions");
    await card(page, "tiny").getByLabel("System prompt").fill("Answer in <b>one</b> word.");
    const prompt = page.getByRole("region", { name: "The AI" }).getByLabel("System prompt");
    await prompt.fill("x".repeat(8193));
    await save(page);
    await page.getByText("A system prompt has at most 8,192 bytes, and this one 8,193.").waitFor();
    assert.equal(await focused(page), "System prompt");
    await prompt.fill("Be kind.\nUse metres.");

    // The form is kept when the administrator opens another view.
    await page.getByRole("link", { name: "Audit log" }).click();
    await heading(page, "Audit log");
    await page.goBack();
    await heading(page, "Edit the prices");
    assert.deepEqual(await names(page), ["deep", "quick", "tiny"]);
    await save(page);
    await heading(page, "Prices");
    assert.deepEqual((await rows(page)).map(([name]) => name), ["deep Default Slow, thorough", "quick", "tiny For <b>small</b> questions"]);
    const shown = page.getByRole("region", { name: "System prompts" });
    assert.deepEqual(await shown.locator("dt").allInnerTexts(), ["All models", "Only tiny"]);
    assert.deepEqual(await shown.locator("dd").allInnerTexts(), ["Be kind.\nUse metres.", "Answer in <b>one</b> word."]);
    const { list: stored } = (await server.admin("GET", "api/admin/models")).body;
    assert.deepEqual([stored.system, ...stored.models.map(({ system }) => system)], ["Be kind.\nUse metres.", undefined, undefined, "Answer in <b>one</b> word."]);
    assert.deepEqual(stored.models.map(({ name, via, fare }) => [name, via, fare]), [
      ["deep", ["openai"], LIST.models[1].fare],
      ["quick", ["openai"], { message: 100 }],
      ["tiny", ["openai"], { message: 1 }],
    ]);
    assert.deepEqual([stored.currency, stored.models[0].most, stored.models[0].context, stored.models[0].cost], ["USD", 1500, 128_000, LIST.models[1].cost]);
  },

  async "two administrators don't overwrite each other's prices"() {
    const server = await newServer(LIST);
    const page = await adminPage(server, "#/prices/edit");
    await card(page, "quick").getByLabel("Tokens a message").fill("120");
    const { version } = (await server.admin("GET", "api/admin/models")).body;
    const newer = list(({ models }) => (models[0].fare.message = 130));
    assert.equal((await server.admin("PUT", "api/admin/models", { list: newer, version })).status, 200);
    await save(page);
    const conflict = page.getByRole("alert");
    await conflict.getByText(/^The price list was changed by you, .*, while you were editing\. Nothing was saved\.$/).waitFor();
    await conflict.getByText("Your changes stay here until you load the newer list.").waitFor();
    assert.equal(await card(page, "quick").getByLabel("Tokens a message").inputValue(), "120");
    assert.equal(await focused(page), "Load the newer list");
    await page.keyboard.press("Enter");
    await page.getByText("The newer price list has been loaded.").waitFor();
    assert.equal(await card(page, "quick").getByLabel("Tokens a message").inputValue(), "130");
    await card(page, "quick").getByLabel("Tokens a message").fill("140");
    // The API stores the list, but the reply is lost.
    let lost = 0;
    await page.route("**/api/admin/models", async (route) => {
      if (route.request().method() !== "PUT" || lost > 0) return route.continue();
      lost += 1;
      await route.fetch();
      return route.abort();
    });
    await save(page);
    await page.getByText("The server can't be reached.").waitFor();
    await save(page);
    await page.getByText("140 tokens a message").waitFor();
    assert.equal(lost, 1);

    // The audit log lists all versions, and they stay readable.
    await page.getByRole("link", { name: "History" }).click();
    await heading(page, "Audit log");
    assert.equal(await page.getByLabel("Action", { exact: true }).inputValue(), "prices");
    await page.locator("tbody tr").nth(1).waitFor();
    const acts = (await rows(page)).map(([, what, by, why]) => [what, by, why]);
    assert.deepEqual(acts.slice(0, 2).map(([what, by]) => [what, by]), [["Set the price list", "you"], ["Set the price list", "you"]]);
    for (const [, , why] of acts.slice(0, 2)) assert.match(why, /^Version [0-9a-f]{16}$/);
    await page.locator("tbody tr").nth(1).getByRole("link", { name: "price list" }).click();
    await heading(page, "Earlier price list");
    await page.getByText("130 tokens a message").waitFor();
    await page.getByText("It can't be changed.").waitFor();
    assert.equal(await page.getByRole("link", { name: "Edit", exact: true }).count(), 0);

    // A copy of an earlier version can be edited to make a new one.
    await page.getByRole("link", { name: "Edit a copy" }).click();
    await heading(page, "Edit the prices");
    assert.equal(await card(page, "quick").getByLabel("Tokens a message").inputValue(), "130");
    await save(page);
    await heading(page, "Prices");
    await page.getByText("130 tokens a message").waitFor();
    await page.goto(`${server.url}admin/#/prices?version=0000000000000000`);
    await heading(page, "Not found");

    await page.goto(`${server.url}admin/#/prices`);
    await page.getByRole("button", { name: "Remove the list" }).click();
    const dialog = page.getByRole("dialog");
    assert.equal(await focused(page), "Cancel");
    await dialog.getByRole("button", { name: "Remove the list" }).click();
    await page.getByText("The price list has been removed.").waitFor();
    await page.getByText("No price list", { exact: true }).waitFor();
    assert.equal((await server.admin("GET", "api/admin/models")).body.list, null);
    await page.getByRole("navigation", { name: "Administration" }).getByRole("link", { name: "Audit log" }).click();
    await page.getByText("Removed the price list").waitFor();
    await page.goto(`${server.url}admin/#/prices`);
    await page.getByRole("link", { name: "Create a price list" }).click();
    await heading(page, "Edit the prices");
    assert.deepEqual(await names(page), ["New model"]);
    await page.getByRole("button", { name: "Cancel" }).click();
    await heading(page, "Prices");
  },

  async "a server without a price list shows no picker"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const messages = sent(page);
    assert.equal(await picker(page).count(), 0);
    await page.locator(".composer-hint").getByText("An answer costs 100 tokens").waitFor();
    await say(page, "Hello!");
    await answered(page);
    assert.deepEqual(Object.keys(messages[0]).sort(), ["key", "message"]);
    assert.equal(await answer(page).locator("details").count(), 0);
    await answer(page).getByText(/^parrot · 100 tokens · /).waitFor();
    assert.equal((await ann.api("GET", "api/models")).body.version, null);
    const { body } = await ann.api("GET", "api/chat/");
    assert.equal(body[0].receipt, undefined);
  },

  async "a keyboard is enough to choose, send and read the price"() {
    const server = await newServer(LIST);
    const page = await chatPage(await newUser("ann", { site: server.url }), { url: server.url });
    assert.equal(await focused(page), "Your message");
    await page.keyboard.type("Counted 10 0 10");
    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "Model: quick");
    await page.keyboard.press("Enter");
    assert.match(await focused(page), /^quick/);
    await page.keyboard.press("ArrowDown");
    assert.match(await focused(page), /^deep/);
    await page.keyboard.press("Escape");
    assert.equal(await focused(page), "Model: quick");
    await page.keyboard.press("Enter");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    assert.equal(await focused(page), "Model: deep");
    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "Send");
    const described = await page.evaluate(() => document.getElementById(document.activeElement.getAttribute("aria-describedby")).textContent);
    assert.match(described, /^Usually about 250, at most [\d,]+ tokens$/);
    await page.keyboard.press("Enter");
    await answered(page);
    await answer(page).locator("summary").focus();
    await page.keyboard.press("Enter");
    await answer(page).getByText("tokens were held").waitFor();

    const admin = await adminPage(server, "#/prices/edit");
    await heading(admin, "Edit the prices");
    await admin.getByRole("button", { name: "Move down: quick" }).focus();
    await admin.keyboard.press("Enter");
    await admin.keyboard.press("Enter");
    assert.deepEqual(await names(admin), ["deep", "vast", "quick"]);
    assert.equal(await admin.getByRole("button", { name: "Move down: quick" }).getAttribute("aria-disabled"), "true");
    await admin.keyboard.press("Enter");
    assert.deepEqual(await names(admin), ["deep", "vast", "quick"]);
    await admin.keyboard.press("Tab");
    assert.equal(await focused(admin), "Remove: quick");
    await admin.keyboard.press("Enter");
    assert.deepEqual(await names(admin), ["deep", "vast"]);
    assert.match(await focused(admin), /^vast/);
  },

  async "visitors see what the price list sells"() {
    const first = (name) => list(({ models }) => models.sort((one) => (one.name === name ? -1 : 0)));
    const server = await newServer(first("deep"), { FIRST_GRANT: "500" });
    const page = await newPage();
    await page.goto(`${server.url}#/register`);
    await page.getByText("Includes 500 free tokens: about 2 answers of a usual length.").waitFor();
    const models = page.locator(".guest-models");
    await models.getByText("3 models and their prices").waitFor();
    assert.deepEqual((await models.getByRole("listitem").allInnerTexts()).map((text) => text.split(/\n+/)), [
      ["deep", "Slow, thorough", "Tokens per million model tokens: 50,000 for the prompt, 5,000 for the cached prompt, 400,000 for the answer"],
      ["quick", "100 tokens a message"],
      ["vast", "Tokens per million model tokens: 500,000 for the prompt, 50,000 for the cached prompt, 5,000,000 for the answer"],
    ]);
    await looksRight(page, "prices-door");
    const many = await newServer(list(({ models }) => models.push(...["a", "b", "c"].map((name) => ({ ...models[0], name })))), { FIRST_GRANT: "50" });
    await page.goto(`${many.url}#/register`);
    await page.getByText("Includes 50 free tokens.").waitFor();
    await models.getByText("6 models and their prices").waitFor();
    assert.equal(await models.getByRole("listitem").first().isVisible(), false);
    await models.getByText("6 models and their prices").click();
    await models.getByText("100 tokens a message").first().waitFor();
  },

  async "an operator's word replaces tokens, but not model tokens"() {
    const server = await newServer(LIST, { CURRENCY: "credits" });
    const ann = await newUser("ann", { site: server.url });
    const page = await newPage();
    await page.goto(server.url);
    await page.getByText("Every credit accounted for").waitFor();
    await page.getByRole("link", { name: "Create an account" }).click();
    await page.getByText("Includes 4,000 free credits").waitFor();
    await page.getByRole("link", { name: "Log in" }).click();
    await logIn(page, ann);
    await heading(page, "What would you like to know?");
    await page.getByRole("link", { name: "Balance: 4,000 credits" }).waitFor();
    await cost(page).getByText("100 credits", { exact: true }).waitFor();
    await choose(page, "deep");
    await say(page, "Counted 1000 200 500");
    await answered(page);
    assert.match(await answer(page).locator("summary").innerText(), /^deep · 241 credits · 1,000 prompt \(200 cached\) and 500 answer model tokens · /);
    for (const [place, sign] of [["#/statement", "tbody tr"], ["#/account/api-keys", ".example"], ["#/account/data", ".card-danger"], ["#/history", ".chat-row"]]) {
      await page.goto(server.url + place);
      await page.locator(sign).first().waitFor();
      const text = (await page.locator("body").innerText()).replaceAll("model tokens", "").replace("Buy more tokens in our shop.", "");
      assert.doesNotMatch(text, /\btokens?\b/i, place);
    }
    const admin = await adminPage(server, "#/prices");
    for (const [place, sign] of [["prices", "tbody tr"], ["prices/edit", ".admin-cards .card"], ["users", "tbody tr"], [`users/${ann.id}`, ".admin-balance"], [`users/${ann.id}/statement`, "tbody tr"], ["users/grants", "form"], ["figures", ".plot text"], ["chats", "summary"], ["trail", "tbody tr, .empty"]]) {
      await admin.goto(`${server.url}admin/#/${place}`);
      await admin.locator(sign).first().waitFor();
      assert.doesNotMatch((await admin.locator("body").innerText()).replaceAll("model tokens", ""), /\btokens?\b/i, place);
    }
  },

  async "the views of prices fit all windows and are accessible"() {
    const server = await newServer(list(({ models }) => (models[1].name = "a-very-long-name/of.a_model:with-as-many-letters-as-one-can-have")));
    const ann = await newUser("ann", { site: server.url });
    for (const colorScheme of ["light", "dark"]) {
      for (const width of [1280, 320]) {
        const look = { colorScheme, viewport: { width, height: width < 600 ? 640 : 800 } };
        const page = await chatPage(ann, { url: server.url, ...look });
        const shot = async (view) => {
          await looksRight(page, `prices-${view}-${width}-${colorScheme}`);
          await fillsWindow(page, view);
        };
        await shot("new");
        await picker(page).click();
        await choices(page).nth(2).waitFor();
        await shot("picker");
        await choices(page).nth(1).click();
        await page.getByLabel("Your message").fill("Counted 1000 200 500\n\nin several lines");
        await shot("typed");
        const send = await page.getByRole("button", { name: "Send", exact: true }).boundingBox();
        assert(send.x + send.width <= width && send.y + send.height <= look.viewport.height, JSON.stringify(send));
        await page.getByLabel("Your message").press("Enter");
        await answered(page);
        await shot("answer");
        await answer(page).locator("summary").click();
        await shot("receipt");
        await page.goto(`${server.url}#/statement`);
        await page.locator("tbody tr").first().waitFor();
        await shot("statement");
        await fitsItsBox(page.getByRole("region", { name: "Statement, newest first" }), "the statement");
        await page.goto(`${server.url}#/history`);
        await page.locator(".chat-row").first().waitFor();
        await shot("history");

        const admin = await adminPage(server, "#/prices", look);
        for (const [place, sign] of [["prices", "tbody tr"], ["prices/edit", ".admin-cards .card"], ["trail?act=prices", "tbody tr, .empty"], ["figures", ".plot text"]]) {
          await admin.goto(`${server.url}admin/#/${place}`);
          await admin.locator(sign).first().waitFor();
          await looksRight(admin, `prices-admin-${place.replaceAll(/\W/g, "-")}-${width}-${colorScheme}`);
          if (width < 600) for (const box of await admin.locator(".stacked:visible").all()) await fitsItsBox(box, place);
        }
        await admin.goto(`${server.url}admin/#/prices`);
        await admin.getByRole("button", { name: "Remove the list" }).click();
        await admin.getByRole("dialog").waitFor();
        await looksRight(admin, `prices-admin-question-${width}-${colorScheme}`);
        await admin.keyboard.press("Escape");
      }
    }
  },
});
