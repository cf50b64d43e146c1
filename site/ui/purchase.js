// Shows purchases to users and administrators: amounts of money, and states.

import { h } from "./dom.js";
import { wholeNumber } from "./form.js";
import { formatWord } from "./format.js";

/**
 * The decimals of each currency whose amounts don't have two, as the payment provider counts them
 * (https://docs.stripe.com/currencies). Browsers count some currencies in different units.
 */
const DECIMALS = {
  ...decimals(0, "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"),
  ...decimals(3, "BHD JOD KWD OMR TND"),
};

function decimals(count, currencies) {
  return Object.fromEntries(currencies.split(" ").map((currency) => [currency, count]));
}

/** The number of decimals of a currency's amounts. */
export const digitsOf = (currency) => DECIMALS[currency] ?? 2;

/** `4.99`, of an amount of 499 in the currency's smallest unit */
export const inUnits = (amount, currency) => amount / 10 ** digitsOf(currency);

/** `4.99`, of an amount of 499 in the currency's smallest unit, as it is typed */
export const unitsToType = (amount, currency) =>
  inUnits(amount, currency).toFixed(digitsOf(currency));

/** A typed amount, such as `4.99`, in the currency's smallest unit, or null. */
export function typedAmount(text, currency) {
  const digits = digitsOf(currency);
  if (digits === 0) return wholeNumber(text);
  const [, whole, fraction = ""] = /^(\d{1,12})(?:\.(\d{1,3}))?$/.exec(text) ?? [];
  if (whole === undefined || fraction.length > digits) return null;
  return Number(whole + fraction.padEnd(digits, "0"));
}

/** `€4.99`, of an amount of 4.99 in the currency's unit */
export const formatUnits = (units, currency) =>
  formatPrice(Math.round(units * 10 ** digitsOf(currency)), currency);

/** `€4.99`, `−€4.99`, `¥500`, of an amount in the currency's smallest unit */
export function formatPrice(amount, currency) {
  const digits = digitsOf(currency);
  const form = new Intl.NumberFormat("en", {
    style: "currency",
    currency,
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return form.format(amount / 10 ** digits).replace("-", "−");
}

/** The text of each state, and the class of its badge. */
const STATES = {
  open: ["Not paid"],
  pending: ["Payment pending", "badge-coin"],
  expired: ["Expired"],
  failed: ["Payment failed"],
  paid: ["Paid", "badge-good"],
  refunded: ["Refunded"],
  disputed: ["Disputed", "badge-bad"],
  lost: ["Returned by the bank", "badge-bad"],
  wrong_amount: ["Wrong amount", "badge-bad"],
};

/** The state of a purchase. */
export function stateBadge({ state, refunded, price }) {
  const isPart = state === "refunded" && refunded < price;
  const [text, kind = ""] = isPart ? ["Partly refunded"] : (STATES[state] ?? [formatWord(state)]);
  return h("span", { class: `badge ${kind}` }, text);
}

/** The name of a purchase's row in a statement. If money or tokens are returned, it is a refund. */
export const purchaseName = ({ amount, purchase: { money } }) =>
  money < 0 || (money === 0 && amount < 0) ? "Refund" : "Purchase";

/** The money in a statement's row, or "" if only tokens moved. */
export const purchaseMoney = ({ purchase: { money, currency } }) =>
  money === 0 ? "" : formatPrice(Math.abs(money), currency);
