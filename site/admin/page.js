// The administration page: its views by address, its frame, and the form to log in. The scripts of
// the views are in this folder.

import { base, get, isSignedIn, onSessionEnded, resume, signIn, signOut } from "../session/api.js";
import { readModels } from "../session/models.js";
import { brandLink } from "../ui/brand.js";
import { busy, button, linkButton } from "../ui/button.js";
import { fill, focusOn, h, showCurrent } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { icon } from "../ui/icons.js";
import { attempt } from "../ui/message.js";
import { note } from "../ui/note.js";
import { router } from "../ui/router.js";
import { themeSwitch } from "../ui/theme-switch.js";
import { brandView } from "./brand.js";
import { bulkView } from "./bulk.js";
import { mayLogOut } from "./cards.js";
import { chatsView } from "./chats.js";
import { exportView } from "./export.js";
import { figuresView } from "./figures.js";
import { grantsView } from "./grants.js";
import { packsView } from "./packs.js";
import { pricesView } from "./prices.js";
import { purchasesView } from "./purchases.js";
import { pricesEditor } from "./rates.js";
import { redemptionsView } from "./redemptions.js";
import { sharesView } from "./shares.js";
import { trailView } from "./trail.js";
import { userViews } from "./user.js";
import { usersView } from "./users.js";
import { vouchersView } from "./vouchers.js";

/**
 * The views. `view(place, me, reload)` makes a view for the administrator `me`, and `reload` shows
 * it again. The navigation lists the views with an icon, in this order. `act` is the name of the
 * view's actions that don't affect a user. The audit log shows them under the view's title.
 */
const VIEWS = [
  { path: "users", title: "Users", icon: "users", view: usersView },
  { path: "users/grants", title: "Bulk grants", view: grantsView },
  { path: "users/bulk", view: bulkView },
  ...userViews,
  { path: "chats", title: "Messages", icon: "chat", view: chatsView },
  { path: "figures", title: "Statistics", icon: "chart", view: figuresView },
  { path: "prices", title: "Prices", icon: "tag", view: pricesView },
  { path: "prices/edit", title: "Edit the prices", view: pricesEditor },
  { path: "vouchers", title: "Vouchers", icon: "coin", view: vouchersView, act: "vouchers" },
  { path: "vouchers/:id", view: redemptionsView },
  { path: "purchases", title: "Purchases", icon: "receipt", view: purchasesView },
  { path: "purchases/packs", title: "Packs", view: packsView, act: "packs" },
  { path: "shares", title: "Shared chats", icon: "alert", view: sharesView },
  { path: "brand", title: "Brand", icon: "palette", view: brandView, act: "brand" },
  {
    path: "trail",
    title: "Audit log",
    icon: "history",
    view: (place, me) =>
      trailView(
        place,
        me,
        VIEWS.filter((row) => row.act),
      ),
  },
  { path: "export", title: "Export", icon: "download", view: exportView },
];

const CHAT_PAGE = base.href;

/** The account of this session, or null if there is no session. */
let me = null;
/** The id of the last account. The page keeps its unsaved forms and selected users. */
let owner = null;
let asked = false;
let ended = false;

const main = document.getElementById("main");
const frame = document.getElementById("frame");
const links = VIEWS.filter((row) => row.icon).map(({ path, title, icon: name }) =>
  h("a", { href: `#/${path}`, dataset: { path } }, icon(name), h("span", {}, title)),
);
const nav = h(
  "nav",
  { class: "nav admin-nav", "aria-label": "Administration", hidden: true },
  links,
);
const who = h("span", { class: "admin-who clip" });
const out = button("Log out", {
  kind: "quiet",
  icon: "out",
  onclick: () => busy(out, () => attempt(leaveForGood)),
});

fill(
  frame,
  brandLink("#/users", h("span", { class: "badge badge-coin" }, "Admin")),
  nav,
  h(
    "div",
    { class: "topbar-rest admin-account" },
    who,
    linkButton("Chat", CHAT_PAGE, {
      icon: "chat",
      class: "button button-quiet admin-to-chat",
    }),
    themeSwitch(),
    out,
  ),
);

// The links in the bar have several lines in most windows. In a narrow window, the bar scrolls away.
new ResizeObserver(() => {
  const isSticky = getComputedStyle(frame).position === "sticky";
  document.documentElement.style.setProperty("--bar", `${isSticky ? frame.offsetHeight : 0}px`);
}).observe(frame);

const place = router({
  outlet: main,
  name: "administration",
  start: "Go to the users",
  before: ({ path }) => (path === "" ? "#/users" : null),
  views: VIEWS.map((row) => ({ ...row, view: admitted(row.view) })),
  after: ({ path }) => showFrame(path.split("/")[0]),
});

document.getElementById("skip").addEventListener("click", (event) => {
  // The part of the address after the # names a view, so don't change it.
  event.preventDefault();
  focusOn(main);
});

onSessionEnded(() => {
  me = null;
  ended = true;
  place.show();
});

/** A view for administrators. Other users see a refusal, or the log-in form. */
function admitted(view) {
  return async (where) => {
    try {
      me ??= await account();
      if (!me) return logInForm();
      if (me.role !== "admin") return stranger();
      return await view(where, me, () => place.show());
    } catch (error) {
      if (error.status === 401) return logInForm();
      if (error.code === "forbidden") return stranger();
      throw error;
    }
  };
}

/** The account of the browser's session, or null. Tries only once to continue a session. */
async function account() {
  if (!isSignedIn() && (asked || !(await resume()))) {
    asked = true;
    return null;
  }
  return readAccount();
}

/** The account of this session. Also reads the operator's word for tokens. */
async function readAccount() {
  const [own] = await Promise.all([get("api/user/profile/"), readModels().catch(() => {})]);
  owner ??= own.id;
  return own.id === owner ? own : forgetAll();
}

function showFrame(path) {
  const inside = me?.role === "admin";
  nav.hidden = !inside;
  out.hidden = !me;
  who.textContent = me?.username ?? "";
  for (const link of links) {
    if (link.dataset.path === path) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.querySelectorAll(".admin-nav, .admin-tabs").forEach(showCurrent);
}

function logInForm() {
  me = null;
  // The brand comes with the models. A new browser doesn't know it yet.
  readModels(get("api/models", null, { open: true })).catch(() => {});
  const name = field("Username or e-mail address", "username", {
    autocomplete: "username",
    autocapitalize: "none",
  });
  const password = field("Password", "password", {
    type: "password",
    autocomplete: "current-password",
  });
  const content = h(
    "div",
    { class: "page admin-log-in" },
    h(
      "div",
      { class: "card" },
      h("h1", {}, "Log in"),
      ended
        ? note("info", "Your session has ended. Log in to continue.")
        : h("p", { class: "muted" }, "This page is for administrators."),
      form([name, password], {
        submit: "Log in",
        onsubmit: async (values) => {
          await signIn(values.username.trim(), values.password);
          me = await readAccount();
          ended = false;
          await place.show();
          // The focused button is gone with the form, so move the focus.
          const heading = main.querySelector("h1");
          if (heading && !main.contains(document.activeElement)) focusOn(heading);
        },
      }),
    ),
  );
  return { title: "Log in", content, focus: name.input };
}

function stranger() {
  const other = button("Log in with another account", {
    onclick: () => busy(other, () => attempt(leaveForGood)),
  });
  const content = h(
    "div",
    { class: "page admin-log-in" },
    h(
      "div",
      { class: "card" },
      h("h1", {}, "Administrators only"),
      h(
        "p",
        {},
        "You are logged in as ",
        h("strong", {}, me.username),
        ". This account isn't an administrator. An administrator can make it one.",
      ),
      h(
        "div",
        { class: "form-actions" },
        linkButton("Go to the chat", CHAT_PAGE, { kind: "primary", icon: "chat" }),
        other,
      ),
    ),
  );
  return { title: "Administrators only", content };
}

async function leaveForGood() {
  if (!(await mayLogOut())) return;
  await signOut();
  await forgetAll();
}

/** Reloads the page, because the next user may be another person. Never resolves. */
function forgetAll() {
  location.reload();
  return new Promise(() => {});
}
