// Exact amounts of money, in whole trillionths of the currency's unit, because prices have up to 6
// decimals and are per million model tokens.

import { digitsOf } from "../ui/purchase.js";

const MILLION = 1_000_000n;

/** The maximum number of decimals of an amount below 1. */
const SMALL = 6;

const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });

/** Reads a decimal number, such as `1.25`. Returns null for other strings. */
export function moneyOf(text) {
  const [, whole, fraction = ""] = /^(-?\d{1,15})(?:\.(\d{1,12}))?$/.exec(text ?? "") ?? [];
  return whole === undefined ? null : BigInt(whole + fraction.padEnd(12, "0"));
}

/** The price of this many units. A million units cost `each`. */
export const forAll = (count, each) => (BigInt(count) * each) / MILLION;

/** `$0.00625`, `−$1.20`. Amounts below 1 have more decimals, because a message costs little. */
export function formatMoney(amount, currency) {
  const units = Number(amount) / 1e12;
  const digits = digitsOf(currency);
  const decimals = {
    minimumFractionDigits: digits,
    maximumFractionDigits: Math.abs(units) < 1 ? SMALL : digits,
  };
  const form = new Intl.NumberFormat("en", { ...styleOf(currency), ...decimals });
  return form.format(units).replace("-", "−");
}

/** Formats the marks of a plot's axis: `€1.5K`. */
export function moneyMark(currency) {
  const form = new Intl.NumberFormat("en", {
    ...styleOf(currency),
    notation: "compact",
    minimumFractionDigits: 0,
    maximumFractionDigits: 2,
  });
  return (units) => form.format(units).replace("-", "−");
}

/** The style of a currency's amounts. An administrator may not have typed all of its letters. */
const styleOf = (currency) =>
  /^[A-Z]{3}$/i.test(currency ?? "") ? { style: "currency", currency } : {};

/** The income minus the cost: `$0.75 (60%)`. */
export function formatMargin(income, cost, currency) {
  const share = percent.format(Number(income - cost) / Number(income)).replace("-", "−");
  const left = formatMoney(income - cost, currency);
  return income > 0n ? `${left} (${share})` : left;
}
