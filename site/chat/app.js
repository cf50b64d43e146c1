// The frame around the views of a session, and the account. Loaded when a session begins.

import { base, isSignedIn } from "../session/api.js";
import { forgetModels, readModels, watchModels } from "../session/models.js";
import { forgetShop, sells, watchShop } from "../session/shop.js";
import {
  balanceLink,
  forgetBalance,
  forgetProfile,
  learnProfile,
  profile,
  watchProfile,
} from "../session/user.js";
import { forgetUsage } from "../session/usual.js";
import { brandLink } from "../ui/brand.js";
import { button, linkButton } from "../ui/button.js";
import { h } from "../ui/dom.js";
import { inCurrency } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { menuButton } from "../ui/menu.js";
import { attempt } from "../ui/message.js";
import { go } from "../ui/router.js";
import { themeSwitch } from "../ui/theme-switch.js";
import { focusSearch, sidebar } from "./sidebar.js";
import { forgetThreads } from "./thread.js";
import { readTurns, turning } from "./turns.js";
import { sawChat, unfinished } from "./unfinished.js";

export { newThread, oldThread, restoreThreads } from "./thread.js";

listenToKeys(isSignedIn);

// Only signed-in users need this stylesheet. Guests don't load it, so their first load stays small.
const paper = new URL("../ui/print.css", import.meta.url).href;
document.body.append(h("link", { rel: "stylesheet", media: "print", href: paper }));

// --- The account ---

/**
 * Uses the replies about the account: the profile with the balance, the newest message, and the
 * models.
 */
export async function loadAccount([asked, newest, list]) {
  const [, chats] = await Promise.all([
    learnProfile(asked),
    newest,
    // Without the models, the page works until the first message, which reads them again.
    readModels(list).catch(() => {}),
    // The frame shows messages that wait for their answers since before a reload.
    unfinished().length > 0 && readTurns(),
  ]);
  chats.forEach(sawChat);
}

/** Reads what the account's messages cost, once the page is shown, unless this browser knows it. */
const recall = () =>
  drawer && import("../session/recall.js").then(({ recallUsage }) => recallUsage()).catch(() => {});
watchModels(recall);

/** Forgets all data of the account. */
export function forget() {
  drawer = null;
  const parts = [
    forgetProfile,
    forgetBalance,
    forgetModels,
    forgetShop,
    forgetUsage,
    forgetThreads,
  ];
  parts.forEach((part) => part());
}

// --- The frame ---

let drawer = null;

/** The frame around the views of a session in `main`. `leave` logs out. */
export function frame({ brand, main, leave }) {
  const side = sidebar({ brand, onchoose: closeDrawer });
  const opener = button(null, {
    kind: "quiet",
    icon: "menu",
    label: "Chats",
    class: "button button-quiet button-icon drawer-opener",
    "aria-expanded": "false",
    "aria-controls": "sidebar",
  });
  const veil = h("div", { class: "drawer-veil" });
  const fresh = { "aria-label": "New chat", title: "New chat" };
  const bar = h(
    "header",
    { class: "topbar" },
    opener,
    h("span", { class: "bar-brand" }, brandLink("#/")),
    h(
      "a",
      { class: "button button-quiet button-icon bar-new", href: "#/", ...fresh },
      icon("plus"),
    ),
    h(
      "div",
      { class: "topbar-rest bar-tools" },
      buyLink(),
      balanceLink(),
      themeSwitch(),
      accountMenu(leave),
    ),
  );
  const stage = h("div", { class: "stage" }, bar, main);
  drawer = drawerOf({ side, opener, veil, stage });
  recall();
  return h("div", { class: "app" }, side, veil, stage);
}

/** Closes the sidebar's drawer, if it is open. */
export const closeDrawer = () => drawer?.close();

/** On narrow windows the sidebar is a drawer over the page. The page is inert while it is open. */
function drawerOf({ side, opener, veil, stage }) {
  const close = () => {
    if (!side.classList.contains("open")) return;
    side.classList.remove("open");
    stage.inert = false;
    opener.setAttribute("aria-expanded", "false");
    opener.focus();
  };
  opener.addEventListener("click", () => {
    side.classList.add("open");
    stage.inert = true;
    opener.setAttribute("aria-expanded", "true");
    side.querySelector(".button-primary").focus();
  });
  veil.addEventListener("click", close);
  side.querySelector(".drawer-closer").addEventListener("click", close);
  side.addEventListener("keydown", ({ key }) => {
    // With an open menu, Escape closes only the menu.
    if (key === "Escape" && !side.querySelector(":popover-open")) close();
  });
  matchMedia("(min-width: 60rem)").addEventListener("change", close);
  return { close };
}

/** The link beside the balance, if tokens are sold. Narrow windows have it only in the menu. */
function buyLink() {
  const link = linkButton("Buy", "#/buy", {
    hidden: true,
    class: "button button-secondary button-small bar-buy",
  });
  const show = () => (link.hidden = !sells());
  watchShop(show);
  show();
  return link;
}

function accountMenu(leave) {
  let opener = null;
  const name = h("span", { class: "account-name clip" });
  const letter = h("span", { class: "avatar" });
  watchProfile(() => {
    const shown = profile()?.first_name || profile()?.username || "";
    name.textContent = shown;
    letter.dataset.letter = [...shown][0]?.toUpperCase() ?? "";
    opener?.setAttribute("aria-label", `Your account: ${shown}`);
  });
  const choices = () => [
    { text: "Account", icon: "user", href: "#/account" },
    { text: "History", icon: "history", href: "#/history" },
    { text: "Statement", icon: "receipt", href: "#/statement" },
    sells() && { text: inCurrency("Buy tokens"), icon: "coin", href: "#/buy" },
    { text: "Keyboard shortcuts", icon: "keyboard", run: showShortcuts },
    { text: "API documentation", icon: "book", href: new URL("docs/", base).href },
    profile()?.role === "admin" && {
      text: "Administration",
      icon: "shield",
      href: new URL("admin/", base).href,
    },
    { text: "Log out", icon: "out", run: leave },
  ];
  opener = menuButton(`Your account: ${name.textContent}`, choices, {
    face: [letter, name, icon("down")],
    class: "button button-quiet account",
  });
  return opener;
}

// --- Modules that are loaded later ---

/** Modules that views load on demand. */
const PARTS = [
  turning.read,
  () => import("./about.js"),
  () => import("./versions.js"),
  () => import("./stop.js"),
  () => import("./facts.js"),
  () => import("./refusals.js"),
  () => import("./dialogs.js"),
  () => import("./shortcut-list.js"),
  () => import("./unsent.js"),
];

let isReadingLater = false;

/**
 * Loads the modules of the page's views and the remaining ones, so that all views open at once, even
 * without a connection. Loading them earlier would delay the first view on a slow line.
 */
export function readLater(views) {
  if (isReadingLater) return;
  isReadingLater = true;
  const idle = window.requestIdleCallback ?? ((run) => setTimeout(run, 2000));
  const modules = [...views.map((row) => row.read), ...PARTS].filter(Boolean);
  idle(() => modules.forEach((read) => read().catch(() => {})));
}

// --- The keyboard shortcuts, which shortcut-list.js lists ---

const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

/** The shortcuts: an action, and a test for the key event. */
const SHORTCUTS = [
  [focusSearch, (event) => isCtrl(event, "k")],
  [begin, (event) => isCtrl(event, "o", true)],
  [write, ({ key, shiftKey }) => key === "Escape" && shiftKey],
  [stop, ({ key, shiftKey }) => key === "Escape" && !shiftKey],
  [showShortcuts, (event) => isCtrl(event, "/") || isAsked(event)],
];

/** Listens for the shortcuts. They work while `isActive()` returns true. */
function listenToKeys(isActive) {
  addEventListener("keydown", (event) => {
    const isElsewhere = document.querySelector("dialog[open], .menu:popover-open, .sidebar.open");
    if (event.defaultPrevented || event.isComposing || isElsewhere || !isActive()) return;
    const [run] = SHORTCUTS.find(([, matches]) => matches(event)) ?? [];
    if (run?.() !== false && run) event.preventDefault();
  });
}

/** Returns true if this key is pressed with Ctrl, or with Command on a Mac. */
function isCtrl({ key, ctrlKey, metaKey, altKey, shiftKey }, wanted, shift = false) {
  const isHeld = isMac ? metaKey : ctrlKey;
  return isHeld && !altKey && shiftKey === shift && key.toLowerCase() === wanted;
}

/** Returns true for a question mark outside of a field. */
function isAsked({ key, target }) {
  return key === "?" && !target.matches?.("input, textarea, select");
}

function begin() {
  go("#/", { replace: location.hash === "#/" });
}

const box = () => document.getElementById("message");

function write() {
  if (!box()) return false;
  box().focus();
  return true;
}

function stop() {
  const running = document.querySelector(".composer-stop");
  if (!running) return false;
  running.click();
  return true;
}

/** Shows the list of the shortcuts. */
function showShortcuts() {
  attempt(async () => (await import("./shortcut-list.js")).list(isMac));
}
