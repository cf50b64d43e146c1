// Journeys around the chat: the load time on a slow connection, keyboard shortcuts, messages over
// the page, and the installation as an app.

import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { SITE, eventually, firstPaint, journeys, newPage, newUser } from "./lib/browser.mjs";
import { answered, chatPage, focused, heading, logIn, said, say } from "./lib/chatting.mjs";

/**
 * The maximum compressed size of the page, including the files that it loads immediately and those
 * of the log-in; of the additional files that a session needs before its first view; and of the
 * files that it needs before its first message, in bytes.
 */
const FIRST_LOAD = 40_000;
const SESSION_LOAD = 42_400;
const MESSAGE_LOAD = 11_000;

/**
 * Matches the files that a session needs in addition to the page: the frame and the conversations,
 * and the code for messages.
 */
const SESSION =
  /\/(account\/choice|chat\/(app|box|branches|composer|drafts|offer|sidebar|thread|turns|unfinished)|session\/(models|shop|tabs|user|usual)|ui\/lazy)\.js$/;
const MESSAGE = /\/(chat\/(receipt|turn)|markdown\/prose)\.js$/;

/** Matches the files of the log-in, which the page requests at once. */
const LOG_IN = /\/(account\/log-in|ui\/form)\.js$/;

/** Lets notices stay until they are dismissed, because they may be gone before a busy script looks. */
const keepNotices = (page) =>
  page.evaluate(() => {
    const every = globalThis.setInterval;
    globalThis.setInterval = (run, pause, ...more) => every(run, pause === 1000 ? 1e9 : pause, ...more);
  });

await journeys({
  async "the first text waits only for the styles and colours"() {
    const page = await newPage();
    let open;
    const opened = new Promise((done) => (open = done));
    await page.route(/\/assets\/(?!.*\/(style\.css|theme\.js)$)/, async (route) => {
      await opened;
      await route.continue();
    });
    await page.goto(SITE, { waitUntil: "commit" });
    await firstPaint(page);
    await page.getByText("Loading…").waitFor();
    open();
    await heading(page, "Log in");
  },

  async "the chat page's first load is small"() {
    const html = await (await fetch(SITE)).text();
    const named = [...new Set([...html.matchAll(/(?:src|href)="(assets\/[^"]+)"/g)].map(([, path]) => path))];
    assert.deepEqual(
      named.filter((path) => [SESSION, MESSAGE, LOG_IN].some((kind) => kind.test(path))),
      [],
    );

    // The page loads nothing else before a user has logged in.
    const page = await newPage();
    const loaded = [];
    page.on("request", (request) => loaded.push(new URL(request.url()).pathname.slice(1)));
    await page.goto(SITE);
    await heading(page, "Log in");
    const forms = loaded.filter((path) => LOG_IN.test(path));
    assert.equal(forms.length, 2);
    named.push(...forms);
    const texts = await Promise.all(named.map(async (path) => (await fetch(new URL(path, SITE))).text()));
    const size = [html, ...texts].reduce((sum, text) => sum + gzipSync(text, { level: 9 }).length, 0);
    console.log(`    ${named.length + 1} files, ${size} bytes compressed`);
    assert(size < FIRST_LOAD, `${size} bytes`);
    const known = new Set(["", ...named.map((path) => new URL(path, SITE).pathname.slice(1))]);
    // The prices follow the form. A new browser also requests the operator's word for tokens.
    const late = loaded.filter(
      (path) =>
        !known.has(path) &&
        !SESSION.test(path) &&
        !/\/wordmark\.\w+$|\/ui\/rebrand\.js$|\/(account\/terms|session\/fares)\.js$|^api\/(health\/|models)$/.test(path),
    );
    assert.deepEqual(late, []);

    // A session loads its additional files immediately, and they are small.
    const started = await chatPage(await newUser("ann"));
    // The files are read separately, because a body is lost if the page is left during its request.
    const rest = new Set();
    started.on("request", (request) => rest.add(request.url()));
    await started.reload();
    await heading(started, "What would you like to know?");
    for (const [kind, count, most] of [
      [SESSION, 17, SESSION_LOAD],
      [MESSAGE, 3, MESSAGE_LOAD],
    ]) {
      const files = () => [...rest].filter((url) => kind.test(url));
      // The code for messages is requested when the box is already shown.
      await eventually(() => files().length, count);
      const texts = await Promise.all(files().map(async (url) => (await fetch(url)).text()));
      const more = texts.reduce((sum, text) => sum + gzipSync(text, { level: 9 }).length, 0);
      console.log(`    ${texts.length} files of a session, ${more} bytes compressed`);
      assert(more < most, `${more} bytes`);
    }
  },

  async "a session doesn't wait for the parts that load later"() {
    const ann = await newUser("ann");
    const page = await newPage();
    await page.route(/\/chat\/(about|folders|tray|weights)\.js$/, () => {});
    await page.goto(SITE);
    await logIn(page, ann);
    await heading(page, "What would you like to know?");
    await say(page, "Hello");
    await answered(page);
    await heading(page, "Hello");
  },

  async "a message waits for the code that sends it"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    let open;
    const opened = new Promise((done) => (open = done));
    await page.route(/\/chat\/turn\.js$/, async (route) => {
      await opened;
      await route.continue();
    });
    await page.reload();
    await heading(page, "What would you like to know?");
    const box = page.getByLabel("Your message");
    await box.fill("Hello");
    for (let times = 0; times < 3; times += 1) await box.press("Enter");
    await box.press("End");
    await page.keyboard.type(" again");
    assert.equal(await box.inputValue(), "Hello again");
    assert.equal(await page.locator(".turn").count(), 0);
    open();
    await answered(page);
    await heading(page, "Hello again");
    assert.equal((await ann.api("GET", "api/chat/")).body.length, 1);

    // Without a connection, the message stays in its box.
    await page.route(/\/chat\/turn\.js$/, (route) => route.abort());
    await page.goto(`${SITE}docs/`);
    await page.goto(SITE);
    await heading(page, "What would you like to know?");
    await say(page, "Once more");
    await page.getByText("The message can't be sent without a connection.").waitFor();
    assert.equal(await box.inputValue(), "Once more");
  },

  async "keyboard shortcuts work and are listed"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await page.getByRole("button", { name: "Your account" }).click();
    await page.getByRole("button", { name: "Keyboard shortcuts" }).click();
    const list = page.getByRole("dialog", { name: "Keyboard shortcuts" });
    await list.getByText("Stop the answer").waitFor();
    assert.equal(await list.locator("dt").count(), 8);
    await page.keyboard.press("Escape");
    await list.waitFor({ state: "detached" });
    await page.keyboard.press("Control+/");
    await list.waitFor();
    await page.keyboard.press("Escape");

    await say(page, `Slowly one two three ${ann.name}`);
    await said(page, "Slowly one").waitFor();
    await page.keyboard.press("Escape");
    await page.getByText("You stopped this answer.").waitFor();
    await page.keyboard.press("Control+k");
    assert.equal(await focused(page), "Search chats and messages");
    await page.keyboard.press("Control+Shift+O");
    await heading(page, "What would you like to know?");
    await page.getByRole("link", { name: "History" }).focus();
    await page.keyboard.press("?");
    await list.waitFor();
    await page.keyboard.press("Escape");
    await list.waitFor({ state: "detached" });
    await page.keyboard.press("Shift+Escape");
    assert.equal(await focused(page), "Your message");
    await page.keyboard.type("ordinary letters k o / ?");
    assert.equal(await page.getByLabel("Your message").inputValue(), "ordinary letters k o / ?");
    assert.equal(await list.count(), 0);
  },

  async "notices leave the balance and navigation visible"() {
    const ann = await newUser("ann");
    const covered = (page) =>
      page.evaluate(() => {
        const [toast] = document.querySelectorAll(".toast");
        const controls = [
          ...document.querySelectorAll(
            ".topbar :is(a, button), .tabs a, .sidebar :is(a, button), .composer-form, .thread-title, .thread-about, .thread-head .button",
          ),
        ];
        const shown = controls.filter((control) => control.checkVisibility({ visibilityProperty: true }));
        const { left, right, top, bottom } = toast.getBoundingClientRect();
        const isUnder = (control) => {
          const box = control.getBoundingClientRect();
          return box.left < right && box.right > left && box.top < bottom && box.bottom > top;
        };
        return shown.filter(isUnder).map((control) => control.textContent || control.title);
      });
    for (const viewport of [
      { width: 1280, height: 800 },
      { width: 700, height: 800 },
      { width: 390, height: 700 },
    ]) {
      const page = await chatPage(ann, { viewport });
      await keepNotices(page);
      await say(page, "Talk");
      await answered(page);
      await say(page, "More");
      await said(page, "More").waitFor();
      await answered(page);
      await page.getByRole("button", { name: "More about this message" }).last().click();
      await page.getByRole("button", { name: "Delete this message" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await page.getByText("The message has been deleted.").waitFor();
      assert.deepEqual(await covered(page), [], `a chat, ${viewport.width} pixels wide`);
      await page.getByRole("button", { name: "Dismiss" }).click();
      await page.goto(`${SITE}#/account`);
      await page.getByLabel("First name").fill("Ann");
      await page.getByRole("button", { name: "Save", exact: true }).click();
      await page.getByText("Your name has been saved.").waitFor();
      assert.deepEqual(await covered(page), [], `the account, ${viewport.width} pixels wide`);

      const office = await newPage({ viewport });
      await office.goto(`${SITE}admin/#/users/${ann.id}`);
      await logIn(office, { name: process.env.ADMIN, password: process.env.ADMIN_PASSWORD });
      await heading(office, ann.name);
      await keepNotices(office);
      await office.evaluate(async () => (await import(document.querySelector("link[href$='ui/message.js']").href)).toast("Done for this user."));
      await office.getByText("Done for this user.").waitFor();
      assert.deepEqual(await covered(office), [], `the administration, ${viewport.width} pixels wide`);
    }
  },

  async "only a low balance has a warning colour"() {
    const page = await chatPage(await newUser("ann"));
    const link = page.getByRole("link", { name: "Balance: 4,000 tokens" });
    const ground = () => link.evaluate((element) => getComputedStyle(element).backgroundColor);
    const plain = await page.evaluate(() => {
      const probe = document.body.appendChild(document.createElement("p"));
      probe.style.background = "var(--sunken)";
      return getComputedStyle(probe).backgroundColor;
    });
    assert.equal(await ground(), plain);
    await link.evaluate((element) => element.classList.add("balance-low"));
    assert.notEqual(await ground(), plain);
  },

  async "notices cover no control"() {
    const ann = await newUser("ann");
    for (const viewport of [
      { width: 1280, height: 800 },
      { width: 700, height: 800 },
      { width: 360, height: 640 },
    ]) {
      const page = await chatPage(ann, { viewport });
      await keepNotices(page);
      await say(page, "Talk");
      await answered(page);
      await page.getByRole("button", { name: "More about this message" }).click();
      await page.getByRole("button", { name: "Delete this message" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await page.getByText("The message has been deleted.").waitFor();
      const covered = await page.evaluate(() => {
        const controls = [...document.querySelectorAll("main button, main a, .topbar button, .topbar a, .sidebar a, textarea")];
        const shown = controls.filter((control) => control.checkVisibility({ visibilityProperty: true }));
        const inTheWay = (control) => {
          const { left, top, width, height } = control.getBoundingClientRect();
          return document.elementFromPoint(left + width / 2, top + height / 2)?.closest(".toasts");
        };
        return shown.filter(inTheWay).map((control) => control.textContent || control.title);
      });
      assert.deepEqual(covered, [], `${viewport.width} pixels wide`);
      await page.getByRole("button", { name: "Dismiss" }).click();
      await page.getByText("The message has been deleted.").waitFor({ state: "detached" });
    }
  },

  async "notices stay while they have the focus or the mouse"() {
    const page = await newPage();
    await page.clock.install();
    await page.goto(SITE);
    await heading(page, "Log in");
    await page.clock.pauseAt(Date.now() + 60_000);
    const notice = page.locator(".toast");
    const show = () => page.evaluate(async () => (await import(document.querySelector("link[href$='ui/message.js']").href)).toast("Done."));
    await show();
    const { x, y, width, height } = await notice.boundingBox();
    await page.mouse.move(x + width / 4, y + height / 2);
    await page.clock.runFor(30_000);
    await page.mouse.move(0, 0);
    await page.clock.runFor(2000);
    assert.equal(await notice.count(), 1);
    await page.clock.runFor(3000);
    assert.equal(await notice.count(), 0);

    // The mouse leaves the window across the notice.
    await show();
    await page.mouse.move(x + width / 4, y + height / 2);
    await page.clock.runFor(30_000);
    await page.evaluate(() => document.documentElement.dispatchEvent(new PointerEvent("pointerleave")));
    await page.clock.runFor(5000);
    assert.equal(await notice.count(), 0);

    await show();
    await notice.getByRole("button", { name: "Dismiss" }).focus();
    await page.clock.runFor(30_000);
    await page.getByRole("textbox").first().focus();
    await page.clock.runFor(2000);
    assert.equal(await notice.count(), 1);
    await page.clock.runFor(3000);
    assert.equal(await notice.count(), 0);
  },

  async "a notice returns the focus when it is dismissed"() {
    const page = await newPage();
    await page.goto(SITE);
    await heading(page, "Log in");
    await page.getByLabel("Password", { exact: true }).focus();
    await page.evaluate(async () => (await import(document.querySelector("link[href$='ui/message.js']").href)).toast("Done."));
    await page.getByRole("button", { name: "Dismiss" }).focus();
    await page.keyboard.press("Enter");
    await page.locator(".toast").waitFor({ state: "detached" });
    assert.equal(await focused(page), "Password");
  },

  async "screen readers hear announcements in a dialog and after it"() {
    const page = await chatPage(await newUser("ann"));
    const announce = (text) => page.evaluate(async (said) => (await import(document.querySelector("link[href$='ui/announce.js']").href)).announce(said), text);
    const heard = (place, text) => place.getByRole("status").filter({ hasText: text }).waitFor({ state: "attached" });
    await page.keyboard.press("Control+/");
    const list = page.getByRole("dialog", { name: "Keyboard shortcuts" });
    await list.waitFor();
    await announce("Copied.");
    await heard(list, "Copied.");
    await page.keyboard.press("Escape");
    await list.waitFor({ state: "detached" });
    await announce("Renamed.");
    await heard(page, "Renamed.");
  },

  async "the earlier address of the log-in leads to the new one"() {
    const page = await newPage();
    await page.goto(`${SITE}#/sign-in`);
    await heading(page, "Log in");
    assert.equal(new URL(page.url()).hash, "#/log-in");
  },

  async "failed log-ins look alike and list possible reasons"() {
    const page = await newPage();
    await page.goto(`${SITE}#/log-in`);
    await logIn(page, { name: "nobody-at-all", password: "not this one" });
    await page.getByText("Incorrect username or password.").waitFor();
    await page.getByText("the account may be deactivated").waitFor();
  },

  async "the page can be installed as an app with icons"() {
    const page = await newPage();
    await page.goto(SITE);
    await heading(page, "Log in");
    const devtools = await page.context().newCDPSession(page);
    const { errors, data, url } = await devtools.send("Page.getAppManifest");
    assert.deepEqual(errors, []);
    const manifest = JSON.parse(data);
    assert.equal(new URL(manifest.start_url, url).href, SITE);
    assert.equal(new URL(manifest.scope, url).href, SITE);
    assert.equal(manifest.display, "standalone");
    for (const { src } of manifest.icons) assert.equal((await fetch(new URL(src, url))).status, 200, src);
    const size = await page.evaluate(async () => {
      const image = new Image();
      image.src = document.querySelector("link[rel=apple-touch-icon]").href;
      await image.decode();
      return [image.naturalWidth, image.naturalHeight];
    });
    assert.deepEqual(size, [180, 180]);
  },

  async "unknown addresses are explained with and without a session"() {
    const ann = await newUser("ann");
    const page = await newPage();
    for (const path of ["nowhere", "docs/nowhere", "a/b/"]) {
      await page.goto(SITE + path);
      await heading(page, "Page not found");
    }
    await page.getByRole("link", { name: "Go to the chat" }).click();
    await logIn(page, ann);
    await heading(page, "What would you like to know?");
    await page.goto(`${SITE}nowhere`);
    await heading(page, "Page not found");
    // The page offers no retry for a deleted or unknown chat.
    for (const id of ["01a1f7d1-6dd1-703a-9600-a369c76325b7", "does-not-exist"]) {
      await page.goto(`${SITE}#/c/${id}`);
      await heading(page, "Not found");
      await page.getByText("This chat doesn't exist. It may have been deleted.").waitFor();
      assert.equal(await page.getByRole("button", { name: "Try again" }).count(), 0);
      await page.getByRole("link", { name: "Start a new chat" }).click();
      await heading(page, "What would you like to know?");
    }
    await page.goto(`${SITE}#/nowhere`);
    await heading(page, "Page not found");
    await page.getByRole("link", { name: "Go to the chat" }).click();
    await heading(page, "What would you like to know?");
  },
});
