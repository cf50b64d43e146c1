// Code shared by the journeys: a browser, users with accounts, and checks of every page that a
// journey opens.
//
// SITE is the URL of the pages, TOOLS the folder with playwright-core and axe-core, SCREENS the
// folder for screenshots, FAREBOX the binary, DATA the server's data folder, which also contains
// its e-mails, and TIMEOUT the time-out of each step, in milliseconds. A journey fails if its page
// writes an error to the console, violates its policy, throws, or can't load a file. Each request
// to the API is delayed by a random time of at most LATENCY milliseconds, which finds steps that
// don't wait for what they need.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const {
  SITE: site = "http://127.0.0.1:3000/",
  TOOLS = "target/site-tools",
  SCREENS = "target/site-screens",
  CHROMIUM = "/usr/bin/chromium",
  AT_ONCE = "3",
  TIMEOUT = "90000",
  LATENCY = "0",
  FAREBOX,
  DATA,
} = process.env;

/** The URL of the pages, with a slash at the end. */
export const SITE = new URL("./", site).href;

const execute = promisify(execFile);
const require = createRequire(path.resolve(TOOLS, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(SCREENS, { recursive: true });

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

/** The pages of a journey, and their errors. */
const journey = new AsyncLocalStorage();

/**
 * Runs these journeys, `{name: async () => ..}`, a few at a time. The script's arguments select
 * journeys by parts of their names.
 */
export async function journeys(all) {
  const chosen = process.argv.slice(2);
  const waiting = Object.entries(all).filter(([name]) => chosen.length === 0 || chosen.some((part) => name.includes(part)));
  const failed = [];
  const run = async () => {
    for (let next; (next = waiting.shift());) {
      // Journeys compare days with those of the server: none begins right before midnight (UTC).
      while (new Date().toISOString().slice(11, 16) >= "23:55") await sleep(5000);
      const [name, travel] = next;
      const state = { name, pages: [], wrong: [] };
      const began = performance.now();
      try {
        await journey.run(state, () => travel());
        assert.deepEqual(state.wrong, [], "what the browser complained of");
      } catch (error) {
        failed.push(name);
        console.log(`\n${error.stack}\n${state.wrong.join("\n")}`);
        for (const [index, page] of state.pages.entries()) {
          await page.screenshot({ path: `${SCREENS}/failed-${failed.length}-${index}.png` }).catch(() => {});
          console.log(await shown(page).catch((cause) => cause.message));
        }
      }
      console.log(`${failed.includes(name) ? "FAILED" : "ok"}  ${name} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
      await Promise.all(
        state.pages.map((page) =>
          page
            .context()
            .close()
            .catch(() => {}),
        ),
      );
    }
  };
  await Promise.all(Array.from({ length: Number(AT_ONCE) }, run));
  await browser.close();
  // At the end of a script, Node may wait forever for a connection that wire.mjs has reset.
  process.exit(failed.length > 0 ? 1 : 0);
}

/** Describes what a page shows: its address and the beginning of its text. */
async function shown(page) {
  const text = await page.evaluate(() => document.body.innerText);
  return `-- ${page.url()}\n${text.replace(/\s+/g, " ").slice(0, 1000)}`;
}

/**
 * Opens a new browser with a route that delays requests by LATENCY. The route stays until the
 * browser closes, because Chromium loses requests that are sent while a page's last route is
 * removed (https://github.com/microsoft/playwright/issues/41802).
 */
async function newBrowser(options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", acceptDownloads: true, ...options });
  context.setDefaultTimeout(Number(TIMEOUT));
  // Notices disappear after five ticks of a second. A busy machine may look only later.
  await context.addInitScript(() => {
    const every = globalThis.setInterval;
    globalThis.setInterval = (run, pause, ...more) => every(run, pause === 1000 ? 3000 : pause, ...more);
  });
  await context.route(/\/(api|v1)\//, async (route) => {
    await sleep(Math.random() * LATENCY);
    await route.fallback();
  });
  if (options.permissions?.includes("clipboard-read")) await context.route((url) => url.href.startsWith(SITE), readable);
  return context;
}

/** Opens a page in a new browser, or in the browser of the page `beside`. */
export async function newPage({ beside, ...options } = {}) {
  const context = beside ? beside.context() : await newBrowser(options);
  const page = await context.newPage();
  // The page announces some texts to screen readers for a moment. Look for texts where they are shown.
  const byText = page.getByText.bind(page);
  page.getByText = (...what) => byText(...what).and(page.locator(":not(.announcer)"));
  const state = journey.getStore();
  state.pages.push(page);
  page.on("console", (message) => {
    // The browser also reports failed replies. Failed files are checked below.
    const refused = message.text().startsWith("Failed to load resource");
    if (["error", "warning"].includes(message.type()) && !refused) state.wrong.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => state.wrong.push(error.stack));
  page.on("response", (response) => {
    const { pathname } = new URL(response.url());
    const isFile = !/^\/(api|v1)\//.test(pathname) && !response.request().isNavigationRequest();
    if (response.status() >= 400 && isFile) state.wrong.push(`${response.status()} ${pathname}`);
  });
  return page;
}

/**
 * Sends a route's request, and resolves with the reply. Sends the request again if the server closes
 * the connection, which it does after thirty idle seconds.
 */
export const fetched = (route) => route.fetch({ maxRetries: 3 });

/** Lets a journey read the clipboard, which the pages' policy denies. */
async function readable(route) {
  if (!route.request().isNavigationRequest()) {
    await route.fallback();
    return;
  }
  const response = await fetched(route);
  const headers = response.headers();
  const policy = headers["permissions-policy"]?.replace("clipboard-read=()", "clipboard-read=(self)");
  await route.fulfill({ response, headers: { ...headers, ...(policy ? { "permissions-policy": policy } : {}) } });
}

let people = 0;

/**
 * Creates a user, and returns `{name, password, email, id, api}`. `api(method, path, body)` sends a
 * request as the user and returns `{status, body}`. `site` is the URL of a different server.
 */
export async function newUser(prefix, { email, site = SITE } = {}) {
  const name = `${prefix}${Date.now().toString(36)}${(people += 1)}`;
  const password = "correct horse battery staple";
  const { body } = await ask("POST", "api/register/", { username: name, password, email }, null, site);
  return { name, password, email, id: body.id, api: (method, path, data) => ask(method, path, data, body.token, site) };
}

/** Returns the link in the newest e-mail to an address. */
export async function mailedLink(address, what) {
  const folder = path.join(DATA, "mail");
  for (let tries = 0; tries < 600; tries += 1) {
    for (const name of (await readdir(folder).catch(() => [])).sort().reverse()) {
      // The server renames a file once it is complete.
      const text = await readFile(path.join(folder, name), "utf8").catch(() => "");
      const link = text.includes(address) && new RegExp(`https?://\\S+/${what}/?\\?token=\\S+`).exec(text)?.[0];
      if (link) return link;
    }
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`no mail to ${address} holds a link to ${what}`);
}

/**
 * `manage(..command)` runs the operator's command with the data in a folder. Resolves with the
 * command's output.
 */
export const manageIn =
  (folder) =>
  async (...command) =>
    (await execute(FAREBOX, ["manage", ...command, "--data", folder])).stdout;

/** Runs the operator's command with the shared server's data. */
export const manage = manageIn(DATA);

/** Lets the AI finish its answer to a message that begins with `Slowly`. */
export async function finish(message) {
  const { api } = await newUser("friend");
  await api("POST", "api/chat/", { message: `Finish ${message}` });
}

/**
 * Returns the time at which the API closed the connection for this message's answer, in
 * milliseconds since 1970, or NaN.
 */
export async function leftAt(message) {
  const { api } = await newUser("friend");
  for (const last = Date.now() + Number(TIMEOUT); Date.now() < last; await sleep(500)) {
    const { body } = await api("POST", "api/chat/", { message: `Left ${message}` });
    if (body.response !== "never") return Number(body.response);
  }
  return NaN;
}

/**
 * Sends a request to the API without the browser. Returns `{status, body}`, and throws an error with
 * both if the API refuses the request.
 */
export async function ask(method, path, body, token, site = SITE) {
  const headers = { ...(body ? { "Content-Type": "application/json" } : {}), ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(new URL(path, site), { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  const reply = { status: response.status, body: text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text };
  if (!response.ok) throw Object.assign(new Error(`${method} ${path}: ${response.status} ${text}`), { reply });
  return reply;
}

/**
 * Waits for a value: calls `read` until it returns, or resolves with, a value that is deeply equal to
 * `expected`. If `expected` is a pattern, the value must match it. After the time-out of a step, fails
 * with the last value. A journey that reads a value only once may read it before the page draws it.
 */
export async function eventually(read, expected, message) {
  for (const last = Date.now() + Number(TIMEOUT); ; await sleep(50)) {
    try {
      const value = await read();
      if (expected instanceof RegExp) assert.match(value, expected);
      else assert.deepEqual(value, expected);
      return;
    } catch (error) {
      if (Date.now() < last) continue;
      throw message ? new Error(`${message}: ${error.message}`, { cause: error }) : error;
    }
  }
}

/** Returns the reply to a request that the API may refuse. */
export async function replyTo(asking) {
  try {
    return await asking;
  } catch (error) {
    if (!error.reply) throw error;
    return error.reply;
  }
}

/** Waits until the page has read the lists of its view. */
export const loaded = (page) => page.waitForFunction(() => !document.querySelector(".skeletons"));

/** Stores a screenshot of the page after it has loaded. */
export async function picture(page, name) {
  // Don't wait for messages over the page. The journeys that cause such messages check them.
  await loaded(page);
  await page.screenshot({ path: `${SCREENS}/${name}.png` });
}

/** Resolves with the time at which the first text or picture was painted. */
export async function firstPaint(page) {
  await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
  return page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
}

/** Records the announcements to screen readers, in `announced`. */
export function watchAnnouncements(page) {
  return page.evaluate(() => {
    globalThis.announced = [];
    const look = new MutationObserver((changes) => {
      for (const { target } of changes) {
        const region = (target.nodeType === 1 ? target : target.parentElement)?.closest("[aria-live], [role=status], [role=alert]");
        if (region?.textContent) globalThis.announced.push(region.textContent);
      }
    });
    look.observe(document.body, { childList: true, characterData: true, subtree: true });
  });
}

/** Checks that an element's content isn't cut off at its sides. */
export async function fitsItsBox(element, name) {
  const { needs, has } = await element.evaluate(({ scrollWidth, clientWidth }) => ({ needs: scrollWidth, has: clientWidth }));
  assert(needs <= has, `${name}: ${needs} pixels wide where there are ${has}`);
}

/** Checks the page's accessibility and width, and stores a screenshot. */
export async function looksRight(page, name) {
  // A view that is loading has no heading yet.
  await page.locator("h1").first().waitFor({ state: "attached" });
  await picture(page, name);
  await page.evaluate(axe);
  // With preloading, axe would write imported style sheets into the page, which the page's policy
  // refuses. The rules that axe runs here don't need the style sheets.
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"], preload: false }));
  const found = violations.map(
    ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join("; ")}`,
  );
  assert.deepEqual(found, [], `${name}: findings of axe`);
  const { needs, has } = await page.evaluate(() => ({ needs: document.documentElement.scrollWidth, has: innerWidth }));
  assert(needs <= has, `${name}: ${needs} pixels wide where there are ${has}`);
}
