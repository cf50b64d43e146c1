// The sums of the purchases that match the filters, by currency.

import { announce } from "../ui/announce.js";
import { busy, button } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { explain, formatNumber, inCurrency, plural } from "../ui/format.js";
import { stackedTable } from "../ui/list.js";
import { note } from "../ui/note.js";
import { formatPrice } from "../ui/purchase.js";

/** The number of requests after which the administrator decides whether to continue. */
const REQUESTS = 5;

/** The states of purchases whose price was paid. */
const PAID = ["paid", "refunded", "disputed", "lost"];

/** The sums of some purchases in one currency. */
const NONE = { count: 0, paid: 0, returned: 0, kept: 0, granted: 0 };

/**
 * Adds up purchases, which `load(next)` reads page by page as for a list. The first pages are read
 * at once, and more when the administrator asks for them.
 */
export function purchaseSums(load, signal) {
  const sums = new Map();
  const element = h("section", { class: "admin-sums-box", "aria-label": "Sums", hidden: true });
  let count = 0;
  let next = null;
  const more = button("Add up more", {
    small: true,
    onclick: () => busy(more, () => read(true)),
  });

  async function read(isAsked = false) {
    try {
      for (let requests = 0; requests < REQUESTS; requests += 1) {
        const part = await load(next);
        part.items.forEach((order) => add(sums, order));
        count += part.items.length;
        next = part.next;
        if (!next) break;
      }
      show();
      if (isAsked) announce(`${plural(count, "purchase")} added up.`);
    } catch (error) {
      if (signal.aborted) return;
      const again = button("Try again", { small: true, onclick: () => read(true) });
      element.hidden = false;
      fill(element, note("bad", h("p", {}, explain(error)), again));
    }
  }

  function show() {
    element.hidden = count === 0;
    const whole = next
      ? `Sums of the newest ${plural(count, "purchase")} with these filters. There are more.`
      : `Sums of ${plural(count, "purchase")} with these filters.`;
    fill(
      element,
      h(
        "p",
        { class: "hint" },
        whole,
        " Purchases with a wrong amount aren't included in the money.",
      ),
      tableOf(sums),
      next && h("div", { class: "toolbar" }, more),
    );
  }

  read();
  return element;
}

function add(sums, order) {
  const { currency, price, kept, state, tokens_granted: granted } = order;
  const sum = sums.get(currency) ?? NONE;
  const paid = PAID.includes(state) ? price : 0;
  sums.set(currency, {
    count: sum.count + 1,
    paid: sum.paid + paid,
    returned: sum.returned + paid - kept,
    kept: sum.kept + kept,
    granted: sum.granted + granted,
  });
}

function tableOf(sums) {
  const number = "number labelled";
  const { element, body, row } = stackedTable("Sums by currency", [
    { text: "Currency", head: true },
    { text: "Purchases", class: number },
    { text: "Paid", class: number },
    { text: "Returned", class: number },
    { text: "Kept", class: number },
    { text: inCurrency("Tokens granted"), class: number },
  ]);
  const cells = ([currency, { count, paid, returned, kept, granted }]) => [
    currency,
    formatNumber(count),
    ...[paid, returned, kept].map((money) => formatPrice(money, currency)),
    formatNumber(granted),
  ];
  const sorted = [...sums].toSorted(([one], [other]) => (one < other ? -1 : 1));
  fill(
    body,
    sorted.map((sum) => row(cells(sum))),
  );
  return element;
}
