// Fares in words, and what the rows of a statement were charged for.

import { formatNumber, formatTokens, inCurrency, plural } from "../ui/format.js";
import { isFlat, messageInWords, usageInWords } from "./models.js";

/**
 * `100 tokens a message`, or the rates of a fare by usage
 * @param {Fare} fare
 */
export function fareInWords(fare) {
  if (isFlat(fare)) return messageInWords(fare);
  const { input, cached, write, output } = fare;
  /** @type {[rate: number | undefined, what: string][]} */
  const rates = [
    [input, "prompt"],
    [cached, "cached prompt"],
    [write, "prompt written to the cache"],
    [output, "answer"],
  ];
  const words = rates.flatMap(([rate, what]) =>
    rate === undefined ? [] : [`${formatNumber(rate)} for the ${what}`],
  );
  return inCurrency(`Tokens per million model tokens: ${words.join(", ")}`);
}

/**
 * The price of texts for a model for embeddings: `20 tokens per million model tokens`
 * @param {Fare} fare
 */
export const textsInWords = (fare) =>
  isFlat(fare)
    ? `${formatTokens(fare.message)} a request`
    : `${formatTokens(fare.input)} per million model tokens`;

/**
 * `about 40 answers`, which these tokens buy if an answer usually costs `price`; `of a usual length`
 * if the price depends on the answer. "" without a price, or for less than an answer.
 * @param {number} tokens
 * @param {Fare} fare
 * @param {?number} price
 */
export function answersInWords(tokens, fare, price) {
  if (!price || tokens < price) return "";
  const answers = plural(Math.floor(tokens / price), "answer");
  return `about ${answers}${isFlat(fare) ? "" : " of a usual length"}`;
}

/**
 * Describes what a row in the statement was charged for: the model, and the model token counts if
 * the price depends on them. Empty for a row without a price list. `units` is the number of times
 * that the price was charged for a long prompt.
 * @param {LedgerRow} row
 */
export function paidFor({ model, usage, units = 1, amount, fare }) {
  if (!model) return "";
  const times = units > 1 && `${formatNumber(units)} × ${formatTokens(-amount / units)}`;
  const isByUsage = usage && fare && !isFlat(fare);
  return [model, times, isByUsage && usageInWords(usage)].filter(Boolean).join(" · ");
}
