// What a message usually costs with a model by usage: the mean of the account's last messages with
// the model that this browser has seen. Each account has its own record in this browser.

import { chosenModel, examplePrice, isFlat, models } from "./models.js";
import { profile } from "./user.js";

/** The maximum number of messages with a model that are remembered. */
const LAST = 20;

const keyOf = ({ id }) => `farebox.usual.${id}`;

/** The rates of a fare. A record of other rates doesn't say what a message costs now. */
const ratesOf = ({ input, cached, write, output }) => [input, cached, write, output].join(" ");

/** `{[model]: {rates, costs: {[message]: cost}}}` of the account with this id */
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

/** Remembers what messages were charged. Ignores messages without a price by usage. */
export function learnCosts(chats) {
  const all = known();
  let isNew = false;
  for (const { id, model, tokens_deducted: cost, receipt } of chats) {
    if (!receipt || isFlat(receipt.fare) || all[model]?.costs?.[id] === cost) continue;
    const listed = models().find(({ name }) => name === model);
    const rates = ratesOf(receipt.fare);
    if (!listed || rates !== ratesOf(listed.fare)) continue;
    const costs = all[model]?.rates === rates ? all[model].costs : {};
    // Ids sort by time.
    const last = Object.entries({ ...costs, [id]: cost }).sort(([one], [other]) =>
      one < other ? 1 : -1,
    );
    all[model] = { rates, costs: Object.fromEntries(last.slice(0, LAST)) };
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
  const { name, fare } = model;
  const { rates, costs } = known()[name] ?? {};
  if (isFlat(fare) || rates !== ratesOf(fare)) return examplePrice(fare);
  const all = Object.values(costs);
  return Math.ceil(all.reduce((sum, cost) => sum + cost, 0) / all.length);
}

/** Forgets the record in this page when the user logs out. */
export function forgetCosts() {
  record = {};
  owner = null;
}
