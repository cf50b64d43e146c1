// The models that users can choose, with the prices that the API last reported, and the chosen
// model. Without a price list, all messages cost the same.

import { useBrand } from "../ui/brand.js";
import { formatNumber, formatTokens, useCurrency } from "../ui/format.js";
import { get } from "./api.js";

/** The name under which the browser remembers the chosen model. */
const KEY = "farebox.model";

/** The age at which a price list is read again when the user returns, in milliseconds. */
const OLD = 5 * 60 * 1000;

/** The list of a server that doesn't offer models to choose from. */
const NONE = { version: null, models: [] };

/** The API's reply, or null while it is unknown. */
let list = null;
let since = 0;
let reading = null;
const watchers = new Set();

/**
 * Calls `show` after each change of the list or the choice. Returns a function that stops these
 * calls.
 */
export function watchModels(show) {
  watchers.add(show);
  return () => watchers.delete(show);
}

/** Reads the models and their prices again, or uses the awaited reply `asked`. */
export function readModels(asked) {
  const missing = (error) => {
    // The previous release doesn't have this endpoint.
    if (error.status !== 404) throw error;
    return NONE;
  };
  reading ??= (asked ?? get("api/models"))
    .catch(missing)
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
 */
export function noticePrices(version) {
  if (list !== null && list.version !== version) readModels().catch(() => {});
}

/**
 * Corrects a model until the list is read again. When the API refuses a price, it may know a newer
 * list than the one that the page has read, because functions read the list at most once a minute.
 * `more` is the number of tokens that a message may cost in addition to its highest price by the
 * list's rates.
 */
export function correctModel(name, changes) {
  const corrected = (model) => (model.name === name ? { ...model, ...changes } : model);
  list = { ...list, models: list.models.map(corrected) };
  changed();
}

/** Forgets the models when the user logs out. */
export function forgetModels() {
  list = null;
  continued = null;
}

/** Returns true if the operator has a price list. */
export const hasPrices = () => list !== null && list.version !== null;

/** Returns true if the operator lets users share chats. */
export const canShare = () => list?.sharing === true;

/** Returns true if the API lets a model write the titles of conversations. */
export const hasTitles = () => list?.titles === true;

/** Returns true for a model that answers messages. The others are for embeddings. */
export const isChat = ({ kind = "chat" }) => kind === "chat";

/** All models in the price list, in its order. Empty without a price list. */
export const allModels = () => (hasPrices() ? list.models : []);

/** The models that answer messages, with the default first. Empty without a price list. */
export const models = () => allModels().filter(isChat);

/**
 * The maximum number of earlier messages that the AI gets with a message, and their maximum size in
 * bytes.
 */
export const context = () => list.context;

/** The limits of the files that can be sent with a message, or null if none can. */
export const fileLimits = () => list?.attachments ?? null;

/** The model for the next message of the conversation that is shown. Null without a price list. */
export const chosenModel = () => modelFor(continued);

/**
 * The model with this name, or else the last one that was chosen in this browser, or else the
 * default. Null without a price list.
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

/** The name of the model with which the conversation that is shown continues, or null. */
let continued = null;

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** Continues a conversation with its model, or begins one (null) with the last choice of any tab. */
export function continueWith(name) {
  if (name === null) remembered = stored() ?? remembered;
  if (continued === name) return;
  continued = name;
  changed();
}

/** Chooses a model for this conversation, and for those that begin in this browser. */
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

/** Returns true for a fare with one price for all messages. */
export const isFlat = (fare) => Number.isInteger(fare.message);

/**
 * The price of a message in tokens according to a fare, rounded up. `prompt` and `answer` are model
 * token counts.
 */
export function priceOf(fare, prompt, answer) {
  if (isFlat(fare)) return fare.message;
  // The products may exceed the integers that a number can represent.
  const millionths = BigInt(prompt) * BigInt(fare.input) + BigInt(answer) * BigInt(fare.output);
  return Number((millionths + 999_999n) / 1_000_000n);
}

/**
 * The model token counts of the message that is the example for a fare by usage. The prompt also
 * stands for one that isn't known, and the answer for a model that has answered few messages.
 */
export const PROMPT = 1000;
export const ANSWER = 500;

/** The price of the example, of which nothing is cached, in tokens. */
export const examplePrice = (fare) => priceOf({ output: 0, ...fare }, PROMPT, ANSWER);

/**
 * The usual price of a message to a listed model, if only the model is known: the example's prompt,
 * and an answer of the mean length that the API reports.
 */
export const usualOf = ({ fare, usual_answer: answer = ANSWER }) => priceOf(fare, PROMPT, answer);

/** The highest price of a message in tokens, whatever part of its prompt is in a cache. */
export function highestPriceOf(fare, prompt, answer) {
  if (isFlat(fare)) return fare.message;
  const { input, cached, write = input } = fare;
  return priceOf({ ...fare, input: Math.max(input, cached, write) }, prompt, answer);
}

/** `100 tokens a message`, for a fare with one price */
export const messageInWords = ({ message }) => `${formatTokens(message)} a message`;

/** `1,000 prompt (200 cached, 300 written to the cache) and 500 answer model tokens` */
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
// --- The maximum number of model tokens in texts, which determines the highest price ---

/**
 * The length, in bytes, of the sentence before the user's instructions. The instructions are quoted
 * line by line.
 */
const PER_INSTRUCTIONS = 160;

const encoder = new TextEncoder();
const bytes = (text) => encoder.encode(text).length;

/** The maximum number of model tokens in a string. Tokenizers may normalize the string first. */
export const boundOf = (text) =>
  Math.max(bytes(text), bytes(text.normalize("NFC")), bytes(text.normalize("NFKC")));

/** The maximum number of model tokens in instructions. */
export const boundOfInstructions = (text) =>
  text ? boundOf(text.replaceAll(/^|[\n\r\v\f\x85\u2028\u2029]/g, "$&> ")) + PER_INSTRUCTIONS : 0;
