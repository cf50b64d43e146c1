// The statement of one user, in pages and as a file.

import { csvButton } from "./admin-csv.js";
import { actor, amount } from "./admin-people.js";
import { page } from "./api.js";
import { h } from "./dom.js";
import { formatNumber, time } from "./format.js";
import { paged, stackedTable } from "./list.js";
import { emptyState } from "./note.js";

const KINDS = { grant: "Grant", adjustment: "Adjustment", chat: "Answer" };

/** `#/users/<id>/statement` */
export function statement(user, path, me, signal) {
  const { element, body, row } = stackedTable(`Statement of ${user.username}, newest first`, [
    { text: "When", class: "admin-when when" },
    { text: "Kind", class: "admin-kind" },
    { text: "Amount", class: "number" },
    { text: "Balance after", class: "number after" },
    { text: "Reason", class: "admin-reason" },
    { text: "By", class: "admin-by" },
  ]);
  element.classList.add("statement");
  return h(
    "section",
    { "aria-label": `Statement of ${user.username}` },
    csvButton({
      path: `${path}ledger`,
      list: "statement",
      name: () => `statement-${user.username}`,
      signal,
    }),
    paged({
      load: (next) => page(next ?? `${path}ledger`, next ? null : { limit: 25 }, { signal }),
      row: (entry) =>
        row([
          time(entry.timestamp),
          KINDS[entry.kind] ?? entry.kind,
          amount(entry.amount),
          formatNumber(entry.balance),
          // The reason of most answers only repeats their kind.
          entry.reason === entry.kind ? "" : entry.reason,
          entry.actor === user.id ? user.username : actor(entry.actor, null, me),
        ]),
      list: body,
      around: () => element,
      empty: emptyState("receipt", "The balance has not changed yet."),
      more: "Show more rows",
    }),
  );
}
