// The chat page: the session, the frame around the views, and the view of each address.

import { forgotten, registration, resetting, signingIn, verifying } from "../account/door.js";
import { base, interrupted, isSignedIn, onSessionEnded, resume, signOut } from "../session/api.js";
import { button, linkButton } from "../ui/button.js";
import { fill, h, showCurrent } from "../ui/dom.js";
import { explain } from "../ui/format.js";
import { attempt } from "../ui/message.js";
import { note } from "../ui/note.js";
import { go, router } from "../ui/router.js";
import { themeSwitch } from "../ui/theme-switch.js";
import { forgetDrafts } from "./drafts.js";

/** The views without a session. The first two are only for users who aren't signed in. */
const PUBLIC = ["sign-in", "register", "forgotten-password", "reset-password", "verify-email"];
const DOORS = PUBLIC.slice(0, 2);

/**
 * Loads the files that only a session needs: the frame around its views, and the conversations.
 * Requests all scripts at once; otherwise each would wait for the script that imports it.
 */
async function readApp() {
  const [read] = await Promise.all([
    import("./app.js"),
    import("../markdown/prose.js"),
    import("../session/models.js"),
    import("../session/shop.js"),
    import("../session/tabs.js"),
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

/** Views that are loaded when they are opened, or after the first view of a session is shown. */
const LATER = {
  newThread: readApp,
  oldThread: readApp,
  versions: () => import("./versions.js"),
  stops: () => import("./stop.js"),
  dialogs: () => import("./dialogs.js"),
  history: () => import("./history.js"),
  message: () => import("./history.js"),
  statement: () => import("../account/statement.js"),
  shop: () => import("../account/buy.js"),
  profilePage: () => import("../account/profile.js"),
  sessions: () => import("../account/sessions.js"),
  apiKeys: () => import("../account/keys.js"),
  ownData: () => import("../account/data.js"),
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

async function leave() {
  if (await attempt(signOut)) goodbye();
}

/** Forgets drafts after a sign-out or deletion, because the next user may be another person. */
function goodbye() {
  forgetDrafts();
  showFrame(false);
  go("#/sign-in");
}

// --- The session ---

/** The address that was asked for before the user had to sign in. */
const wanted = (() => {
  let hash = null;
  return {
    keep(place) {
      hash =
        place && !/^#\/?(sign-in|register|reset-password|verify-email)/.test(place) ? place : null;
    },
    take() {
      const place = hash;
      hash = null;
      return place;
    },
  };
})();

/** Shows the frame for a session, or the frame without a session. */
function showFrame(signedIn) {
  if (!signedIn) app?.forget();
  fill(root, skipLink, signedIn ? app.frame({ brand: brand(), main, leave }) : doorFrame());
  if (signedIn) app.restoreThreads();
}

/** Shows the view that the user opened before signing in. */
async function welcome() {
  const { loadAccount } = await readApp();
  await loadAccount();
  showFrame(true);
  go(wanted.take() ?? "#/");
}

onSessionEnded(() => {
  wanted.keep(location.hash);
  showFrame(false);
  go("#/sign-in?ended");
});

const ROUTES = [
  ["", later("newThread")],
  ["c/:id", later("oldThread")],
  ["history", later("history")],
  ["m/:id", later("message")],
  ["statement", later("statement")],
  ["buy", later("shop")],
  ["account", later("profilePage")],
  ["account/sessions", later("sessions", leave, goodbye)],
  ["account/api-keys", later("apiKeys")],
  ["account/data", later("ownData", goodbye)],
  ["sign-in", (place) => signingIn(place, welcome)],
  ["register", (place) => registration(place, welcome)],
  ["forgotten-password", forgotten],
  ["reset-password", resetting],
  ["verify-email", verifying],
];

function before({ path }) {
  if (!isSignedIn() && !PUBLIC.includes(path)) {
    wanted.keep(location.hash);
    return "#/sign-in";
  }
  return isSignedIn() && DOORS.includes(path) ? "#/" : null;
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
 * Loads all views of `LATER`, so that they open at once, even without a connection. Loading them
 * earlier would delay the sign-in form on a slow line.
 */
function readLater() {
  if (isReadingLater) return;
  isReadingLater = true;
  const idle = window.requestIdleCallback ?? ((run) => setTimeout(run, 2000));
  idle(() => Object.values(LATER).forEach((read) => read().catch(() => {})));
}

async function start() {
  // Load the frame while the API is asked for a session. A browser that has no session often knows
  // that at once, and cancels the timer.
  const reading = setTimeout(() => readApp().catch(() => {}));
  try {
    const signedIn = await resume();
    clearTimeout(reading);
    if (signedIn) {
      const { loadAccount } = await readApp();
      await loadAccount();
    }
    showFrame(signedIn);
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
}

start();
