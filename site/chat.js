// The chat page: the session, the frame around the views, and the view of each address.

import { base, get, isSignedIn, onSessionEnded, resume, signOut } from "./api.js";
import { balanceLink, forgetBalance } from "./balance.js";
import { button, linkButton } from "./button.js";
import { fill, h, showCurrent } from "./dom.js";
import { forgetDrafts } from "./drafts.js";
import { explain } from "./format.js";
import { icon } from "./icons.js";
import { menuButton } from "./menu.js";
import { attempt } from "./message.js";
import { note } from "./note.js";
import { forgetProfile, learnProfile, profile, watchProfile } from "./profile.js";
import { go, router } from "./router.js";
import { listenToKeys, showShortcuts } from "./shortcuts.js";
import { sidebar } from "./sidebar.js";
import { themeSwitch } from "./theme-switch.js";
import { forgetThreads, newThread, oldThread, restoreThreads } from "./thread.js";
import { sawChat } from "./unfinished.js";
import { wanted } from "./wanted.js";

/** The views without a session. The first two are only for users without one. */
const PUBLIC = [
  "sign-in",
  "register",
  "forgotten-password",
  "reset-password",
  "verify-email",
];
const DOORS = PUBLIC.slice(0, 2);

/** What is read when it is needed, or when the browser has nothing else to do. */
const LATER = {
  versions: () => import("./versions.js"),
  stops: () => import("./stop.js"),
  deletion: () => import("./delete-message.js"),
  shortcuts: () => import("./shortcut-list.js"),
  signingIn: () => import("./door.js"),
  registration: () => import("./door.js"),
  forgotten: () => import("./door.js"),
  resetting: () => import("./door.js"),
  verifying: () => import("./door.js"),
  history: () => import("./history.js"),
  message: () => import("./history.js"),
  statement: () => import("./statement.js"),
  profilePage: () => import("./account-profile.js"),
  sessions: () => import("./account-sessions.js"),
  apiKeys: () => import("./account-keys.js"),
  ownData: () => import("./account-data.js"),
};

/** A view of `LATER`. */
const later =
  (name, ...more) =>
  async (place) =>
    (await LATER[name]())[name](place, ...more);

const root = document.getElementById("root");
const main = h("main", { id: "main", tabIndex: -1 });

const skipLink = h("a", { class: "skip-link", href: "#main" }, "Skip to the content");
skipLink.addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

function brand() {
  return h(
    "a",
    { class: "brand", href: "#/", "aria-label": "Farebox" },
    h("img", {
      class: "brand-mark",
      src: new URL("./favicon.svg", import.meta.url).href,
      alt: "",
      width: 28,
      height: 28,
    }),
    h("span", { class: "brand-word" }),
  );
}

// --- The frames ---

/** The frame around the views without a session. */
function doorFrame() {
  return h(
    "div",
    { class: "door" },
    h(
      "header",
      { class: "topbar door-bar" },
      brand(),
      h(
        "div",
        { class: "topbar-rest bar-tools" },
        linkButton("API", new URL("docs/", base).href, { kind: "quiet", icon: "book" }),
        themeSwitch(),
      ),
    ),
    main,
  );
}

let drawer = null;

/** The frame around the views of a session. */
function appFrame() {
  const side = sidebar({ brand: brand(), onchoose: () => drawer?.close() });
  const opener = button(null, {
    kind: "quiet",
    icon: "menu",
    label: "Chats",
    class: "button button-quiet button-icon drawer-opener",
    "aria-expanded": "false",
    "aria-controls": "sidebar",
  });
  const veil = h("div", { class: "drawer-veil" });
  const bar = h(
    "header",
    { class: "topbar" },
    opener,
    h("span", { class: "bar-brand" }, brand()),
    h("div", { class: "topbar-rest bar-tools" }, balanceLink(), themeSwitch(), accountMenu()),
  );
  const stage = h("div", { class: "stage" }, bar, main);
  drawer = drawerOf({ side, opener, veil, stage });
  return h("div", { class: "app" }, side, veil, stage);
}

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

function accountMenu() {
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
    { text: "Keyboard shortcuts", icon: "keyboard", run: showShortcuts },
    { text: "API documentation", icon: "book", href: new URL("docs/", base).href },
    profile()?.role === "admin" && {
      text: "Administration",
      icon: "shield",
      href: new URL("admin/", base).href,
    },
    { text: "Sign out", icon: "out", run: leave },
  ];
  opener = menuButton(`Your account: ${name.textContent}`, choices, {
    face: [letter, name, icon("down")],
    class: "button button-quiet account",
  });
  return opener;
}

async function leave() {
  if (await attempt(signOut)) goodbye();
}

/** The user signed out or deleted the account: the next user may be another person. */
function goodbye() {
  forgetDrafts();
  enter(false);
  go("#/sign-in");
}

// --- The session ---

/** Shows the frame for a session, or the one without. */
function enter(signedIn) {
  drawer = null;
  if (!signedIn) [forgetProfile, forgetBalance, forgetThreads].forEach((forget) => forget());
  fill(root, skipLink, signedIn ? appFrame() : doorFrame());
  if (signedIn) restoreThreads();
}

/** Reads the profile, and when the newest message was sent. */
async function loadAccount() {
  const [, chats] = await Promise.all([
    learnProfile(get("api/user/profile/")),
    get("api/chat/", { limit: 1 }),
  ]);
  chats.forEach(sawChat);
}

/** After signing in, shows the view that was asked for before. */
async function welcome() {
  await loadAccount();
  enter(true);
  go(wanted.take() ?? "#/");
}

onSessionEnded(() => {
  wanted.keep(location.hash);
  enter(false);
  go("#/sign-in?ended");
});

const ROUTES = [
  ["", newThread],
  ["c/:id", oldThread],
  ["history", later("history")],
  ["m/:id", later("message")],
  ["statement", later("statement")],
  ["account", later("profilePage")],
  ["account/sessions", later("sessions", leave, goodbye)],
  ["account/api-keys", later("apiKeys")],
  ["account/data", later("ownData", goodbye)],
  ["sign-in", later("signingIn", welcome)],
  ["register", later("registration", welcome)],
  ["forgotten-password", later("forgotten")],
  ["reset-password", later("resetting")],
  ["verify-email", later("verifying", () => enter(false))],
];

function before({ path }) {
  if (!isSignedIn() && !PUBLIC.includes(path)) {
    wanted.keep(location.hash);
    return "#/sign-in";
  }
  return isSignedIn() && DOORS.includes(path) ? "#/" : null;
}

function after({ path }, view) {
  drawer?.close();
  main.classList.toggle("main-thread", Boolean(view.thread));
  for (const link of document.querySelectorAll(".sidebar a, .tabs a")) {
    const target = link.getAttribute("href").replace(/^#\//, "");
    const here =
      target === path || (link.closest(".sidebar-foot") && path.startsWith(`${target}/`));
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.querySelectorAll(".tabs").forEach(showCurrent);
}

async function start() {
  try {
    const signedIn = await resume();
    if (signedIn) await loadAccount();
    enter(signedIn);
  } catch (error) {
    fill(
      root,
      h(
        "main",
        { class: "page" },
        h("h1", {}, "Farebox can't be reached"),
        note("bad", explain(error)),
        h("p", {}, button("Try again", { kind: "primary", icon: "repeat", onclick: start })),
      ),
    );
    return;
  }
  router({ outlet: main, routes: ROUTES, before, after });
  listenToKeys(isSignedIn);
  // So that a view opens at once, and also without a connection.
  const idle = window.requestIdleCallback ?? ((run) => setTimeout(run, 2000));
  idle(() => Object.values(LATER).forEach((read) => read().catch(() => {})));
}

start();
