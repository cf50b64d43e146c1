// A user: balance, role and state, profile, sessions and API keys, and links to the statement and
// the messages.

import { get, patch } from "../session/api.js";
import { button, copyButton } from "../ui/button.js";
import { fill, h, newId } from "../ui/dom.js";
import { explain, formatNumber, formatTokens, inCurrency, time } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { toast } from "../ui/message.js";
import { go } from "../ui/router.js";
import { deletion, password, sessions } from "./access.js";
import { adjustment } from "./adjust.js";
import { chats } from "./chats.js";
import { apiKeys } from "./keys.js";
import { emailAddress, roleBadge, standingBadge } from "./people.js";
import { purchasesPlace } from "./purchases.js";
import { askWhy } from "./reason.js";
import { standing } from "./standing.js";
import { statement } from "./statement.js";
import { usersPlace } from "./users.js";

/** The tabs of a user's page. Each tab is a view, and `show` makes its content below the tabs. */
const PARTS = [
  { path: "users/:id", text: "Overview", show: overview },
  { path: "users/:id/statement", text: "Statement", show: statement },
  { path: "users/:id/chats", text: "Messages", show: messages },
];

/** The rows for the tabs in the page's table of views. */
export const userViews = PARTS.map((part) => ({
  path: part.path,
  view: (place, me) => userView(place, me, part),
}));

async function userView({ params, query, signal }, me, part) {
  const path = `api/admin/users/${encodeURIComponent(params.id)}/`;
  const user = await get(path, null, { signal });
  const badges = h("span", { class: "admin-badges" });
  const showBadges = (now) =>
    fill(
      badges,
      roleBadge(now.role),
      standingBadge(now.active),
      now.id === me.id && h("span", { class: "badge badge-coin" }, "You"),
    );
  showBadges(user);

  const body = part.show(user, { path, me, query, signal, showBadges });
  const tabs = PARTS.map((tab) => {
    const href = `#/${tab.path.replace(":id", encodeURIComponent(user.id))}`;
    return h("a", { href, "aria-current": tab === part && "page" }, tab.text);
  });
  const content = h(
    "div",
    { class: "page page-wide" },
    h("p", { class: "admin-back" }, h("a", { href: usersPlace() }, icon("back"), "Users")),
    h("div", { class: "page-head admin-user-head" }, h("h1", {}, user.username), badges),
    h(
      "nav",
      { class: "nav admin-tabs", "aria-label": `About ${user.username}` },
      tabs,
      h("a", { href: purchasesPlace(user.username) }, "Purchases"),
      h("a", { href: `#/trail?user_id=${encodeURIComponent(user.id)}` }, "Audit log"),
    ),
    body,
  );
  const title = part === PARTS[0] ? user.username : `${part.text} of ${user.username}`;
  return { title, content };
}

function messages(user, { query, signal }) {
  const chosen = query.chat_id ? { chat_id: query.chat_id } : {};
  return h(
    "section",
    { "aria-label": `Messages of ${user.username}` },
    chats({ userId: user.id, chosen, signal }),
  );
}

function overview(first, { path, me, signal, showBadges }) {
  let user = first;
  const [balanceBox, failedBox, standingBox, profileBox, passwordBox, sessionsBox] = [
    "Balance",
    "Failed messages today",
    "Role and status",
    "Profile",
    "Password",
    "Sessions",
  ].map(card);
  const again = async () => show(await get(path));
  const giver = adjustment(path, () => user, again);

  function show(now) {
    user = now;
    showBadges(user);
    balanceBox.show(balance(user));
    failedBox.show(failed(user, me, path, show));
    standingBox.show(standing(user, me, path, show));
    profileBox.show(profile(user));
    passwordBox.show(password(user, me, path));
    sessionsBox.show(sessions(user, me, path, again));
  }
  show(first);
  const givingBox = card("Adjust the balance");
  givingBox.show(giver);
  const deletionBox = card("Delete the account");
  deletionBox.show(deletion(user, me, path, () => go(usersPlace())));
  const keysBox = card("API keys");
  keysBox.show(apiKeys(user, me, path, signal, again));
  return h(
    "div",
    { class: "admin-columns" },
    h("div", {}, balanceBox.element, givingBox.element, failedBox.element),
    h(
      "div",
      {},
      standingBox.element,
      profileBox.element,
      passwordBox.element,
      sessionsBox.element,
      keysBox.element,
      deletionBox.element,
    ),
  );
}

/** A box with a heading: `{element, show}`, where `show` replaces its content. */
function card(title) {
  const heading = h("h2", { id: newId("card") }, title);
  const body = h("div", {});
  const element = h("section", { class: "card", "aria-labelledby": heading.id }, heading, body);
  return { element, show: (...content) => fill(body, content) };
}

function balance({ tokens, granted, spent, reservations }) {
  const held = reservations.filter(({ expired }) => !expired);
  const sum = held.reduce((total, { cost }) => total + cost, 0);
  const row = ({ cost, expires, expired }) =>
    h(
      "li",
      {},
      h("strong", {}, formatTokens(cost)),
      expired ? " for an answer that never ended; free again" : [", at most until ", time(expires)],
    );
  return [
    h(
      "p",
      { class: "admin-balance" },
      h("strong", {}, formatNumber(tokens)),
      inCurrency(" tokens left"),
    ),
    h(
      "dl",
      { class: "facts admin-sums" },
      h("dt", {}, "Granted and adjusted"),
      h("dd", {}, formatNumber(granted)),
      h("dt", {}, "Spent"),
      h("dd", {}, formatNumber(spent)),
      h("dt", {}, "Held"),
      h("dd", {}, formatNumber(sum)),
    ),
    reservations.length > 0 && [
      h("h3", { class: "admin-held" }, "Held for answers"),
      h("ul", { class: "admin-reservations" }, reservations.map(row)),
    ],
  ];
}

/** The AI's work today on messages that failed, in tokens, and the button that unlocks the user. */
function failed({ id, username, free_work: today }, me, path, show) {
  const worth = (used, most) => inCurrency(`${formatNumber(used)} of ${formatNumber(most)} tokens`);
  const facts = h(
    "dl",
    { class: "facts" },
    h("dt", {}, "Worth"),
    h("dd", {}, worth(today.used, today.most)),
    h("dt", {}, "By API keys with a limit"),
    h("dd", {}, worth(today.used_by_limited_keys, today.most_for_limited_keys)),
  );
  if (!today.locked && !today.limited_keys_locked) return facts;
  const by = today.locked ? "" : " by API keys with a limit";
  const unlock = async () => {
    let changed;
    const confirmed = await askWhy(
      `Unlock ${username}?`,
      "Today's failed messages no longer count, and the user can send messages again.",
      {
        action: "Unlock",
        run: async (body) => {
          changed = await patch(path, { unlock: true, ...body });
        },
        words: explain,
      },
    );
    if (!confirmed) return;
    show(changed);
    toast(`${username} can send messages again.`);
  };
  return [
    facts,
    h(
      "p",
      {},
      `So many messages failed or were stopped that no more can be sent${by} until midnight (UTC).`,
    ),
    id !== me.id && h("div", { class: "form-actions" }, button("Unlock", { onclick: unlock })),
  ];
}

function profile(user) {
  const none = h("span", { class: "muted" }, "none");
  const name = [user.first_name, user.last_name].filter(Boolean).join(" ");
  const verified = h(
    "span",
    { class: user.email_verified ? "badge badge-good" : "badge" },
    user.email_verified ? "verified" : "not verified",
  );
  return h(
    "dl",
    { class: "facts" },
    h("dt", {}, "Name"),
    h("dd", {}, name || none),
    h("dt", {}, "E-mail"),
    h("dd", {}, user.email ? [emailAddress(user.email), " ", verified] : none.cloneNode(true)),
    user.pending_email && [h("dt", {}, "Unverified new address"), h("dd", {}, user.pending_email)],
    h("dt", {}, "Member since"),
    h("dd", {}, time(user.date_joined)),
    h("dt", {}, "API keys"),
    h("dd", {}, formatNumber(user.api_keys)),
    h("dt", {}, "User ID"),
    h("dd", { class: "admin-id" }, h("code", {}, user.id), copyButton(user.id, { label: "Copy" })),
  );
}
