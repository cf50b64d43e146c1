// Messages that were sent and whose answers have not arrived, kept with the drafts so that they
// survive a reload.

import { keepDraft, readDraft } from "./drafts.js";

/** How long a message is kept, in milliseconds: the API remembers an idempotency key for a day. */
const KEY_LIFE = 23 * 3600 * 1000;

/**
 * How long the API may be answering a message, in milliseconds. Later the user decides whether it
 * is sent again.
 */
const ANSWERING = 10 * 60 * 1000;

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

/**
 * Unfinished messages: `{key, message, sent, after, conversation, first, follows, instead, failed,
 * stopped, received}` each. Without a conversation, `first` is the key of the message that begins it.
 * `follows` is the message that it follows, and `instead` the id of the message of which it is
 * another version. `failed` says that the API refused the message or could not answer it, and
 * `stopped` that the user has stopped it. `received` is the part of the answer that has arrived.
 */
export function unfinished() {
  return (readDraft("unfinished") ?? []).filter(({ sent }) => Date.now() - sent < KEY_LIFE);
}

/** Keeps a turn until its answer has arrived. */
export function keepUnfinished(turn, failed = false) {
  const { key, message, sent, after, follows, instead, stopped, received, thread } = turn;
  const { id: conversation, first } = thread;
  const all = unfinished();
  const of = { conversation, first, follows, instead };
  const kept = { key, message, sent, after, ...of, failed, stopped, received };
  const place = all.findIndex((other) => other.key === key);
  keepDraft("unfinished", place < 0 ? [...all, kept] : all.with(place, kept));
}

export function dropUnfinished({ key }) {
  const rest = unfinished().filter((other) => other.key !== key);
  keepDraft("unfinished", rest.length === 0 ? null : rest);
}

/** Whether the API may still be answering a message. */
export function mayBeRunning({ sent, failed }) {
  return !failed && Date.now() - sent < ANSWERING;
}

/** Calls `listener` when the user leaves this page, perhaps for good. */
export function onLeaving(listener) {
  addEventListener("pagehide", listener);
  document.addEventListener("visibilitychange", () => document.hidden && listener());
}

/**
 * Calls `listener` when the user comes back to this page or is online again: connections may have
 * been lost meanwhile.
 */
export function onReturn(listener) {
  const isBack = () => document.visibilityState === "visible" && listener();
  document.addEventListener("visibilitychange", isBack);
  addEventListener("online", isBack);
}

/**
 * Whether a chat is the answer to an unfinished message: it has the same text, and is newer than
 * every chat that the page knew when the message was sent.
 */
export function answers(chat, { message, after }) {
  return chat.message === message && chat.id > after;
}
