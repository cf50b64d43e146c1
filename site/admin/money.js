// Exact amounts of money, in whole trillionths of the currency's unit, because prices have up to 6
// decimals and are per million model tokens.

const MILLION = 1_000_000n;

const shown = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 6 });
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });

/** Reads a decimal number, such as `1.25`. Returns null for other strings. */
export function moneyOf(text) {
  const [, whole, fraction = ""] = /^(-?\d{1,15})(?:\.(\d{1,12}))?$/.exec(text ?? "") ?? [];
  return whole === undefined ? null : BigInt(whole + fraction.padEnd(12, "0"));
}

/** The price of this many units. A million units cost `each`. */
export const forAll = (count, each) => (BigInt(count) * each) / MILLION;

/** `USD 0.00625`, `−USD 1.20` */
export function formatMoney(amount, currency) {
  const text = shown.format(Number(amount < 0n ? -amount : amount) / 1e12);
  return `${amount < 0n ? "−" : ""}${currency ? `${currency} ` : ""}${text}`;
}

/** The income minus the cost: `USD 0.75 (60%)`. */
export function formatMargin(income, cost, currency) {
  const share = percent.format(Number(income - cost) / Number(income)).replace("-", "−");
  const left = formatMoney(income - cost, currency);
  return income > 0n ? `${left} (${share})` : left;
}
