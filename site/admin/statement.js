// A user's statement: all rows or those in a range of days, in pages and as a file.

import { page, post } from "../session/api.js";
import { paidFor } from "../session/models.js";
import { button } from "../ui/button.js";
import { dialog } from "../ui/dialog.js";
import { fill, h } from "../ui/dom.js";
import { form } from "../ui/form.js";
import {
  explain,
  formatExactTime,
  formatNumber,
  formatTokens,
  formatWord,
  time,
} from "../ui/format.js";
import { paged, stackedTable } from "../ui/list.js";
import { toast } from "../ui/message.js";
import { emptyState } from "../ui/note.js";
import { purchaseMoney, purchaseName } from "../ui/purchase.js";
import { csvButton } from "./csv.js";
import { dayFields, filters } from "./filters.js";
import { actor, amount, userPlace } from "./people.js";
import { reasonField } from "./reason.js";

const KINDS = { grant: "Grant", chat: "Answer", adjustment: "Adjustment" };

/** `#/users/<id>/statement?from=2026-11-01&to=2026-11-20` */
export function statement(user, { path, me, query, signal }) {
  const { element } = filters({
    place: userPlace(user.id, "statement"),
    label: "Filter the statement",
    fields: dayFields(),
    query,
    signal,
    show: (chosen, own) => rows(user, path, me, chosen, own),
  });
  return h("section", { "aria-label": `Statement of ${user.username}` }, element);
}

function rows(user, path, me, chosen, signal) {
  const { element, body, row } = stackedTable(`Statement of ${user.username}, newest first`, [
    { text: "When", class: "admin-when when" },
    { text: "What", class: "admin-kind" },
    { text: "Amount", class: "number" },
    { text: "Balance after", class: "number after" },
    { text: "Reason", class: "admin-reason" },
    { text: "By", class: "admin-by" },
    { text: "Refund", class: "admin-refund" },
  ]);
  element.classList.add("statement");
  const list = paged({
    load: (next) =>
      page(next ?? `${path}ledger`, next ? null : { ...chosen, limit: 25 }, { signal }),
    row: (entry) =>
      row([
        time(entry.timestamp, formatExactTime),
        what(entry, user),
        amount(entry.amount),
        formatNumber(entry.balance),
        // Hide a reason that only repeats the kind.
        entry.reason === entry.kind ? "" : entry.reason,
        entry.actor === user.id ? user.username : actor(entry.actor, null, me),
        // Administrators can't refund their own answers.
        entry.kind === "chat" && user.id !== me.id ? refunding(entry, user, path) : "",
      ]),
    list: body,
    around: () => element,
    empty:
      Object.keys(chosen).length > 0
        ? emptyState("receipt", "The balance did not change on these days.")
        : emptyState("receipt", "The balance has not changed yet."),
    more: "Show more rows",
  });
  const download = csvButton({
    path: `${path}ledger`,
    query: () => chosen,
    list: "statement",
    name: () => [`statement-${user.username}`, chosen.from, chosen.to].filter(Boolean).join("-"),
    signal,
  });
  const both = h("div", {}, download, list);
  both.ready = list.ready;
  return both;
}

/** The description of a row, with a link to its message if administrators may read messages. */
function what(entry, user) {
  const { kind, chat_id: chat, excerpt, key_name: key } = entry;
  if (entry.purchase) {
    const money = purchaseMoney(entry);
    return [purchaseName(entry), money && h("span", { class: "muted" }, ` · ${money}`)];
  }
  const name = chat && kind === "adjustment" ? "Refund" : (KINDS[kind] ?? formatWord(kind));
  const place = `${userPlace(user.id, "chats")}?chat_id=${chat}`;
  return [
    excerpt ? h("a", { href: place, dir: "auto" }, `“${excerpt}”`) : name,
    excerpt && h("span", { class: "muted" }, ` · ${name.toLowerCase()}`),
    entry.model && h("span", { class: "muted" }, ` · ${paidFor(entry)}`),
    key && h("span", { class: "muted" }, " · API key ", h("bdi", {}, key)),
  ];
}

/** The button that refunds an answer. The API refunds an answer only once. */
function refunding({ chat_id: chat, amount: charged, timestamp }, user, path) {
  const place = h("span", {});
  const ask = () =>
    dialog("Refund this answer", (close) => [
      h(
        "p",
        {},
        `${formatTokens(-charged)} return to ${user.username}'s balance. An answer can be refunded once.`,
      ),
      form(
        [
          reasonField({
            value: `Refund of the answer of ${formatExactTime(timestamp)}`,
            hint: "Shown in the user's statement and in the audit log.",
          }),
        ],
        {
          submit: "Refund",
          extra: [button("Cancel", { onclick: () => close() })],
          words: (error) =>
            error.code === "idempotency_key_reused"
              ? "This answer has already been refunded. Nothing was changed."
              : explain(error),
          onsubmit: async ({ reason }) => {
            const body = { chat_id: chat, reason: reason.trim() };
            const done = await post(`${path}adjustments`, body, { key: `refund-${chat}` });
            close();
            fill(place, h("span", { class: "badge badge-good" }, "Refunded"));
            toast(`Refunded. ${user.username} has ${formatTokens(done.tokens)} now.`);
          },
        },
      ),
    ]);
  fill(place, button("Refund", { small: true, onclick: ask }));
  return place;
}
