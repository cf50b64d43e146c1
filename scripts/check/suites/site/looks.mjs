// Checks every view of the chat page and of the documentation, in both colour schemes, wide and
// narrow. axe must find no fault, and the view must fit the window. Stores a screenshot of each.

import assert from "node:assert/strict";
import { SITE, fitsItsBox, journeys, looksRight, newPage, newUser } from "./lib/browser.mjs";
import { drawn, emptyBalance, stayLost } from "./lib/chatting.mjs";
import { visit } from "./lib/views.mjs";

const PLACES = {
  history: "#/history",
  search: "#/history?q=bus",
  statement: "#/statement",
  profile: "#/account",
  sessions: "#/account/sessions",
  keys: "#/account/api-keys",
  data: "#/account/data",
  nowhere: "#/nowhere",
};
const GUEST_VIEWS = {
  register: "#/register",
  forgotten: "#/forgotten-password",
  reset: "#/reset-password?token=x",
  verify: "#/verify-email?token=x",
  half: "#/verify-email",
};

const looks = (colorScheme, width) => async () => {
  const shot = (view) => looksRight(page, `${view}-${width}-${colorScheme}`);
  const page = await newPage({ colorScheme, viewport: { width, height: width < 600 ? 640 : 800 } });
  await page.goto(SITE);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("Please fill this in.").first().waitFor();
  await shot("log-in");
  for (const [view, place] of Object.entries(GUEST_VIEWS)) {
    await visit(page, SITE + place);
    // Wait for the link to another view: every view without a session has such a link.
    if (view === "half") await page.getByRole("link", { name: "Log in", exact: true }).waitFor();
    if (view === "reset") await page.getByRole("link", { name: "Back to the log-in" }).waitFor();
    await shot(view);
  }

  const ann = await newUser("ann", { email: `ann${Date.now().toString(36)}${width}${colorScheme}@example.com` });
  await ann.api("POST", "api/user/api-keys/", { name: "build server" });
  await page.goto(`${SITE}#/log-in`);
  await page.getByLabel("Username or e-mail address").fill(ann.name);
  await page.getByLabel("Password", { exact: true }).fill(ann.password);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "What would you like to know?" }).waitFor();
  await shot("new");

  const box = page.getByLabel("Your message");
  const answers = page.getByRole("button", { name: "Copy the answer" });
  for (const [index, message] of ["By bus or by bicycle?\nIt is 8 km.", "Markdown please"].entries()) {
    await box.fill(message);
    await page.keyboard.press("Enter");
    await answers.nth(index).waitFor();
  }
  await drawn(page);
  await shot("conversation");
  await page.getByRole("button", { name: "Regenerate the answer" }).last().click();
  await shot("regenerate");
  await page.getByRole("button", { name: "Regenerate for 100 tokens" }).click();
  await page.getByRole("group", { name: "Versions of this answer" }).getByText("2 / 2", { exact: true }).waitFor();
  await answers.nth(1).waitFor();
  await shot("versions");
  await box.press("ArrowUp");
  await page.getByLabel("Edit the message").waitFor();
  await shot("editing");
  const covers = await page.locator(".to-newest").evaluate((down) => {
    const was = down.hidden;
    down.hidden = false;
    const shown = down.checkVisibility();
    down.hidden = was;
    return shown;
  });
  assert.equal(covers, false, "the way to the newest message lies over the editor");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "More about this chat" }).click();
  await page.getByRole("button", { name: "Instructions", exact: true }).click();
  await page.getByLabel("How should the AI answer in this chat?").waitFor();
  await shot("instructions");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  const slow = `Slowly one two three four five six seven eight nine ten eleven twelve thirteen ${ann.name}`;
  await box.fill(slow);
  await page.keyboard.press("Enter");
  await page.getByText("You said: Slowly one").waitFor();
  await shot("answering");
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("You stopped this answer.").waitFor();
  await shot("stopped");

  // Use one route for both replies, because a request between two routes would reach the API.
  let reply = (route) =>
    route.fulfill({
      status: 402,
      json: { status: 402, code: "insufficient_tokens", detail: "You have 0 tokens. A message costs 100 tokens. Nothing was charged." },
    });
  await page.route("**/api/chat/stream/", (route) => reply(route));
  await emptyBalance(page);
  await box.fill("One too many");
  await page.keyboard.press("Enter");
  await page.getByText("You don't have enough tokens.").waitFor();
  await shot("out-of-tokens");
  assert.deepEqual(
    [await box.inputValue(), await box.evaluate((element) => element === document.activeElement)],
    ["One too many", true],
    "the message is back in its box",
  );
  await page.unroute("**/api/tokens/");
  await stayLost(page);
  reply = (route) => route.abort();
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Retry" }).waitFor();
  await shot("unreachable");
  // If a stopped answer can no longer be continued, nothing follows its note.
  const stopped = page.locator(".turn", { hasText: "You stopped this answer." }).locator(".note-body > p").first();
  assert.equal(await stopped.evaluate((sentence) => getComputedStyle(sentence).marginBottom), "0px");
  await page.unroute("**/api/chat/stream/");

  if (width < 600) {
    await page.getByRole("button", { name: "Chats" }).click();
    await shot("drawer");
    await page.keyboard.press("Escape");
  }
  await page.getByRole("button", { name: "Your account" }).click();
  await shot("menu");
  await page.keyboard.press("Escape");
  for (const [view, place] of Object.entries(PLACES)) {
    await visit(page, SITE + place);
    if (view === "search") {
      await page.locator(".chat-answer summary").first().click();
      await page.locator(".chat-answer[open] .prose > *").first().waitFor();
    }
    await shot(view);
    if (width < 600) await fitsNarrow(page, view);
  }
  await page.goto(`${SITE}#/account/api-keys`);
  await page.getByRole("button", { name: "New key" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("laptop");
  await page.getByRole("button", { name: "Create key" }).click();
  await page.getByLabel("API key", { exact: true }).waitFor();
  await shot("key");
  await page.getByText("Copy the key “laptop” now.").waitFor();
  await fitsItsBox(page.getByLabel("API key", { exact: true }), "the key");
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("button", { name: "Revoke laptop" }).click();
  await page.getByRole("dialog").waitFor();
  await shot("question");
};

const documentation = (colorScheme, width) => async () => {
  const shot = (view) => looksRight(page, `${view}-${width}-${colorScheme}`);
  const page = await newPage({ colorScheme, viewport: { width, height: width < 600 ? 640 : 800 } });
  await page.goto(`${SITE}docs/`);
  await page.getByRole("heading", { name: "Quickstart" }).waitFor();
  assert.equal(await page.locator(".topbar").getByRole("link", { name: "Administration" }).count(), 0);
  await shot("docs");
  await page.goto(`${SITE}docs/#/openai/completions`);
  await page.getByRole("heading", { name: "OpenAI", exact: true }).waitFor();
  await page.getByText("Fields of messages").first().click();
  await shot("docs-operation");
  await page.getByLabel("Search the API").fill("message");
  await shot("docs-search");
};

/** Checks the parts that would overflow first in a narrow window with a 15-pixel scrollbar. */
async function fitsNarrow(page, view) {
  const { width, height } = page.viewportSize();
  await page.setViewportSize({ width: width - 15, height });
  for (const strip of await page.locator(".tabs").all()) await fitsItsBox(strip, `the tabs of ${view}`);
  if (view === "statement") {
    await page.getByText("Totals by month").click();
    for (const name of ["Statement, newest first", "Totals by month, newest first"]) {
      const table = page.getByRole("region", { name });
      await table.locator("tbody tr").first().waitFor();
      await fitsItsBox(table, name);
    }
    const left = async (label) => (await page.getByLabel(label, { exact: true }).boundingBox()).x;
    assert.equal(await left("From"), await left("To"), "the days begin at the same place");
  }
  await page.setViewportSize({ width, height });
}

await journeys({
  "wide and light": looks("light", 1280),
  "wide and dark": looks("dark", 1280),
  "narrow and light": looks("light", 320),
  "narrow and dark": looks("dark", 320),
  "the documentation, wide and light": documentation("light", 1280),
  "the documentation, wide and dark": documentation("dark", 1280),
  "the documentation, narrow and light": documentation("light", 320),
  "the documentation, narrow and dark": documentation("dark", 320),
});
