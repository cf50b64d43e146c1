// The trail: what administrators did, newest first.

import { actor, userLink } from "./admin-people.js";
import { stackedTable } from "./admin-table.js";
import { page } from "./api.js";
import { h } from "./dom.js";
import { formatTokens, time } from "./format.js";
import { paged } from "./list.js";
import { emptyState } from "./note.js";

/** `#/trail` */
export function trailView({ signal }, me) {
  const { element, body, row } = stackedTable("What administrators did, newest first", [
    { text: "When", class: "admin-when" },
    { text: "What", class: "admin-what" },
    { text: "By", class: "admin-by" },
    { text: "Reason", class: "admin-reason" },
  ]);
  const content = h(
    "div",
    { class: "page page-wide" },
    h("h1", {}, "Audit log"),
    h("p", { class: "lead" }, "What administrators did, newest first."),
    paged({
      load: (next) => page(next ?? "api/admin/trail/", next ? null : { limit: 25 }, { signal }),
      row: (act) =>
        row([
          time(act.timestamp),
          sentence(act),
          actor(act.actor, act.actor_name, me),
          act.reason || h("span", { class: "muted" }, "none given"),
        ]),
      list: body,
      around: () => element,
      empty: emptyState("history", "No administrator has done anything yet."),
      more: "Show more entries",
    }),
  );
  return { title: "Audit log", content };
}

function sentence({ act, amount, role, user_id: id, username }) {
  const user = userLink(id, username ?? "a deleted account");
  if (act === "adjustment") {
    return amount > 0
      ? ["Gave ", formatTokens(amount), " to ", user]
      : ["Took ", formatTokens(-amount), " from ", user];
  }
  if (act === "activation") return ["Reactivated ", user];
  if (act === "deactivation") return ["Deactivated ", user];
  if (act === "role")
    return ["Made ", user, role === "admin" ? " an administrator" : " an ordinary user"];
  if (act === "creation") return ["Created ", user];
  if (act === "invitation") return ["Invited ", user, " by e-mail"];
  if (act === "sessions") return ["Signed ", user, " out everywhere"];
  if (act === "password_reset") return ["Sent ", user, " a link for a new password"];
  // Nothing else is left of its name.
  if (act === "deletion") return ["Deleted the account ", h("code", {}, id)];
  if (act === "api_key") return ["Revoked an API key of ", user];
  if (act === "api_keys") return ["Revoked all API keys of ", user];
  return [act, " ", user];
}
