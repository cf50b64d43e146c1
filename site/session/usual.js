// How long a model's answers usually are, and how large a picture is for it, in model tokens: the
// means of the account's last messages, or else what the API reports for all users. Each account has
// its own record in this browser. On a new device, recall.js fills the record.

import { ANSWER, PROMPT, chosenModel, isFlat, models, priceOf } from "./models.js";
import { profile } from "./user.js";

/** The maximum number of messages with a model that are remembered. */
const LAST = 20;

/** The part of a message's id that is its time. Ids sort by time. */
const TIME = 13;

/** @param {{id: string}} account */
const keyOf = ({ id }) => `farebox.usual.${id}`;

/** The models' records of the account with this id. @type {Record<string, Usual>} */
let record = {};
/** @type {?string} */
let owner = null;

function known() {
  const own = profile();
  if (!own || owner === own.id) return record;
  owner = own.id;
  try {
    record = JSON.parse(localStorage.getItem(keyOf(own)) ?? "{}");
  } catch {
    record = {};
  }
  return record;
}

/** A model's record. @type {(model: {name: string}) => Usual} */
export function recordOf({ name }) {
  const own = known()[name];
  // Earlier releases remembered whole prices.
  return own?.answers ? own : { answers: {} };
}

/** @param {Record<string, Usual>} changes */
function keep(changes) {
  Object.assign(known(), changes);
  const own = profile();
  if (!own) return;
  try {
    localStorage.setItem(keyOf(own), JSON.stringify(record));
  } catch {
    // Without storage, the record applies only to this page.
  }
}

/**
 * Remembers how long answers were. Ignores models without a price by usage. `whole` are the models
 * of which these are the last messages.
 * @param {Charged[]} chats
 * @param {Model[]} whole
 */
export function learnUsage(chats, whole = []) {
  /** @type {Record<string, Usual>} */
  const changed = {};
  for (const model of whole) changed[model.name] = { ...recordOf(model), whole: true };
  for (const { id, model, usage } of chats) {
    const listed = usage && models().find(({ name }) => name === model);
    if (!listed || isFlat(listed.fare)) continue;
    const own = changed[listed.name] ?? recordOf(listed);
    const answer = { [id.slice(0, TIME)]: usage.completion_tokens };
    const last = Object.entries({ ...own.answers, ...answer }).sort(([one], [other]) =>
      one < other ? 1 : -1,
    );
    changed[listed.name] = { ...own, answers: Object.fromEntries(last.slice(0, LAST)) };
  }
  if (Object.keys(changed).length > 0) keep(changed);
}

/**
 * Remembers how many model tokens a picture had.
 * @param {Model} model
 * @param {number} tokens
 */
export function learnPicture(model, tokens) {
  const own = recordOf(model);
  const [mean, count] = own.picture ?? [0, 0];
  const next = Math.min(count + 1, LAST);
  keep({ [model.name]: { ...own, picture: [Math.round(mean + (tokens - mean) / next), next] } });
}

/** The mean of counts, rounded up. @param {number[]} all */
export const meanOf = (all) => Math.ceil(all.reduce((sum, count) => sum + count, 0) / all.length);

/** The usual number of model tokens in an answer of a model. @param {Model} model */
export function usualAnswer(model) {
  const all = Object.values(recordOf(model).answers);
  return all.length > 0 ? meanOf(all) : (model.usual_answer ?? ANSWER);
}

/**
 * The usual number of model tokens in a picture: the largest number until one was counted.
 * @param {Model} model
 */
export function usualPicture(model) {
  const { picture: most = 0 } = model;
  return Math.min(most, recordOf(model).picture?.[0] ?? most);
}

/**
 * The usual price in tokens of a message whose prompt isn't known: by default with the chosen model.
 * Null without a list.
 * @param {?Model} model
 */
export const usualPrice = (model = chosenModel()) =>
  model && priceOf(model.fare, PROMPT, usualAnswer(model));

/** Forgets the record in this page when the user logs out. */
export function forgetUsage() {
  record = {};
  owner = null;
}
