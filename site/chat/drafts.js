// Unsent text, kept in the storage of this tab under the id of the account. It survives a reload
// and the end of a session.

import { accountId } from "../session/api.js";

const PREFIX = "farebox.draft.";

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
    // Without storage, only the page has it.
  }
}

/** Removes the drafts of all accounts when the user signs out. */
export function forgetDrafts() {
  try {
    for (const name of Object.keys(sessionStorage))
      if (name.startsWith(PREFIX)) sessionStorage.removeItem(name);
  } catch {
    // Without storage there are none.
  }
}
