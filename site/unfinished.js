// Messages that were sent and whose answers have not arrived, kept with the drafts so that they
// survive a reload.

import { keepDraft, readDraft } from "./drafts.js";

/** How long a message is kept, in milliseconds: the API remembers an idempotency key for a day. */
const KEY_LIFE = 23 * 3600 * 1000;

/** The id of the newest chat that this page has seen. Ids sort by time. */
let newest = "";

export const newestChat = () => newest;

/** Takes note of a chat that the API returned. */
export function sawChat({ id }) {
  if (id > newest) newest = id;
}

export function forgetChats() {
  newest = "";
}

/** What is unfinished: `{key, message, sent, after, conversation}` each. */
export function unfinished() {
  return (readDraft("unfinished") ?? []).filter(({ sent }) => Date.now() - sent < KEY_LIFE);
}

/** Keeps a turn until its answer has arrived. */
export function keepUnfinished(turn) {
  const { key, message, sent, after } = turn;
  const others = unfinished().filter((other) => other.key !== key);
  keepDraft("unfinished", [...others, { key, message, sent, after, conversation: turn.thread.id }]);
}

export function dropUnfinished({ key }) {
  const rest = unfinished().filter((other) => other.key !== key);
  keepDraft("unfinished", rest.length === 0 ? null : rest);
}

/**
 * Whether a chat is the answer to an unfinished message: it has the same text, and is newer than
 * every chat that the page knew when the message was sent.
 */
export function answers(chat, { message, after }) {
  return chat.message === message && chat.id > after;
}
