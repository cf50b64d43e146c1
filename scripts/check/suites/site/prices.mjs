// Journeys with a price list: users choose a model and pay for its usage, and administrators change
// prices. The server of the other journeys has no price list.

import assert from "node:assert/strict";
import { adminPage, rows } from "./lib/administering.mjs";
import { choose as attach, file, png, tray } from "./lib/attachments.mjs";
import { eventually, fetched, fitsItsBox, journeys, loaded, looksRight, newPage, newUser, replyTo } from "./lib/browser.mjs";
import { answer, answered, balance, chatPage, focused, heading, logIn, said, say, stayLost } from "./lib/chatting.mjs";
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
const most = async (page) => {
  await cost(page)
    .getByText(/at most/)
    .first()
    .waitFor();
  return number(/at most .*/.exec(await cost(page).innerText())[0]);
};
const picker = (page) => page.getByRole("button", { name: /^Model: / });
const choices = (page) => page.locator(".menu:popover-open .menu-item");

/** 105 bytes of text, which take about 22 model tokens. */
const SENTENCE = "The ferry to the island leaves every morning at seven, and the last one returns shortly before midnight. ";

/** The number of model tokens in an empty message, in a new chat without instructions. */
const overheadOf = async ({ api }, name = "deep") => (await api("GET", "api/models")).body.models.find((model) => model.name === name).usual_overhead;

/** The price of a message to `deep`. */
const price = (prompt, answer, output = 0.4) => Math.ceil(prompt * 0.05 + answer * output);

/**
 * Sends a message to `deep` whose counts the provider makes up. Checks what is charged, and that the
 * usual price before it is within a quarter of that.
 */
async function isPricedWell(page, prompt, answer) {
  const charge = price(prompt, answer);
  const isNear = (shown) => Math.abs(shown - charge) <= charge / 4;
  await page.getByLabel("Your message").fill(`Counted ${prompt} 0 ${answer}`);
  await eventually(async () => {
    const shown = await cost(page).innerText();
    return isNear(number(shown)) ? "near" : `${shown}, and ${charge} are charged`;
  }, "near");
  const before = await page.locator(".turn").count();
  await page.getByLabel("Your message").press("Enter");
  await page
    .locator(".turn")
    .nth(before)
    .getByText(`deep · ${charge.toLocaleString("en")} tokens · `)
    .waitFor();
  await answered(page);
}

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

/**
 * Refuses the page's next message as the API does if its rates are dearer than those in the list that
 * the page reads. Waits for `going` first.
 */
function raisePrice(page, going) {
  return page.route(
    "**/api/chat/stream/",
    async (route) => {
      await going;
      const { max_cost } = route.request().postDataJSON();
      await route.fulfill({
        status: 409,
        json: {
          status: 409,
          code: "costs_more",
          detail: "This message costs more than max_cost allows.",
          cost: max_cost + 50,
          prompt: 20,
          most: max_cost + 600,
          max_cost,
        },
      });
    },
    { times: 1 },
  );
}

/** Takes all but this many tokens from a user. */
function leave(server, { name }, tokens) {
  return server.manage("adjust", name, String(tokens - FIRST_GRANT), "--reason", "for a test");
}

/** Returns a model's card in the form for the price list. */
const card = (page, name) => page.locator(".admin-cards > .card").filter({ has: page.getByRole("heading", { name }) });
/** Returns a field by its whole label, which may say that the field is optional. */
const labelled = (place, label) => place.getByLabel(new RegExp(`^${label}( ?optional)?$`));
const names = (page) => page.locator(".admin-cards h2 > span:first-child").allInnerTexts();
const save = (page) => page.getByRole("button", { name: "Save the prices" }).click();
/** The table of the models in a list. */
const listed = (page) => page.getByRole("region", { name: "Models and their prices" });

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
  async "instructions say what they cost, by fare"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    const { body: travel } = await ann.api("POST", "api/folders/", { name: "Travel" });
    const { body: first } = await ann.api("POST", "api/chat/", { message: "Talk", folder_id: travel.id });
    const page = await chatPage(ann, { url: server.url });
    const TEXT = "Answer in French.";
    // The text, a mark before its line, and 160 bytes around it, at 0.05 and 0.5 tokens each.
    const [added, more] = [50_000, 500_000].map((rate) => Math.ceil(((TEXT.length + 2 + 160) * rate) / 1_000_000));
    const costs = page.getByText(
      `They add to the price of each message: nothing with quick, at most ${added} tokens with deep, at most ${more} tokens with vast.`,
    );
    const chat = `${server.url}#/c/${first.conversation_id}`;
    const openChat = async (name) => {
      await page.goto(`${server.url}#/history`);
      await heading(page, "History");
      await page.goto(chat);
      await heading(page, "Talk");
      if (name) await choose(page, name);
    };
    const openMenu = async (menu, label) => {
      await openChat();
      await menu.click();
      await page.getByRole("button", { name: "Instructions", exact: true }).click();
      return page.getByLabel(label);
    };
    const places = {
      async account() {
        await page.goto(`${server.url}#/account`);
        return page.getByLabel("How should the AI answer?");
      },
      chat: () => openMenu(page.locator(".thread-head").getByRole("button", { name: "More about this chat" }), "How should the AI answer in this chat?"),
      folder: () => openMenu(page.getByRole("button", { name: "More about the folder Travel" }), "How should the AI answer in this folder?"),
    };
    /** Saves the instructions, and waits for the reply: the page may still confirm the last ones. */
    const save = async (how) => {
      const saving = page.waitForResponse((response) => response.request().method() === "PATCH");
      await page
        .getByRole("button", { name: /^Save( instructions)?$/ })
        .last()
        .click();
      await (await saving).finished();
      await page
        .getByText(new RegExp(`^(Your|The) instructions .*have been ${how}\\.$`))
        .first()
        .waitFor();
    };
    for (const [place, open] of Object.entries(places)) {
      await openChat("quick");
      assert.equal(await cost(page).innerText(), "100 tokens");
      const box = await open();
      await box.fill(TEXT);
      await costs.waitFor();
      await save("saved");
      await openChat();
      assert.equal(await cost(page).innerText(), "100 tokens", place);
      await (await open()).fill("");
      await save("removed");

      await openChat("deep");
      const before = await most(page);
      await (await open()).fill(TEXT);
      await costs.waitFor();
      await save("saved");
      await openChat();
      // The page doesn't add the account's instructions. The API's bound leaves space for them.
      const more = (await most(page)) - before;
      if (place !== "account") assert(more === added || more === added - 1, `${place}: ${more} tokens`);
    }
  },

  async "instructions name no number twice if there are many models"() {
    const flat = (name) => ({ name, via: ["openai"], fare: { message: 100 } });
    const server = await newServer(list(({ models }) => models.push(flat("swift"), flat("brisk"))));
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    for (const [model, costs] of [
      ["vast", /They add to the price of each message: at most \d+ tokens with vast\./],
      ["quick", /They add to the price of each message: nothing with quick, at most \d+ tokens with any other model\./],
    ]) {
      await page.goto(server.url);
      await choose(page, model);
      await page.goto(`${server.url}#/account`);
      await page.getByLabel("How should the AI answer?").fill("Answer in French.");
      await page.getByText(costs).waitFor();
    }
  },

  async "a chosen model shows its price before and after the answer"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    const messages = sent(page);
    await page.getByRole("button", { name: "Model: quick", exact: true }).waitFor();
    await cost(page).getByText("100 tokens", { exact: true }).waitFor();
    await picker(page).click();
    // The usual price waits for the table of model tokens.
    await choices(page).nth(1).getByText("Usually about").waitFor();
    const shown = (await choices(page).allInnerTexts()).map((text) => text.split("\n").filter((line) => line !== "chosen"));
    assert.deepEqual(shown[0], ["quick", "100 tokens a message"]);
    assert.deepEqual(shown[1].slice(0, 2), ["deep", "Slow, thorough"]);
    // The known prompt, and an answer of 500 model tokens.
    const usual = price(await overheadOf(ann), 500);
    assert.match(shown[1][2], new RegExp(`^Usually about ${usual}, at most [\\d,]+ tokens$`));
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
    await page.waitForFunction(
      (now) => document.querySelector(".composer-cost").textContent.includes(now),
      (empty + (800 * 33 * 50_000) / 1e6).toLocaleString("en"),
    );

    await box.fill("Counted 1000 200 500");
    await page.waitForFunction((now) => document.querySelector(".composer-cost").textContent.includes(now), (empty + 1).toLocaleString("en"));
    const highest = await most(page);
    await box.press("Enter");
    await answered(page);
    assert.deepEqual(
      messages.map(({ model, max_cost }) => [model, max_cost]),
      [["deep", highest]],
    );
    const [
      {
        receipt: { held },
      },
    ] = (await ann.api("GET", "api/chat/")).body;
    assert(held <= highest, `${held} and ${highest}`);
    // 800 * 0.05 + 200 * 0.005 + 500 * 0.4
    const receipt = answer(page).locator(".turn-receipt");
    assert.match(await receipt.locator("summary").innerText(), /^deep · 241 tokens · 1,000 prompt \(200 cached\) and 500 answer model tokens · /);
    await balance(page, FIRST_GRANT - 241);
    await receipt.locator("summary").click();
    await receipt.getByText(`At most ${held.toLocaleString("en")} tokens were held until the answer was complete`).waitFor();
    await receipt.getByText("1,000 model tokens, 200 of them from the provider's cache").waitFor();
    await receipt.getByText("50,000 for the prompt, 5,000 for the cached prompt, 400,000 for the answer").waitFor();

    // The next prompt contains the conversation, which continues with its model.
    await page.waitForFunction((before) => !document.querySelector(".composer-cost").textContent.includes(before), empty.toLocaleString("en"));
    assert((await most(page)) > empty);
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
    assert.match(deep.slice(7).join(" | "), /^\$[\d.]+ \| \$[\d.]+ \| −?\$[\d.]+ \(−?[\d.,]+%\)$/);
  },

  async "a flat price has no counts of model tokens"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    await ann.api("POST", "api/chat/", { message: "Counted 1000 200 500", model: "quick" });
    const page = await chatPage(ann, { url: server.url, place: "#/statement" });
    await page.locator("tbody").getByText("· quick").waitFor();
    const admin = await adminPage(server, `#/users/${ann.id}/statement`);
    await admin.locator("tbody").getByText("· quick").waitFor();
    for (const shown of [page, admin]) assert.equal(await shown.getByText("model tokens").count(), 0);
    await admin.goto(`${server.url}admin/#/chats`);
    await admin.locator(".admin-chat-head").getByText("quick", { exact: true }).waitFor();
    assert.equal(await admin.getByText("model tokens").count(), 0);
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
    assert.deepEqual(
      messages.map(({ model, max_cost }) => [model, max_cost]),
      [["quick", 100]],
    );
    assert.match(await answer(page).locator("summary").innerText(), /^quick · 100 tokens · /);
    await balance(page, FIRST_GRANT - 100);
  },

  async "a chat continues with its model, and a new one with the last choice"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    const chat = async (message, model) => (await ann.api("POST", "api/chat/", { message, model })).body.conversation_id;
    const [quick, deep] = [await chat("One", "quick"), await chat("Two", "deep")];
    const page = await chatPage(ann, { url: server.url });
    const messages = sent(page);
    const open = (id) => page.goto(`${server.url}#/${id ? `c/${id}` : ""}`);
    const continues = (name) => page.getByRole("button", { name: `Model: ${name}`, exact: true }).waitFor();
    await continues("quick");
    await open(deep);
    await heading(page, "Two");
    await continues("deep");
    await page.locator(".composer-hint").getByText("Slow, thorough").waitFor();
    await open(quick);
    await heading(page, "One");
    await continues("quick");
    await cost(page).getByText("100 tokens", { exact: true }).waitFor();
    await open(null);
    await heading(page, "What would you like to know?");
    await continues("quick");
    await choose(page, "vast");
    await open(deep);
    await continues("deep");
    await choose(page, "quick");
    await open(quick);
    await heading(page, "One");
    await open(deep);
    await heading(page, "Two");
    await continues("quick");
    await say(page, "Three");
    await answered(page);
    assert.deepEqual(
      messages.map(({ model }) => model),
      ["quick"],
    );
    // After a reload, it is the model of the last message.
    await open(null);
    await heading(page, "What would you like to know?");
    await choose(page, "vast");
    await page.reload();
    await continues("vast");
    await open(deep);
    await continues("quick");
  },

  async "new versions show their price first and cost no more"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    await ann.api("PATCH", "api/user/profile/", { instructions: "Answer briefly.\nUse metres." });
    const page = await chatPage(ann, { url: server.url });
    const messages = sent(page);
    await choose(page, "deep");
    await say(page, "Counted 100 0 20");
    await answered(page);
    // 100 * 0.05 + 20 * 0.4
    await page.getByRole("button", { name: "Regenerate the answer" }).click();
    const again = page.getByRole("button", { name: /^Regenerate for about 1\d, at most [\d,]+ tokens$/ });
    const regenerated = number((await again.innerText()).split("at most")[1]);
    await again.click();
    await page.getByText("2 / 2").waitFor();
    await answered(page);
    assert.deepEqual(
      messages.map(({ max_cost }) => max_cost),
      [regenerated, regenerated],
    );

    await page.locator(".said").hover();
    await page.getByRole("button", { name: "Edit this message" }).click();
    const box = page.getByLabel("Edit the message");
    await box.fill(`Counted 100 0 20 ${"x".repeat(800)}`);
    const hint = page.locator(".edit .hint");
    const costs = [40, 41].map((more) => (regenerated + more).toLocaleString("en")).join("|");
    await hint.getByText(new RegExp(`^The new answer usually costs about \\d\\d, at most (${costs}) tokens\\. Your original message is kept\\.`)).waitFor();
    const edited = number((await hint.innerText()).split("at most")[1]);
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
    assert.deepEqual(
      chats.map(({ receipt }) => receipt.shortened),
      Array.from({ length: 6 }),
    );
    for (const [index, { receipt }] of chats.toReversed().entries())
      assert(receipt.held <= messages[index].max_cost, `${receipt.held} of ${messages[index].max_cost}`);
  },

  async "a repeated message keeps its model and price"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    const messages = sent(page);
    await choose(page, "deep");
    await stayLost(page);
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
    const usual = (tokens) =>
      cost(page)
        .getByText(new RegExp(`^Usually about ${tokens}, at most [\\d,]+ tokens$`))
        .waitFor();
    const overhead = await overheadOf(ann);
    await choose(page, "deep");
    await usual(price(overhead, 500));
    // The next prompt contains the last one, which was counted, and the last answer.
    await say(page, "Counted 1000 0 500");
    await usual("25[1-5]");
    // In one chat, the next answer is as long as its answers: 255 model tokens, the mean of 500 and 10.
    await say(page, "Counted 100 0 10");
    await balance(page, FIRST_GRANT - 250 - 9);
    await usual("1(0[7-9]|1[0-2])");
    // A new chat's prompt is short, and the browser remembers how long the answers were.
    await page.goto(server.url);
    await page.reload();
    await usual(price(overhead, 255));
    await picker(page).click();
    await choices(page)
      .filter({ hasText: new RegExp(`^deep.*Usually about ${price(overhead, 255)}, `) })
      .waitFor();
    await choices(page)
      .filter({ hasText: /^vast.*Usually about [1-9][\d,]*, / })
      .waitFor();
    await page.keyboard.press("Escape");

    // On another device, the account's messages count, but not those of its programs.
    const { body: made } = await ann.api("POST", "api/user/api-keys", { name: "a program" });
    await fetch(`${server.url}v1/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${made.key}` },
      body: JSON.stringify({ model: "deep", messages: [{ role: "user", content: "Counted 9 0 9" }] }),
    });
    const other = await newPage();
    const asked = [];
    other.on("request", (request) => asked.push(new URL(request.url()).pathname));
    await other.goto(server.url);
    await logIn(other, ann);
    await heading(other, "What would you like to know?");
    await choose(other, "deep");
    const isUsual = (tokens) => cost(other).getByText(`Usually about ${tokens}, `).waitFor();
    await isUsual(price(overhead, 255));
    const reads = () => asked.filter((path) => path === "/api/user/ledger/").length;
    assert.equal(reads(), 1);
    // The device remembers it.
    await other.reload();
    await isUsual(price(overhead, 255));
    await other.waitForLoadState("networkidle");
    assert.equal(reads(), 1);
    const record = await other.evaluate(() => Object.entries(localStorage).find(([name]) => name.startsWith("farebox.usual."))[1]);
    assert(record.length < 200, record);

    // The lengths of answers stay when the rates change.
    await server.admin("PUT", "api/admin/models", {
      list: list(({ models }) => (models[1].fare.output = 200_000)),
      version: (await server.admin("GET", "api/admin/models")).body.version,
    });
    const isListed = async () => (await ann.api("GET", "api/models")).body.models[1].fare.output === 200_000;
    for (let tries = 0; !(await isListed()); tries += 1) {
      assert(tries < 25, "the list is read again within a minute");
      await new Promise((done) => setTimeout(done, 3000));
    }
    await other.reload();
    await isUsual(price(overhead, 255, 0.2));

    // Another account has its own record.
    const ben = await newUser("ben", { site: server.url });
    await page.getByRole("button", { name: "Your account" }).click();
    await page.getByRole("button", { name: "Log out" }).click();
    await logIn(page, ben);
    await usual(price(overhead, 500, 0.2));
  },

  async "the usual price is near the charge, whatever was charged elsewhere"() {
    const server = await newServer(LIST);
    const [ann, ben, eve] = await Promise.all(["ann", "ben", "eve"].map((name) => newUser(name, { site: server.url })));
    const ask = (user, message, model, id) => user.api("POST", "api/chat/", { message, model, conversation_id: id });
    // Three short answers of `deep`, and then a chat of 25 KB with another model.
    for (let times = 0; times < 3; times += 1) await ask(ann, "Counted 20 0 2", "deep");
    const { body: long } = await ask(ann, SENTENCE.repeat(24), "quick");
    for (let times = 0; times < 4; times += 1) await ask(ann, SENTENCE.repeat(24), "quick", long.conversation_id);
    const page = await chatPage(ann, { url: server.url, place: `#/c/${long.conversation_id}` });
    await choose(page, "deep");
    await isPricedWell(page, 5300, 17);

    // Two messages with files in other chats, and then a text of 25 KB.
    for (let times = 0; times < 2; times += 1) await ask(ben, "Counted 27000 0 100", "deep");
    const other = await chatPage(ben, { url: server.url });
    await choose(other, "deep");
    await attach(other, file("ferries.txt", SENTENCE.repeat(240)));
    await isPricedWell(other, 5300, 100);
    // The counts of the chat's own prompt say what its next one takes.
    await isPricedWell(other, 5500, 100);

    // Short answers in one chat, and long ones in the next.
    for (let times = 0; times < 3; times += 1) await ask(eve, "Counted 20 0 2", "deep");
    const third = await chatPage(eve, { url: server.url });
    await choose(third, "deep");
    await say(third, "Counted 100 0 1200");
    await answer(third).getByText("deep · 485 tokens · ").waitFor();
    await isPricedWell(third, 1300, 1200);
    await isPricedWell(third, 2500, 1200);
  },

  async "a balance that covers the price is enough for a file"() {
    // The tokenizer of a model with this name is public.
    const server = await newServer(list(({ models }) => (models[1].via = ["openai:gpt-5"])));
    const ann = await newUser("ann", { site: server.url });
    // One and a half times the price of a text of 96 KB, whose highest price is several times as high.
    const charge = price(23_000, 100);
    await leave(server, ann, Math.ceil(1.5 * charge));
    const page = await chatPage(ann, { url: server.url });
    await choose(page, "deep");
    await attach(page, file("ferries.txt", SENTENCE.repeat(920)));
    await tray(page).getByRole("button", { name: "Remove ferries.txt" }).waitFor();
    await eventually(async () => (await most(page)) > 4 * charge, true);
    await page.getByText(`You have ${Math.ceil(1.5 * charge).toLocaleString("en")} tokens. An answer usually costs about 1,`).waitFor();
    await say(page, "Counted 23000 0 100");
    await answer(page)
      .getByText(`deep · ${charge.toLocaleString("en")} tokens · `)
      .waitFor();
    await balance(page, Math.ceil(1.5 * charge) - charge);
  },

  async "a picture usually costs what the account's pictures did"() {
    const server = await newServer(list(({ models }) => (models[1].picture = 4000)));
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    const add = async () => {
      await attach(page, file("tower.png", png()));
      await tray(page).getByRole("button", { name: "Remove tower.png" }).waitFor();
    };
    await choose(page, "deep");
    await add();
    // At first, a picture counts as the largest: 4,000 * 0.05, beside an answer of 500 * 0.4.
    await cost(page)
      .getByText(/^Usually about 4\d\d, /)
      .waitFor();
    await say(page, "Counted 600 0 100");
    await answer(page).getByText("deep · 70 tokens · ").waitFor();
    await page.goto(server.url);
    await heading(page, "What would you like to know?");
    await add();
    await isPricedWell(page, 600, 100);
  },

  async "other users' answers make the usual price of a new account"() {
    const server = await newServer(list(({ models }) => models.reverse()));
    const page = await newPage();
    await page.route("**/api/models", async (route) => {
      const response = await fetched(route);
      const reply = await response.json();
      reply.models.find(({ name }) => name === "deep").usual_answer = 95;
      await route.fulfill({ response, json: reply });
    });
    await page.goto(`${server.url}#/register`);
    // Visitors see the price of a prompt of 1,000 model tokens.
    await page
      .locator(".guest-models")
      .getByText(`Usually about ${price(1000, 95)} tokens an answer`)
      .waitFor();
    await page.getByRole("link", { name: "Log in" }).click();
    const ann = await newUser("ann", { site: server.url });
    await logIn(page, ann);
    await choose(page, "deep");
    await cost(page)
      .getByText(new RegExp(`^Usually about ${price(await overheadOf(ann), 95)}, at most [\\d,]+ tokens$`))
      .waitFor();
    // The account's own answers count more.
    await say(page, "Counted 1000 0 500");
    await cost(page)
      .getByText(/^Usually about 25[1-5], /)
      .waitFor();
  },

  async "prices are unknown until the price list is known"() {
    const server = await newServer(LIST, { CHAT_PRICE: "7" });
    const ann = await newUser("ann", { site: server.url });
    await leave(server, ann, 20);
    const page = await newPage();
    await page.route("**/api/models", (route) => route.fulfill({ status: 503, json: { status: 503, code: "unavailable", detail: "Try again." } }));
    await page.goto(server.url);
    await logIn(page, ann);
    await heading(page, "What would you like to know?");
    await page.locator(".composer-hint").getByText("Only answers cost tokens").waitFor();
    const link = page.getByRole("link", { name: "Balance: 20 tokens", exact: true });
    await link.waitFor();
    assert.equal(await link.getAttribute("title"), "Open your statement");
    assert.equal(
      await page
        .locator(".composer-notice")
        .getByText(/answer/)
        .count(),
      0,
    );
    await page.unroute("**/api/models");
    await page.reload();
    await cost(page).getByText("100 tokens", { exact: true }).waitFor();
    await page.getByText("You have 20 tokens. An answer costs 100.").waitFor();
  },

  async "notes about an answer by usage show its usual price"() {
    const server = await newServer(LIST);
    const [ann, ben] = [await newUser("ann", { site: server.url }), await newUser("ben", { site: server.url })];
    const page = await chatPage(ann, { url: server.url });
    await choose(page, "deep");
    await page.route("**/api/chat/stop/", (route) => route.abort());
    await say(page, `Slowly one two three ${ann.name}`);
    await page.locator(".turn .prose").getByText("one").waitFor();
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await page
      .locator(".turn .note")
      .getByText(/^The answer could not be stopped, and is still being generated and costs about [\d,]+, at most [\d,]+ tokens\.$/)
      .waitFor();
    // A refused message is offered with a cheaper model.
    await leave(server, ben, 320);
    const other = await chatPage(ben, { url: server.url });
    await choose(other, "vast");
    await say(other, "One too many");
    await other
      .getByRole("alert")
      .getByRole("button", { name: /^Send with deep for about [\d,]+, at most [\d,]+ tokens$/ })
      .waitFor();
  },

  async "a message is sent again for a raised price by usage"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    await choose(page, "deep");
    const messages = sent(page);
    await raisePrice(page);
    await say(page, "Counted 1000 0 500");
    const refusal = page.getByRole("alert");
    await refusal.getByText(/^The price has changed\. This message costs at most [\d,]+ tokens now, not at most [\d,]+ tokens\.$/).waitFor();
    const again = refusal.getByRole("button", { name: /^Send for at most [\d,]+ tokens$/ });
    const now = number(await again.innerText());
    assert.equal(now, messages[0].max_cost + 600);
    assert.equal(await most(page), now);
    await again.click();
    await answered(page);
    assert.deepEqual([messages[1].max_cost, messages[1].model], [now, "deep"]);
    await balance(page, FIRST_GRANT - 250);
  },

  async "a price above the balance is reported as too few tokens"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    await leave(server, ann, 300);
    const page = await chatPage(ann, { url: server.url });
    await choose(page, "deep");
    const messages = sent(page);
    // The API knows dearer rates than those in the list that the page reads. It compares the price
    // with max_cost before it reads the balance.
    let go;
    const going = new Promise((done) => (go = done));
    await page.route("**/api/chat/stream/", async (route) => {
      if (messages.length === 2) await going;
      const { max_cost } = route.request().postDataJSON();
      await route.fulfill({
        status: 409,
        json: { status: 409, code: "costs_more", detail: "This message costs more than max_cost allows.", cost: 1000, prompt: 970, most: 2100, max_cost },
      });
    });
    const short =
      "You don't have enough tokens. You have 300 tokens. This message needs at least 1,000, which is 700 more. Without its answer, it usually costs about 970.";
    await say(page, "One too many");
    const refusal = page.getByRole("alert");
    await refusal.getByText(short, { exact: true }).waitFor();
    await refusal.getByRole("link", { name: "See your statement" }).waitFor();
    await refusal.getByRole("button", { name: "Send with quick for 100 tokens" }).waitFor();
    assert.equal(await refusal.getByRole("button", { name: /^Send for/ }).count(), 0);
    assert.match(await cost(page).innerText(), /^Usually about 2\d\d, at most 2,100 tokens$/);

    // The user has written something else in the meantime.
    await page.reload();
    await cost(page)
      .getByText(/at most 6\d\d tokens$/)
      .waitFor();
    await say(page, "One too many");
    await page.locator(".turn .said").waitFor();
    await page.getByLabel("Your message").fill("and more");
    go();
    const turn = page.locator(".turn");
    await turn.getByText(short, { exact: true }).waitFor();
    await turn.getByRole("button", { name: "Retry" }).waitFor();
    // The page sends the highest price, although the balance is lower.
    assert.equal(messages[0].max_cost, messages[1].max_cost);
    assert(messages[0].max_cost > 600, `${messages[0].max_cost}`);
  },

  async "a balance that was raised elsewhere ends the warning"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    await choose(page, "deep");
    const shown = await most(page);
    await leave(server, ann, 50);
    await page.reload();
    const warning = page.getByText(/^You have 50 tokens\. An answer usually costs about 2\d\d, and a long one may be shortened\.$/);
    await warning.waitFor();
    // The price doesn't depend on the balance.
    assert.equal(await most(page), shown);
    await server.manage("adjust", ann.name, "1950", "--reason", "for a test");
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await balance(page, 2000);
    await warning.waitFor({ state: "detached" });
  },

  async "a balance for few usual answers is low"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    await choose(page, "deep");
    // 4,000 tokens are enough for several usual answers, although the longest would cost more.
    await page.getByLabel("Your message").fill("\ufdfa".repeat(2200));
    await cost(page)
      .getByText(/at most 4,[1-9]\d\d tokens$/)
      .waitFor();
    assert.equal(await page.locator(".composer-notice").getByText("You have").count(), 0);
    await leave(server, ann, 900);
    await page.reload();
    await page.getByLabel("Your message").fill("");
    await page.getByText(/^You have 900 tokens\. An answer usually costs about 2\d\d\.$/).waitFor();
  },

  async "a low balance shortens the answer, and the page says so"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    await leave(server, ann, 300);
    const page = await chatPage(ann, { url: server.url });
    await choose(page, "deep");
    await page.getByText(/^You have 300 tokens\. An answer usually costs about 2\d\d, and a long one may be shortened\.$/).waitFor();
    await cost(page)
      .getByText(/^Usually about 2\d\d, at most 6\d\d tokens$/)
      .waitFor();
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
    // The choice of the model shows the price at once; a letter shows it with the next frame.
    await page.getByLabel("Your message").fill("One too many");
    await choose(page, "vast");
    await page.getByText(/^You have 250 tokens\. An answer usually costs about 2,5\d\d, and a long one may be shortened\.$/).waitFor();
    // The page sends the message, and the refusal shows the API's numbers.
    const refused = page.waitForResponse("**/api/chat/stream/");
    await say(page, "One too many");
    const { cost: least, prompt, most: highest } = await (await refused).json();
    assert(prompt > 0 && prompt < least && least < highest, `${prompt}, ${least}, ${highest}`);
    const refusal = page.getByRole("alert");
    await refusal
      .getByText(
        `You don't have enough tokens. You have 250 tokens. This message needs at least ${least}, which is ${least - 250} more. Without its answer, it usually costs about ${prompt}.`,
        { exact: true },
      )
      .waitFor();
    assert.equal(await most(page), highest);
    await refusal.getByText("Nothing was charged, and your message is kept.").waitFor();
    await refusal.getByRole("link", { name: "Buy more tokens in our shop." }).waitFor();
    assert.equal(await page.getByLabel("Your message").inputValue(), "One too many");
    assert.equal(await refusal.getByRole("button", { name: /deep/ }).count(), 0, "it may cost more than the balance");
    await refusal.getByRole("button", { name: "Send with quick for 100 tokens" }).click();
    await answered(page);
    assert.equal(await page.locator(".said").count(), 1);
    assert.deepEqual(
      messages.map(({ model }) => model),
      ["vast", "quick"],
    );
    assert.equal(await picker(page).innerText(), "quick");
    await balance(page, 150);

    // After a refusal, a version is sent again as a version.
    await choose(page, "vast");
    await page.getByRole("button", { name: "Regenerate the answer" }).click();
    await page.getByRole("button", { name: /^Regenerate for about/ }).click();
    await refusal.getByRole("button", { name: "Send with quick for 100 tokens" }).click();
    await page.getByText("2 / 2").waitFor();
    await answered(page);
    await balance(page, 50);
    assert.equal(await page.locator(".said").count(), 1);
  },

  async "a refusal ends when the balance covers the message"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    await leave(server, ann, 50);
    const page = await chatPage(ann, { url: server.url });
    await say(page, "Too early");
    await page.getByRole("alert").getByText("You don't have enough tokens.").waitFor();
    await server.manage("adjust", ann.name, "20", "--reason", "not enough");
    const elsewhere = await newPage({ beside: page });
    await elsewhere.goto(server.url);
    await balance(page, 70);
    await page.getByRole("alert").getByText("You don't have enough tokens.").waitFor();
    await server.manage("adjust", ann.name, "100", "--reason", "enough");
    await elsewhere.reload();
    await page.getByText("Your balance covers your message now. Send it again.").waitFor();
    assert.equal(await page.getByText("You don't have enough tokens.").count(), 0);
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await answered(page);
    await balance(page, 70);
  },

  async "a message in another chat is sent for its own model's price"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    const { body: other } = await ann.api("POST", "api/chat/", { message: "The other", model: "deep" });
    const { body: flat } = await ann.api("POST", "api/chat/", { message: "The flat one", model: "quick" });
    const page = await chatPage(ann, { url: server.url, place: `#/c/${flat.conversation_id}` });
    const messages = sent(page);
    let go;
    const going = new Promise((done) => (go = done));
    await page.route("**/api/chat/stream/", async (route) => {
      if (messages.length > 1) return route.continue();
      await going;
      return route.fulfill({
        status: 409,
        json: { status: 409, code: "costs_more", detail: "This message costs more than max_cost allows.", cost: 150, max_cost: 100 },
      });
    });
    await say(page, "Asked here");
    await page.getByText("Thinking").waitFor();
    await page.goto(`${server.url}#/c/${other.conversation_id}`);
    await heading(page, "The other");
    await page.getByRole("button", { name: "Model: deep", exact: true }).waitFor();
    const refused = page.waitForResponse("**/api/chat/stream/");
    go();
    await refused;
    await page.goto(`${server.url}#/c/${flat.conversation_id}`);
    await heading(page, "The flat one");
    await page.getByRole("button", { name: "Model: quick", exact: true }).waitFor();
    await page.getByText("The price has changed. This message costs 150 tokens now, not 100 tokens.").waitFor();
    await page.getByRole("button", { name: "Send for 150 tokens" }).click();
    await said(page, "Asked here").waitFor();
    await answered(page);
    assert.deepEqual(
      messages.map(({ model, max_cost }) => [model, max_cost]),
      [
        ["quick", 100],
        ["quick", 150],
      ],
    );
  },

  async "a refusal in a long chat offers a new chat that costs less"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    const { body: long } = await ann.api("POST", "api/chat/", { message: "Once", model: "quick" });
    const story = "A long story. ".repeat(150);
    for (let part = 0; part < 6; part += 1) await ann.api("POST", "api/chat/", { message: story, model: "quick", conversation_id: long.conversation_id });
    await ann.api("POST", "api/chat/", { message: "Counted 1 0 1", model: "deep", conversation_id: long.conversation_id });
    const { tokens } = (await ann.api("GET", "api/tokens/")).body;
    await server.manage("adjust", ann.name, String(200 - tokens), "--reason", "for a test");
    const page = await chatPage(ann, { url: server.url });
    // The chat continues with its own model, and so does the new chat.
    await choose(page, "vast");
    await page.goto(`${server.url}#/c/${long.conversation_id}`);
    await heading(page, "Once");
    await say(page, "And then?");
    const refusal = page.getByRole("alert");
    await refusal.getByText("You don't have enough tokens.").waitFor();
    await looksRight(page, "prices-new-chat");
    const offer = refusal.getByRole("button", { name: /^Ask in a new chat for about \d, at most/ });
    const highest = number(/at most .*/.exec(await offer.innerText())[0]);
    await offer.click();
    await heading(page, "What would you like to know?");
    assert.equal(await page.getByLabel("Your message").inputValue(), "And then?");
    assert.equal(await picker(page).innerText(), "deep");
    assert.equal(await most(page), highest);
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await answered(page);
    await page.goBack();
    await page.getByRole("heading", { level: 1, name: "Once" }).waitFor();
    assert.equal(await page.getByLabel("Your message").inputValue(), "");
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
    const isRefused = async () => (await replyTo(ben.api("POST", "api/chat/", { message: "Hello!", model: "quick", max_cost: 100 }))).status === 409;
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
    await refusal.getByRole("button", { name: "Send for 150 tokens", exact: true }).click();
    await answered(page);
    await balance(page, FIRST_GRANT - 150);
    assert.deepEqual(
      messages.map(({ max_cost }) => max_cost),
      [100, 150],
    );
    assert.notEqual(messages[0].key, messages[1].key);

    // The chosen model isn't offered any more.
    await page.route(
      "**/api/chat/stream/",
      (route) =>
        route.fulfill({
          status: 400,
          json: { status: 400, code: "invalid_fields", detail: "The request is invalid.", errors: { model: ["No model has this name."] } },
        }),
      { times: 1 },
    );
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
    await raisePrice(page, going);
    await say(page, "Counted 10 0 10");
    await page.locator(".turn .said").waitFor();
    await page.getByLabel("Your message").fill("and more");
    go();
    const turn = page.locator(".turn");
    await turn.getByText(/^The price has changed\. This message costs at most [\d,]+ tokens now, not at most [\d,]+ tokens\./).waitFor();
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
    const [quick, deep] = await rows(listed(page));
    assert.deepEqual(quick, ["quick Default", "openai", "100 tokens a message", "100 tokens $0.002", "unknown", "unknown", ""]);
    assert.deepEqual(deep.slice(0, 6), [
      "deep Slow, thorough",
      "openai:thinker openai",
      "Prompt 50,000 50 for 1,000 Cached 5,000 5 for 1,000 Answer 400,000 200 for 500",
      "250 tokens $0.005",
      "$0.00625",
      "−$0.00125 (−25%)",
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
    await card(page, "deep").getByText("The example costs 250 tokens ($0.005), the provider asks $0.00625, and −$0.00125 (−25%) is left.").waitFor();

    // The server finds these mistakes.
    await card(page, "deep").getByLabel("Answered by").fill("openai\nnobody:gpt");
    await page.getByLabel("Currency").fill("usd");
    await save(page);
    const via = card(page, "deep")
      .locator(".field", { has: page.getByLabel("Answered by") })
      .locator(".field-error");
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
    assert.deepEqual(
      (await rows(listed(page))).map(([name]) => name),
      ["deep Default Slow, thorough", "quick", "tiny For <b>small</b> questions"],
    );
    const shown = page.getByRole("region", { name: "System prompts" });
    assert.deepEqual(await shown.locator("dt").allInnerTexts(), ["All models", "Only tiny"]);
    assert.deepEqual(await shown.locator("dd").allInnerTexts(), ["Be kind.\nUse metres.", "Answer in <b>one</b> word."]);
    const { list: stored } = (await server.admin("GET", "api/admin/models")).body;
    assert.deepEqual(
      [stored.system, ...stored.models.map(({ system }) => system)],
      ["Be kind.\nUse metres.", undefined, undefined, "Answer in <b>one</b> word."],
    );
    assert.deepEqual(
      stored.models.map(({ name, via, fare }) => [name, via, fare]),
      [
        ["deep", ["openai"], LIST.models[1].fare],
        ["quick", ["openai"], { message: 100 }],
        ["tiny", ["openai"], { message: 1 }],
      ],
    );
    assert.deepEqual([stored.currency, stored.models[0].most, stored.models[0].context, stored.models[0].cost], ["USD", 1500, 128_000, LIST.models[1].cost]);
  },

  async "a version of the price list names what it changed"() {
    const server = await newServer(LIST);
    const { body } = await server.admin("GET", "api/admin/models");
    const next = list((copy) => {
      const [quick, deep] = copy.models;
      quick.fare.message = 150;
      Object.assign(deep, { about: undefined, most: 2000, via: ["openai"] });
      copy.system = `Be kind. ${"x".repeat(300)}`;
      copy.models = [deep, quick, { name: "tiny", via: ["openai"], fare: { message: 1 } }];
    });
    await server.admin("PUT", "api/admin/models", { list: next, version: body.version });
    const page = await adminPage(server, "#/prices");
    const table = page.getByRole("region", { name: "What this version changed" });
    await page.getByText("What this version changed (8)").waitFor();
    assert.equal(await table.isVisible(), false, "the current list shows its changes on request");
    await page.getByText("What this version changed (8)").click();
    const changes = await rows(table);
    assert.deepEqual(changes, [
      ["All models", "order", "quick, deep", "deep, quick"],
      ["All models", "system", "none", `Be kind. ${"x".repeat(191)}…`],
      ["vast", "", "offered", "removed"],
      ["tiny", "", "", "added"],
      ["deep", "about", "Slow, thorough", "none"],
      ["deep", "most", "1,500", "2,000"],
      ["deep", "via", "openai:thinker, openai", "openai"],
      ["quick", "fare.message", "100", "150"],
    ]);
    await looksRight(page, "prices-changes");

    // The audit log leads to a version, which shows its changes at once.
    await page.getByRole("link", { name: "History" }).click();
    await page.getByRole("link", { name: "price list", exact: true }).first().click();
    await table.waitFor();
    assert.deepEqual(await rows(table), changes);
    await page.setViewportSize({ width: 320, height: 800 });
    await looksRight(page, "prices-changes-320");
    // The first version has changed nothing.
    await page.goto(`${server.url}admin/#/prices?version=${body.version}`);
    await heading(page, "Earlier price list");
    await page.waitForLoadState("networkidle");
    assert.equal(await table.count(), 0);
  },

  async "an administrator edits kinds, aliases, limits and cache rates"() {
    const server = await newServer(LIST);
    const page = await adminPage(server, "#/prices/edit");
    await heading(page, "Edit the prices");
    const deep = card(page, "deep");
    const fields = {
      Aliases: "claude-*\ngpt-5",
      "Answered by": "anthropic:claude-sonnet-5-5\nopenai",
      "Rate of a prompt written to the cache": "62,500",
      "Longest answer": "128000",
      Context: "200000",
      Picture: "4784",
      "Prompt, at most": "1048576",
      "Answer, at most": "131072",
      "Provider's price, written to the cache": "1.5625",
    };
    for (const [label, text] of Object.entries(fields)) await labelled(deep, label).fill(text);

    // A model for embeddings has only the fields that it needs.
    await page.getByRole("button", { name: "Add a model" }).click();
    await page.keyboard.type("vectors");
    const vectors = card(page, "vectors");
    await labelled(vectors, "Answers").selectOption("embedding");
    await vectors.getByLabel("Answered by").fill("openai:text-embedding-3-small");
    await labelled(vectors, "Price").selectOption("usage");
    for (const label of ["Rate of the answer", "Rate of a prompt written to the cache", "Longest answer", "Picture", "Answer, at most", "System prompt"])
      assert.equal(await labelled(vectors, label).isVisible(), false, label);
    await vectors.getByLabel("Rate of the prompt").fill("20");
    await vectors.getByLabel("Prompt, at most").fill("65536");
    await vectors.getByText("Default").waitFor();

    // The server finds these mistakes.
    await deep.getByLabel("Aliases").fill("quick");
    await deep.getByLabel("Longest answer").fill("262145");
    await save(page);
    const failed = (label) => deep.locator(".field", { has: labelled(page, label) }).locator(".field-error");
    await failed("Aliases").waitFor();
    assert.match(await failed("Aliases").innerText(), /.{5}/);
    assert.match(await failed("Longest answer").innerText(), /262,144/);
    assert.equal(await focused(page), "Aliases");
    await deep.getByLabel("Aliases").fill(fields.Aliases);
    await deep.getByLabel("Longest answer").fill(fields["Longest answer"]);
    await save(page);
    await heading(page, "Prices");

    const { list: stored } = (await server.admin("GET", "api/admin/models")).body;
    const [, one, , other] = stored.models;
    assert.deepEqual(one, {
      ...LIST.models[1],
      aliases: ["claude-*", "gpt-5"],
      via: ["anthropic:claude-sonnet-5-5", "openai"],
      fare: { ...LIST.models[1].fare, write: 62_500 },
      most: 128_000,
      context: 200_000,
      picture: 4784,
      prompt_limit: 1_048_576,
      answer_limit: 131_072,
      cost: { ...LIST.models[1].cost, write: "1.5625" },
    });
    assert.deepEqual(
      [other.name, other.kind, other.via, other.fare.input, other.prompt_limit],
      ["vectors", "embedding", ["openai:text-embedding-3-small"], 20, 65_536],
    );
    const shown = await rows(page);
    assert.match(shown[1][0], /^deep Also claude-\*, gpt-5/);
    assert.match(shown[1].join(" "), /62,500/);
    assert.match(shown[3][0], /^vectors Default Embeddings/);

    // The form shows what was stored, and removes what is cleared.
    await page.getByRole("link", { name: "Edit", exact: true }).click();
    await heading(page, "Edit the prices");
    assert.equal(await card(page, "deep").getByLabel("Aliases").inputValue(), fields.Aliases);
    assert.equal(await labelled(card(page, "vectors"), "Answers").inputValue(), "embedding");
    for (const label of ["Aliases", "Rate of a prompt written to the cache", "Prompt, at most", "Answer, at most", "Provider's price, written to the cache"])
      await labelled(card(page, "deep"), label).fill("");
    await card(page, "deep").getByLabel("Answered by").fill("openai");
    await save(page);
    await heading(page, "Prices");
    const { list: cleared } = (await server.admin("GET", "api/admin/models")).body;
    assert.deepEqual(cleared.models[1], { ...LIST.models[1], via: ["openai"], most: 128_000, context: 200_000, picture: 4784 });
  },

  async "an administrator previews an edited list as users see it"() {
    const server = await newServer(LIST);
    const page = await adminPage(server, "#/prices/edit");
    await card(page, "quick").getByLabel("Tokens a message").fill("40");
    await card(page, "deep").getByLabel("Description").fill("Slower, and better");
    await page.getByRole("button", { name: "Preview" }).click();
    const dialog = page.getByRole("dialog", { name: "Preview of the prices" });
    await dialog.locator(".admin-offers > li").nth(2).waitFor();
    const offers = await dialog.locator(".admin-offers > li").allInnerTexts();
    assert.match(offers[0], /^quick\s+40 tokens a message$/);
    assert.match(offers[1], /^deep\s+Slower, and better\s+Usually about 2\d\d, at most [\d,]+ tokens$/);
    await dialog.getByText(`Includes ${FIRST_GRANT.toLocaleString("en")} free tokens: about ${FIRST_GRANT / 40} answers.`).waitFor();
    await dialog.getByText("3 models and their prices").waitFor();
    await page.setViewportSize({ width: 1280, height: 400 });
    await dialog.getByRole("button", { name: "Close", exact: true }).last().click();
    await page.getByRole("button", { name: "Preview" }).click();
    await dialog.locator(".admin-offers > li").nth(2).waitFor();
    assert.equal(await dialog.evaluate((element) => element.scrollTop + element.querySelector(".dialog-body").scrollTop), 0, "opens at its title");
    await page.setViewportSize({ width: 1280, height: 800 });
    await looksRight(page, "prices-preview");
    await dialog.getByRole("button", { name: "Close", exact: true }).last().click();
    assert.equal((await server.admin("GET", "api/admin/models")).body.list.models[0].fare.message, 100);

    // The preview's highest price is the one that a new chat shows.
    await card(page, "deep").getByLabel("Description").fill("Slow, thorough");
    await save(page);
    await heading(page, "Prices");
    const chat = await chatPage(await newUser("ann", { site: server.url }), { url: server.url });
    await picker(chat).click();
    await choices(chat).nth(1).getByText("at most").waitFor();
    const [, most] = /at most ([\d,]+) tokens/.exec(await choices(chat).nth(1).innerText());
    const number = (text) => Number(text.replaceAll(",", ""));
    const [, previewed] = /at most ([\d,]+) tokens/.exec(offers[1]);
    const rate = LIST.models[1].fare.input;
    // The preview's message has 1,000 bytes, and the box is empty.
    assert.equal(number(previewed) - number(most), Math.round((1000 * rate) / 1e6), `${previewed} and ${most}`);

    await card(page, "quick").waitFor({ state: "detached" });
    await page.goto(`${server.url}admin/#/prices/edit`);
    await page.getByRole("button", { name: "Cancel" }).click();
    await heading(page, "Prices");
    await page.goto(`${server.url}admin/#/prices/edit`);
    await card(page, "quick").getByLabel("Tokens a message").fill("41");
    await page.getByRole("button", { name: "Cancel" }).click();
    const question = page.getByRole("dialog", { name: "Discard the changes?" });
    await question.getByRole("button", { name: "Cancel" }).click();
    assert.equal(await card(page, "quick").getByLabel("Tokens a message").inputValue(), "41");
    await page.getByRole("button", { name: "Cancel" }).click();
    await question.getByRole("button", { name: "Discard" }).click();
    await heading(page, "Prices");
    await page.goto(`${server.url}admin/#/prices/edit`);
    assert.equal(await card(page, "quick").getByLabel("Tokens a message").inputValue(), "40");
    await page.getByRole("button", { name: "Add a model" }).click();
    await page.getByRole("button", { name: "Preview" }).click();
    await page.getByText("Enter the name and the price of every model first.").waitFor();

    // Unsaved changes have a way back, and the browser asks before they are lost.
    await page.goto(`${server.url}admin/#/prices`);
    await page.getByText("Your changes to the prices aren't saved.").waitFor();
    await page.getByRole("link", { name: "Go on editing" }).click();
    await card(page, "quick").waitFor();
    const asked = [];
    page.once("dialog", (dialog) => {
      asked.push(dialog.type());
      return dialog.accept();
    });
    await page.reload();
    await card(page, "quick").waitFor();
    assert.deepEqual(asked, ["beforeunload"]);
  },

  async "the chosen model's name is whole at a zoom of 400 %"() {
    const name = "claude-sonnet-4-5-20250929";
    const server = await newServer(list(({ models }) => (models[0].name = name)));
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url, viewport: { width: 320, height: 256 } });
    const shown = picker(page).getByText(name, { exact: true });
    await shown.waitFor();
    const cut = await shown.evaluate((text) => [text.scrollWidth - text.clientWidth, text.scrollHeight - text.clientHeight]);
    assert.deepEqual(cut, [0, 0]);
    await looksRight(page, "prices-picker-320");
  },

  async "the table of prices is whole at every width"() {
    const server = await newServer(list(({ models }) => (models[1].name = "a-very-long-name/of.a_model:with-as-many-letters-as-one-can-have")));
    const page = await adminPage(server, "#/prices");
    const table = page.getByRole("region", { name: "Models and their prices" });
    await table.waitFor();
    for (const width of [320, 480, 640, 768, 769, 820, 1024, 1152, 1280, 1366, 1440, 1441, 1600, 1920]) {
      await page.setViewportSize({ width, height: 900 });
      await fitsItsBox(table, `prices at ${width}`);
      if ([768, 1024, 1441].includes(width)) await looksRight(page, `prices-table-${width}`);
    }
  },

  async "statistics show costs and margins by model and user, and what is owed"() {
    const server = await newServer(LIST);
    const ann = await newUser("ann", { site: server.url });
    for (const message of ["Counted 1000 0 500", "Counted 1000 0 500"]) {
      await ann.api("POST", "api/chat/", { message, model: "deep" });
    }
    await server.manage("census");
    const page = await adminPage(server, "#/figures");
    const users = page.getByRole("region", { name: "Cost and value of each user" });
    await users.waitFor();
    const models = page.getByRole("region", { name: "Use of each model" });
    await eventually(async () => (await rows(models)).map((cells) => [cells[0], ...cells.slice(-3)]), [["deep", "$0.0125", "$0.01", "−$0.0025 (−25%)"]]);
    await eventually(() => rows(users), [[ann.name, "2", "500", "$0.0125", "$0.01", "−$0.0025 (−25%)"]]);
    const accounts = page.getByRole("region", { name: "All accounts" });
    await accounts.locator("p", { hasText: /^13,500 tokens outstanding, worth \$0\.27 at list price\./ }).waitFor();
    const said = (name) => page.getByRole("slider", { name }).getAttribute("aria-valuetext");
    await eventually(() => said(/^Cost and value by day/), /: \$0\.01 value at list price, \$0\.0125 cost, so far$/);
    await eventually(() => said(/^Margin by day/), /: −\$0\.0025 margin, so far$/);
    // The axis shows the currency.
    await page.locator(".plot text").getByText("$0.01", { exact: true }).first().waitFor();
    await page.getByText("The same numbers as a table").click();
    const days = page.getByRole("region", { name: "Statistics day by day" });
    await eventually(async () => (await rows(days))[0].slice(-3), ["$0.0125", "$0.01", "−$0.0025"]);
    await days.getByRole("button", { name: "Margin" }).click();
    assert.equal((await rows(days)).at(-1).at(-1), "−$0.0025", "the lowest margin");
    await looksRight(page, "prices-figures");
    await page.setViewportSize({ width: 390, height: 800 });
    await fitsItsBox(days, "costs of days");
    await fitsItsBox(users, "costs of users");
    await looksRight(page, "prices-figures-390");

    // Large numbers and the navigation fit at usual widths.
    await page.route("**/api/admin/figures/*", async (route) => {
      const reply = await fetched(route);
      const figures = await reply.json();
      const count = 123_456_789;
      const counts = { chats: 1_234_567, tokens: count, prompt_tokens: count, cached_tokens: count, written_tokens: count, completion_tokens: count };
      Object.assign(figures.costs.models[0], counts, { model: "claude-sonnet-4-5-20250929", cost: "947.9975", income: "1237.4175" });
      return route.fulfill({ response: reply, json: figures });
    });
    await page.reload();
    await models.getByText("$289.42 (23.4%)").waitFor();
    const nav = page.getByRole("navigation", { name: "Administration" });
    for (const width of [1024, 1280, 1366, 1440, 1920]) {
      await page.setViewportSize({ width, height: 800 });
      await fitsItsBox(nav, `navigation at ${width}`);
      if (width >= 1280) await fitsItsBox(models, `models at ${width}`);
    }
    await page.setViewportSize({ width: 1280, height: 800 });
    await looksRight(page, "prices-figures-1280");
  },

  async "two administrators don't overwrite each other's prices"() {
    const server = await newServer(LIST);
    const page = await adminPage(server, "#/prices/edit");
    await card(page, "quick").getByLabel("Tokens a message").fill("120");
    const { version } = (await server.admin("GET", "api/admin/models")).body;
    const newer = list(({ models }) => (models[0].fare.message = 130));
    await server.admin("PUT", "api/admin/models", { list: newer, version });
    await save(page);
    const conflict = page.getByRole("alert");
    await conflict.getByText(/^The price list was changed by you, .*, while you were editing\. Nothing was saved\.$/).waitFor();
    await conflict.getByText("Your changes stay here until you load the newer list.").waitFor();
    assert.equal(await card(page, "quick").getByLabel("Tokens a message").inputValue(), "120");
    await eventually(() => focused(page), "Load the newer list");
    await page.keyboard.press("Enter");
    await page.getByText("The newer price list has been loaded.").waitFor();
    await eventually(() => card(page, "quick").getByLabel("Tokens a message").inputValue(), "130");
    await card(page, "quick").getByLabel("Tokens a message").fill("140");
    // The API stores the list, but the reply is lost.
    let lost = 0;
    await page.route("**/api/admin/models", async (route) => {
      if (route.request().method() !== "PUT" || lost > 0) return route.continue();
      lost += 1;
      await fetched(route);
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
    assert.deepEqual(
      acts.slice(0, 2).map(([what, by]) => [what, by]),
      [
        ["Set the price list", "you"],
        ["Set the price list", "you"],
      ],
    );
    for (const [, , why] of acts.slice(0, 2)) assert.match(why, /^Version [0-9a-f]{16}$/);
    await page.locator("tbody tr").nth(1).getByRole("link", { name: "price list" }).click();
    await heading(page, "Earlier price list");
    await page.getByText("130 tokens a message").waitFor();
    await page.getByText("This version isn't in force. It can't be changed.").waitFor();
    assert.equal(await page.getByRole("link", { name: "Edit", exact: true }).count(), 0);

    // A copy of an earlier version can be edited to make a new one. Before unsaved changes to the
    // prices are lost, the page asks.
    const earlier = page.url();
    await page.goto(`${server.url}admin/#/prices/edit`);
    await card(page, "quick").getByLabel("Tokens a message").fill("150");
    const copies = async (answer) => {
      await page.goto(earlier);
      await page.getByRole("link", { name: "Edit a copy" }).click();
      await page.getByRole("dialog", { name: "Discard the changes?" }).getByRole("button", { name: answer }).click();
      await heading(page, "Edit the prices");
    };
    await copies("Cancel");
    assert.equal(await card(page, "quick").getByLabel("Tokens a message").inputValue(), "150");
    await copies("Discard");
    assert.equal(await card(page, "quick").getByLabel("Tokens a message").inputValue(), "130");
    await save(page);
    await heading(page, "Prices");
    await page.getByText("130 tokens a message").waitFor();
    const { version: latest } = (await server.admin("GET", "api/admin/models")).body;
    await page.goto(`${server.url}admin/#/prices?version=${latest}`);
    await page.getByText("This version is in force.").waitFor();
    await page.goto(`${server.url}admin/#/prices?version=0000000000000000`);
    await heading(page, "Not found");

    await page.goto(`${server.url}admin/#/prices`);
    await page.getByRole("button", { name: "Remove the list" }).click();
    const dialog = page.getByRole("dialog");
    await eventually(() => focused(page), "Cancel");
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
    await page.locator(".composer-hint").getByText("An answer costs 100 tokens").waitFor();
    assert.equal(await picker(page).count(), 0);
    await say(page, "Hello!");
    await answered(page);
    assert.deepEqual(Object.keys(messages[0]).sort(), ["key", "message"]);
    await answer(page)
      .getByText(/^parrot · 100 tokens · /)
      .waitFor();
    assert.equal(await answer(page).locator("details").count(), 0);
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
    assert.equal(await focused(page), "Add files");
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
    assert.match(described, /^Usually about 2\d\d, at most [\d,]+ tokens$/);
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
    await eventually(
      async () => (await models.getByRole("listitem").allInnerTexts()).map((text) => text.split(/\n+/)),
      [
        [
          "deep",
          "Slow, thorough",
          "Usually about 250 tokens an answer",
          "Tokens per million model tokens: 50,000 for the prompt, 5,000 for the cached prompt, 400,000 for the answer",
        ],
        ["quick", "100 tokens a message"],
        [
          "vast",
          "Usually about 3,000 tokens an answer",
          "Tokens per million model tokens: 500,000 for the prompt, 50,000 for the cached prompt, 5,000,000 for the answer",
        ],
      ],
    );
    await looksRight(page, "prices-register");
    const many = await newServer(
      list(({ models }) => models.push(...["a", "b", "c"].map((name) => ({ ...models[0], name })))),
      { FIRST_GRANT: "50" },
    );
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
    for (const [place, sign] of [
      ["#/statement", "tbody tr"],
      ["#/account/api-keys", ".example"],
      ["#/account/data", ".card-danger"],
      ["#/history", ".chat-row"],
    ]) {
      await page.goto(server.url + place);
      await page.locator(sign).first().waitFor();
      await loaded(page);
      const text = (await page.locator("body").innerText()).replaceAll("model tokens", "").replace("Buy more tokens in our shop.", "");
      assert.doesNotMatch(text, /\btokens?\b/i, place);
    }
    const admin = await adminPage(server, "#/prices");
    for (const [place, sign] of [
      ["prices", "tbody tr"],
      ["prices/edit", ".admin-cards .card"],
      ["users", "tbody tr"],
      [`users/${ann.id}`, ".admin-balance"],
      [`users/${ann.id}/statement`, "tbody tr"],
      ["users/grants", "form"],
      ["figures", ".plot text"],
      ["chats", "summary"],
      ["trail", "tbody tr, .empty"],
    ]) {
      await admin.goto(`${server.url}admin/#/${place}`);
      await admin.locator(sign).first().waitFor();
      await loaded(admin);
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
        for (const [place, sign] of [
          ["prices", "tbody tr"],
          ["prices/edit", ".admin-cards .card"],
          ["trail?act=prices", "tbody tr, .empty"],
          ["figures", ".plot text"],
        ]) {
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
