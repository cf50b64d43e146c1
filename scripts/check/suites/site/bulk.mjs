// Journeys of an administrator who selects users in the list and changes them together.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { adminPage, rows } from "./lib/administering.mjs";
import { SITE, eventually, journeys, looksRight, newUser, replyTo, watchAnnouncements } from "./lib/browser.mjs";
import { heading, logIn } from "./lib/chatting.mjs";

const FIRST_GRANT = 4000;

/** Creates users, and opens the list of these users. */
async function someUsers(count, options) {
  const mark = `sel${Date.now().toString(36)}${Math.random().toString(36).slice(2, 6)}`;
  const users = [];
  for (let index = 0; index < count; index += 1) users.push(await newUser(`${mark}${index}x`, { email: `${mark}${index}@example.com` }));
  const page = await adminPage({ url: SITE }, `#/users?q=${mark}`, options);
  await page.getByRole("checkbox", { name: `Select ${users[0].name}` }).waitFor();
  return { page, users, mark };
}

const act = (page, name) => page.getByRole("group", { name: "Selected users" }).getByRole("link", { name }).click();
const preview = (page) => page.getByRole("region", { name: "Preview" });
const balanceOf = async (user) => (await user.api("GET", "api/tokens/")).body.tokens;

await journeys({
  async "selected users get tokens once each"() {
    const { page, users } = await someUsers(3);
    await page.getByRole("checkbox", { name: "Select all shown" }).check();
    await page.getByText("3 users selected", { exact: true }).waitFor();
    await page.getByRole("checkbox", { name: `Select ${users[2].name}` }).uncheck();
    await page.getByText("2 users selected", { exact: true }).waitFor();
    await looksRight(page, "bulk-selection");
    await act(page, "Grant tokens");
    await heading(page, "Grant tokens to users");
    await page.getByLabel("Tokens for each user").fill("none");
    await page.getByRole("textbox", { name: "Reason" }).fill("A gift");
    await page.getByRole("button", { name: "Preview" }).click();
    await page.getByText("Enter a whole number other than 0.").waitFor();
    await page.getByLabel("Tokens for each user").fill("1,000");
    await page.getByRole("button", { name: "Preview" }).click();
    await preview(page).getByRole("heading", { name: "2 of 2 users ready" }).waitFor();
    const chosen = async () => (await rows(preview(page))).map(([user]) => user).sort();
    await eventually(
      chosen,
      users.slice(0, 2).map(({ name, email }) => `${name} ${email}`),
    );
    await looksRight(page, "bulk-grant");
    await preview(page).getByRole("button", { name: "Grant +2,000 tokens to 2 users" }).click();
    await preview(page).getByRole("heading", { name: "2 of 2 users done." }).waitFor();
    assert.deepEqual(await Promise.all(users.map(balanceOf)), [FIRST_GRANT + 1000, FIRST_GRANT + 1000, FIRST_GRANT]);

    await page.getByRole("button", { name: "Preview" }).click();
    await preview(page).getByRole("heading", { name: "0 of 2 users ready" }).waitFor();
    await preview(page).getByText("2 users got this grant before, with the same reason, and don't get it again.").waitFor();
    await page.goto(`${SITE}admin/#/users/bulk?act=sessions`);
    await page.getByText("No users are selected").waitFor();
    await page.goto(`${SITE}admin/#/trail?act=adjustment`);
    await page.getByText("Gave 1,000 tokens to").nth(1).waitFor();
  },

  async "selected users are deactivated, and failures are listed and continued"() {
    const { page, users, mark } = await someUsers(3, { viewport: { width: 390, height: 800 } });
    await page.getByRole("checkbox", { name: "Select all shown" }).check();
    await act(page, "Deactivate");
    await heading(page, "Deactivate users");
    await eventually(async () => (await rows(preview(page))).map((cells) => cells.slice(2)), Array(3).fill(["Active", "Deactivated", "Ready"]));
    await looksRight(page, "bulk-deactivate-390");
    const path = `**/api/admin/users/${users[1].id}/`;
    const body = { type: "about:blank", title: "Not found", status: 404, code: "not_found", detail: "There is no user with this id." };
    await page.route(path, (route) => route.fulfill({ status: 404, contentType: "application/problem+json", body: JSON.stringify(body) }));
    await page.getByLabel("Reason").fill("Spam");
    await page.getByRole("button", { name: "Deactivate 3 users" }).click();
    await preview(page).getByRole("heading", { name: "2 of 3 users done." }).waitFor();
    const failed = preview(page).locator(".note li");
    assert.match(await failed.innerText(), new RegExp(`^${users[1].name}: .`));
    await looksRight(page, "bulk-failed-390");
    await page.unroute(path);
    await page.getByRole("button", { name: "Continue" }).click();
    await preview(page).getByRole("heading", { name: "3 of 3 users done." }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Continue" }).count(), 0);
    for (const user of users) assert.equal((await replyTo(user.api("GET", "api/tokens/"))).status, 401);

    await page.goto(`${SITE}admin/#/users?q=${mark}`);
    // The selection has ended with the act.
    await page.getByRole("checkbox", { name: `Select ${users[0].name}`, checked: false }).check();
    await page.getByText("1 user selected", { exact: true }).waitFor();
    await page.getByRole("checkbox", { name: "Select all shown" }).check();
    await page.getByText("3 users selected", { exact: true }).waitFor();
    await act(page, "Deactivate");
    await preview(page).getByRole("heading", { name: "0 of 3 users" }).waitFor();
    await eventually(async () => (await rows(preview(page))).map((cells) => cells.slice(3)), Array(3).fill(["No change", "Already deactivated"]));
    await page.goto(`${SITE}admin/#/users?q=${mark}`);
    await act(page, "Reactivate");
    await page.getByRole("button", { name: "Reactivate 3 users" }).click();
    await preview(page).getByRole("heading", { name: "3 of 3 users done." }).waitFor();
    await page.goto(`${SITE}admin/#/trail?act=deactivation`);
    for (const user of users) await page.locator("tbody tr").filter({ hasText: user.name }).getByText("Spam").waitFor();
  },

  async "sessions of selected users end, but not the administrator's own"() {
    const { page, users } = await someUsers(1);
    await page.getByRole("checkbox", { name: "Select all shown" }).check();
    await page.getByLabel("Search").fill(process.env.ADMIN);
    await page.getByRole("checkbox", { name: `Select ${process.env.ADMIN}`, exact: true }).check();
    await page.getByText("2 users selected, 1 of them not shown").waitFor();
    await act(page, "End sessions");
    await preview(page).getByText("Your own account: ask another administrator").waitFor();
    await page.getByRole("button", { name: "End the sessions of 1 user" }).click();
    await preview(page).getByRole("heading", { name: "1 of 1 user done." }).waitFor();
    assert.equal((await replyTo(users[0].api("GET", "api/tokens/"))).status, 401);
  },

  async "an act that is left ends without a word"() {
    const { page, users } = await someUsers(2);
    const views = page.getByRole("navigation", { name: "Administration", exact: true });
    await page.getByRole("checkbox", { name: "Select all shown" }).check();
    await act(page, "Deactivate");
    let release;
    const held = new Promise((done) => (release = done));
    await page.route("**/api/admin/users/*/", async (route) => {
      if (route.request().method() === "PATCH") await held;
      return route.continue();
    });
    const asking = page.waitForRequest((request) => request.method() === "PATCH");
    await page.getByRole("button", { name: "Deactivate 2 users" }).click();
    await asking;
    await views.getByRole("link", { name: "Audit log" }).click();
    await heading(page, "Audit log");
    await watchAnnouncements(page);
    const answering = page.waitForResponse((response) => response.request().method() === "PATCH");
    release();
    await (await answering).finished();
    await views.getByRole("link", { name: "Users" }).click();
    await heading(page, "Users");
    await page.waitForFunction(() => globalThis.announced.includes("Users"));
    const said = await page.evaluate(() => globalThis.announced.filter((text) => text.includes("done")));
    assert.deepEqual(said, []);
    const replies = await Promise.all(users.map((user) => replyTo(user.api("GET", "api/tokens/"))));
    assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 401]);
  },

  async "a log-out ends the selection"() {
    const { page, users } = await someUsers(1);
    const box = page.getByRole("checkbox", { name: `Select ${users[0].name}` });
    await box.check();
    await page.getByText("1 user selected", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Log out" }).click();
    await heading(page, "Log in");
    await logIn(page, { name: process.env.ADMIN, password: process.env.ADMIN_PASSWORD });
    await box.waitFor();
    assert.equal(await box.isChecked(), false);
  },

  async "a typed balance applies before a list is selected"() {
    const { page, users } = await someUsers(2);
    await users[0].api("POST", "api/chat/", { message: "Hello" });
    await page.getByText("More filters").click();
    await page.getByLabel("Balance from").pressSequentially(String(FIRST_GRANT));
    await page.waitForURL(new RegExp(`tokens_from=${FIRST_GRANT}$`));
    await page.getByRole("checkbox", { name: `Select ${users[0].name}` }).waitFor({ state: "detached" });
    await page.getByRole("checkbox", { name: `Select ${users[1].name}` }).waitFor();
    await page.getByRole("button", { name: "Select the whole list" }).click();
    await page.getByText("1 user selected", { exact: true }).waitFor();
  },

  async "the addresses of selected users are downloaded"() {
    const { page, users, mark } = await someUsers(2);
    await page.getByRole("button", { name: "Select the whole list" }).click();
    await page.getByText("2 users selected", { exact: true }).waitFor();
    await act(page, "Addresses as CSV");
    await looksRight(page, "bulk-addresses");
    const saving = page.waitForEvent("download");
    await preview(page).getByRole("button", { name: "Download CSV" }).click();
    const file = await readFile(await (await saving).path(), "utf8");
    const lines = users.map(({ name }, index) => `"${name}","${mark}${index}@example.com","true"`);
    assert.deepEqual(file.trim().split("\r\n"), ['"username","email","active"', ...lines]);
    await page.goto(`${SITE}admin/#/trail?act=addresses`);
    for (const { name } of users) await page.getByText(`Exported the address of ${name}`).waitFor();
    await page.goto(`${SITE}admin/#/users/bulk?act=addresses`);
    await page.reload();
    await page.getByText("No users are selected").waitFor();
    await looksRight(page, "bulk-none");
  },
});
