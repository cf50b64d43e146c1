// The chat page: its views by address, the session, and the frame around the views.

import { forgotten, loggingIn, registration } from "../account/log-in.js";
import { base, interrupted, isSignedIn, onSessionEnded, resume, signOut } from "../session/api.js";
import { button, linkButton } from "../ui/button.js";
import { fill, h, showCurrent } from "../ui/dom.js";
import { explain } from "../ui/format.js";
import { attempt } from "../ui/message.js";
import { note } from "../ui/note.js";
import { go, router } from "../ui/router.js";
import { themeSwitch } from "../ui/theme-switch.js";
import { forgetDrafts } from "./drafts.js";

/**
 * Loads the files that only a session needs: the frame around its views, and the conversations.
 * Requests all scripts at once. Otherwise each script would wait for the script that imports it.
 */
async function readApp() {
  const [read] = await Promise.all([
    import("./app.js"),
    import("../markdown/prose.js"),
    import("../session/models.js"),
    import("../session/shop.js"),
    import("../session/tabs.js"),
    import("../session/usual.js"),
    import("../session/user.js"),
    import("../ui/lazy.js"),
    import("./box.js"),
    import("./branches.js"),
    import("./composer.js"),
    import("./follow.js"),
    import("./offer.js"),
    import("./picker.js"),
    import("./receipt.js"),
    import("./shortcuts.js"),
    import("./sidebar.js"),
    import("./thread.js"),
    import("./turn.js"),
    import("./turns.js"),
    import("./unfinished.js"),
  ]).catch(() => {
    throw interrupted();
  });
  app = read;
  return app;
}

/** The module `app.js`, or null before the first session. */
let app = null;

/** A view for users with a session: the function `name` of a module that `read` loads. */
const later = (path, read, name, ...more) => ({
  path,
  read,
  view: async (place) => (await read())[name](place, ...more),
});

const readLinks = () => import("../account/links.js");

/**
 * The views. `for` says who can open a view without a session: `guests` or `everyone`. An e-mailed
 * link works only once, so users don't return to it after logging in.
 *
 * The modules of `later` define their own titles. A page that was opened before an update loads
 * these modules from the new release. They therefore can't rely on new fields in this table, or on
 * new names for the exports of `session/api.js`.
 */
const VIEWS = [
  later("", readApp, "newThread"),
  later("c/:id", readApp, "oldThread"),
  later("history", () => import("./history.js"), "history"),
  later("m/:id", () => import("./history.js"), "message"),
  later("statement", () => import("../account/statement.js"), "statement"),
  later("buy", () => import("../account/buy.js"), "shop"),
  later("account", () => import("../account/profile.js"), "profilePage"),
  later("account/sessions", () => import("../account/sessions.js"), "sessions", leave, goodbye),
  later("account/api-keys", () => import("../account/keys.js"), "apiKeys"),
  later("account/data", () => import("../account/data.js"), "ownData", goodbye),
  { path: "log-in", title: "Log in", for: "guests", view: (place) => loggingIn(place, welcome) },
  // The address of the log-in in 0.17.0, which a tab may still show when it is reloaded.
  { path: "sign-in", for: "guests", view: () => ({ instead: "#/log-in" }) },
  {
    path: "register",
    title: "Create an account",
    for: "guests",
    view: (place) => registration(place, welcome),
  },
  { path: "forgotten-password", title: "Forgotten password", for: "everyone", view: forgotten },
  {
    title: "Choose a new password",
    for: "everyone",
    isMailed: true,
    ...later("reset-password", readLinks, "resetting"),
  },
  {
    title: "Verify your e-mail address",
    for: "everyone",
    isMailed: true,
    ...later("verify-email", readLinks, "verifying"),
  },
];

/** Modules that views load on demand. */
const PARTS = [
  () => import("./versions.js"),
  () => import("./stop.js"),
  () => import("./dialogs.js"),
];

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
      src: new URL("../ui/favicon.svg", import.meta.url).href,
      alt: "",
      width: 28,
      height: 28,
    }),
    h("span", { class: "brand-word" }),
  );
}

// --- The frames ---

/** The frame around the views without a session. */
function guestFrame() {
  return h(
    "div",
    { class: "guest" },
    h(
      "header",
      { class: "topbar guest-bar" },
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

async function leave() {
  if (await attempt(signOut)) goodbye();
}

/** Forgets drafts after a log-out or deletion, because the next user may be another person. */
function goodbye() {
  forgetDrafts();
  showFrame(false);
  go("#/log-in");
}

// --- The session ---

/** The address that the user requested before the log-in. */
const wanted = (() => {
  let hash = null;
  return {
    keep(place) {
      const path = place.replace(/^#\/?/, "");
      const isGone = VIEWS.some(
        (row) => (row.for === "guests" || row.isMailed) && path.startsWith(row.path),
      );
      hash = place && !isGone ? place : null;
    },
    take() {
      const place = hash;
      hash = null;
      return place;
    },
  };
})();

/** Shows the frame for a session, or the frame without a session. */
function showFrame(loggedIn) {
  if (!loggedIn) app?.forget();
  fill(root, skipLink, loggedIn ? app.frame({ brand: brand(), main, leave }) : guestFrame());
  if (loggedIn) app.restoreThreads();
}

/** Shows the view that the user opened before logging in. */
async function welcome() {
  const { loadAccount } = await readApp();
  await loadAccount();
  showFrame(true);
  go(wanted.take() ?? "#/");
}

onSessionEnded(() => {
  wanted.keep(location.hash);
  showFrame(false);
  go("#/log-in?ended");
});

function before({ path }) {
  const whom = VIEWS.find((row) => row.path === path)?.for;
  if (!isSignedIn() && !whom) {
    wanted.keep(location.hash);
    return "#/log-in";
  }
  return isSignedIn() && whom === "guests" ? "#/" : null;
}

function after({ path }, view) {
  app?.closeDrawer();
  main.classList.toggle("main-thread", Boolean(view.thread));
  for (const link of document.querySelectorAll(".sidebar a, .tabs a")) {
    const target = link.getAttribute("href").replace(/^#\//, "");
    const here =
      target === path || (link.closest(".sidebar-foot") && path.startsWith(`${target}/`));
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.querySelectorAll(".tabs").forEach(showCurrent);
  if (isSignedIn()) readLater();
}

let isReadingLater = false;

/**
 * Loads the remaining modules, so that all views open at once, even without a connection. Loading
 * them earlier would delay the log-in form on a slow line.
 */
function readLater() {
  if (isReadingLater) return;
  isReadingLater = true;
  const idle = window.requestIdleCallback ?? ((run) => setTimeout(run, 2000));
  const modules = [...VIEWS.map((row) => row.read), ...PARTS].filter(Boolean);
  idle(() => modules.forEach((read) => read().catch(() => {})));
}

async function start() {
  // Load the frame while the API is asked for a session. A browser without a session usually
  // notices that at once, and cancels the timer.
  const reading = setTimeout(() => readApp().catch(() => {}));
  try {
    const loggedIn = await resume();
    clearTimeout(reading);
    if (loggedIn) {
      const { loadAccount } = await readApp();
      await loadAccount();
    }
    showFrame(loggedIn);
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
  router({ outlet: main, views: VIEWS, before, after });
}

start();
