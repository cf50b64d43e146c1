// Journeys through pages that were opened before an update and load their remaining files after it.
// The pages are from COMMIT, the last commit without folders in `site/`. The function `site` serves
// its files from functions/src/pages/before.json. To record them again:
//
//     git archive COMMIT site | python3 -c 'import json, sys, tarfile; tar = tarfile.open(fileobj=sys.stdin.buffer, mode="r|")
//     json.dump({each.name[5:]: tar.extractfile(each).read().decode() for each in tar if each.isfile() and each.name.count("/") == 1}, sys.stdout, ensure_ascii=False, indent=0)'

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { SITE, journeys, newPage, newUser } from "./browser.mjs";
import { answer, answered, balance, heading, say, signIn } from "./chatting.mjs";

const BEFORE = JSON.parse(await readFile(path.join(import.meta.dirname, "../../../../functions/src/pages/before.json"), "utf8"));

/** A page as an earlier release served it, and the files that it has loaded. */
async function oldPage(place, file) {
  const page = await newPage();
  const loaded = [];
  page.on("response", (response) => {
    const { pathname } = new URL(response.url());
    if (pathname.startsWith("/assets/")) loaded.push({ pathname, caching: response.headers()["cache-control"] });
  });
  const body = BEFORE[file].replaceAll("assets/", "assets/0123456789abcdef/");
  const serve = async (route) => route.fulfill({ response: await route.fetch(), body });
  await page.route(SITE + place, serve, { times: 1 });
  await page.goto(SITE + place);
  return { page, loaded };
}

/**
 * Checks that a page has loaded these files, no file of the current pages, and one session. The page names its files, because Playwright may miss a
 * reply while the route of `oldPage` ends.
 */
async function areOld(page, loaded, ...names) {
  const paths = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname));
  const assets = new Set(paths.filter((pathname) => pathname.startsWith("/assets/")));
  const files = [...assets].map((pathname) => /^\/assets\/0123456789abcdef\/([^/]+)$/.exec(pathname)?.[1] ?? pathname);
  assert.deepEqual(files.filter((file) => file.includes("/")), []);
  assert.deepEqual(names.filter((name) => !files.includes(name)), []);
  assert.deepEqual(loaded.filter(({ caching }) => caching !== "no-store"), []);
  assert.equal(files.filter((file) => file === "api.js").length, 1);
}

await journeys({
  async "a chat page from before an update keeps its session"() {
    const ann = await newUser("ann");
    const { page, loaded } = await oldPage("", "chat.html");
    await signIn(page, ann);
    await heading(page, "What would you like to know?");
    await balance(page, 4000);
    await say(page, "Raw It is $x^2$.\n\n```js\nreturn 1;\n```");
    await answer(page).locator("math").waitFor();
    await answer(page).locator(".code-keyword").waitFor();
    await answered(page);
    await balance(page, 3900);
    await page.getByLabel("Search chats and messages").fill("return");
    await page.locator(".sidebar mark").first().waitFor();
    await page.getByLabel("Search chats and messages").press("Escape");
    await page.getByRole("button", { name: "More about this message" }).click();
    await page.getByRole("button", { name: "Delete this message" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("The message has been deleted.").waitFor();
    for (const [place, name] of [["history", "History"], ["statement", "Statement"], ["account/sessions", "Sessions"], ["account/api-keys", "API keys"], ["account/data", "Your data"], ["account", "Profile"]]) {
      await page.evaluate((hash) => (location.hash = hash), `#/${place}`);
      await heading(page, name);
      await balance(page, 3900);
    }
    await page.getByLabel("First name").fill("Ann");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("Your name has been saved.").waitFor();
    // The files loaded later share the page's session, profile and messages.
    assert.equal(await page.locator(".toasts").count(), 1);
    await page.getByRole("button", { name: "Your account: Ann", exact: true }).waitFor();
    await areOld(page, loaded, "find.js", "delete-message.js", "account-data.js", "prose.css", "highlight.min.mjs", "markdown-it.esm.min.mjs", "temml.min.mjs", "stix-two-math.css");

    await page.getByRole("button", { name: "Your account" }).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await heading(page, "Sign in");
    await signIn(page, ann);
    await balance(page, 3900);

    const script = page.locator("script[type=module]");
    assert(!(await script.getAttribute("src")).endsWith("/chat/page.js"));
    await page.reload();
    await balance(page, 3900);
    assert((await script.getAttribute("src")).endsWith("/chat/page.js"));
  },

  async "an administration page from before an update keeps working"() {
    const ann = await newUser("ann");
    await ann.api("POST", "api/chat/", { message: "Hello!" });
    const { page, loaded } = await oldPage("admin/", "admin.html");
    await signIn(page, { name: process.env.ADMIN, password: process.env.ADMIN_PASSWORD });
    await heading(page, "Users");
    await page.evaluate((hash) => (location.hash = hash), `#/users/${ann.id}`);
    await heading(page, ann.name);
    await page.getByText("3,900").first().waitFor();
    await areOld(page, loaded, "admin-user.js", "admin.css");
  },

  async "a documentation page from before an update is complete"() {
    const { page, loaded } = await oldPage("docs/", "docs.html");
    await page.getByRole("button", { name: "Send the AI a message" }).first().waitFor();
    // The button may appear before the last style is loaded.
    await page.waitForLoadState("networkidle");
    await areOld(page, loaded, "docs.css", "swagger-ui.css", "swagger-ui-bundle.js");
  },
});
