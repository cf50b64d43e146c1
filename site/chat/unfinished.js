// Unfinished messages: sent messages whose answers haven't arrived. They are stored with the
// drafts, so they survive a reload.

import { filesOf, keepDraft, readDraft } from "./drafts.js";

/** How long a message is kept, in ms. The API remembers idempotency keys for a day. */
const KEY_LIFE = 23 * 3600 * 1000;

/**
 * The maximum time that the API may take to answer a message, in milliseconds. After that, the user
 * decides whether to send the message again.
 */
const ANSWERING = 10 * 60 * 1000;

/** The id of the newest chat that this page has seen. Ids sort by time. */
let newest = "";

export const newestChat = () => newest;

/** Updates `newest` with a chat that the API returned. */
export function sawChat({ id }) {
  if (id > newest) newest = id;
}

export function forgetChats() {
  newest = "";
}

/**
 * The unfinished messages, each `{key, message, sent, after, conversation, first, temporary,
 * follows, to, instead, offer, folder, failed, stopped, received, files}`. If `conversation` is
 * missing, `first` is the key of the message that begins the conversation, in the folder `folder`,
 * and `temporary` is true if that is deleted after a day. `follows` is the message's parent. `to` is
 * what all requests say about the conversation: its id, or the folder and `temporary` of a new one.
 * It is missing before the first request and after a known failure. `instead` is the id of the
 * message that this message is a new version of. `offer` is the shown price. `failed` is true if the
 * API refused the message or couldn't answer it, and `stopped` if the user stopped it. `received` is
 * the text that has arrived. `files` is the number of the message's files, which are kept beside it
 * because of their size.
 */
export function unfinished() {
  return (readDraft("unfinished") ?? []).filter(({ sent }) => Date.now() - sent < KEY_LIFE);
}

/** Keeps a turn until its answer has arrived. */
export function keepUnfinished(turn, failed = false) {
  const { key, message, sent, after, follows, to, instead, offer, stopped, received } = turn;
  const { parts, files, thread } = turn;
  const { id: conversation, first, temporary } = thread;
  const all = unfinished();
  const of = { conversation, first, temporary, follows, to, instead, offer, folder: turn.folder };
  const kept = { key, message, sent, after, ...of, failed, stopped, received, files };
  if (parts.length > 0 && !readDraft(filesOf(key))) keepDraft(filesOf(key), parts);
  const place = all.findIndex((other) => other.key === key);
  keepDraft("unfinished", place < 0 ? [...all, kept] : all.with(place, kept));
}

export function dropUnfinished({ key }) {
  keepDraft(filesOf(key), null);
  const rest = unfinished().filter((other) => other.key !== key);
  keepDraft("unfinished", rest.length === 0 ? null : rest);
}

/** Returns true if the API may still be answering a message. */
export function mayBeRunning({ sent, failed }) {
  return !failed && Date.now() - sent < ANSWERING;
}

/** Calls `listener` when the user leaves this page. */
export function onLeaving(listener) {
  addEventListener("pagehide", listener);
  document.addEventListener("visibilitychange", () => document.hidden && listener());
}

/**
 * Calls `listener` when the user returns to this page or is online again, because connections may
 * have been lost in the meantime.
 */
export function onReturn(listener) {
  const isBack = () => document.visibilityState === "visible" && listener();
  document.addEventListener("visibilitychange", isBack);
  addEventListener("online", isBack);
}

/**
 * Returns true if a chat answers an unfinished message: its text is the same, and it is newer than
 * all chats that the page had seen when the message was sent.
 */
export function answers(chat, { message, after }) {
  return chat.message === message && chat.id > after;
}
