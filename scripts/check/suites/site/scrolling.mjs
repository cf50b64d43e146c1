// Journeys of users who scroll. The document doesn't move in any view of the chat page, and every
// page ends with its content.

import assert from "node:assert/strict";
import { adminPage } from "./lib/administering.mjs";
import { SITE, ask, journeys, loaded, newPage, newUser } from "./lib/browser.mjs";
import { answered, chatPage, heading, logIn, said } from "./lib/chatting.mjs";
import { GUEST_VIEWS, administratorsViews, furnished, viewsOf, visit as visitAt } from "./lib/views.mjs";

const WIDE = { viewport: { width: 1280, height: 800 } };
/** A window of 1280 by 1024 pixels at a zoom of 400 %. */
const ZOOMED = { viewport: { width: 320, height: 256 } };
const NARROW = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const TURNS = 10;

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/**
 * Creates a user who has a long conversation, which begins with a question about the giraffe, and a
 * message that a program has sent.
 */
async function reader() {
  const ann = await newUser("ann");
  const { body: first } = await ann.api("POST", "api/chat/", { message: "Where is the giraffe?" });
  for (let number = 1; number < TURNS; number += 1) {
    const message = number % 2 ? "Markdown please" : `Number ${number} ${"of a long one\n".repeat(8)}`;
    await ann.api("POST", "api/chat/", { message, conversation_id: first.conversation_id });
  }
  const { body: key } = await ann.api("POST", "api/user/api-keys/", { name: "a program" });
  await ask("POST", "v1/chat/completions", { model: "any", messages: [{ role: "user", content: "By a program" }] }, key.key);
  const [program] = (await ann.api("GET", "api/chat/")).body;
  return { ann, first, program };
}

/** Returns the sizes of the document and the window, and the document's scroll position. */
const measures = (page) =>
  page.evaluate(() => {
    const { scrollHeight, scrollWidth } = document.documentElement;
    return { scrollHeight, scrollWidth, body: document.body.offsetHeight, height: innerHeight, width: innerWidth, top: scrollY };
  });

/** Checks that no part of the document is below or beside the window. */
async function fillsWindow(page, view) {
  const { scrollHeight, scrollWidth, height, width, top } = await measures(page);
  assert.deepEqual([scrollHeight, top], [height, 0], `${view}: the document is ${scrollHeight} pixels high in a window of ${height}`);
  assert(scrollWidth <= width, `${view}: ${scrollWidth} pixels wide in a window of ${width}`);
}

/** Checks that a scrolling document ends where its content ends. */
async function endsWithContent(page, view) {
  const { scrollHeight, scrollWidth, body, height, width } = await measures(page);
  assert.equal(scrollHeight, Math.max(body, height), `${view}: the document is ${scrollHeight} pixels high, and its content ${body}`);
  assert(scrollWidth <= width, `${view}: ${scrollWidth} pixels wide in a window of ${width}`);
}

const visit = (page, place) => visitAt(page, SITE + place);

/** Checks that a turn begins below the bar and that the bar and the box are in the window. */
async function isInView(page, turn, view) {
  await page.waitForFunction(() => document.activeElement.matches(".turn-found"));
  const [found, main, bar, box] = await Promise.all(
    [turn, page.locator("main"), page.locator(".topbar"), page.locator(".composer-form")].map((part) => part.boundingBox()),
  );
  assert.equal(bar.y, 0, `${view}: the bar`);
  assert(found.y >= main.y + 8 && found.y < main.y + 60, `${view}: the message begins at ${found.y}, its part of the window at ${main.y}`);
  assert(box.y + box.height <= page.viewportSize().height, `${view}: the box ends at ${box.y + box.height}`);
  await fillsWindow(page, view);
}

const everyView = (options) => async () => {
  const { ann, first, program } = await reader();
  const page = await newPage(options);
  await page.goto(SITE);
  await heading(page, "Log in");
  for (const view of GUEST_VIEWS) {
    await visit(page, view);
    await endsWithContent(page, view);
  }
  await page.goto(`${SITE}#/log-in`);
  await logIn(page, ann);
  await heading(page, "What would you like to know?");
  await fillsWindow(page, "a new chat");
  for (const place of [...viewsOf({ chat: first.conversation_id, message: first.id }).slice(1), `#/m/${program.id}`]) {
    await visit(page, place);
    await fillsWindow(page, place);
  }
  await visit(page, "#/statement");
  await page.getByText("Totals by month").click();
  await page.locator(".months tbody tr").first().waitFor();
  await loaded(page);
  await fillsWindow(page, "the totals of the months");

  // The documentation scrolls as a whole.
  await page.goto(`${SITE}docs/`);
  await heading(page, "Quickstart");
  await endsWithContent(page, "docs/");
};

/** The views that have something to show only on a server with a price list, a shop and shared chats. */
const furnishedViews = (options) => async () => {
  const server = await furnished();
  const home = await server.resident();
  const page = await chatPage(home.ann, { ...options, url: server.url });
  for (const view of ["#/buy", `#/c/${home.chat}`, "#/account/data"]) {
    await visitAt(page, server.url + view);
    await fillsWindow(page, view);
  }
  await visitAt(page, `${server.url}s/${home.link}`);
  await page.locator(".shared-turn").first().waitFor();
  await endsWithContent(page, "a shared chat");
};

const everyAdministratorsView = (options) => async () => {
  const server = await furnished();
  const home = await server.resident();
  const page = await newPage(options);
  await page.goto(`${server.url}admin/`);
  await logIn(page, { name: process.env.ADMIN, password: process.env.ADMIN_PASSWORD });
  await heading(page, "Users");
  for (const view of administratorsViews({ ...server, ...home })) {
    await visitAt(page, `${server.url}admin/#/${view}`);
    await endsWithContent(page, view);
    if (view === "users") await page.getByRole("checkbox", { name: `Select ${home.ann.name}` }).check();
  }
};

/**
 * Moves the focus through the page, or through an open dialog, by a key, until it comes back to an
 * element. Returns the focused elements that aren't in view. Elements that are higher than half of
 * the window can't always be in view as a whole.
 */
async function hiddenStops(page, key) {
  await page.evaluate(() => Object.assign(window, { walked: new Set(), lastStop: null }));
  const hidden = [];
  for (let presses = 0; presses < 500; presses += 1) {
    await page.keyboard.press(key);
    const { isEnd, html } = await page.evaluate(() => {
      const { activeElement: stop } = document;
      // A field for a day has several stops.
      const isSame = stop === window.lastStop;
      window.lastStop = stop;
      if (isSame && stop !== document.body) return {};
      if (window.walked.has(stop)) return { isEnd: true };
      window.walked.add(stop);
      const { left, top, width, height } = stop.getBoundingClientRect();
      if (stop === document.body || height > innerHeight / 2) return {};
      const isInView = (y) => {
        const found = document.elementFromPoint(left + width / 2, y);
        return found && (stop.contains(found) || found.contains(stop));
      };
      // Of a textarea, the browser brings only the line with the caret into view.
      const middle = stop.matches("textarea") ? Math.min(top + height / 2, innerHeight - 1) : top + height / 2;
      if (isInView(top + Math.min(2, height / 2)) && isInView(middle)) return {};
      return { html: stop.outerHTML.replace(/\s+/g, " ").slice(0, 110) };
    });
    if (isEnd) return hidden;
    if (html) hidden.push(html);
  }
  throw new Error(`The focus never comes back by ${key}.`);
}

/** Opens a message from the search, the history and the statement. */
const foundMessage = (options) => async () => {
  const { ann, first } = await reader();
  const page = await chatPage(ann, options);
  const turn = page.locator(".turn", { hasText: "giraffe" }).first();
  await page.keyboard.press("Control+k");
  await page.keyboard.type("giraffe");
  await page.locator(".found a", { hasText: "Where is the giraffe?" }).last().click();
  await isInView(page, turn, "the search");
  await visit(page, "#/history?q=giraffe");
  await page.getByRole("link", { name: /^Open/ }).click();
  await isInView(page, turn, "the history");
  await visit(page, "#/statement");
  await page.locator(`a[href="#/m/${first.id}"]`).click();
  await isInView(page, turn, "the statement");
};

await journeys({
  "in every wide view the document is as high as the window": everyView(WIDE),
  "in every narrow view the document is as high as the window": everyView(NARROW),
  "in every view at a zoom of 400 % the document fits the window": everyView(ZOOMED),
  "wide views with purchases and shared chats fit the window": furnishedViews(WIDE),
  "narrow views with purchases and shared chats fit the window": furnishedViews(NARROW),
  "views with purchases fit the window at a zoom of 400 %": furnishedViews(ZOOMED),
  "every wide page of the administration ends with its content": everyAdministratorsView(WIDE),
  "narrow administration pages end with their content": everyAdministratorsView(NARROW),
  "administration pages end with their content at 400 %": everyAdministratorsView(ZOOMED),
  "a found message is in view below the bar of a wide window": foundMessage(WIDE),
  "a found message is in view below the bar, narrow window": foundMessage(NARROW),

  async "the administration's bar covers nothing that has the focus"() {
    const server = await furnished();
    const home = await server.resident();
    // In a window of this width, the links in the bar have several lines.
    const page = await adminPage(server, "#/users", { viewport: { width: 760, height: 600 } });
    const found = {};
    const walk = async (view) => {
      for (const key of ["Tab", "Shift+Tab"]) {
        const hidden = await hiddenStops(page, key);
        if (hidden.length > 0) found[`${view}, ${key}`] = hidden;
      }
    };
    for (const view of administratorsViews({ ...server, ...home })) {
      await visitAt(page, `${server.url}admin/#/${view}`);
      await walk(view);
      if (view === "users") await page.getByRole("checkbox", { name: `Select ${home.ann.name}` }).check();
    }
    await page.setViewportSize({ width: 760, height: 360 });
    for (const [view, name] of [
      [`users/${home.ann.id}`, "Revoke all keys"],
      [`users/${home.ann.id}/statement`, "Refund “Where is the giraffe?”"],
      ["prices/edit", "Preview"],
    ]) {
      await visitAt(page, `${server.url}admin/#/${view}`);
      await page.getByRole("button", { name, exact: true }).click();
      const dialog = page.getByRole("dialog");
      await dialog.waitFor();
      await walk(name);
      await page.keyboard.press("Escape");
      await dialog.waitFor({ state: "detached" });
    }
    assert.deepEqual(found, {});
  },

  async "a wheel past the end of a long chat keeps all in view"() {
    const { ann, first } = await reader();
    const page = await chatPage(ann, { ...WIDE, place: `#/c/${first.conversation_id}` });
    await said(page, "Where is the giraffe?").waitFor();
    await answered(page);
    await page.mouse.move(700, 400);
    for (let notch = 0; notch < 40; notch += 1) await page.mouse.wheel(0, 120);
    await pause(300);
    await fillsWindow(page, "a chat");
    const box = await page.locator(".composer-form").boundingBox();
    assert(box.y > 0 && box.y + box.height <= 800, `the box is at ${box.y}`);
    // Turn the wheel while the pointer is over the sidebar, which has a short list.
    await page.mouse.move(100, 700);
    for (let notch = 0; notch < 20; notch += 1) await page.mouse.wheel(0, 120);
    await pause(300);
    await fillsWindow(page, "the sidebar");
    await page.goto(`${SITE}#/account`);
    await heading(page, "Profile");
    await page.mouse.move(700, 400);
    for (let notch = 0; notch < 40; notch += 1) await page.mouse.wheel(0, 120);
    await pause(300);
    await fillsWindow(page, "the account");
  },

  async "a finger past the end of a long chat keeps all in view"() {
    const { ann, first } = await reader();
    const page = await chatPage(ann, { ...NARROW, place: `#/c/${first.conversation_id}` });
    await said(page, "Where is the giraffe?").waitFor();
    await answered(page);
    const devtools = await page.context().newCDPSession(page);
    const touch = (type, y) => devtools.send("Input.dispatchTouchEvent", { type, touchPoints: y === null ? [] : [{ x: 200, y }] });
    for (let swipe = 0; swipe < 4; swipe += 1) {
      await touch("touchStart", 600);
      for (let y = 580; y >= 120; y -= 20) await touch("touchMove", y);
      await touch("touchEnd", null);
      await pause(200);
    }
    await fillsWindow(page, "a chat");
    const [bar, box] = await Promise.all([page.locator(".topbar").boundingBox(), page.locator(".composer-form").boundingBox()]);
    assert.equal(bar.y, 0);
    assert(box.y > 0 && box.y + box.height <= 844, `the box is at ${box.y}`);
  },
});
