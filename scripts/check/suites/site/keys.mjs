// Journeys of users who create, use and change API keys with free retries and limits, and of an
// administrator who sees them.

import assert from "node:assert/strict";
import { adminPage } from "./lib/administering.mjs";
import { SITE, ask, eventually, fetched, fitsItsBox, journeys, looksRight, newUser, replyTo } from "./lib/browser.mjs";
import { chatPage, focused, heading } from "./lib/chatting.mjs";
import { newServer } from "./lib/server.mjs";

const LIST = {
  models: [
    { name: "quick", via: ["openai"], fare: { message: 100 } },
    { name: "deep", via: ["openai"], fare: { message: 200 } },
  ],
};

const KEYS = "#/account/api-keys";

/** Opens a new user's API keys. Returns `{user, page}`. */
async function keysPage({ url = SITE, ...options } = {}) {
  const user = await newUser("ann", { site: url });
  const page = await chatPage(user, { url, place: KEYS, ...options });
  await heading(page, "API keys");
  return { user, page };
}

/** Opens the dialog for a new key, with this name and with the limits unfolded. */
async function newKey(page, name) {
  await page.getByRole("button", { name: "New key" }).click();
  const dialog = page.getByRole("dialog", { name: "New API key" });
  await dialog.getByLabel("Name", { exact: true }).fill(name);
  await dialog.locator("summary").click();
  return dialog;
}

const create = (dialog) => dialog.getByRole("button", { name: "Create key" }).click();

/** Reads the new key in the dialog, and closes the dialog. */
async function keyIn(dialog) {
  const key = await dialog.getByLabel("API key", { exact: true }).inputValue();
  await dialog.getByRole("button", { name: "Done" }).click();
  return key;
}

/** Opens the dialog that changes a key. */
async function changeKey(page, name) {
  await row(page, name)
    .getByRole("button", { name: `Change ${name}` })
    .click();
  return page.getByRole("dialog", { name: "Change the key" });
}

const save = (dialog) => dialog.getByRole("button", { name: "Save" }).click();

/** Returns a key's row in a list. */
const row = (page, name) => page.locator(".list > li").filter({ has: page.getByText(name, { exact: true }) });

/** Sends a message with a key, as a program does. Returns the reply's status and error code. */
async function message(key, { model = "any", site = SITE } = {}) {
  const { status, body } = await replyTo(ask("POST", "v1/chat/completions", { model, messages: [{ role: "user", content: "Hello!" }] }, key, site));
  return [status, body.error?.code];
}

/** Changes a field of every key in the lists that the page will read. */
async function pretend(page, path, change) {
  await page.route(path, async (route) => {
    if (route.request().method() !== "GET") return route.continue();
    const response = await fetched(route);
    return route.fulfill({ response, json: (await response.json()).map((key) => ({ ...key, ...change(key) })) });
  });
}

await journeys({
  async "a limited key stops at its limit and is renamed"() {
    const { user, page } = await keysPage();
    const dialog = await newKey(page, "build server");
    await dialog.getByLabel("Last day").fill("2099-03-31");
    await dialog.getByLabel("Token limit").fill("250");
    assert.equal(await dialog.getByRole("group", { name: "Models" }).count(), 0, "there is no price list");
    await looksRight(page, "keys-new");
    await create(dialog);
    const key = await keyIn(dialog);
    const shown = row(page, "build server");
    await shown.getByText("0 of 250 tokens in total", { exact: true }).waitFor();
    await shown.getByText("never used, expires on 31 Mar 2099").waitFor();

    assert.deepEqual(await message(key), [200, undefined]);
    assert.deepEqual(await message(key), [200, undefined]);
    assert.deepEqual(await message(key), [402, "insufficient_quota"]);
    await page.reload();
    await shown.getByText("200 of 250 tokens in total", { exact: true }).waitFor();
    await shown.getByText("last used today").waitFor();
    const meter = shown.getByRole("meter", { name: "Spent" });
    assert.deepEqual(await meter.evaluate(({ value, max }) => [value, max]), [200, 250]);
    await looksRight(page, "keys-limited");

    const renaming = await changeKey(page, "build server");
    assert.equal(await renaming.getByLabel("Name").inputValue(), "build server");
    await renaming.getByLabel("Name").fill("");
    await save(renaming);
    await renaming.getByText("Please fill this in.").waitFor();
    await renaming.getByLabel("Name").fill("test server");
    await looksRight(page, "keys-change");
    await page.keyboard.press("Enter");
    await row(page, "test server").getByText("200 of 250 tokens in total").waitFor();
    await eventually(() => focused(page), "Change test server");
    await shown.waitFor({ state: "detached" });
    await page.reload();
    await row(page, "test server").waitFor();

    const admin = await adminPage({ url: SITE }, `#/users/${user.id}`);
    const seen = row(admin, "test server");
    await seen.getByText("200 of 250 tokens in total").waitFor();
    await seen.getByText("last used today, expires on 31 Mar 2099").waitFor();
    assert.equal(await seen.getByRole("button", { name: /^Change/ }).count(), 0);
    await looksRight(admin, "keys-admin");
  },

  async "a key can make equal requests free"() {
    const { user, page } = await keysPage();
    const dialog = await newKey(page, "an editor");
    const equal = dialog.getByLabel("Charge equal requests within a minute once");
    assert.equal(await equal.isChecked(), false, "off by default");
    await dialog.getByText("such as opencode, Cline or Vercel's AI SDK").waitFor();
    await equal.check();
    await looksRight(page, "keys-retries");
    await create(dialog);
    const key = await keyIn(dialog);
    await row(page, "an editor").getByText("Equal requests within a minute are charged once").waitFor();
    const balance = async () => (await user.api("GET", "api/tokens/")).body.tokens;
    const before = await balance();
    for (let sent = 1; sent <= 2; sent += 1) assert.deepEqual(await message(key), [200, undefined]);
    assert.equal(before - (await balance()), 100);

    const other = await newKey(page, "an evaluation");
    await create(other);
    const plain = await keyIn(other);
    await other.waitFor({ state: "detached" });
    await row(page, "an evaluation").waitFor();
    for (let sent = 1; sent <= 2; sent += 1) assert.deepEqual(await message(plain), [200, undefined]);
    assert.equal(before - (await balance()), 300);
    assert.equal(await page.getByText("Equal requests within a minute").count(), 1);

    const admin = await adminPage({ url: SITE }, `#/users/${user.id}`);
    await row(admin, "an editor").getByText("Equal requests within a minute are charged once").waitFor();
  },

  async "errors appear at the fields that caused them"() {
    const { user, page } = await keysPage();
    const dialog = await newKey(page, "robot");
    const [day, tokens] = [dialog.getByLabel("Last day"), dialog.getByLabel("Token limit")];
    const error = (input) => input.locator("xpath=ancestor::*[contains(@class, 'field')][1]").locator(".field-error");
    await day.fill("2020-01-01");
    await tokens.fill("0");
    // An error unfolds the fields again.
    await dialog.locator("summary").click();
    await tokens.waitFor({ state: "hidden" });
    await create(dialog);
    await error(day).getByText("Enter today or a later day").waitFor();
    await error(tokens).getByText("This must be a whole number from 1 to").waitFor();
    assert.equal(await focused(page), "Last day");
    await looksRight(page, "keys-errors");
    await day.fill("2099-01-01");
    await error(day).waitFor({ state: "hidden" });
    await tokens.fill("many");
    await create(dialog);
    await error(tokens).getByText("This must be a whole number from 1 to").waitFor();
    assert.equal(await focused(page), "Token limit");

    // If the page ignored a day without a year, the key would never expire.
    await day.fill("");
    await day.press("0");
    await day.press("3");
    await tokens.fill("1,000");
    await create(dialog);
    await error(day).getByText("Please complete this.").waitFor();
    assert.deepEqual((await user.api("GET", "api/user/api-keys/")).body, []);
    await day.fill("");
    await dialog.getByLabel("Period").selectOption("Each month");
    await create(dialog);
    await keyIn(dialog);
    await row(page, "robot")
      .getByText(/^0 of 1,000 tokens this month, resets on 1 \w+ \d{4}$/)
      .waitFor();
  },

  async "too many limited keys are explained at the limit"() {
    const { user, page } = await keysPage();
    for (let count = 1; count <= 20; count += 1) {
      await user.api("POST", "api/user/api-keys/", { name: `program ${count}`, limit: { tokens: 100 } });
    }
    const dialog = await newKey(page, "one too many");
    await dialog.getByLabel("Token limit").fill("100");
    await create(dialog);
    await dialog.locator(".field").filter({ hasText: "Token limit" }).getByText("at most 20 API keys with a limit").waitFor();
    await dialog.getByLabel("Token limit").fill("");
    await create(dialog);
    await keyIn(dialog);
    await row(page, "one too many").waitFor();
    assert.equal(await row(page, "one too many").getByRole("meter").count(), 0);
  },

  async "a limit is raised, lowered and removed"() {
    const { user, page } = await keysPage();
    const { body } = await user.api("POST", "api/user/api-keys/", { name: "robot", limit: { tokens: 100, per: "month" } });
    await page.reload();
    const shown = row(page, "robot");
    const limit = async (typed) => {
      const dialog = await changeKey(page, "robot");
      await dialog.getByLabel("Token limit").fill(typed);
      await save(dialog);
      return dialog;
    };
    assert.deepEqual(await message(body.key), [200, undefined]);
    assert.deepEqual(await message(body.key), [402, "insufficient_quota"]);

    const wrong = await limit("many");
    await wrong.getByText("This must be a whole number from 1 to").waitFor();
    assert.equal(await focused(page), "Token limit");
    await looksRight(page, "keys-change-error");
    await wrong.getByLabel("Token limit").fill("1,000");
    await save(wrong);
    await shown.getByText("100 of 1,000 tokens this month").waitFor();
    assert.deepEqual(await message(body.key), [200, undefined]);

    await limit("150");
    await shown.getByText("200 of 150 tokens this month").waitFor();
    assert.deepEqual(await message(body.key), [402, "insufficient_quota"]);
    await looksRight(page, "keys-change-lowered");

    // A new name leaves a limit alone that another tab has changed.
    const renaming = await changeKey(page, "robot");
    await user.api("PATCH", `api/user/api-keys/${body.id}/`, { limit: { tokens: 500 } });
    await renaming.getByLabel("Name").fill("drone");
    await save(renaming);
    await row(page, "drone").getByText("200 of 500 tokens this month").waitFor();

    // A new limit leaves a name alone that another tab has changed.
    const limiting = await changeKey(page, "drone");
    await user.api("PATCH", `api/user/api-keys/${body.id}/`, { name: "copter" });
    await limiting.getByLabel("Token limit").fill("600");
    await save(limiting);
    await row(page, "copter").getByText("200 of 600 tokens this month").waitFor();

    // Without a change, the dialog closes without a request.
    const requests = [];
    page.on("request", (request) => requests.push(request.method()));
    const unchanged = await changeKey(page, "copter");
    await save(unchanged);
    await unchanged.waitFor({ state: "detached" });
    assert(!requests.includes("PATCH"), "nothing has changed");

    const removing = await changeKey(page, "copter");
    assert.equal(await removing.getByLabel("Token limit").inputValue(), "600");
    await removing.getByText("the limit is removed, and can't be set again").waitFor();
    await removing.getByLabel("Token limit").fill("");
    await page.keyboard.press("Enter");
    const question = page.getByRole("dialog", { name: "Remove the limit of “copter”?" });
    await looksRight(page, "keys-change-removal");
    await question.getByRole("button", { name: "Cancel" }).click();
    await question.waitFor({ state: "detached" });
    assert(!requests.includes("PATCH"), "the limit was removed without a confirmation");
    await save(removing);
    await question.getByRole("button", { name: "Remove" }).click();
    const free = row(page, "copter");
    await free.getByRole("meter").waitFor({ state: "detached" });
    await eventually(() => focused(page), "Change copter");
    assert.deepEqual(await message(body.key), [200, undefined]);
    const without = await changeKey(page, "copter");
    await without.getByLabel("Name").waitFor();
    assert.equal(await without.getByLabel("Token limit").count(), 0);
  },

  async "a limit that another tab has removed is explained"() {
    const { user, page } = await keysPage();
    const { body } = await user.api("POST", "api/user/api-keys/", { name: "robot", limit: { tokens: 100 } });
    await page.reload();
    const dialog = await changeKey(page, "robot");
    await dialog.getByLabel("Token limit").fill("200");
    await user.api("PATCH", `api/user/api-keys/${body.id}/`, { limit: null });
    await save(dialog);
    await dialog.locator(".field").filter({ hasText: "Token limit" }).getByText("This API key has no limit, and can't get one").waitFor();
    // The list shows the limit no longer.
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await row(page, "robot").getByRole("meter").waitFor({ state: "detached" });
  },

  async "a revoked key can't be changed"() {
    const { user, page } = await keysPage();
    const { body } = await user.api("POST", "api/user/api-keys/", { name: "laptop" });
    await page.reload();
    const changing = await changeKey(page, "laptop");
    await user.api("DELETE", `api/user/api-keys/${body.id}/`);
    await changing.getByLabel("Name").fill("desktop");
    await save(changing);
    await changing.getByRole("alert").waitFor();
    await looksRight(page, "keys-change-revoked");
    await changing.getByRole("button", { name: "Cancel" }).click();
    await page.getByText("No API keys").waitFor();
    await eventually(() => focused(page), "Your keys");
  },

  async "the focus stays in the list when a key is revoked"() {
    const { user, page } = await keysPage();
    await user.api("POST", "api/user/api-keys/", { name: "laptop" });
    await page.reload();
    await row(page, "laptop").getByRole("button", { name: "Revoke laptop" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByText("No API keys").waitFor();
    await eventually(() => focused(page), "Your keys");
  },

  async "a key restricted to a model refuses the others"() {
    const server = await newServer(LIST);
    const { user, page } = await keysPage({ url: server.url });
    const dialog = await newKey(page, "robot");
    const models = dialog.getByRole("group", { name: "Models" });
    await models.getByLabel("deep").check();
    // Pretend that an administrator has just removed the model from the price list.
    const refusal = { status: 400, code: "invalid_fields", detail: "The request is invalid.", errors: { models: ["There is no such model."] } };
    await page.route("**/api/user/api-keys/", (route) => route.fulfill({ status: 400, json: refusal }), { times: 1 });
    await create(dialog);
    await models.getByText("There is no such model.").waitFor();
    assert(await models.getByLabel("quick").evaluate((box) => box === document.activeElement));
    await looksRight(page, "keys-models");
    await create(dialog);
    const key = await keyIn(dialog);
    await row(page, "robot").getByText("Models: deep", { exact: true }).waitFor();
    assert.deepEqual(await message(key, { model: "deep", site: server.url }), [200, undefined]);
    assert.equal((await message(key, { model: "quick", site: server.url }))[0], 404);

    const admin = await adminPage(server, `#/users/${user.id}`);
    await row(admin, "robot").getByText("Models: deep", { exact: true }).waitFor();
  },

  async "an expired key and a reached limit are visible"() {
    const { user, page } = await keysPage({ timezoneId: "America/Los_Angeles" });
    await user.api("POST", "api/user/api-keys/", { name: "old server", expires: "2099-01-01", limit: { tokens: 100, per: "month" } });
    const now = new Date();
    const before = (days) => new Date(now - days * 86_400_000).toISOString().slice(0, 10);
    const change = ({ limit }) => ({ expires: "2020-03-31", last_used: before(1), limit: { ...limit, spent: 100, resets: "2099-12-01" } });
    await pretend(page, "**/api/user/api-keys/", change);
    await page.reload();
    const shown = row(page, "old server");
    await shown.getByText("Expired", { exact: true }).waitFor();
    // Days are shown in UTC, as in the API, even in time zones where the UTC day begins on the
    // previous local day.
    await shown.getByText("last used yesterday, expired on 31 Mar 2020").waitFor();
    await shown.getByText("100 of 100 tokens this month, resets on 1 Dec 2099", { exact: true }).waitFor();
    await looksRight(page, "keys-expired");
  },

  async "the keys fit all windows and are accessible"() {
    const long = "a-very-long-name/of.a_model:with-as-many-letters-as-one-can-have";
    const list = { models: [...LIST.models, { name: long, via: ["openai"], fare: { message: 1 } }] };
    const server = await newServer(list, { CURRENCY: "credits" });
    for (const colorScheme of ["light", "dark"]) {
      for (const width of [1280, 320]) {
        const look = { colorScheme, viewport: { width, height: width < 600 ? 640 : 800 } };
        const shot = (view, shown = page) => looksRight(shown, `keys-${view}-${width}-${colorScheme}`);
        const { user, page } = await keysPage({ url: server.url, ...look });
        await user.api("POST", "api/user/api-keys/", {
          name: "a program",
          models: ["deep", long],
          expires: "2099-12-31",
          limit: { tokens: 1_000_000_000, per: "month" },
        });
        const dialog = await newKey(page, "Nightly-build-".repeat(7));
        await shot("form");
        await fitsItsBox(dialog, "the form");
        await dialog.getByLabel("Last day").fill("2020-01-01");
        await dialog.getByLabel(long).check();
        await dialog.getByLabel("Credit limit").fill("0");
        await create(dialog);
        await dialog.getByText("This must be a whole number").waitFor();
        await shot("form-errors");
        await dialog.getByLabel("Last day").fill("2099-01-01");
        await dialog.getByLabel("Credit limit").fill("5");
        await create(dialog);
        const key = await keyIn(dialog);
        assert.deepEqual(await message(key, { model: long, site: server.url }), [200, undefined]);
        await pretend(page, "**/api/user/api-keys/", ({ name }) => (name === "a program" ? { expires: "2020-03-31" } : {}));
        await page.reload();
        await row(page, "a program").getByText("Expired", { exact: true }).waitFor();
        await page.getByText("1 of 5 credits in total").waitFor();
        await shot("list");
        await fitsItsBox(page.locator(".card").first(), "the keys");
        const changing = await changeKey(page, "a program");
        await changing.getByLabel("Credit limit").waitFor();
        await shot("change");
        await fitsItsBox(changing, "the form");
        await changing.getByRole("button", { name: "Cancel" }).click();
        const text = await page.locator("main").innerText();
        assert.doesNotMatch(text, /\btokens?\b/i);

        const admin = await adminPage(server, `#/users/${user.id}`, look);
        await admin.getByText("1 of 5 credits in total").waitFor();
        await row(admin, "a program").scrollIntoViewIfNeeded();
        await shot("admin", admin);
        await fitsItsBox(admin.getByRole("region", { name: "API keys" }), "the keys");
      }
    }
  },
});
