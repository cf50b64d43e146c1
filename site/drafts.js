// What people have begun to write, kept for this tab's life under their account's id: neither a reload nor the end of a session loses it.

import { accountId } from "./api.js";

const PREFIX = "farebox.draft.";

const key = (name) => `${PREFIX}${accountId()}.${name}`;

/** What is kept under a name, or null. */
export function readDraft(name) {
  try {
    return JSON.parse(sessionStorage.getItem(key(name)));
  } catch {
    return null;
  }
}

/** Keeps a value; null or "" keeps nothing. */
export function keepDraft(name, value) {
  try {
    if (value === null || value === "") sessionStorage.removeItem(key(name));
    else sessionStorage.setItem(key(name), JSON.stringify(value));
  } catch {
    // A browser that keeps nothing keeps it as long as the page.
  }
}

/** Forgets all of them: whoever signs out may not be the next one here. */
export function forgetDrafts() {
  try {
    for (const name of Object.keys(sessionStorage))
      if (name.startsWith(PREFIX)) sessionStorage.removeItem(name);
  } catch {
    // Nothing is kept, then.
  }
}
