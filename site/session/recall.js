// How long the answers to the account's last messages were, on a device that hasn't shown them.
// Loaded after the page.

import { get } from "./api.js";
import { isFlat, models, reprice } from "./models.js";
import { profile } from "./user.js";
import { learnUsage, recordOf } from "./usual.js";

/** The number of rows of the statement that are read, at most. */
const ROWS = 50;

/** @type {?Promise<void>} */
let reading = null;

const idle = window.requestIdleCallback ?? ((run) => setTimeout(run, 2000));

/**
 * Reads the account's newest charges if this browser doesn't know how long a model's answers are,
 * and shows the prices again.
 */
export async function recallUsage() {
  await new Promise((run) => idle(run));
  const wanted = models().filter((model) => !isFlat(model.fare) && !recordOf(model).whole);
  if (wanted.length > 0 && profile()) reading ??= recall(wanted).finally(() => (reading = null));
  await reading;
}

/** @param {Model[]} wanted */
async function recall(wanted) {
  const owner = profile()?.id;
  /** @type {LedgerRow[]} */
  const rows = await get("api/user/ledger/", { limit: ROWS });
  if (profile()?.id !== owner) return;
  // The messages of programs say little about those on this page.
  const own = rows.filter(
    ({ kind, reason, key_name: key }) => kind === "chat" && reason !== "embeddings" && !key,
  );
  learnUsage(own, wanted);
  reprice();
}
