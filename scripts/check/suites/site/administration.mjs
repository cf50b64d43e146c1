// Journeys of administrators, in a browser. SITE is the URL of the pages. ADMIN and ADMIN_PASSWORD
// are the credentials of an administrator account that several journeys share. The journeys create
// all other accounts.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { SITE, ask, eventually, fetched, fitsItsBox, journeys, loaded, looksRight, mailedLink, manage, newPage, newUser, replyTo } from "./lib/browser.mjs";

const admin = { name: process.env.ADMIN, password: process.env.ADMIN_PASSWORD };
const [PRICE, FIRST_GRANT] = [100, 4000];

await journeys({
  async "users without the role are refused and led to the chat"() {
    const bob = await newUser("bob");
    const page = await newPage();
    await page.goto(`${SITE}admin/#/trail`);
    await logIn(page, bob);
    await heading(page, "Administrators only");
    assert.equal(await page.getByRole("navigation").count(), 0);
    assert.equal(await page.getByRole("link", { name: "Go to the chat" }).getAttribute("href"), SITE);

    await page.getByRole("button", { name: "Log in with another account" }).click();
    await logIn(page, { name: admin.name, password: "not this one" });
    await page.getByRole("alert").getByText("Incorrect username or password.").waitFor();
    await logIn(page, admin);
    await heading(page, "Audit log");
    await page.reload();
    await heading(page, "Audit log");
    await page.getByRole("button", { name: "Log out" }).click();
    await heading(page, "Log in");
    await page.reload();
    await heading(page, "Log in");
  },

  async "a user chats again after an administrator adds tokens"() {
    const ann = await newUser("ann");
    const chat = await newPage();
    await chat.goto(SITE);
    await logIn(chat, ann);
    const page = await adminPage();
    await openUser(page, ann);
    await adjust(page, "Take away", FIRST_GRANT - PRICE, "Only one chat is left");
    await page.getByText(`${ann.name} has ${PRICE} tokens now.`).waitFor();

    await say(chat, "Hello!");
    await chat.getByText("You said: Hello!", { exact: true }).waitFor();
    await say(chat, "Once more!");
    await chat.getByText("You don't have enough tokens.").waitFor();

    await page.reload();
    await balance(page, 0);
    await adjust(page, "Give", 1000, "A gift");
    await page.getByText(`${ann.name} has 1,000 tokens now.`).waitFor();
    await balance(page, 1000);

    await chat.reload();
    await say(chat, "And again?");
    await chat.locator(".answer").last().getByRole("button", { name: "Copy the answer" }).waitFor();
    await chat.getByText("You said: And again?", { exact: true }).waitFor();
    assert.equal((await ann.api("GET", "api/tokens/", null)).body.tokens, 1000 - PRICE);
    await part(page, "Statement");
    assert.deepEqual(
      (await rows(page)).map((row) => row[2]),
      ["−100", "+1,000", "−100", "−3,900", "+4,000"],
    );
    assert.match((await rows(page))[1].join(" "), /Adjustment .* A gift .*you/s);
    await part(page, "Messages");
    await page.locator(".admin-chat").nth(1).waitFor();
    assert.deepEqual(await page.locator("summary").allInnerTexts(), ["And again?", "Hello!"]);
    await page.locator("summary").first().click();
    await page.getByText("You said: And again?").waitFor();
  },

  async "impossible adjustments are explained beside the field"() {
    const ann = await newUser("ann");
    const page = await adminPage();
    await openUser(page, ann);
    const refunds = page.getByText("refund it at Stripe");
    await page.getByLabel("Take away", { exact: true }).waitFor();
    assert.equal(await refunds.isVisible(), false);
    await page.getByLabel("Take away", { exact: true }).check();
    await refunds.waitFor();
    await adjust(page, "Take away", FIRST_GRANT + 1, "Too much");
    await page.getByText("can't go below zero").waitFor();
    assert.equal(await focused(page), "Tokens");
    // The focus is already in the field, so only an announcement tells of the error.
    await page.getByLabel("Tokens", { exact: true }).press("Enter");
    await page.getByRole("status").filter({ hasText: "can't go below zero" }).waitFor({ state: "attached" });
    for (const wrong of ["0", "1.5x", "many", "-5"]) {
      await adjust(page, "Give", wrong, "No number");
      await page.getByText("Enter a whole number from 1 to").waitFor();
    }
    await adjust(page, "Give", "2,500", "");
    await page.getByText("Please fill this in.").waitFor();
    await balance(page, FIRST_GRANT);
    assert.equal((await ann.api("GET", "api/tokens/", null)).body.tokens, FIRST_GRANT);
  },

  async "a retried adjustment is made once after a lost reply"() {
    const ann = await newUser("ann");
    const page = await adminPage();
    await openUser(page, ann);
    let lost = 0;
    await page.route("**/adjustments*", async (route) => {
      if (lost === 2) return route.continue();
      lost += 1;
      await fetched(route);
      return route.abort();
    });
    await adjust(page, "Give", 500, "Sent three times");
    for (let press = 1; press < 3; press += 1) {
      await page.getByText("the balance is changed only once").waitFor();
      await page.getByRole("button", { name: "Adjust the balance" }).click();
    }
    await page.getByText(`${ann.name} has 4,500 tokens now.`).waitFor();
    assert.equal(lost, 2);
    await balance(page, 4500);
    // Sending the same values again makes a new adjustment.
    await adjust(page, "Give", 500, "Sent three times");
    await balance(page, 5000);
  },

  async "deactivated users are out at once until reactivated"() {
    const bob = await newUser("bob");
    const chat = await newPage();
    await chat.goto(SITE);
    await logIn(chat, bob);
    await chat.getByRole("textbox", { name: "Your message" }).waitFor();

    const page = await adminPage();
    await openUser(page, bob);
    await page.getByRole("region", { name: "Sessions" }).getByText("Last used").first().waitFor();
    await decide(page, "Deactivate", "Spam");
    await page.getByText(`${bob.name} has been deactivated.`).waitFor();
    await eventually(() => focused(page), "Reactivate");
    await page.getByText("The account has no sessions.").waitFor();

    await say(chat, "Hello?");
    await chat.getByText("Your session has ended").waitFor();
    await logIn(chat, bob);
    await chat.getByText("Incorrect username or password.").waitFor();
    assert.equal((await replyTo(bob.api("GET", "api/tokens/"))).status, 401);

    await decide(page, "Reactivate");
    await page.getByText(`${bob.name} is active again.`).waitFor();
    await logIn(chat, bob);
    await chat.getByRole("textbox", { name: "Your message" }).waitFor();
  },

  async "invited users choose a password; taken names are explained"() {
    const ann = await newUser("ann");
    const joe = { name: `joe${Date.now()}`, password: "a password of my own" };
    const email = `${joe.name}@example.com`;
    const page = await adminPage();
    await page.getByRole("button", { name: "New user" }).click();
    const dialog = page.getByRole("dialog");
    await eventually(() => focused(page), "Username");
    await dialog.getByLabel("Username").fill(ann.name);
    await dialog.getByRole("button", { name: "Create user" }).click();
    await dialog.getByText("Please fill this in.").waitFor();
    assert.equal(await focused(page), "E-mail address");
    await dialog.getByLabel("E-mail address").fill(email);
    await dialog.getByLabel("Starting balance").fill("many");
    await dialog.getByRole("button", { name: "Create user" }).click();
    await dialog.getByText("Enter a whole number, such as 4000.").waitFor();
    await dialog.getByLabel("Starting balance").fill("1,500");
    await dialog.getByRole("button", { name: "Create user" }).click();
    await dialog.locator(".field-error:visible").waitFor();
    assert.equal(await focused(page), "Username");
    await dialog.getByLabel("Username").fill(joe.name);
    await dialog.getByLabel("Reason").fill("A new colleague");
    let lost = 0;
    await page.route("**/api/admin/users/", async (route) => {
      if (lost === 1 || route.request().method() !== "POST") return route.continue();
      lost += 1;
      await fetched(route);
      return route.abort();
    });
    await dialog.getByRole("button", { name: "Create user" }).click();
    await dialog.getByText("the user is created only once").waitFor();
    await dialog.getByRole("button", { name: "Create user" }).click();
    await page.getByText(`${joe.name} has been invited by e-mail.`).waitFor();
    await heading(page, joe.name);
    await balance(page, 1500);

    const chat = await newPage();
    await chat.goto(await mailedLink(email, "reset-password"));
    await chat.getByLabel("New password").fill(joe.password);
    await chat.getByRole("button", { name: "Change password" }).click();
    await heading(chat, "Log in");
    await logIn(chat, { ...joe, name: email });
    await say(chat, "Hello!");
    await chat.getByText("You said: Hello!", { exact: true }).waitFor();
    const invited = `Invited ${joe.name} by e-mail, with 1,500 tokens`;
    assert.deepEqual(await actsOn(page, joe), [[invited, "you", "A new colleague"]]);
  },

  async "a created administrator sees the administration"() {
    const ruth = { name: `ruth${Date.now()}`, password: "told on the phone" };
    const page = await adminPage();
    await page.getByRole("button", { name: "New user" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Username").fill(ruth.name);
    await dialog.getByLabel("Set a password").check();
    await dialog.getByLabel("Password", { exact: true }).fill(ruth.password);
    await dialog.getByLabel("Role").selectOption("admin");
    await dialog.getByRole("button", { name: "Create user" }).click();
    await page.getByText(`${ruth.name} has been created.`).waitFor();
    await heading(page, ruth.name);
    const hers = await newPage();
    await hers.goto(`${SITE}admin/`);
    await logIn(hers, ruth);
    await heading(hers, "Users");
    const created = `Created ${ruth.name} as an administrator, with 4,000 tokens`;
    assert.deepEqual(await actsOn(page, ruth), [[created, "you", "no reason given"]]);
  },

  async "a logged-out user returns and the audit log has the reason"() {
    const ann = await newUser("ann");
    const chat = await newPage();
    await chat.goto(SITE);
    await logIn(chat, ann);
    await chat.getByRole("textbox", { name: "Your message" }).waitFor();

    const page = await adminPage();
    await openUser(page, ann);
    await decideIn(page, "Sessions", "Log out everywhere", "A lost laptop");
    await page.getByText(`${ann.name} has been logged out everywhere.`).waitFor();
    await page.getByText("The account has no sessions.").waitFor();
    await eventually(() => focused(page), "Sessions");
    await say(chat, "Hello?");
    await chat.getByText("Your session has ended").waitFor();
    await logIn(chat, ann);
    await chat.getByRole("textbox", { name: "Your message" }).waitFor();

    assert.deepEqual(await actsOn(page, ann), [[`Logged ${ann.name} out everywhere`, "you", "A lost laptop"]]);
  },

  async "an administrator sends a link for a forgotten password"() {
    const email = `eve${Date.now()}@example.com`;
    const [eve, bob] = [await newUser("eve", { email }), await newUser("bob")];
    const page = await adminPage();
    await openUser(page, bob);
    await page.getByText("The account has no e-mail address").waitFor();
    await openUser(page, eve);
    await decideIn(page, "Password", "Send a reset e-mail", "Asked by phone");
    await page.getByText(`An e-mail to ${email} is on its way.`).waitFor();

    const chat = await newPage();
    await chat.goto(await mailedLink(email, "reset-password"));
    await chat.getByLabel("New password").fill("a password by phone");
    await chat.getByRole("button", { name: "Change password" }).click();
    await heading(chat, "Log in");
    await logIn(chat, { name: eve.name, password: "a password by phone" });
    await chat.getByRole("textbox", { name: "Your message" }).waitFor();
    assert.deepEqual(await actsOn(page, eve), [[`Sent ${eve.name} a password reset link`, "you", "Asked by phone"]]);
  },

  async "deletions are final and stay in the audit log"() {
    const bob = await newUser("bob");
    const chat = await newPage();
    await chat.goto(SITE);
    await logIn(chat, bob);
    await chat.getByRole("textbox", { name: "Your message" }).waitFor();

    const page = await adminPage();
    await openUser(page, bob);
    await decideIn(page, "Delete the account", "Delete the account", "Asked by letter");
    await page.getByText(`${bob.name} has been deleted.`).waitFor();
    await heading(page, "Users");
    await say(chat, "Hello?");
    await chat.getByText("Your session has ended").waitFor();
    await logIn(chat, bob);
    await chat.getByText("Incorrect username or password.").waitFor();
    assert.deepEqual(await actsOn(page, { name: bob.id }), [[`Deleted the account ${bob.id}`, "you", "Asked by letter"]]);
    await page.goto(`${SITE}admin/#/users/${bob.id}`);
    await heading(page, "Not found");
  },

  async "API keys are revoked singly or together and stop working"() {
    const ann = await newUser("ann");
    const keys = [];
    for (const name of ["a robot", "a script", "a phone"]) {
      keys.push((await ann.api("POST", "api/user/api-keys/", { name })).body.key);
    }
    const works = async (key) => (await replyTo(ask("GET", "v1/models", null, key))).status === 200;
    const page = await adminPage();
    await openUser(page, ann);
    await page.getByRole("button", { name: "Revoke a script" }).click();
    await answer(page, "Revoke", "Published by mistake");
    await page.getByText("The key has been revoked.").waitFor();
    await eventually(() => focused(page), "API keys");
    await page.getByRole("button", { name: "Revoke a script" }).waitFor({ state: "detached" });
    assert.deepEqual(await Promise.all(keys.map(works)), [true, false, true]);

    await decideIn(page, "API keys", "Revoke all keys", "A theft");
    await page.getByText(`All API keys of ${ann.name} have been revoked.`).waitFor();
    await page.getByText("The account has no API keys.").waitFor();
    await page.getByRole("button", { name: "Revoke all keys" }).waitFor({ state: "hidden" });
    assert.deepEqual(await Promise.all(keys.map(works)), [false, false, false]);
    await ann.api("GET", "api/tokens/");

    assert.deepEqual(await actsOn(page, ann), [
      [`Revoked all API keys of ${ann.name}`, "you", "A theft"],
      [`Revoked an API key of ${ann.name}`, "you", "Published by mistake"],
    ]);
  },

  async "role changes take effect at once"() {
    const carla = await newUser("carla");
    const page = await adminPage();
    await openUser(page, carla);
    await decide(page, "Make an administrator", "She helps");
    await page.getByText(`${carla.name} is an administrator now.`).waitFor();

    const hers = await newPage();
    await hers.goto(`${SITE}admin/#/figures`);
    await logIn(hers, carla);
    await heading(hers, "Statistics");
    await openUser(hers, carla);
    await hers.getByText("This is your own account.").waitFor();
    assert.equal(await hers.getByRole("button", { name: /Deactivate|ordinary/ }).count(), 0);
    await hers.getByRole("navigation", { name: "Administration" }).getByRole("link", { name: "Audit log" }).click();
    await heading(hers, "Audit log");

    await decide(page, "Make an ordinary user");
    await page.getByText(`${carla.name} is an ordinary user now.`).waitFor();
    await hers.getByRole("link", { name: "Messages" }).click();
    await hers.getByText("Your session has ended.").waitFor();
    await logIn(hers, carla);
    await heading(hers, "Administrators only");
  },

  async "the last administrator keeps the role and is told why"() {
    const dora = await newUser("dora");
    const page = await adminPage();
    await openUser(page, dora);
    // Simulate this reply, because the API sends it only if two administrators demote each other at
    // the same moment.
    await page.route("**/api/admin/users/*/", (route) =>
      route.request().method() === "PATCH"
        ? route.fulfill({ status: 409, json: { status: 409, code: "last_administrator", detail: "No." } })
        : route.continue(),
    );
    await page.getByRole("button", { name: "Deactivate" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Deactivate" }).click();
    await dialog.getByText("This is the last active administrator.").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await page.getByText("The account is active.").waitFor();
  },

  async "logging in again leads back to the same view"() {
    const page = await adminPage("#/users?q=ro");
    await rowsAre(page);
    await page.context().clearCookies();
    await page.route("**/api/admin/**", (route) => route.fulfill({ status: 401, json: { status: 401, code: "invalid_token", detail: "No." } }));
    await page.getByRole("searchbox", { name: "Search" }).fill("roo");
    await page.getByText("Your session has ended.").waitFor();
    await eventually(() => focused(page), "Username or e-mail address");
    await page.unroute("**/api/admin/**");
    await logIn(page, admin);
    await heading(page, "Users");
    assert.equal(await page.getByRole("searchbox", { name: "Search" }).inputValue(), "roo");
  },

  async "users are found by a part of their name or address"() {
    const mark = Math.random().toString(36).slice(2, 10);
    const prefix = `z${mark}`;
    const count = 3;
    const users = [];
    for (let index = 0; index < count; index += 1) users.push(await newUser(prefix, { email: `m${prefix}${index}@example.com` }));
    const page = await adminPage();
    // With two users per page, a few users fill several pages.
    await page.route("**/api/admin/users/?*", (route) => route.continue({ url: route.request().url().replace("limit=25", "limit=2") }));
    const search = page.getByRole("searchbox", { name: "Search" });
    for (const part of [prefix.toUpperCase(), `m${prefix}`, mark]) {
      await search.fill(part);
      await page.waitForURL(`**/admin/#/users?q=${part}`);
      await page.getByRole("button", { name: "Show more users" }).click();
      await page.getByRole("row").nth(count).waitFor();
      await eventually(() => names(page), users.map(({ name }) => name).toSorted());
      assert.equal(await page.getByRole("button", { name: "Show more users" }).count(), 0);
    }
    const order = page.getByLabel("Order");
    const shown = () => order.evaluate(({ selectedOptions: [chosen], disabled }) => [chosen.text, disabled]);
    await eventually(shown, ["By name", true]);
    await search.fill("");
    await eventually(shown, ["Newest first", false]);
    await search.fill("nobody-is-called-this");
    await page.getByText("No results for “nobody-is-called-this”.").waitFor();
    await page.goBack();
    await search.waitFor({ state: "detached" });
    await page.goForward();
    await page.getByText("No results for").waitFor();
  },

  async "users are filtered and shown with balance and activity"() {
    const prefix = `q${Date.now().toString(36)}`;
    const [busy, idle] = [await newUser(prefix), await newUser(prefix)];
    await busy.api("POST", "api/chat/", { message: "Hello!" });
    const page = await adminPage(`#/users?q=${prefix}`);
    const finds = (...users) => eventually(() => names(page), users.map(({ name }) => name).toSorted());
    await finds(busy, idle);
    const shown = (await rows(page)).find(([name]) => name === busy.name);
    assert.deepEqual(shown.slice(2, 6), ["User", "Active", (FIRST_GRANT - PRICE).toLocaleString("en"), String(PRICE)]);
    assert.match(shown[6], /just now|minute/);

    await page.getByText("More filters").click();
    await page.getByLabel("Balance to").fill(String(FIRST_GRANT - 1));
    await page.getByLabel("Balance to").press("Enter");
    await page.waitForURL(`**/admin/#/users?q=${prefix}&tokens_to=${FIRST_GRANT - 1}`);
    await finds(busy);
    await page.reload();
    await finds(busy);
    assert.equal(await page.getByLabel("Balance to").inputValue(), String(FIRST_GRANT - 1));
    await page.getByLabel("Balance to").fill("");
    await page.getByLabel("Last active to").fill("2026-11-01");
    await finds(idle);
    await page.getByLabel("Last active from").fill("2026-11-02");
    await page.getByText("The last day can't be before the first.").waitFor();
    await page.getByLabel("Last active from").fill("");

    await page.getByLabel("Status").selectOption("Deactivated");
    await page.getByText("No user matches these filters.").waitFor();
    await page.getByLabel("Status").selectOption("Active");
    await finds(idle);
    await page.goto(`${SITE}admin/#/users?role=admin`);
    await page.getByRole("link", { name: admin.name, exact: true }).waitFor();
    const roles = new Set((await rows(page)).map((row) => row[2]));
    assert.deepEqual([...roles], ["Administrator"]);
  },

  async "users are sorted and summed up by the census"() {
    const [rich, idle] = [await newUser("rich"), await newUser("idle")];
    const page = await adminPage();
    await openUser(page, rich);
    await adjust(page, "Give", 9_000_000, "The most");
    await page.getByText(`${rich.name} has 9,004,000 tokens now.`).waitFor();
    // The schedule runs the census once a day.
    await manage("census");
    await page.getByRole("link", { name: "Users", exact: true }).first().click();
    await heading(page, "Users");
    await page.getByLabel("Order").selectOption("Highest balance");
    await page.waitForURL("**/admin/#/users?sort=-tokens");
    await page.waitForFunction((name) => document.querySelector("tbody tr")?.cells[0].innerText.trim() === name, rich.name);
    // Other journeys change other users' balances at the same time.
    assert.equal(number((await rows(page))[0][4]), 9_004_000);
    // The users are listed in the census's order, but with their current values.
    await openUser(page, rich);
    await adjust(page, "Take away", 9_003_999, "A mistake");
    await page.getByText(`${rich.name} has 1 token now.`).waitFor();
    await page.goto(`${SITE}admin/#/users?sort=-tokens`);
    const first = async () => {
      const [[name, , , , tokens]] = await rows(page);
      return [name, tokens];
    };
    await eventually(first, [rich.name, "1"]);
    await page.getByLabel("Search").fill(idle.name);
    await eventually(async () => (await rows(page)).map((row) => [row[0], row[6]]), [[idle.name, "never"]]);
    assert(await page.getByLabel("Order").isDisabled(), "search results have one order");
    await page.getByLabel("Search").fill("");
    await eventually(() => page.getByLabel("Order").isEnabled(), true);

    await page.getByRole("link", { name: "Statistics" }).click();
    const sums = page.getByRole("region", { name: "All accounts" });
    await sums.getByText("Tokens in all balances").waitFor();
    await sums.getByText(/^[\d,]+ tokens outstanding$/).waitFor();
    const counted = await sums.locator("dd").allInnerTexts();
    assert(number(counted[0]) >= 3 && number(counted[1]) >= 1 && number(counted[4]) >= 9_000_000, counted.join(" "));
  },

  async "a file grants tokens to many users once each"() {
    const [ann, ben] = [await newUser("ann"), await newUser("ben", { email: `b${Date.now()}@example.com` })];
    const page = await adminPage();
    await page.getByRole("link", { name: "Bulk grants" }).click();
    await heading(page, "Bulk grants");
    const choose = (text) => page.getByLabel("File", { exact: true }).setInputFiles({ name: "gifts.csv", mimeType: "text/csv", buffer: Buffer.from(text) });
    await choose("user,tokens\nann,five\n,5\n");
    await page.getByLabel("Reason", { exact: true }).fill("A gift");
    await page.getByRole("button", { name: "Preview" }).click();
    await page.getByText("Line 2 needs a whole number other than 0 as its amount. Line 3 has no user.").waitFor();

    const file = `user,tokens,reason\n${ann.name},500,"For you, Ann"\n${ben.email},50\nno-such-user,5\n${ann.name},5\n`;
    await choose(file);
    await page.getByRole("button", { name: "Preview" }).click();
    const preview = page.getByRole("region", { name: "Preview", exact: true });
    await preview.getByRole("heading", { name: "2 of 4 rows ready" }).waitFor();
    const results = async () => (await rows(preview)).map((row) => row.at(-1));
    await eventually(results, ["Ready", "Ready", "No such user", "Listed more than once"]);
    assert.match((await rows(preview))[1][1], /Unverified address/);
    assert.equal((await ann.api("GET", "api/user/balance/")).body.tokens, FIRST_GRANT);

    // The API executes the first request, but the reply is lost.
    let lost = 0;
    await page.route("**/api/admin/grants/", async (route) => {
      lost += 1;
      if (lost > 1) return route.continue();
      await fetched(route);
      return route.abort();
    });
    await preview.getByRole("button", { name: "Grant +550 tokens to 2 users" }).click();
    await preview.getByText("2 of 4 rows done.").first().waitFor();
    await eventually(async () => (await results()).slice(0, 2), ["Already done", "Already done"]);
    await page.unroute("**/api/admin/grants/");

    // In another browser, the server reports the grants that this file has already made, with their
    // time and author.
    const elsewhere = await adminPage("#/users/grants");
    await elsewhere.getByLabel("File", { exact: true }).setInputFiles({ name: "gifts.csv", mimeType: "text/csv", buffer: Buffer.from(file) });
    await elsewhere.getByLabel("Reason", { exact: true }).fill("A gift");
    await elsewhere.getByRole("button", { name: "Preview" }).click();
    const other = elsewhere.getByRole("region", { name: "Preview", exact: true });
    await other.getByRole("heading", { name: "0 of 4 rows ready" }).waitFor();
    await other.getByText("2 rows were granted before, with the same reason, and aren't granted again.").waitFor();
    assert.match((await rows(other))[1].at(-1), /^Already granted on .* by root$/);
    assert.equal(await other.getByRole("button", { name: /^Grant/ }).count(), 0);
    for (const [user, tokens] of [
      [ann, 500],
      [ben, 50],
    ])
      assert.equal((await user.api("GET", "api/user/balance/")).body.tokens, FIRST_GRANT + tokens);
    await page.getByRole("navigation", { name: "Administration" }).getByRole("link", { name: "Audit log" }).click();
    await page.getByText("For you, Ann").first().waitFor();
  },

  async "today's figures work by keyboard and as a table"() {
    const ann = await newUser("ann");
    const page = await adminPage("#/figures");
    const before = await totals(page);
    await ann.api("POST", "api/chat/", { message: "Hello!" });
    await newUser("ann");
    await page.getByRole("link", { name: "7 days" }).click();
    await page.waitForURL("**/admin/#/figures?days=7");
    await page.locator('[aria-current="true"]', { hasText: "7 days" }).waitFor();
    await eventually(() => focused(page), "7 days");
    await page.locator('[role="slider"][aria-valuemax="6"]').first().waitFor();
    await page.getByRole("link", { name: "30 days" }).click();
    await page.locator('[aria-current="true"]', { hasText: "30 days" }).waitFor();
    await page.locator('[role="slider"][aria-valuemax="29"]').first().waitFor();
    const after = await totals(page);
    // Other journeys' adjustments may have reduced the granted tokens.
    for (const index of [0, 1, 3]) assert(after[index] > before[index], `${before} then ${after}`);

    const plot = page.getByRole("slider", { name: /^Tokens by day/ });
    await plot.focus();
    const today = await plot.getAttribute("aria-valuetext");
    assert.match(today, /granted and adjusted, .* spent, so far$/);
    await page.keyboard.press("ArrowLeft");
    assert.notEqual(await plot.getAttribute("aria-valuetext"), today);
    await page.keyboard.press("Home");
    assert.equal(await plot.getAttribute("aria-valuenow"), "0");
    await page.keyboard.press("End");
    assert.equal(await plot.getAttribute("aria-valuenow"), "29");

    await page.getByText("The same numbers as a table").click();
    const table = page.getByRole("region", { name: "Statistics day by day" });
    await eventually(async () => (await rows(table)).length, 30);
    assert.match((await rows(table))[0][0], /\d{4}\s+so far$/);
    assert.match(await table.locator("tbody th").first().textContent(), /\d{4} so far$/);
    await page.getByRole("button", { name: "Messages" }).click();
    assert.equal(await table.getByRole("columnheader", { name: "Messages" }).getAttribute("aria-sort"), "descending");
    const chats = (await rows(table)).map((row) => number(row[2]));
    assert.deepEqual(
      chats,
      chats.toSorted((a, b) => b - a),
    );

    // The most active users in the selected range.
    const top = page.getByRole("region", { name: "Top users" });
    await top.getByRole("link", { name: "By messages" }).click();
    await page.waitForURL("**/admin/#/figures?days=30&top=chats");
    await top.locator('[aria-current="true"]', { hasText: "By messages" }).waitFor();
    await eventually(() => focused(page), "By messages");
    await page.waitForFunction(() => !document.querySelector("main [aria-busy='true']"));
    const most = (await rows(top)).map((row) => number(row[1]));
    assert(most.length > 0 && most[0] > 0 && most.length <= 20, most.join(" "));
    assert.deepEqual(
      most,
      most.toSorted((a, b) => b - a),
    );
    await page.goBack();
    await top.locator('[aria-current="true"]', { hasText: "By tokens" }).waitFor();

    // Counting new days may take more than one request.
    let [refused, told] = [0, false];
    await page.route("**/api/admin/figures/*", (route) => {
      refused += 1;
      return told && refused > 2
        ? route.continue()
        : route.fulfill({ status: 503, headers: { "Retry-After": "1" }, json: { status: 503, code: "unavailable", detail: "No." } });
    });
    const other = page.getByRole("form", { name: "Other days" });
    await other.getByLabel("From").fill("2026-01-05");
    await other.getByLabel("To").fill("2026-01-04");
    await other.getByRole("button", { name: "Show" }).click();
    await other.getByText("The last day can't be before the first.").waitFor();
    await other.getByLabel("To").fill("2026-01-14");
    await other.getByRole("button", { name: "Show" }).click();
    await page.waitForURL("**/admin/#/figures?from=2026-01-05&to=2026-01-14");
    await page.getByText("Counting").waitFor();
    told = true;
    await page.locator(".lead", { hasText: "5 Jan 2026 to 14 Jan 2026" }).waitFor();
  },

  async "calls to models are plotted by day, and listed"() {
    const ann = await newUser("ann");
    await ann.api("POST", "api/chat/", { message: "Hello!" });
    const page = await adminPage("#/figures?days=7");
    const card = page.getByRole("region", { name: "Calls to models" });
    const plot = (name) => page.getByRole("slider", { name });
    const said = (name) => plot(name).getAttribute("aria-valuetext");
    await card.getByText("A message causes several calls").waitFor();
    await eventually(() => said(/^Calls by day/), /: [1-9][\d,]* calls, so far$/);
    await eventually(() => said(/^Failed calls by day/), /: [\d.]+% failed, so far$/);
    await eventually(
      () => said(/^Time until answers are complete by day/),
      /: [\d.,]+ sec for half of the answers, [\d.,]+ sec for 95% of the answers, so far$/,
    );
    await plot(/^Time until answers are complete by day/).focus();
    await page.keyboard.press("Home");
    assert.equal(await plot(/^Time until answers are complete by day/).getAttribute("aria-valuenow"), "0");
    await card.getByText("The calls as a table").click();
    const table = page.getByRole("region", { name: "Calls to parrot day by day" });
    await rowsAre(table);
    const [today] = await rows(table);
    assert(number(today[1]) >= 1, today.join(" "));
    assert.match(today[2], /^\d+ \([\d.]+%\)$/);
    assert.match(today[6], /^[\d.,]+ sec$/);

    // Another model was called more often, and only failed: two days ago, because yesterday isn't
    // closed until some minutes after midnight.
    await page.route("**/api/admin/figures/*", async (route) => {
      const reply = await fetched(route);
      const figures = await reply.json();
      const unknown = { first_token_p50: null, first_token_p95: null, answer_p50: null, answer_p95: null };
      figures.days.at(-3).calls = [{ model: "broken", calls: 1_000_000, failed: 1_000_000, ...unknown }];
      await route.fulfill({ json: figures });
    });
    await page.getByRole("link", { name: "30 days" }).click();
    await page.getByRole("region", { name: "Calls to broken day by day", includeHidden: true }).waitFor({ state: "attached" });
    await eventually(() => said(/^Calls by day/), /: 0 calls, so far$/);
    await eventually(() => said(/^Failed calls by day/), /: no data failed, so far$/);
    await plot(/^Failed calls by day/).focus();
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    assert.match(await said(/^Failed calls by day/), /: 100% failed$/);
    await card.getByLabel("Model", { exact: true }).selectOption("parrot");
    await page.getByRole("region", { name: "Calls to parrot day by day", includeHidden: true }).waitFor({ state: "attached" });
    await eventually(() => said(/^Calls by day/), /: [1-9][\d,]* calls, so far$/);
    await looksRight(page, "admin-calls");
    await page.unroute("**/api/admin/figures/*");

    await page.goto(`${SITE}admin/#/figures?from=2026-01-05&to=2026-01-14`);
    await card.getByText("No calls are recorded for these days.").waitFor();
    assert.equal(await plot(/^Calls by day/).count(), 0);
  },

  async "the audit log shows the act, the user and the reason"() {
    const erin = await newUser("erin");
    const page = await adminPage();
    await openUser(page, erin);
    await adjust(page, "Give", 250, "<b>Thanks</b>");
    await page.getByText(`${erin.name} has 4,250 tokens now.`).waitFor();
    await decide(page, "Deactivate", "A test");
    await page.getByText(`${erin.name} has been deactivated.`).waitFor();
    await decide(page, "Reactivate");
    await page.getByText(`${erin.name} is active again.`).waitFor();
    await page.getByRole("navigation", { name: "Administration" }).getByRole("link", { name: "Audit log" }).click();
    await heading(page, "Audit log");
    await rowsAre(page);
    const acts = (await rows(page)).filter((row) => row[1].includes(erin.name)).map(([, what, by, why]) => [what, by, why]);
    assert.deepEqual(acts, [
      [`Reactivated ${erin.name}`, "you", "no reason given"],
      [`Deactivated ${erin.name}`, "you", "A test"],
      [`Gave 250 tokens to ${erin.name}`, "you", "<b>Thanks</b>"],
    ]);
    await page.getByRole("link", { name: erin.name }).first().click();
    await heading(page, erin.name);
  },

  async "words of a later release are shown as they are"() {
    const lou = await newUser("lou");
    const page = await adminPage();
    const row = {
      id: lou.id,
      timestamp: new Date().toISOString(),
      user_id: lou.id,
      username: lou.name,
      actor: "manage",
      actor_name: null,
      amount: null,
      role: null,
      reason: "later",
    };
    const acts = [{ act: "key_limit" }, { act: "goodwill", amount: 50 }, { act: "role", role: "support" }];
    await page.route("**/api/admin/trail/?*", (route) => route.fulfill({ json: acts.map((act) => ({ ...row, ...act })) }));
    await page.getByRole("navigation", { name: "Administration" }).getByRole("link", { name: "Audit log" }).click();
    await heading(page, "Audit log");
    await rowsAre(page);
    const sentences = [`Key limit: ${lou.name}`, `Goodwill: ${lou.name}, +50 tokens`, `Gave ${lou.name} the role “Support”`];
    assert.deepEqual(
      (await rows(page)).map((cells) => cells[1]),
      sentences,
    );

    await page.route(`**/api/admin/users/${lou.id}/ledger?*`, async (route) => {
      const response = await fetched(route);
      const [grant] = await response.json();
      await route.fulfill({ response, json: [{ ...grant, kind: "gift_card", reason: "from Ben" }, grant] });
    });
    await page.route(`**/api/admin/users/${lou.id}/`, async (route) => {
      const response = await fetched(route);
      await route.fulfill({ response, json: { ...(await response.json()), role: "support" } });
    });
    await page.goto(`${SITE}admin/#/users/${lou.id}`);
    await page.getByText("Support", { exact: true }).waitFor();
    await page.getByText("The user is not an administrator.").waitFor();
    await part(page, "Statement");
    await rowsAre(page);
    assert.deepEqual(
      (await rows(page)).map((cells) => cells[1]),
      ["Gift card", "Grant"],
    );
  },

  async "the audit log is filtered and downloaded as filtered"() {
    const kim = await newUser("kim");
    const page = await adminPage();
    await openUser(page, kim);
    await adjust(page, "Give", 30, "A gift");
    await page.getByText(`${kim.name} has 4,030 tokens now.`).waitFor();
    await decide(page, "Deactivate", "A test");
    await page.getByText(`${kim.name} has been deactivated.`).waitFor();
    await page
      .getByRole("navigation", { name: /^About / })
      .getByRole("link", { name: "Audit log" })
      .click();
    await page.waitForURL(`**/admin/#/trail?user_id=${kim.id}`);
    await page.getByText("Only actions that affect").waitFor();
    await rowsAre(page);
    const acts = (await rows(page)).map((row) => row[1]);
    assert.deepEqual(acts, [`Deactivated ${kim.name}`, `Gave 30 tokens to ${kim.name}`]);

    await page.getByLabel("Action", { exact: true }).selectOption("Adjustments");
    await page.waitForURL(`**/admin/#/trail?user_id=${kim.id}&act=adjustment`);
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
    const coming = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download CSV" }).click();
    const file = await coming;
    assert.equal(file.suggestedFilename(), "audit-log.csv");
    const lines = (await readFile(await file.path(), "utf8")).trimEnd().split("\r\n");
    assert.equal(lines.length, 2);
    assert.match(lines[1], /"adjustment".*"30"/);

    await page.getByLabel("By", { exact: true }).selectOption("The manage command");
    await page.getByText("No entry matches these filters.").waitFor();
    await page.reload();
    await page.getByText("No entry matches these filters.").waitFor();
    assert.equal(await page.getByLabel("Action", { exact: true }).inputValue(), "adjustment");
    await page.getByLabel("From", { exact: true }).fill("2026-01-05");
    await page.getByLabel("To", { exact: true }).fill("2026-01-04");
    await page.getByText("The last day can't be before the first.").waitFor();
    await page.getByRole("button", { name: "Show everything" }).click();
    await page.waitForURL("**/admin/#/trail");
    await rowsAre(page);
  },

  async "chats are listed newest first and open to their text"() {
    const fay = await newUser("fay");
    const page = await adminPage();
    const text = `A <i>message</i> ${fay.name}\nin two lines`;
    await fay.api("POST", "api/chat/", { message: text });
    await page.getByRole("link", { name: "Messages" }).click();
    const row = page.getByRole("listitem").filter({ hasText: fay.name }).first();
    await row.locator("summary").focus();
    await page.keyboard.press("Enter");
    // The answer is shown as Markdown. Its second line begins after a `br`.
    await row.getByText(`You said: A <i>message</i> ${fay.name}`).waitFor();
    await row.getByRole("link", { name: fay.name }).click();
    await heading(page, fay.name);
  },

  async "messages are searched unless the operator disables that"() {
    const hal = await newUser("hal");
    const word = `zebra${Date.now().toString(36)}`;
    await hal.api("POST", "api/chat/", { message: `Where is the ${word.toUpperCase()}?` });
    await hal.api("POST", "api/chat/", { message: "Never mind." });
    const page = await adminPage("#/chats");
    const items = page.getByRole("list", { name: "Messages of all users" }).getByRole("listitem");
    await items.nth(1).waitFor();
    const search = page.getByRole("searchbox", { name: "Search" });
    await search.fill(word);
    await page.waitForURL(`**/admin/#/chats?q=${word}`);
    await page.waitForFunction(() => document.querySelectorAll(".admin-chats > li").length === 1);
    await items.first().getByText(hal.name).waitFor();
    // The browser's Back shows the same search.
    await items.first().getByRole("link", { name: hal.name }).click();
    await heading(page, hal.name);
    await page.goBack();
    await page.waitForURL(`**/admin/#/chats?q=${word}`);
    await page.waitForFunction(() => document.querySelectorAll(".admin-chats > li").length === 1);
    assert.equal(await search.inputValue(), word);
    await page.getByLabel("To", { exact: true }).fill("2026-11-01");
    await page.getByText("No message matches.").waitFor();

    await page.route("**/api/admin/chats/?*", (route) =>
      route.fulfill({
        status: 403,
        json: { status: 403, code: "chats_closed", detail: "The operator of this service hasn't allowed administrators to do this with messages." },
      }),
    );
    await search.fill("anything");
    await page.getByText("The operator of this service hasn't allowed administrators to do this with messages.").waitFor();
  },

  async "exports show progress and notice a truncated file"() {
    const gil = await newUser("gil");
    await gil.api("POST", "api/chat/", { message: "For the export" });
    const page = await adminPage("#/export");
    const today = new Date().toISOString().slice(0, 10);
    for (const [list, holds] of [
      ["users", gil.name],
      ["chats", "For the export"],
      ["ledger", `"${gil.name}","chat"`],
    ]) {
      await page.getByLabel("List", { exact: true }).selectOption(list);
      await page.getByLabel("From").fill(today);
      const coming = page.waitForEvent("download");
      await page.getByRole("button", { name: "Download CSV" }).click();
      const file = await coming;
      assert.equal(file.suggestedFilename(), `${list}-from-${today}.csv`);
      const text = await readFile(await file.path(), "utf8");
      // A quoted cell may contain line breaks.
      const lines = text.replaceAll(/"[^"]*"/g, "").match(/\n/g).length;
      assert(text.includes(holds) && text.endsWith("\r\n"), text.slice(0, 200));
      await page
        .getByRole("region", { name: "Export" })
        .getByText(new RegExp(`${list}-from-${today}.csv: .* ${(lines - 1).toLocaleString("en")} rows`))
        .waitFor();
    }
    await page.getByLabel("To").fill("2020-01-01");
    await page.getByRole("button", { name: "Download CSV" }).click();
    await page.getByText("The last day can't be before the first.").waitFor();
    await page.getByLabel("To").fill("");

    await page.route("**/export/*", (route) => route.fulfill({ contentType: "text/csv", body: "id,name\r\n1,half a r" }));
    await page.getByRole("button", { name: "Download CSV" }).click();
    await page.getByText("was cut off before its end").waitFor();
    const keeping = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save the incomplete file" }).click();
    assert.match((await keeping).suggestedFilename(), /-cut-off\.csv$/);
    await page.unroute("**/export/*");
    await page.route("**/export/*", () => {});
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("progressbar").waitFor();
    await page.getByRole("button", { name: "Cancel" }).focus();
    await page.keyboard.press("Enter");
    await page.getByText("Cancelled after 0 bytes.").waitFor();
    await eventually(() => focused(page), /^Cancelled/);
  },

  async "a statement of many pages is downloaded whole"() {
    const hal = await newUser("hal");
    for (let chat = 0; chat < 5; chat += 1) await hal.api("POST", "api/chat/", { message: `Chat ${chat}` });
    const page = await adminPage();
    await openUser(page, hal);
    await part(page, "Statement");
    await page.route("**/ledger?*", (route) => route.continue({ url: route.request().url().replace("limit=100", "limit=2") }));
    const coming = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download CSV" }).click();
    const file = await coming;
    assert.equal(file.suggestedFilename(), `statement-${hal.name}.csv`);
    const lines = (await readFile(await file.path(), "utf8")).trimEnd().split("\r\n");
    assert.equal(lines.length, 1 + 6);
    assert.equal(lines.filter((line) => line.startsWith('"id",')).length, 1);
  },

  async "an answer is refunded once"() {
    const ida = await newUser("ida");
    const { body: key } = await ida.api("POST", "api/user/api-keys/", { name: "a program" });
    await ida.api("POST", "api/chat/", { message: "Explain compound interest" });
    await ask("POST", "v1/chat/completions", { model: "any", messages: [{ role: "user", content: "Explain it again" }] }, key.key);
    const page = await adminPage();
    await openUser(page, ida);
    await part(page, "Statement");
    const table = page.getByRole("region", { name: /^Statement of .*, newest first$/ });
    await table.getByText("API key a program").waitFor();
    const whats = (await rows(table)).map((row) => row[1]);
    assert.deepEqual(whats, ["“Explain it again” · answer · API key a program", "“Explain compound interest” · answer", "Grant"]);
    assert.match((await rows(table))[0][0], /\d\d:\d\d:\d\d$/);

    const other = await adminPage();
    await openUser(other, ida);
    await part(other, "Statement");
    await other.getByText("“Explain it again”").waitFor();

    await table.getByRole("button", { name: "Refund “Explain it again”" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(`100 tokens return to ${ida.name}'s balance.`).waitFor();
    assert.match(await dialog.getByLabel("Reason").inputValue(), /^Refund of the answer of \d/);
    await dialog.getByRole("button", { name: "Refund", exact: true }).click();
    await page.getByText(`Refunded. ${ida.name} has 3,900 tokens now.`).first().waitFor();
    await table.getByText("Refunded", { exact: true }).waitFor();
    await eventually(() => focused(page), "Refunded");
    await table.getByText("Refund of the answer of").waitFor();
    assert.deepEqual((await rows(table))[0].slice(2, 4), ["+100", "3,900"]);
    assert.equal((await ida.api("GET", "api/tokens/")).body.tokens, 3900);

    // Another page still shows the button, but the server refuses a second refund, whatever its reason.
    const again = other.getByRole("dialog").getByRole("button", { name: "Refund", exact: true });
    const already = "This answer has already been refunded. Nothing was changed.";
    await other.getByRole("button", { name: "Refund" }).first().click();
    await other.getByRole("dialog").getByLabel("Reason").fill("once more");
    await again.click();
    await other.getByRole("dialog").getByText(already).waitFor();
    await other.getByRole("button", { name: "Cancel" }).click();
    await other.getByRole("button", { name: "Refund" }).first().click();
    await again.click();
    await other.getByText(already).first().waitFor();
    assert.equal((await ida.api("GET", "api/tokens/")).body.tokens, 3900);
    await other.reload();
    await other.getByText("Refunded", { exact: true }).waitFor();
    assert.equal(await other.getByRole("button", { name: "Refund" }).count(), 1);

    // A row links to its message, and the range of days filters the rows.
    await page.getByLabel("To", { exact: true }).fill("2020-01-01");
    await page.getByText("The balance did not change on these days.").waitFor();
    await page.getByLabel("To", { exact: true }).fill("");
    await table.getByRole("link", { name: "“Explain compound interest”" }).click();
    await page.locator("details[open]").getByText("Explain compound interest").first().waitFor();
    assert.equal(await page.locator(".admin-chat").count(), 1);
  },

  async "a keyboard is enough"() {
    const page = await adminPage();
    await rowsAre(page);
    await page.reload();
    await rowsAre(page);
    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    for (const first of ["Bulk grants", "New user", "Search"]) {
      await page.keyboard.press("Tab");
      assert.equal(await focused(page), first);
    }
    await page.getByRole("link", { name: "Export" }).focus();
    await page.keyboard.press("Enter");
    await heading(page, "Export");
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
    assert.equal(await page.title(), "Export · Farebox administration");
  },

  async "failures are explained and can be retried"() {
    const page = await adminPage("#/export");
    await page.route("**/api/admin/**", (route) => route.abort());
    for (const view of ["Users", "Messages", "Audit log", "Statistics"]) {
      await page.getByRole("navigation", { name: "Administration" }).getByRole("link", { name: view }).click();
      await heading(page, view);
      await page.getByRole("alert").getByText("can't be reached").first().waitFor();
    }
    await page.unroute("**/api/admin/**");
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("slider").first().waitFor();
    await page.goto(`${SITE}admin/#/users/00000000-0000-7000-8000-000000000000`);
    await heading(page, "Not found");
    await page.goto(`${SITE}admin/#/nowhere`);
    await heading(page, "Page not found");
  },

  async "the user list keeps its state when reopened"() {
    const prefix = `zoe${Date.now().toString(36)}`;
    for (let number = 0; number < 30; number += 1) await newUser(prefix);
    const page = await adminPage();
    await page.getByLabel("Search").fill(prefix);
    await page.waitForURL(`**/#/users?q=${prefix}`);
    await page.getByRole("button", { name: "Show more users" }).click();
    const users = page.locator("tbody tr");
    await users.nth(29).waitFor();
    for (const back of [() => page.goBack(), () => page.locator(".admin-back a").click()]) {
      await users.nth(28).getByRole("link").click();
      await page.getByRole("heading", { name: "Sessions" }).waitFor();
      await back();
      await users.nth(29).waitFor();
      assert.equal(await page.getByLabel("Search").inputValue(), prefix);
      await users.nth(28).waitFor();
      await page.waitForFunction(() => scrollY > 0);
    }
  },

  async "sessions have readable names and answers are Markdown"() {
    const ann = await newUser("ann");
    await ann.api("POST", "api/chat/", { message: "Markdown please" });
    const chat = await newPage();
    await chat.goto(SITE);
    await logIn(chat, ann);
    await chat.getByRole("textbox", { name: "Your message" }).waitFor();
    const page = await adminPage();
    await openUser(page, ann);
    await page.getByText("Chrome on Linux").waitFor();
    await part(page, "Messages");
    await page.locator("summary").first().click();
    await page.locator(".prose strong").waitFor();
    await page.locator(".prose").getByRole("row").nth(2).waitFor();
  },

  async "cards have gaps and filters are not cut off"() {
    const page = await adminPage();
    for (const [view, sign] of [
      ["users", "tbody tr"],
      ["figures", ".plot text"],
      ["trail", "tbody tr, .empty"],
      ["users/grants", "form"],
    ]) {
      await page.goto(`${SITE}admin/#/${view}`);
      await page.locator(sign).first().waitFor();
      if (view === "users/grants") {
        await page.getByLabel("File", { exact: true }).setInputFiles({ name: "grants.csv", mimeType: "text/csv", buffer: Buffer.from("nobody-at-all,5\n") });
        await page.getByLabel("Reason", { exact: true }).fill("a gap");
        await page.getByRole("button", { name: "Preview" }).click();
        await page.getByRole("region", { name: "Preview", exact: true }).waitFor();
      }
      await loaded(page);
      const touching = await page.evaluate(() => {
        const boxes = [...document.querySelectorAll("main :is(.card, .table-box, .toolbar > .button)")].filter((box) => box.checkVisibility());
        const all = boxes.map((box) => [box, box.getBoundingClientRect()]);
        const gaps = all.flatMap(([one, above]) =>
          all.map(([other, below]) => [one, other, below.top - above.bottom, below.left < above.right && above.left < below.right]),
        );
        return gaps
          .filter(([, , gap, isBelow]) => isBelow && gap > -8 && gap < 8)
          .map(([one, other]) => `${one.className} and ${other.className}: ${other.textContent.slice(0, 40)}`);
      });
      assert.deepEqual(touching, [], view);
      const cut = await page.locator(".admin-filters select").evaluateAll((selects) =>
        selects
          .filter((select) => {
            const whole = select.cloneNode(true);
            Object.assign(whole.style, { position: "absolute", width: "max-content" });
            select.parentElement.append(whole);
            const needs = whole.offsetWidth;
            whole.remove();
            return needs > select.offsetWidth;
          })
          .map(({ name }) => name),
      );
      assert.deepEqual(cut, [], view);
    }
  },

  async "a missing order of users names the census that makes it"() {
    const page = await adminPage();
    await page.route(/admin\/users\/\?.*sort=/, (route) => route.fulfill({ json: [] }));
    await page.getByLabel("Order").selectOption("Most tokens spent");
    await page.getByText("Wait for the daily census, or run the command manage census.").waitFor();
  },

  async "every view is accessible and fits in all looks"() {
    const ida = await newUser("ida");
    await ida.api("POST", "api/chat/", { message: "A word ".repeat(200) });
    await ida.api("POST", "api/user/api-keys/", { name: "a program" });
    for (const colorScheme of ["light", "dark"]) {
      for (const width of [1280, 320]) {
        const page = await newPage({ colorScheme, viewport: { width, height: 800 } });
        await page.goto(`${SITE}admin/`);
        await heading(page, "Log in");
        await looksRight(page, `admin-log-in-${width}-${colorScheme}`);
        await logIn(page, admin);
        await rowsAre(page);
        await looksRight(page, `admin-users-${width}-${colorScheme}`);
        await page.getByRole("button", { name: "New user" }).click();
        await page.getByRole("dialog").waitFor();
        await looksRight(page, `admin-new-user-${width}-${colorScheme}`);
        await page.keyboard.press("Escape");
        await openUser(page, ida);
        await looksRight(page, `admin-user-${width}-${colorScheme}`);
        await page.getByRole("button", { name: "Deactivate" }).click();
        await page.getByRole("dialog").waitFor();
        await looksRight(page, `admin-dialog-${width}-${colorScheme}`);
        await page.keyboard.press("Escape");
        await part(page, "Statement");
        await looksRight(page, `admin-statement-${width}-${colorScheme}`);
        await fitsItsBox(page.getByRole("region", { name: /^Statement of .*, newest first$/ }), "the statement");
        await part(page, "Messages");
        await showsCurrent(page, /^About /);
        await page.locator("summary").first().click();
        await page.locator("details[open] .prose > *").first().waitFor();
        await looksRight(page, `admin-user-chats-${width}-${colorScheme}`);
        for (const [view, title, sign] of [
          ["users/grants", "Bulk grants", "form"],
          ["chats", "Messages", "summary"],
          ["trail", "Audit log", "tbody tr, .empty"],
          ["figures", "Statistics", ".plot text"],
          ["export", "Export", "select"],
        ]) {
          await page.goto(`${SITE}admin/#/${view}`);
          await heading(page, title);
          await page.locator(sign).first().waitFor();
          if (view === "figures") {
            await page.getByText("The same numbers as a table").click();
            await fitsItsBox(page.getByRole("region", { name: "Statistics day by day" }), "the days");
            await page.getByText("The calls as a table").click();
            await fitsItsBox(page.getByRole("region", { name: /^Calls to .* day by day$/ }), "the calls");
          }
          await showsCurrent(page, "Administration");
          await looksRight(page, `admin-${view.replace("/", "-")}-${width}-${colorScheme}`);
        }
      }
    }
  },
});

// --- Steps and checks ---

/** Opens a page in a new browser in which the administrator is logged in. */
async function adminPage(place = "#/users") {
  const page = await newPage();
  await page.goto(`${SITE}admin/${place}`);
  await logIn(page, admin);
  await page.getByRole("navigation", { name: "Administration", exact: true }).waitFor();
  return page;
}

async function logIn(page, { name, password }) {
  await page.getByLabel("Username or e-mail address").fill(name);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Log in", exact: true }).click();
}

async function openUser(page, { id, name }) {
  await page.goto(`${SITE}admin/#/users/${id}`);
  await heading(page, name);
}

/** Checks that the current link is visible in its strip. */
async function showsCurrent(page, name) {
  const strip = page.getByRole("navigation", { name });
  const [around, own] = await Promise.all([strip.boundingBox(), strip.locator("[aria-current]").boundingBox()]);
  assert(
    own.x >= around.x - 1 && own.x + own.width <= around.x + around.width + 1,
    `the current link is from ${own.x}, ${own.width} wide, in a strip from ${around.x}, ${around.width} wide`,
  );
}

/** Opens a part of a user's page. */
async function part(page, name) {
  const parts = page.getByRole("navigation", { name: /^About / });
  await parts.getByRole("link", { name }).click();
  await parts.locator('[aria-current="page"]', { hasText: name }).waitFor();
  await page.locator("tbody tr, .admin-chat").first().waitFor();
}

async function adjust(page, direction, tokens, reason) {
  await page.getByLabel(direction, { exact: true }).check();
  await page.getByLabel("Tokens", { exact: true }).fill(String(tokens));
  await page.getByRole("region", { name: "Adjust the balance" }).getByLabel("Reason").fill(reason);
  await page.getByRole("button", { name: "Adjust the balance" }).click();
}

/** Presses a button that changes a user's role or state, and confirms. */
async function decide(page, action, reason = "") {
  await decideIn(page, "Role and status", action, reason);
}

/** Presses a button in a region of a user's page, and confirms. */
async function decideIn(page, region, action, reason = "") {
  await page.getByRole("region", { name: region }).getByRole("button", { name: action }).click();
  await answer(page, action, reason);
}

/** Confirms an action in the dialog that asks for it. */
async function answer(page, action, reason = "") {
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill(reason);
  await dialog.getByRole("button", { name: action }).click();
  await dialog.waitFor({ state: "detached" });
}

async function say(page, text) {
  await page.getByRole("textbox", { name: "Your message" }).fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

async function heading(page, name) {
  await page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
}

async function balance(page, tokens) {
  await page.getByText(`${tokens.toLocaleString("en")} tokens left`, { exact: true }).waitFor();
}

async function rowsAre(page) {
  await page.locator("tbody tr").first().waitFor();
}

/** Returns the text of each cell in a table, by row. */
function rows(page) {
  return page.locator("tbody tr").evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText.trim())));
}

/** Returns the names in the list of users, in alphabetical order. */
async function names(page) {
  return (await rows(page)).map(([name]) => name).toSorted();
}

/** Returns the audit log's entries about a user: the action, the administrator and the reason. */
async function actsOn(page, { name }) {
  await page.getByRole("navigation", { name: "Administration" }).getByRole("link", { name: "Audit log" }).click();
  await heading(page, "Audit log");
  await rowsAre(page);
  return (await rows(page)).filter((row) => row[1].includes(name)).map(([, what, by, why]) => [what, by, why]);
}

async function totals(page) {
  await page.locator(".stat-value").first().waitFor();
  return (await page.locator(".stat-value").allInnerTexts()).map(number);
}

function number(text) {
  return Number(text.replaceAll(",", ""));
}

/** Returns the accessible name of the focused element. */
function focused(page) {
  return page.evaluate(() => {
    const { activeElement: element } = document;
    return (element.labels?.[0]?.firstChild ?? element).textContent.trim();
  });
}
