// What models cost each day, what the spent tokens were worth at list price, and the margin, by
// currency.

import { formatMoney, moneyMark, moneyOf } from "./money.js";

/** The smallest step between two marks of a plot, in the currency's unit. */
const STEP = 0.01;

/** The currencies in which the cost or the value of any day's messages is known. */
export function currenciesOf(days) {
  const lines = days.flatMap(({ models = [] }) => models);
  const known = lines.filter(({ cost, income }) => cost !== null || income !== null);
  return [...new Set(known.map(({ currency }) => currency))].filter(Boolean).toSorted();
}

/**
 * The days with their cost, value and margin in each currency's unit. An amount is null if it is
 * unknown for one of the day's models.
 */
export const withMargins = (days, currencies) =>
  days.map((day) =>
    Object.assign({ ...day }, ...currencies.map((currency) => amountsOf(day, currency))),
  );

function amountsOf({ models = [] }, currency) {
  const lines = models.filter((one) => one.currency === currency);
  const sum = (key) => {
    const amounts = lines.map((one) => moneyOf(one[key]));
    return amounts.includes(null) ? null : amounts.reduce((all, amount) => all + amount, 0n);
  };
  const [cost, income] = [sum("cost"), sum("income")];
  const margin = cost === null || income === null ? null : income - cost;
  const units = (amount) => (amount === null ? null : Number(amount) / 1e12);
  return {
    [`cost in ${currency}`]: units(cost),
    [`value in ${currency}`]: units(income),
    [`margin in ${currency}`]: units(margin),
  };
}

/** `$0.0125`, of an amount in the currency's unit, or `unknown` */
const inWords = (currency) => (units) =>
  units === null ? "unknown" : formatMoney(BigInt(Math.round(units * 1e6)) * 1_000_000n, currency);

/** A name with the currency, if there are several. */
const named = (name, currency, currencies) =>
  currencies.length > 1 ? `${name} in ${currency}` : name;

/** Two plots for each currency. */
export const marginPlots = (currencies) =>
  currencies.flatMap((currency) => {
    const series = (key, name, shape) => ({
      key: `${key} in ${currency}`,
      name,
      shape,
      format: inWords(currency),
    });
    const plot = (title, ...of) => ({
      title: named(title, currency, currencies),
      step: STEP,
      mark: moneyMark(currency),
      series: of,
    });
    return [
      plot(
        "Cost and value",
        series("value", "Value at list price", "line"),
        series("cost", "Cost", "line"),
      ),
      plot("Margin", series("margin", "Margin", "bars")),
    ];
  });

/** The columns of the table, each `[name, read, format]`. */
export const marginNumbers = (currencies) =>
  currencies.flatMap((currency) =>
    [
      ["cost", "Cost"],
      ["value", "Value at list price"],
      ["margin", "Margin"],
    ].map(([key, name]) => [
      named(name, currency, currencies),
      (day) => day[`${key} in ${currency}`],
      inWords(currency),
    ]),
  );
