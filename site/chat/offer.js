// The price of a message before it is sent. An offer contains the model, and the most that the
// message may cost. The request contains both, so a user never pays more than the page showed.

import {
  areModelsKnown,
  boundOf,
  boundOfInstructions,
  chosenModel,
  context,
  highestPriceOf,
  isFlat,
} from "../session/models.js";
import { answerPrice, spendable } from "../session/user.js";
import { usualPrice } from "../session/usual.js";
import { formatNumber, formatTokens } from "../ui/format.js";
import { lazy } from "../ui/lazy.js";

/**
 * The model tokens that a prompt may need for each of its turns, in addition to the bound of its
 * text.
 */
const PER_TURN = 17;

/** The model tokens of the shortest answer that the API begins. */
const SHORTEST = 64;

/** Caches the bounds of messages with their answers, so that typing doesn't count them again. */
const counted = new WeakMap();

function boundOfChat(chat) {
  if (!counted.has(chat)) counted.set(chat, boundOf(chat.message) + boundOf(chat.response));
  return counted.get(chat);
}

/** The code that counts files. Most messages have none. */
export const weights = lazy(() => import("./weights.js"));

/** How often a message with these files costs a flat price. 1 while that is unknown. */
export const timesWith = (files, model) =>
  files.length > 0 ? (weights.module?.timesWith(files, model) ?? 1) : 1;

/**
 * The offer for a message to a model, by default the chosen one:
 * `{model, usual, least, max_cost, isCut, isFlat}`. `isCut` is true if the balance doesn't cover the
 * longest answer. Null without a price list, and undefined while the list or the code for files is
 * unknown. `before(count)` returns the last messages before this one, at most
 * `count`, or null if they are unknown. `instructions` is a list with the conversation's and its
 * folder's instructions; the API adds the account's. `files` are the message's files and those in
 * the conversation.
 */
export function offerOf(message, { before, instructions, files, model = chosenModel() }) {
  if (!areModelsKnown()) return undefined;
  if (!model) return null;
  if (files.length > 0 && !weights.module) return undefined;
  const { name, fare, most, more = 0, prompt_overhead: overhead } = model;
  if (isFlat(fare)) {
    const price = fare.message * timesWith(files, model);
    return { model: name, usual: price, max_cost: price, isFlat: true };
  }
  const limits = context();
  const chats = before(limits.chats);
  const sum = chats?.reduce((total, chat) => total + boundOfChat(chat), 0) ?? Infinity;
  const turns = 2 * (chats?.length ?? limits.chats);
  const earlier = Math.min(limits.bytes, sum) + PER_TURN * turns;
  const instructed = instructions.reduce((total, text) => total + boundOfInstructions(text), 0);
  const own = boundOf(message) + instructed;
  const { most: read = 0, usual: added = 0 } = weights.module?.tokensOf(files, model) ?? {};
  const upTo = (answer) => highestPriceOf(fare, overhead + own + earlier + read, answer) + more;
  const highest = upTo(most);
  const usual = Math.min(usualPrice(model) + added, highest);
  const least = upTo(Math.min(SHORTEST, most));
  // The API shortens an answer that the balance doesn't cover, but not below the shortest.
  const able = Math.min(highest, Math.max(spendable(), least));
  return { model: name, usual, least, max_cost: able, isCut: able < highest, isFlat: false };
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
