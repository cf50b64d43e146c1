// The purchases of packs: all purchases, or those that an administrator should look at.

import { page } from "../session/api.js";
import { linkButton } from "../ui/button.js";
import { h } from "../ui/dom.js";
import { field } from "../ui/form.js";
import { formatNumber, formatTokens, formatWord, inCurrency, time } from "../ui/format.js";
import { paged, stackedTable } from "../ui/list.js";
import { emptyState } from "../ui/note.js";
import { formatPrice, stateBadge } from "../ui/purchase.js";
import { csvButton } from "./csv.js";
import { dayFields, filters } from "./filters.js";
import { PACKS_PLACE } from "./packs.js";
import { userLink } from "./people.js";
import { purchaseSums } from "./sums.js";

const PATH = "api/admin/purchases/";

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

/** The address of the purchases of a user with this name. */
export const purchasesPlace = (username) =>
  `#/purchases?${new URLSearchParams({ user: username })}`;

/** `#/purchases`, `#/purchases?attention=true`, `#/purchases?user=ann&state=paid&from=2026-11-01` */
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
  const user = field("User", "user", {
    type: "search",
    autocomplete: "off",
    autocapitalize: "none",
    maxLength: 254,
    placeholder: "Username or e-mail address",
  });
  const { element } = filters({
    place: "#/purchases",
    label: "Filter the purchases",
    fields: [user, which, states, ...dayFields()],
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
        "Purchases of packs, newest first. A purchase needs attention if it is disputed, if it owes tokens for a refund, or if its tokens couldn't be granted. An unpaid purchase is deleted after a week. Days are in UTC.",
      ),
    ),
    element,
  );
  return { content };
}

/**
 * The id of the user with exactly this username or e-mail address, or null. A search lists an exact
 * match before the longer names.
 */
async function userNamed(name, signal) {
  const { items } = await page("api/admin/users/", { q: name, limit: 100 }, { signal });
  const is = (text) => text?.toLowerCase() === name.toLowerCase();
  const found = items.find(({ username, email }) => is(username) || is(email));
  return found?.id ?? null;
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
  const { attention, user, state: states = "", from, to } = chosen;
  const asked = { attention, state: STATES[states]?.[1], from, to };
  // The list and the sums ask for the same user.
  const buyer = user ? userNamed(user, signal) : Promise.resolve();
  const load = async (next, limit) => {
    if (next) return page(next, null, { signal });
    const id = await buyer;
    if (id === null) return { items: [], next: null };
    return page(PATH, { ...asked, user_id: id, limit }, { signal });
  };
  const isFiltered = user || states || from || to;
  const shown = paged({
    load: (next) => load(next, 25),
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
        lines([order.session && h("code", {}, order.session), payment(order)]),
      ]),
    list: body,
    around: () => element,
    empty: isFiltered
      ? emptyState("search", "No purchase matches these filters.")
      : attention
        ? emptyState("check", "No purchase needs attention.")
        : emptyState("receipt", "There are no purchases yet."),
    more: "Show more purchases",
  });
  const [sums, saving] = [h("div", {}), h("div", {})];
  shown.ready.then(async () => {
    const id = await buyer.catch(() => null);
    if (signal.aborted || id === null) return;
    sums.append(purchaseSums((next) => load(next, 100), signal));
    const query = () => ({ ...asked, user_id: id });
    const name = () => [
      "purchases",
      user,
      attention && "attention",
      states,
      from && `from-${from}`,
      to && `to-${to}`,
    ];
    const file = () =>
      name()
        .filter(Boolean)
        .join("-")
        .replace(/[^\w-]+/g, "-");
    saving.append(csvButton({ path: PATH, query, list: "list", name: file, signal }));
  });
  return Object.assign(h("div", {}, sums, shown, saving), { ready: shown.ready });
}

/** The payment's id, linked to the payment in Stripe's dashboard if its mode is known. */
function payment({ session, payment: id }) {
  if (!id) return null;
  const href = stripePlace(session, id);
  const code = h("code", {}, id);
  if (!href) return code;
  return h(
    "a",
    { href, target: "_blank", rel: "noopener noreferrer", "aria-label": `${id} at Stripe` },
    code,
  );
}

/**
 * The address of a payment in Stripe's dashboard. The id of the payment page tells whether the
 * payment was made in test mode or in live mode. Null for ids that Stripe didn't make.
 */
function stripePlace(session, id) {
  const [, mode] = /^cs_(test|live)_/.exec(session ?? "") ?? [];
  if (!mode || !/^pi_\w+$/.test(id)) return null;
  return `https://dashboard.stripe.com/${mode === "test" ? "test/" : ""}payments/${id}`;
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
