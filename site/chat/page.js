// The chat page: its views by address, the session, and the frame around the views.

import { base, interrupted, isSignedIn, onSessionEnded, signOut } from "../session/api.js";
import { brandLink, currentBrand } from "../ui/brand.js";
import { button, linkButton } from "../ui/button.js";
import { fill, h, showCurrent } from "../ui/dom.js";
import { explain } from "../ui/format.js";
import { attempt } from "../ui/message.js";
import { note } from "../ui/note.js";
import { go, router } from "../ui/router.js";
import { themeSwitch } from "../ui/theme-switch.js";
import { beginning, preloadSession, readAccount } from "./ahead.js";

/** Loads the files that only a session needs: the frame around its views, and the conversations. */
async function readApp() {
  preloadSession();
  app = await import("./app.js").catch(() => {
    throw interrupted();
  });
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

const readLogIn = () => import("../account/log-in.js");
const readGuests = () => import("../account/guests.js");

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
  later(
    "account/sessions",
    () => import("../account/sessions.js"),
    "sessions",
    leave,
    goodbye,
    mayLeave,
  ),
  later("account/api-keys", () => import("../account/keys.js"), "apiKeys"),
  later("account/data", () => import("../account/data.js"), "ownData", goodbye),
  { title: "Log in", for: "guests", ...later("log-in", readLogIn, "loggingIn", welcome) },
  // The address of the log-in in 0.17.0, which a tab may still show when it is reloaded.
  { path: "sign-in", for: "guests", view: () => ({ instead: "#/log-in" }) },
  {
    title: "Create an account",
    for: "guests",
    ...later("register", readGuests, "registration", welcome),
  },
  {
    title: "Forgotten password",
    for: "everyone",
    ...later("forgotten-password", readGuests, "forgotten"),
  },
  {
    title: "Choose a new password",
    for: "everyone",
    isMailed: true,
    ...later("reset-password", readGuests, "resetting"),
  },
  {
    title: "Verify your e-mail address",
    for: "everyone",
    isMailed: true,
    ...later("verify-email", readGuests, "verifying"),
  },
];

const root = document.getElementById("root");
const main = h("main", { id: "main", tabIndex: -1 });

const skipLink = h("a", { class: "skip-link", href: "#main" }, "Skip to the content");
skipLink.addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

// --- The frames ---

/** The frame around the views without a session. */
function guestFrame() {
  return h(
    "div",
    { class: "guest" },
    h(
      "header",
      { class: "topbar guest-bar" },
      brandLink("#/"),
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

/** Asks about unsent text. Resolves with true if the user may be logged out. */
async function mayLeave() {
  return (await import("./unsent.js")).mayDiscard();
}

async function leave() {
  let stays = false;
  const isDone = await attempt(async () => {
    stays = !(await mayLeave());
    if (!stays) await signOut();
  });
  if (isDone && !stays) goodbye();
}

/** Forgets drafts after a log-out or deletion, because the next user may be another person. */
async function goodbye() {
  showFrame(false);
  go("#/log-in");
  // The session has loaded this module.
  (await import("./drafts.js")).forgetDrafts();
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
  fill(
    root,
    skipLink,
    loggedIn ? app.frame({ brand: brandLink("#/"), main, leave }) : guestFrame(),
  );
  if (loggedIn) app.restoreThreads();
}

/** Shows the view that the user opened before logging in. */
async function welcome() {
  const account = readAccount();
  const { loadAccount } = await readApp();
  await loadAccount(account);
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
  if (isSignedIn()) app?.readLater(VIEWS);
}

async function start() {
  try {
    const account = await beginning();
    if (account) {
      const { loadAccount } = await readApp();
      await loadAccount(account);
    }
    showFrame(account !== null);
  } catch (error) {
    fill(
      root,
      h(
        "main",
        { class: "page" },
        h("h1", {}, `${currentBrand().name ?? "The server"} can't be reached`),
        note("bad", explain(error)),
        h("p", {}, button("Try again", { kind: "primary", icon: "repeat", onclick: start })),
      ),
    );
    return;
  }
  router({ outlet: main, views: VIEWS, before, after });
}

start();
