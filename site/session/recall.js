// What the account's last messages cost, on a device that hasn't shown them. Loaded after the page.

import { get } from "./api.js";
import { isFlat, models, reprice } from "./models.js";
import { profile } from "./user.js";
import { learnCosts, recordOf } from "./usual.js";

/** The number of rows of the statement that are read, at most. */
const ROWS = 50;

let reading = null;

/** The cost of a message at these rates, rounded up. */
function costAt({ input, cached, write = input, output }, usage) {
  const { prompt_tokens: prompt, completion_tokens: answer } = usage;
  const read = usage.cached_tokens ?? 0;
  const written = usage.written_tokens ?? 0;
  const parts = [
    [prompt - read - written, input],
    [read, cached],
    [written, write],
    [answer, output],
  ];
  // The products may exceed the integers that a number can represent.
  const millionths = parts.reduce((sum, [count, rate]) => sum + BigInt(count) * BigInt(rate), 0n);
  return Number((millionths + 999_999n) / 1_000_000n);
}

const idle = window.requestIdleCallback ?? ((run) => setTimeout(run, 2000));

/**
 * Reads the account's newest charges if this browser doesn't know what its messages to a model
 * cost, and shows the prices again. The charges are recomputed at the model's current rates.
 */
export async function recallCosts() {
  await new Promise((run) => idle(run));
  const wanted = models().filter((model) => !isFlat(model.fare) && !recordOf(model).whole);
  if (wanted.length > 0 && profile()) reading ??= recall(wanted).finally(() => (reading = null));
  await reading;
}

async function recall(wanted) {
  const { id: owner } = profile();
  const rows = await get("api/user/ledger/", { limit: ROWS });
  if (profile()?.id !== owner) return;
  const chats = rows.flatMap(({ id, kind, reason, model, usage, key_name: key }) => {
    const listed = wanted.find(({ name }) => name === model);
    // The messages of programs say little about those on this page.
    if (!listed || !usage || kind !== "chat" || reason === "embeddings" || key) return [];
    const { fare } = models().find(({ name }) => name === model) ?? listed;
    return [{ id, model, tokens_deducted: costAt(fare, usage), receipt: { fare } }];
  });
  learnCosts(chats, wanted);
  reprice();
}
