// Drafts: unsent text in this tab's storage, under the account's id. A draft survives a reload and
// the end of the session.

import { accountId } from "../session/api.js";

const PREFIX = "farebox.draft.";

/** The name of the draft for a conversation that hasn't begun. */
export const NEW = "new";

/** The drafts for which there is no storage, or not enough of it. They exist only on the page. */
const unstored = new Map();

const key = (name) => `${PREFIX}${accountId()}.${name}`;

/** The draft with this name, or null. */
export function readDraft(name) {
  try {
    return unstored.get(key(name)) ?? JSON.parse(sessionStorage.getItem(key(name)));
  } catch {
    return null;
  }
}

/** Keeps a draft; null or "" removes it. */
export function keepDraft(name, value) {
  unstored.delete(key(name));
  try {
    if (value === null || value === "") sessionStorage.removeItem(key(name));
    else sessionStorage.setItem(key(name), JSON.stringify(value));
  } catch {
    unstored.set(key(name), value);
  }
}

/** The name of the draft of the files of a box, or of a message without an answer. */
export const filesOf = (name) => `files.${name}`;

/** The name of the draft that says whether a box is for a temporary conversation. */
const kindOf = (name) => `temporary.${name}`;

/** Returns true if a draft and its files were written for a temporary conversation. */
export const isForTemporary = (name) => Boolean(readDraft(kindOf(name)));

/** Keeps whether a draft and its files are for a temporary conversation. */
export const keepKind = (name, temporary) => keepDraft(kindOf(name), temporary || null);

/**
 * Moves a draft and its files to another name, after what is there. If one of the two was written
 * for a temporary conversation, both are for one. Returns true if there was a draft to move.
 */
export function moveDraft(from, to) {
  if (isForTemporary(from)) keepKind(to, true);
  keepKind(from, false);
  const files = readDraft(filesOf(from)) ?? [];
  if (files.length > 0) {
    keepDraft(filesOf(from), null);
    keepDraft(filesOf(to), [...(readDraft(filesOf(to)) ?? []), ...files]);
  }
  const text = readDraft(from);
  if (!text) return files.length > 0;
  keepDraft(from, null);
  keepDraft(to, [readDraft(to), text].filter(Boolean).join("\n\n"));
  return true;
}

/** The names of all drafts of the account in this tab. */
export function draftNames() {
  const begin = key("");
  const names = [...unstored.keys()];
  try {
    names.push(...Object.keys(sessionStorage));
  } catch {
    // Without storage, all drafts are in `unstored`.
  }
  return names.filter((name) => name.startsWith(begin)).map((name) => name.slice(begin.length));
}

/**
 * Removes the drafts of all accounts, and the records of what their messages cost, when the user
 * logs out.
 */
export function forgetDrafts() {
  unstored.clear();
  try {
    for (const name of Object.keys(sessionStorage))
      if (name.startsWith(PREFIX)) sessionStorage.removeItem(name);
    for (const name of Object.keys(localStorage))
      if (name.startsWith("farebox.usual.")) localStorage.removeItem(name);
  } catch {
    // Without storage there are neither drafts nor records.
  }
}
