// The models that users can choose, with the prices that the API last reported, and the model that
// was chosen in this browser. Without a price list, all messages cost the same.

import { formatNumber, formatTokens, inCurrency, useCurrency } from "../ui/format.js";
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

/** Reads the models and their prices again. */
export function readModels() {
  const missing = (error) => {
    // The previous release doesn't have this endpoint.
    if (error.status !== 404) throw error;
    return NONE;
  };
  reading ??= get("api/models")
    .catch(missing)
    .then((reply) => {
      list = reply;
      since = Date.now();
      useCurrency(reply.currency ?? "tokens");
      changed();
    })
    .finally(() => (reading = null));
  return reading;
}

const changed = () => watchers.forEach((show) => show());

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
 * Shows the price that the API named when it refused a lower one. The list that the page has read
 * may be older, because the functions read the list at most once a minute.
 */
export function learnFare(name, price) {
  const raised = (model) =>
    model.name === name && isFlat(model.fare) ? { ...model, fare: { message: price } } : model;
  list = { ...list, models: list.models.map(raised) };
  changed();
}

/** Forgets the models when the user logs out. */
export function forgetModels() {
  list = null;
}

/** Returns true if the operator has a price list. */
export const hasPrices = () => list !== null && list.version !== null;

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

/** The chosen model of the price list, or null without a price list. */
export const chosenModel = () =>
  models().find(({ name }) => name === remembered) ??
  models().find((model) => model.default) ??
  models()[0] ??
  null;

/** Returns true if users choose between several models, or if the price depends on the answer. */
export const hasChoice = () => models().length > 1 || models().some(({ fare }) => !isFlat(fare));

let remembered = stored();

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** Chooses a model for the next messages from this browser. */
export function chooseModel(name) {
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

/** The model token counts of the message that is the example for a fare by usage. */
export const PROMPT = 1000;
export const ANSWER = 500;

/** The price of the example, of which nothing is cached, in tokens. */
export const examplePrice = (fare) => priceOf({ output: 0, ...fare }, PROMPT, ANSWER);

/** The highest price of a message in tokens, whatever part of its prompt is in a cache. */
export function highestPriceOf(fare, prompt, answer) {
  if (isFlat(fare)) return fare.message;
  const { input, cached, write = input } = fare;
  return priceOf({ ...fare, input: Math.max(input, cached, write) }, prompt, answer);
}

/** `100 tokens a message`, or the rates of a fare by usage */
export function fareInWords(fare) {
  if (isFlat(fare)) return `${formatTokens(fare.message)} a message`;
  const { input, cached, write, output } = fare;
  const rates = [
    [input, "prompt"],
    [cached, "cached prompt"],
    [write, "prompt written to the cache"],
    [output, "answer"],
  ].filter(([rate]) => rate !== undefined);
  const words = rates.map(([rate, what]) => `${formatNumber(rate)} for the ${what}`);
  return inCurrency(`Tokens per million model tokens: ${words.join(", ")}`);
}

/** The price of texts for a model for embeddings: `20 tokens per million model tokens` */
export const textsInWords = (fare) =>
  isFlat(fare)
    ? `${formatTokens(fare.message)} a request`
    : `${formatTokens(fare.input)} per million model tokens`;

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

/**
 * Describes what a row in the statement was charged for: the model and the model token counts.
 * Empty for a row without a price list. `units` is the number of times that the price was charged
 * for a long prompt.
 */
export function paidFor({ model, usage, units, amount }) {
  if (!model) return "";
  const times = units > 1 && `${formatNumber(units)} × ${formatTokens(-amount / units)}`;
  return [model, times, usage && usageInWords(usage)].filter(Boolean).join(" · ");
}
