// The price of a message before it is sent. An offer contains the model, and the most that the
// message may cost. The request contains both, so a user never pays more than the page showed.

import { boundOf, boundOfInstructions } from "../session/bounds.js";
import { areModelsKnown, chosenModel, context, highestPriceOf, isFlat } from "../session/models.js";
import { costOfAnother } from "../session/user.js";
import { usualPrice } from "../session/usual.js";
import { formatNumber, formatTokens } from "../ui/format.js";

/**
 * The model tokens that a prompt may need for each of its turns, in addition to the bound of its
 * text.
 */
const PER_TURN = 17;

/** Caches the bounds of messages with their answers, so that typing doesn't count them again. */
const counted = new WeakMap();

function boundOfChat(chat) {
  if (!counted.has(chat)) counted.set(chat, boundOf(chat.message) + boundOf(chat.response));
  return counted.get(chat);
}

/**
 * The offer for a message to a model, by default the chosen one:
 * `{model, usual, max_cost, isFlat}`. Null without a price list, and undefined while the list is
 * unknown. `before(count)` returns the last messages before this one, at most `count`, or null if
 * they are unknown. `instructions` are the conversation's instructions; the API adds the account's.
 */
export function offerOf(message, { before, instructions, model = chosenModel() }) {
  if (!areModelsKnown()) return undefined;
  if (!model) return null;
  const { name, fare, most, prompt_overhead: overhead } = model;
  if (isFlat(fare)) {
    const { message: price } = fare;
    return { model: name, usual: price, max_cost: price, isFlat: true };
  }
  const limits = context();
  const chats = before(limits.chats);
  const sum = chats?.reduce((total, chat) => total + boundOfChat(chat), 0) ?? Infinity;
  const turns = 2 * (chats?.length ?? limits.chats);
  const earlier = Math.min(limits.bytes, sum) + PER_TURN * turns;
  const prompt = overhead + boundOf(message) + boundOfInstructions(instructions) + earlier;
  const highest = highestPriceOf(fare, prompt, most);
  const usual = Math.min(usualPrice(model), highest);
  return { model: name, usual, max_cost: highest, isFlat: false };
}

/** `100 tokens`, or `at most 2,100 tokens` if the price depends on the answer */
export const offerInWords = ({ max_cost: most, isFlat: isExact }) =>
  `${isExact ? "" : "at most "}${formatTokens(most)}`;

/** The price of a message by usage, in two parts: `Usually about 88,` and `at most 1,692 tokens` */
export const usualAndMost = ({ usual, max_cost: most }) => [
  `Usually about ${formatNumber(usual)},`,
  `at most ${formatTokens(most)}`,
];

/** A sentence with the price of another answer, or "" if the price is unknown. */
export const newAnswerCosts = (offer) =>
  offer ? `The new answer costs ${offerInWords(offer)}.` : costOfAnother();
