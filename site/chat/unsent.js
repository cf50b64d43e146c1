// The question before a log-out that would discard text. Loaded when the user logs out.

import { confirm } from "../ui/dialog.js";
import { draftNames, filesOf } from "./drafts.js";
import { unfinished } from "./unfinished.js";

/** Matches the names of drafts that contain neither text nor files. */
const NOT_WRITTEN = /^(unfinished$|branch\.|temporary\.)/;

/** Returns true if this tab has text or files of the account that haven't been sent. */
function hasUnsent() {
  // The API may still answer a message that hasn't failed.
  const sent = unfinished();
  const asked = sent.filter(({ failed }) => !failed).map((message) => filesOf(message.key));
  const isUnsent = (name) => !NOT_WRITTEN.test(name) && !asked.includes(name);
  return sent.some(({ failed }) => failed) || draftNames().some(isUnsent);
}

/** Asks before a log-out, if it would discard unsent text. Resolves with true if it may. */
export async function mayDiscard() {
  const text = "What you have written but not sent is removed from this tab when you log out.";
  const how = { action: "Log out", danger: true };
  return !hasUnsent() || confirm("Discard your text?", text, how);
}
