// Chats of everybody, or of one user: newest first, each to be opened.

import { userLink } from "./admin-people.js";
import { page } from "./api.js";
import { h } from "./dom.js";
import { formatAgo, formatTokens, time } from "./format.js";
import { paged } from "./list.js";
import { emptyState } from "./note.js";

/** How much of a message stands in its line. */
const PREVIEW = 160;

/** `#/chats` */
export function chatsView({ signal }) {
  const content = h(
    "div",
    { class: "page" },
    h("h1", {}, "Chats"),
    h("p", { class: "lead" }, "What everybody asked and was answered, newest first."),
    chats({ signal }),
  );
  return { title: "Chats", content };
}

/** The list of chats, of one user where there is an id. */
export function chats({ userId, signal }) {
  return paged({
    load: (next) => page(next ?? "api/admin/chats/", next ? null : { user_id: userId }, { signal }),
    row: (chat) => row(chat, !userId),
    list: h("ul", {
      class: "list admin-chats",
      "aria-label": userId ? "Chats" : "Chats of all users",
    }),
    empty: emptyState("chat", "No chats yet."),
    more: "Show more chats",
  });
}

function row(chat, named) {
  const details = h(
    "details",
    {},
    h("summary", {}, h("span", { class: "admin-preview" }, preview(chat.message))),
    h(
      "dl",
      { class: "admin-said" },
      h("dt", {}, "Message"),
      h("dd", { class: "admin-text" }, chat.message),
      h("dt", {}, "Answer"),
      h("dd", { class: "admin-text" }, chat.response),
      h("dt", {}, "Chat"),
      h("dd", { class: "mono" }, chat.id),
      h("dt", {}, "Conversation"),
      h("dd", { class: "mono" }, chat.conversation_id),
    ),
  );
  return h(
    "li",
    { class: "admin-chat" },
    h(
      "p",
      { class: "admin-chat-head" },
      named && userLink(chat.user_id, chat.username ?? "deleted account"),
      time(chat.timestamp, formatAgo),
      h("span", {}, chat.model),
      h("span", {}, formatTokens(chat.tokens_deducted)),
    ),
    details,
  );
}

function preview(text) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > PREVIEW ? `${line.slice(0, PREVIEW).trimEnd()}…` : line || "(empty)";
}
