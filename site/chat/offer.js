// The price of a message before it is sent. An offer contains the model, and the most that the
// message may cost. The request contains both, so a user never pays more than the page showed.

import {
  areModelsKnown,
  chosenModel,
  context,
  isFlat,
  models,
  reprice,
} from "../session/models.js";
import { answerPrice } from "../session/user.js";
import { formatNumber, formatTokens } from "../ui/format.js";
import { lazy } from "../ui/lazy.js";

/** The code that counts files and model tokens. Messages at a flat price need it only for files. */
export const weights = lazy(() => import("./weights.js"));

let reading = null;

/** Reads this code, and shows the prices again. */
function readWeights() {
  reading ??= weights.read().then((module) => {
    reading = null;
    if (module) reprice();
  });
}

/** How often a message with these files costs a flat price. 1 while that is unknown. */
export const timesWith = (files, model) =>
  files.length > 0 ? (weights.module?.timesWith(files, model) ?? 1) : 1;

/**
 * The offer for a message to a model, by default the chosen one: `{model, usual, max_cost, isFlat}`,
 * and for a price by usage what `priceByUsage` in weights.js returns. Null without a price list, and
 * undefined while the list or the code for model tokens is unknown. `before(count)` returns the last
 * messages before this one, at most `count`, as `{chats, isWhole}`. `instructions` is a list with the
 * conversation's and its folder's instructions; the API adds the account's. `files` are the message's
 * files and those in the conversation.
 */
export function offerOf(message, { before, instructions, files, model = chosenModel() }) {
  if (!areModelsKnown()) return undefined;
  if (!model) return null;
  const { name, fare } = model;
  if (!weights.module) {
    const hasFiles = files.length > 0;
    // The list of models shows all prices.
    if (hasFiles || models().some((listed) => !isFlat(listed.fare))) readWeights();
    if (hasFiles || !isFlat(fare)) return undefined;
  }
  if (!isFlat(fare)) {
    const said = { ...before(context().chats), instructions, files };
    return { model: name, ...weights.module.priceByUsage(message, said, model), isFlat: false };
  }
  const price = fare.message * timesWith(files, model);
  return { model: name, usual: price, max_cost: price, isFlat: true };
}

/** `100 tokens`, or `at most 2,100 tokens` if the price depends on the answer */
export const offerInWords = ({ max_cost: most, isFlat: isExact }) =>
  `${isExact ? "" : "at most "}${formatTokens(most)}`;

/** Returns true if most answers cost less than the highest price. */
const isOftenLess = ({ isFlat: isExact, usual, max_cost: most }) => !isExact && usual < most;

/**
 * `100 tokens`, or `about 88, at most 2,100 tokens` if the price depends on the answer. Without an
 * offer, the price of all answers, or "" if it is unknown.
 */
export function priceInWords(offer) {
  if (!offer) return answerPrice() ? formatTokens(answerPrice()) : "";
  return `${isOftenLess(offer) ? `about ${formatNumber(offer.usual)}, ` : ""}${offerInWords(offer)}`;
}

/** A sentence with the price of another answer, or "" if the price is unknown. */
export function newAnswerCosts(offer) {
  const price = priceInWords(offer);
  return price && `The new answer ${offer && isOftenLess(offer) ? "usually " : ""}costs ${price}.`;
}
