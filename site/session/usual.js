// What a message usually costs with a model by usage: the mean of the account's last messages with
// the model, or else what the API reports for all users. Each account has its own record in this
// browser. On a new device, recall.js fills the record.

import { chosenModel, isFlat, models, usualOf } from "./models.js";
import { profile } from "./user.js";

/** The maximum number of messages with a model that are remembered. */
const LAST = 20;

const keyOf = ({ id }) => `farebox.usual.${id}`;

/** The rates of a fare. A record of other rates doesn't say what a message costs now. */
const ratesOf = ({ input, cached, write, output }) => [input, cached, write, output].join(" ");

/** `{[model]: {rates, costs: {[message]: cost}, whole}}` of the account with this id */
let record = {};
let owner = null;

function known() {
  const own = profile();
  if (!own || owner === own.id) return record;
  owner = own.id;
  try {
    record = JSON.parse(localStorage.getItem(keyOf(own))) ?? {};
  } catch {
    record = {};
  }
  return record;
}

/** A model's record at its current rates. It is `whole` once the statement has been read. */
export function recordOf({ name, fare }) {
  const rates = ratesOf(fare);
  const own = known()[name];
  return own?.rates === rates ? own : { rates, costs: {} };
}

/**
 * Remembers what messages were charged. Ignores messages without a price by usage. `whole` are the
 * models of which these are the last messages.
 */
export function learnCosts(chats, whole = []) {
  const all = known();
  for (const model of whole) all[model.name] = { ...recordOf(model), whole: true };
  let isNew = whole.length > 0;
  for (const { id, model, tokens_deducted: cost, receipt } of chats) {
    if (!receipt || isFlat(receipt.fare)) continue;
    const listed = models().find(({ name }) => name === model);
    if (!listed || ratesOf(receipt.fare) !== ratesOf(listed.fare)) continue;
    const own = recordOf(listed);
    if (own.costs[id] === cost) continue;
    // Ids sort by time.
    const last = Object.entries({ ...own.costs, [id]: cost }).sort(([one], [other]) =>
      one < other ? 1 : -1,
    );
    all[model] = { ...own, costs: Object.fromEntries(last.slice(0, LAST)) };
    isNew = true;
  }
  if (!isNew || !profile()) return;
  try {
    localStorage.setItem(keyOf(profile()), JSON.stringify(all));
  } catch {
    // Without storage, the record applies only to this page.
  }
}

/** The usual price of a message in tokens: by default with the chosen model. Null without a list. */
export function usualPrice(model = chosenModel()) {
  if (!model) return null;
  const all = Object.values(recordOf(model).costs);
  if (all.length === 0) return usualOf(model);
  return Math.ceil(all.reduce((sum, cost) => sum + cost, 0) / all.length);
}

/** Forgets the record in this page when the user logs out. */
export function forgetCosts() {
  record = {};
  owner = null;
}
