// The audit log: administrators' actions, newest first, optionally filtered.

import { page } from "../session/api.js";
import { button } from "../ui/button.js";
import { h } from "../ui/dom.js";
import { field } from "../ui/form.js";
import { formatSigned, formatTokens, formatWord, inCurrency, time } from "../ui/format.js";
import { paged, stackedTable } from "../ui/list.js";
import { emptyState } from "../ui/note.js";
import { go } from "../ui/router.js";
import { isVersion } from "./changes.js";
import { csvButton } from "./csv.js";
import { dayFields, filters } from "./filters.js";
import { PACKS_PLACE } from "./packs.js";
import { actor, userLink } from "./people.js";
import { pricesPlace } from "./prices.js";

const PATH = "api/admin/trail/";

/** The actions that don't belong to a view with an `act`. */
const ACTS = [
  ["", "Everything"],
  ["adjustment", "Adjustments"],
  ["deactivation", "Deactivations"],
  ["activation", "Reactivations"],
  ["role", "Role changes"],
  ["creation", "New accounts"],
  ["invitation", "Invitations"],
  ["deletion", "Deletions"],
  ["unlock", "Unlocked accounts"],
  ["sessions", "Log-outs everywhere"],
  ["password_reset", "Password reset links"],
  ["api_key", "Revocations of an API key"],
  ["api_keys", "Revocations of all API keys"],
  ["share", "Ends of shared chats"],
  ["report_dismissal", "Dismissals of reports"],
  ["addresses", "Exports of addresses"],
  ["reading", "Readings of messages"],
  ["prices", "Price lists"],
];

/**
 * `#/trail?act=adjustment&actor=manage&user_id=<id>&from=2026-11-01&to=2026-11-20`. `views` are the
 * views with an `act`.
 */
export function trailView({ query, signal, title }, me, views) {
  const options = [...ACTS, ...views.map((view) => [view.act, view.title])];
  const act = field("Action", "act", { type: "select", options });
  const by = field("By", "actor", {
    type: "select",
    options: [
      ["", "All"],
      [me.id, "You"],
      ["manage", "The manage command"],
    ],
  });
  // A link may filter by an administrator who isn't in the choices.
  if (query.actor && ![me.id, "manage"].includes(query.actor))
    by.input.append(h("option", { value: query.actor }, `Account ${query.actor.slice(0, 8)}…`));
  const ofUser = query.user_id ? { user_id: query.user_id } : {};
  const { element, values } = filters({
    place: "#/trail",
    label: "Filter the audit log",
    fields: [act, by, ...dayFields()],
    kept: ofUser,
    query,
    signal,
    show: (chosen, own) => list({ ...chosen, ...ofUser }, me, views, own),
  });
  const content = h(
    "div",
    { class: "page page-wide" },
    h("h1", {}, title),
    h("p", { class: "lead" }, "What administrators did, newest first."),
    query.user_id &&
      h(
        "p",
        { class: "admin-of-one" },
        "Only actions that affect ",
        userLink(query.user_id, "this user"),
        ". ",
        button("Show everything", { small: true, onclick: () => go("#/trail") }),
      ),
    element,
    csvButton({
      path: PATH,
      query: () => ({ ...values(), ...ofUser }),
      list: "list",
      name: () => "audit-log",
      signal,
    }),
  );
  return { content };
}

function list(chosen, me, views, signal) {
  const { element, body, row } = stackedTable("What administrators did, newest first", [
    { text: "When", class: "admin-when" },
    { text: "Action", class: "admin-what" },
    { text: "By", class: "admin-by" },
    { text: "Reason", class: "admin-reason" },
  ]);
  return paged({
    load: (next) => page(next ?? PATH, next ? null : { ...chosen, limit: 25 }, { signal }),
    row: (act) =>
      row([
        time(act.timestamp),
        sentence(act, views),
        actor(act.actor, act.actor_name, me),
        why(act),
      ]),
    list: body,
    around: () => element,
    empty:
      Object.keys(chosen).length > 0
        ? emptyState("search", "No entry matches these filters.")
        : emptyState("history", "No administrator has done anything yet."),
    more: "Show more entries",
  });
}

/**
 * The reason for an action. For a change to the price list or the packs, the list's version
 * instead.
 */
function why({ act, reason }) {
  if (["prices", "packs"].includes(act) && isVersion(reason))
    return ["Version ", h("code", {}, reason)];
  return reason || h("span", { class: "muted" }, "no reason given");
}

function sentence({ act, amount, role, reason, user_id: id, username }, views) {
  if (act === "prices") {
    if (!isVersion(reason)) return "Removed the price list";
    return ["Set the ", h("a", { href: pricesPlace(reason) }, "price list")];
  }
  if (act === "packs") {
    const isSet = isVersion(reason);
    return [isSet ? "Set the " : "Stopped selling ", h("a", { href: PACKS_PLACE }, "packs")];
  }
  if (act === "reading" && !id) return "Read messages of users";
  const view = views.find((one) => one.act === act);
  if (view) return h("a", { href: `#/${view.path}` }, view.title);
  // A report about an erased chat, or an action from a later release, may not concern a user.
  if (!id) return [formatWord(act), amount ? inCurrency(`: ${formatSigned(amount)} tokens`) : ""];
  const as = role === "admin" ? " as an administrator" : "";
  const granted = amount ? [", with ", formatTokens(amount)] : "";
  const user = userLink(id, username ?? "a deleted account");
  if (act === "adjustment") {
    return amount > 0
      ? ["Gave ", formatTokens(amount), " to ", user]
      : ["Took ", formatTokens(-amount), " from ", user];
  }
  if (act === "activation") return ["Reactivated ", user];
  if (act === "deactivation") return ["Deactivated ", user];
  if (act === "role") {
    if (role === "admin") return ["Made ", user, " an administrator"];
    if (role === "user") return ["Made ", user, " an ordinary user"];
    return ["Gave ", user, ` the role “${formatWord(role)}”`];
  }
  if (act === "creation") return ["Created ", user, as, granted];
  if (act === "invitation") return ["Invited ", user, " by e-mail", as, granted];
  if (act === "sessions") return ["Logged ", user, " out everywhere"];
  if (act === "password_reset") return ["Sent ", user, " a password reset link"];
  // A deleted account has no name, so show its id.
  if (act === "deletion") return ["Deleted the account ", h("code", {}, id)];
  if (act === "unlock") return ["Unlocked ", user];
  if (act === "api_key") return ["Revoked an API key of ", user];
  if (act === "api_keys") return ["Revoked all API keys of ", user];
  if (act === "share") return ["Ended a shared chat of ", user];
  if (act === "report_dismissal") return ["Dismissed a report about a shared chat of ", user];
  if (act === "addresses") return ["Exported the address of ", user];
  if (act === "reading") return ["Read messages of ", user];
  return [
    formatWord(act),
    ": ",
    user,
    amount ? inCurrency(`, ${formatSigned(amount)} tokens`) : "",
  ];
}
