// The frame around the views of a session, and the account. Loaded when a session begins.

import { base, get, isSignedIn } from "../session/api.js";
import { forgetModels, readModels } from "../session/models.js";
import { forgetShop, sells, watchShop } from "../session/shop.js";
import {
  balanceLink,
  forgetBalance,
  forgetProfile,
  learnProfile,
  profile,
  watchProfile,
} from "../session/user.js";
import { forgetCosts } from "../session/usual.js";
import { button, linkButton } from "../ui/button.js";
import { h } from "../ui/dom.js";
import { inCurrency } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { menuButton } from "../ui/menu.js";
import { themeSwitch } from "../ui/theme-switch.js";
import { listenToKeys, showShortcuts } from "./shortcuts.js";
import { sidebar } from "./sidebar.js";
import { forgetThreads } from "./thread.js";
import { sawChat } from "./unfinished.js";

export { newThread, oldThread, restoreThreads } from "./thread.js";

listenToKeys(isSignedIn);

// Only signed-in users need this stylesheet. Guests don't load it, so their first load stays small.
const paper = new URL("../ui/print.css", import.meta.url).href;
document.body.append(h("link", { rel: "stylesheet", media: "print", href: paper }));

// --- The account ---

/** Reads the profile with the balance, the time of the newest message, and the models. */
export async function loadAccount() {
  const [, chats] = await Promise.all([
    learnProfile(get("api/user/profile/")),
    get("api/chat/", { limit: 1 }),
    // Without the models, the page works until the first message, which reads them again.
    readModels().catch(() => {}),
  ]);
  chats.forEach(sawChat);
}

/** Forgets all data of the account. */
export function forget() {
  drawer = null;
  const parts = [
    forgetProfile,
    forgetBalance,
    forgetModels,
    forgetShop,
    forgetCosts,
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
    h("span", { class: "bar-brand" }, brand.cloneNode(true)),
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
  side.addEventListener("keydown", (event) => event.key === "Escape" && close());
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
