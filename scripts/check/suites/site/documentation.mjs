// Journeys through the documentation: the quickstart, the sections, the search, and requests that
// are sent from the page.

import assert from "node:assert/strict";
import { SITE, ask, eventually, fetched, journeys, looksRight, newPage, newUser } from "./lib/browser.mjs";
import { focused, heading, logIn } from "./lib/chatting.mjs";

const [PRICE, FIRST_GRANT] = [100, 4000];

/** The part of an endpoint in its section's view. */
const endpoint = (page, name) => page.getByRole("region", { name, exact: true }).first();

async function documentation(place = "", options = {}) {
  const page = await newPage(options);
  await page.goto(`${SITE}docs/${place}`);
  await page.locator("h1").waitFor();
  return page;
}

await journeys({
  async "the quickstart is in the chosen language"() {
    const page = await documentation();
    await heading(page, "Quickstart");
    const first = page.getByRole("region", { name: "A message with OpenAI's SDKs, curl" });
    await first.getByText(`${SITE}v1/chat/completions`).waitFor();
    await page.getByRole("button", { name: "Python" }).first().click();
    await page.getByText(`base_url="${SITE}v1"`).waitFor();
    await page.getByText("pip install anthropic").waitFor();
    await eventually(() => focused(page), "Python");
    await page.reload();
    await page.getByText("pip install openai").waitFor();
    await page.getByText("Web pages from this origin").waitFor();
  },

  async "sections and endpoints have addresses"() {
    const page = await documentation("#/conversations");
    await heading(page, "Conversations");
    const contents = page.getByRole("navigation", { name: "Documentation" });
    await contents.getByRole("link", { name: "Read a conversation" }).click();
    await page.waitForURL(/#\/conversations\/conversation$/);
    const title = page.getByRole("heading", { name: "Read a conversation", exact: false }).first();
    await contents.locator("[aria-current]", { hasText: "Read a conversation" }).waitFor();
    await eventually(() => title.evaluate((element) => Math.abs(element.getBoundingClientRect().top) < 200), true, "the endpoint is in view");
    // Releases before 0.20.0 wrote the section's name.
    await page.goto(`${SITE}docs/#/API%20keys/api_keys`);
    await heading(page, "API keys");
    await eventually(() => page.title(), /^List API keys/);
  },

  async "the search finds endpoints by all words and fields"() {
    const page = await documentation();
    await page.keyboard.press("/");
    const box = page.getByRole("searchbox", { name: "Search the API" });
    await box.fill("message delete");
    const found = page.locator(".docs-found");
    await found.getByText("DELETE /api/chat/{id}").waitFor();
    await box.fill("max_completion_tokens");
    await found.getByText("POST /v1/chat/completions").first().waitFor();
    await page.keyboard.press("Enter");
    await heading(page, "OpenAI");
    await box.fill("nothing-has-this");
    await page.getByText("Nothing contains these words.").waitFor();
  },

  async "fields, limits and failures are shown"() {
    const page = await documentation("#/openai/completions");
    const view = endpoint(page, "Send the AI a message in OpenAI's format");
    await view.getByText("Needs an API key or an access token.").waitFor();
    await view.getByText("The maximum number of tokens in the answer. -1 means no limit.").waitFor();
    await view.getByText("Fields of messages").first().click();
    await view.getByText("role", { exact: true }).first().waitFor();
    await view.getByText("Failures").click();
    await view.locator("dt").filter({ hasText: "402" }).waitFor();
  },

  async "requests are sent with the session and name their costs"() {
    const ann = await newUser("ann");
    const page = await documentation("#/accounts/profile");
    const profile = endpoint(page, "Read the profile");
    await profile.getByRole("button", { name: "Try it" }).click();
    await profile.getByText("You aren't logged in.").waitFor();
    await profile.getByRole("link", { name: "Log in" }).click();
    await logIn(page, ann);
    await heading(page, "What would you like to know?");

    await page.goto(`${SITE}docs/#/accounts/profile`);
    await profile.getByRole("button", { name: "Try it" }).click();
    await profile.getByText("It costs nothing and changes nothing.").waitFor();
    await profile.getByRole("button", { name: "Send the request" }).click();
    await profile.getByText(ann.name).first().waitFor();
    await profile.locator(".docs-status").getByText("200").waitFor();

    await page.goto(`${SITE}docs/#/chat/chat`);
    const chat = endpoint(page, "Send the AI a message");
    await chat.getByRole("button", { name: "Try it" }).click();
    await chat.getByText(`It costs at least ${PRICE} tokens`).waitFor();
    const body = chat.getByLabel("Request body (JSON)");
    assert.deepEqual(JSON.parse(await body.inputValue()), { message: "Hello!" });
    await body.fill("{");
    await chat.getByRole("button", { name: "Send the request" }).click();
    await chat.getByText("This isn't JSON.").waitFor();
    await body.fill('{"message": "Hello!"}');
    await chat.getByRole("button", { name: "Send the request" }).click();
    await chat.locator(".docs-status").getByText("200").waitFor();
    await chat.locator(".docs-reply").getByText("You said: Hello!").first().waitFor();
    assert.equal((await ann.api("GET", "api/tokens/")).body.tokens, FIRST_GRANT - PRICE);

    await page.goto(`${SITE}docs/#/sessions/session_end`);
    const end = endpoint(page, "End a session");
    await end.getByRole("button", { name: "Try it" }).click();
    await end.getByRole("button", { name: "Send the request" }).click();
    await end.getByText("Please fill this in.").waitFor();
    await end.getByLabel("id").fill("00000000-0000-7000-8000-000000000000");
    await end.getByRole("button", { name: "Send the request" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Send the request" }).click();
    await end.locator(".docs-status").getByText("404").waitFor();
  },

  async "a price that can't be read isn't named"() {
    const page = await newPage();
    await page.goto(`${SITE}#/log-in`);
    await logIn(page, await newUser("ann"));
    await heading(page, "What would you like to know?");
    await page.route(/\/api\/models\/?$/, (route) => route.fulfill({ status: 503, json: { code: "unavailable", detail: "Try again." } }));
    await page.goto(`${SITE}docs/#/chat/chat`);
    const chat = endpoint(page, "Send the AI a message");
    await chat.getByRole("button", { name: "Try it" }).click();
    await chat.getByText("It costs tokens, taken from your balance.").waitFor();
  },

  async "a paid request whose reply was lost is charged only once"() {
    const ann = await newUser("ann");
    const page = await newPage();
    await page.goto(`${SITE}#/log-in`);
    await logIn(page, ann);
    await heading(page, "What would you like to know?");
    await page.goto(`${SITE}docs/#/chat/chat`);
    const chat = endpoint(page, "Send the AI a message");
    await chat.getByRole("button", { name: "Try it" }).click();
    const keys = [];
    await page.route(/\/api\/chat\/?$/, async (route) => {
      if (route.request().method() !== "POST") return route.continue();
      keys.push(route.request().headers()["idempotency-key"]);
      if (keys.length > 1) return route.continue();
      await fetched(route);
      return route.abort();
    });
    const send = chat.getByRole("button", { name: "Send the request" });
    await send.click();
    await chat.getByText("The server can't be reached.").waitFor();
    await send.click();
    await chat.locator(".docs-status").getByText("200").waitFor();
    const left = async () => (await ann.api("GET", "api/tokens/")).body.tokens;
    assert.equal(await left(), FIRST_GRANT - PRICE);

    // A changed body is another request, and so is the same one after its reply.
    await chat.getByLabel("Request body (JSON)").fill('{"message": "Again"}');
    for (const spent of [2, 3]) {
      const [reply] = await Promise.all([page.waitForResponse((one) => one.request().method() === "POST" && one.url().includes("/api/chat")), send.click()]);
      assert.equal(reply.status(), 200);
      await chat.locator(".docs-status").getByText("200").waitFor();
      await chat.locator(".docs-reply").getByText("You said: Again").first().waitFor();
      assert.equal(await left(), FIRST_GRANT - spent * PRICE);
    }
    assert.equal(keys[0], keys[1]);
    assert.equal(new Set(keys).size, 3);
    assert(
      keys.every((key) => /^[0-9a-f]{32}$/.test(key)),
      keys.join(),
    );
  },

  async "the page needs no session and fits a phone"() {
    for (const [colorScheme, width] of [
      ["light", 1280],
      ["dark", 1280],
      ["light", 390],
      ["light", 320],
    ]) {
      const page = await documentation("#/chat", { colorScheme, viewport: { width, height: 800 } });
      await heading(page, "Chat");
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `${width}`);
      await looksRight(page, `docs-section-${width}-${colorScheme}`);
    }
    await ask("GET", "api/openapi.json");
  },
});
