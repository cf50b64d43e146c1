// Drafts: unsent text in this tab's storage, under the account's id. A draft survives a reload and
// the end of the session.

import { accountId } from "../session/api.js";

const PREFIX = "farebox.draft.";

/** The name of the draft for a conversation that hasn't begun. */
export const NEW = "new";

const key = (name) => `${PREFIX}${accountId()}.${name}`;

/** The draft with this name, or null. */
export function readDraft(name) {
  try {
    return JSON.parse(sessionStorage.getItem(key(name)));
  } catch {
    return null;
  }
}

/** Keeps a draft; null or "" removes it. */
export function keepDraft(name, value) {
  try {
    if (value === null || value === "") sessionStorage.removeItem(key(name));
    else sessionStorage.setItem(key(name), JSON.stringify(value));
  } catch {
    // Without storage, the text exists only on the page.
  }
}

/**
 * Moves a draft to another name, after any text that is there. Returns true if there was a text to
 * move.
 */
export function moveDraft(from, to) {
  const text = readDraft(from);
  if (!text) return false;
  keepDraft(from, null);
  keepDraft(to, [readDraft(to), text].filter(Boolean).join("\n\n"));
  return true;
}

/** Removes the drafts of all accounts when the user logs out. */
export function forgetDrafts() {
  try {
    for (const name of Object.keys(sessionStorage))
      if (name.startsWith(PREFIX)) sessionStorage.removeItem(name);
  } catch {
    // Without storage there are no drafts.
  }
}
