// A user's statement: all rows, or those in a range of days, for a model or by an API key, in pages
// and as a file.

import { filterInName, modelOptions, offerKeys, selects } from "../account/filters.js";
import { get, page, request } from "../session/api.js";
import { paidFor } from "../session/fares.js";
import { allModels } from "../session/models.js";
import { button } from "../ui/button.js";
import { dialog } from "../ui/dialog.js";
import { fill, focusOn, h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
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

const ALREADY = "This answer has already been refunded. Nothing was changed.";

const KINDS = { grant: "Grant", chat: "Answer", adjustment: "Adjustment" };

/** `#/users/<id>/statement?from=2026-11-01&to=2026-11-20&model=quick&key=<id>` */
export function statement(user, { path, me, query, signal }) {
  const names = allModels().map(({ name }) => name);
  const options = modelOptions(names, query.model);
  const model = options && field("Model", "model", { type: "select", options });
  const key = field("API key", "key", { type: "select" });
  const keys = get(`${path}api-keys/`, null, { signal });
  const notice = offerKeys(key, key.input, keys, query.key);
  const { element } = filters({
    place: userPlace(user.id, "statement"),
    label: "Filter the statement",
    fields: [...dayFields(), model, key].filter(Boolean),
    query,
    signal,
    show: (chosen, own) => rows(user, path, me, chosen, notice, own),
  });
  return h("section", { "aria-label": `Statement of ${user.username}` }, element);
}

/** The rows of the statement. `notice` is called with each of them. */
function rows(user, path, me, chosen, notice, signal) {
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
  // A refund is newer than its answer, so its row comes first.
  const isRefunded = new Set();
  const line = (entry) => {
    notice(entry);
    if (entry.chat_id && entry.kind !== "chat") isRefunded.add(entry.chat_id);
    return row([
      time(entry.timestamp, formatExactTime),
      what(entry, user),
      amount(entry.amount),
      formatNumber(entry.balance),
      // Hide a reason that only repeats the kind.
      entry.reason === entry.kind ? "" : entry.reason,
      entry.actor === user.id ? user.username : actor(entry.actor, null, me),
      // Administrators can't refund their own answers.
      entry.kind !== "chat" || user.id === me.id
        ? ""
        : isRefunded.has(entry.chat_id)
          ? refundedBadge()
          : refunding(entry, user, path, refunded),
    ]);
  };
  /** Shows the new row of a refund, unless the filter hides it. */
  const refunded = async (chat) => {
    const { items } = await page(`${path}ledger`, { ...chosen, limit: 1 }, { signal });
    body.prepend(
      ...items.filter((entry) => entry.chat_id === chat && entry.kind !== "chat").map(line),
    );
  };
  const list = paged({
    load: (next) =>
      page(next ?? `${path}ledger`, next ? null : { ...chosen, limit: 25 }, { signal }),
    row: line,
    list: body,
    around: () => element,
    empty: emptyState("receipt", emptyInWords(chosen)),
    more: "Show more rows",
  });
  const download = csvButton({
    path: `${path}ledger`,
    query: () => chosen,
    list: "statement",
    name: () => `statement-${user.username}${filterInName(chosen)}`,
    signal,
  });
  const both = h("div", {}, download, list);
  both.ready = list.ready;
  return both;
}

function emptyInWords(chosen) {
  if (selects(chosen)) return "No charges match.";
  return Object.keys(chosen).length > 0
    ? "The balance did not change on these days."
    : "The balance has not changed yet.";
}

/** The description of a row, with a link to its message if administrators may read messages. */
function what(entry, user) {
  const { kind, chat_id: chat, excerpt, key_name: key } = entry;
  if (entry.purchase) {
    const money = purchaseMoney(entry);
    return [purchaseName(entry), money && h("span", { class: "muted" }, ` · ${money}`)];
  }
  const named = entry.voucher ? "Voucher" : (KINDS[kind] ?? formatWord(kind));
  const name = chat && kind === "adjustment" ? "Refund" : named;
  const place = `${userPlace(user.id, "chats")}?chat_id=${chat}`;
  return [
    excerpt ? h("a", { href: place, dir: "auto" }, `“${excerpt}”`) : name,
    excerpt && h("span", { class: "muted" }, ` · ${name.toLowerCase()}`),
    entry.model && h("span", { class: "muted" }, ` · ${paidFor(entry)}`),
    key && h("span", { class: "muted" }, " · API key ", h("bdi", {}, key)),
  ];
}

const refundedBadge = () => h("span", { class: "badge badge-good" }, "Refunded");

/**
 * The button that refunds an answer. The API refunds an answer only once. `refunded(chat)` shows
 * the refund in the statement.
 */
function refunding({ chat_id: chat, amount: charged, timestamp, excerpt }, user, path, refunded) {
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
          words: (error) => (error.code === "idempotency_key_reused" ? ALREADY : explain(error)),
          onsubmit: async ({ reason }) => {
            const body = { chat_id: chat, reason: reason.trim() };
            const options = { body, key: `refund-${chat}` };
            const { data, replayed } = await request("POST", `${path}adjustments`, options);
            close();
            fill(place, refundedBadge());
            focusOn(place);
            toast(
              replayed
                ? ALREADY
                : `Refunded. ${user.username} has ${formatTokens(data.tokens)} now.`,
            );
            refunded(chat).catch(() => {});
          },
        },
      ),
    ]);
  const about = excerpt ? `“${excerpt}”` : `the answer of ${formatExactTime(timestamp)}`;
  fill(place, button("Refund", { small: true, "aria-label": `Refund ${about}`, onclick: ask }));
  return place;
}
