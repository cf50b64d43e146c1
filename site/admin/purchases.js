// The purchases of packs: all purchases, or those that an administrator should look at.

import { page } from "../session/api.js";
import { linkButton } from "../ui/button.js";
import { h } from "../ui/dom.js";
import { field } from "../ui/form.js";
import { formatNumber, formatTokens, formatWord, inCurrency, time } from "../ui/format.js";
import { paged, stackedTable } from "../ui/list.js";
import { emptyState } from "../ui/note.js";
import { formatPrice, stateBadge } from "../ui/purchase.js";
import { filters } from "./filters.js";
import { PACKS_PLACE } from "./packs.js";
import { userLink } from "./people.js";

/** Why the tokens of a payment weren't granted. */
const STRANDED = {
  account_deleted: "Tokens weren't granted, because the account was deleted.",
  grant_too_large: "Tokens weren't granted, because the account's grants would exceed the maximum.",
  wrong_amount: "Tokens weren't granted, because the amount paid differs from the price.",
};

/** The choices in the `state` field: the text, and the states in the API's query. */
const STATES = {
  "": ["All but unpaid", "pending,paid,refunded,disputed,lost,wrong_amount"],
  any: ["All states", undefined],
  unpaid: ["Not paid", "open,expired,failed"],
  pending: ["Payment pending", "pending"],
  paid: ["Paid", "paid"],
  refunded: ["Refunded", "refunded"],
  disputed: ["Disputed", "disputed"],
  lost: ["Returned by the bank", "lost"],
  wrong_amount: ["Wrong amount", "wrong_amount"],
};

/** `#/purchases`, `#/purchases?attention=true`, `#/purchases?state=unpaid` */
export function purchasesView({ query, signal, title }) {
  const which = field("Show", "attention", {
    type: "select",
    options: [
      ["", "All purchases"],
      ["true", "Need attention"],
    ],
  });
  const states = field("State", "state", {
    type: "select",
    options: Object.entries(STATES).map(([value, [text]]) => [value, text]),
  });
  const { element } = filters({
    place: "#/purchases",
    label: "Filter the purchases",
    fields: [which, states],
    query,
    signal,
    show: list,
  });
  const content = h(
    "div",
    { class: "page page-wide" },
    h(
      "div",
      { class: "page-head" },
      h("h1", {}, title),
      h(
        "div",
        { class: "toolbar admin-head" },
        linkButton("Packs", PACKS_PLACE, { kind: "primary", icon: "coin" }),
      ),
    ),
    h(
      "p",
      { class: "lead" },
      inCurrency(
        "Purchases of packs, newest first. A purchase needs attention if it owes tokens for a refund, or if its tokens couldn't be granted. An unpaid purchase is deleted after a week.",
      ),
    ),
    element,
  );
  return { content };
}

function list(chosen, signal) {
  const { element, body, row } = stackedTable("Purchases, newest first", [
    { text: "User", head: true },
    { text: "Created", class: "labelled" },
    { text: "Pack", class: "labelled" },
    { text: "Price", class: "number labelled" },
    { text: "State", class: "labelled" },
    { text: inCurrency("Tokens granted"), class: "number labelled" },
    { text: "Payment", class: "labelled" },
  ]);
  element.classList.add("admin-purchases");
  const { attention, state: states = "" } = chosen;
  const asked = { attention, state: STATES[states]?.[1], limit: 25 };
  return paged({
    load: (next) => page(next ?? "api/admin/purchases/", next ? null : asked, { signal }),
    row: (order) =>
      row([
        userLink(order.user_id, order.username ?? "deleted account"),
        time(order.created),
        order.name,
        lines([
          formatPrice(order.price, order.currency),
          order.refunded > 0 && `${formatPrice(order.refunded, order.currency)} refunded`,
        ]),
        state(order),
        lines([
          formatNumber(order.tokens_granted),
          order.tokens_owed > 0 && `${formatTokens(order.tokens_owed)} owed`,
        ]),
        lines([order.session, order.payment].map((id) => id && h("code", {}, id))),
      ]),
    list: body,
    around: () => element,
    empty: attention
      ? emptyState("check", "No purchase needs attention.")
      : emptyState(
          "receipt",
          states ? "There are no such purchases." : "There are no purchases yet.",
        ),
    more: "Show more purchases",
  });
}

/** The state of a purchase, with details for administrators. */
function state(order) {
  const { paid, stranded } = order;
  return lines([
    stateBadge(order),
    paid && [order.state === "paid" ? "" : "Paid ", time(paid)],
    stranded && (STRANDED[stranded] ?? formatWord(stranded)),
  ]);
}

/** Lines of a cell, or nothing. */
function lines(all) {
  const shown = all.filter(Boolean);
  const line = (content) => h("div", {}, content);
  return shown.length > 0 && h("div", { class: "admin-lines" }, shown.map(line));
}
