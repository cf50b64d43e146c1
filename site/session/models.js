// The models that users can choose, with the prices that the API last reported, and the chosen
// model. Without a price list, all messages cost the same.

import { useBrand } from "../ui/brand.js";
import { formatNumber, formatTokens, useCurrency } from "../ui/format.js";
import { get } from "./api.js";

/** The name under which the browser remembers the chosen model. */
const KEY = "farebox.model";

/** The age at which a price list is read again when the user returns, in milliseconds. */
const OLD = 5 * 60 * 1000;

/** The API's reply, or null while it is unknown. @type {?ModelList} */
let list = null;
let since = 0;
/** @type {?Promise<void>} */
let reading = null;
/** @type {Set<() => void>} */
const watchers = new Set();

/**
 * Calls `show` after each change of the list or the choice. Returns a function that stops these
 * calls.
 * @param {() => void} show
 */
export function watchModels(show) {
  watchers.add(show);
  return () => watchers.delete(show);
}

/**
 * Reads the models and their prices again, or uses the awaited reply `asked`.
 * @param {Promise<ModelList>} [asked]
 */
export function readModels(asked) {
  reading ??= (asked ?? get("api/models"))
    .then((reply) => {
      list = reply;
      since = Date.now();
      useCurrency(reply.currency ?? "tokens");
      useBrand(reply.brand);
      changed();
    })
    .finally(() => (reading = null));
  return reading;
}

const changed = () => watchers.forEach((show) => show());

/** Shows all prices again, because what messages usually cost has changed. */
export const reprice = changed;

/** Returns true if the API has reported whether there is a price list. */
export const areModelsKnown = () => list !== null;

/** Reads an old price list again, because the user returns to the page. */
export function renewModels() {
  const isOld = list === null || (hasPrices() && Date.now() - since > OLD);
  if (isOld) readModels().catch(() => {});
}

/**
 * Reads the price list again if a new answer was charged under a different version, or without a
 * list (null).
 * @param {?string} version
 */
export function noticePrices(version) {
  if (list !== null && list.version !== version) readModels().catch(() => {});
}

/**
 * Corrects a model until the list is read again. When the API refuses a price, it may know a newer
 * list than the one that the page has read, because functions read the list at most once a minute.
 * @param {string} name
 * @param {Partial<Model>} changes
 */
export function correctModel(name, changes) {
  if (list === null) return;
  const corrected = list.models.map((model) =>
    model.name === name ? { ...model, ...changes } : model,
  );
  list = { ...list, models: corrected };
  changed();
}

/** Forgets the models when the user logs out. */
export function forgetModels() {
  list = null;
  continued = null;
}

/** Returns true if the operator has a price list. */
export const hasPrices = () => Boolean(list?.version);

// `ModelList` describes these fields.
export const canShare = () => list?.sharing === true;
export const hasTitles = () => list?.titles === true;
export const context = () => list?.context;
export const fileLimits = () => list?.attachments ?? null;

/**
 * Returns true for a model that answers messages. The others are for embeddings.
 * @param {Model} model
 */
export const isChat = ({ kind = "chat" }) => kind === "chat";

/** All models in the price list, in its order. Empty without a price list. */
export const allModels = () => (list?.version ? list.models : []);

/** The models that answer messages, with the default first. Empty without a price list. */
export const models = () => allModels().filter(isChat);

/** The model for the next message of the conversation that is shown. Null without a price list. */
export const chosenModel = () => modelFor(continued);

/**
 * The model with this name, or else the last one that was chosen in this browser, or else the
 * default. Null without a price list.
 * @param {?string} wanted
 */
export const modelFor = (wanted) =>
  models().find(({ name }) => name === wanted) ??
  models().find(({ name }) => name === remembered) ??
  models().find((model) => model.default) ??
  models()[0] ??
  null;

/** Returns true if users choose between several models, or if the price depends on the answer. */
export const hasChoice = () => models().length > 1 || models().some(({ fare }) => !isFlat(fare));

let remembered = stored();

/**
 * The name of the model with which the conversation that is shown continues, or null.
 * @type {?string}
 */
let continued = null;

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/**
 * Continues a conversation with its model, or begins one (null) with the last choice of any tab.
 * @param {?string} name
 */
export function continueWith(name) {
  if (name === null) remembered = stored() ?? remembered;
  if (continued === name) return;
  continued = name;
  changed();
}

/**
 * Chooses a model for this conversation, and for those that begin in this browser.
 * @param {string} name
 */
export function chooseModel(name) {
  continued = name;
  remembered = name;
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // Without storage, the choice applies only to this page.
  }
  changed();
}

// --- Fares ---

/**
 * Returns true for a fare with one price for all messages.
 * @param {Fare} fare
 * @returns {fare is FlatFare}
 */
export const isFlat = (fare) => Number.isInteger(fare.message);

/**
 * The price of a message in tokens according to a fare, rounded up.
 * @type {Price}
 */
export function priceOf(fare, prompt, answer) {
  if (isFlat(fare)) return fare.message;
  // The products may exceed the integers that a number can represent.
  const { input, output = 0 } = fare;
  const millionths = BigInt(prompt) * BigInt(input) + BigInt(answer) * BigInt(output);
  return Number((millionths + 999_999n) / 1_000_000n);
}

/**
 * The model token counts of the message that is the example for a fare by usage. The prompt also
 * stands for one that isn't known, and the answer for a model that has answered few messages.
 */
export const PROMPT = 1000;
export const ANSWER = 500;

/** The price of the example, of which nothing is cached, in tokens. @param {Fare} fare */
export const examplePrice = (fare) => priceOf(fare, PROMPT, ANSWER);

/**
 * The usual price of a message to a listed model, if only the model is known: the example's prompt,
 * and an answer of the mean length that the API reports.
 * @param {Model} model
 */
export const usualOf = ({ fare, usual_answer: answer = ANSWER }) => priceOf(fare, PROMPT, answer);

/**
 * The highest price of a message in tokens, whatever part of its prompt is in a cache.
 * @type {Price}
 */
export function highestPriceOf(fare, prompt, answer) {
  if (isFlat(fare)) return fare.message;
  const { input, cached, write = input } = fare;
  return priceOf({ ...fare, input: Math.max(input, cached, write) }, prompt, answer);
}

/**
 * `100 tokens a message`, for a fare with one price
 * @param {FlatFare} fare
 */
export const messageInWords = ({ message }) => `${formatTokens(message)} a message`;

/**
 * `1,000 prompt (200 cached, 300 written to the cache) and 500 answer model tokens`
 * @param {Usage} usage
 */
export function usageInWords(usage) {
  const { prompt_tokens: prompt, completion_tokens: answer, ...parts } = usage;
  const { cached_tokens: cached, written_tokens: written } = parts;
  const ofCache = [
    cached && `${formatNumber(cached)} cached`,
    written && `${formatNumber(written)} written to the cache`,
  ].filter(Boolean);
  const inside = ofCache.length > 0 ? ` (${ofCache.join(", ")})` : "";
  const words = `${formatNumber(prompt)} prompt${inside} and ${formatNumber(answer)} answer model tokens`;
  return usage.estimated ? `about ${words}` : words;
}

// --- Bounds, which determine the highest price ---

/**
 * The length, in bytes, of the sentence before the user's instructions. The instructions are quoted
 * line by line.
 */
const PER_INSTRUCTIONS = 160;

const encoder = new TextEncoder();
/** @param {string} text */
const bytes = (text) => encoder.encode(text).length;

/**
 * The maximum number of model tokens in a string. Tokenizers may normalize the string first.
 * @param {string} text
 */
export const boundOf = (text) =>
  Math.max(bytes(text), bytes(text.normalize("NFC")), bytes(text.normalize("NFKC")));

/** The maximum number of model tokens in instructions. @param {string} text */
export const boundOfInstructions = (text) =>
  text ? boundOf(text.replaceAll(/^|[\n\r\v\f\x85\u2028\u2029]/g, "$&> ")) + PER_INSTRUCTIONS : 0;
