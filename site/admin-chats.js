// The messages and answers of all users or of one, newest first.

import { userLink } from "./admin-people.js";
import { page } from "./api.js";
import { h } from "./dom.js";
import { formatAgo, formatTokens, time } from "./format.js";
import { paged } from "./list.js";
import { emptyState } from "./note.js";
import { showAnswer } from "./prose.js";

/** How many characters of a message its line shows. */
const PREVIEW = 160;

/** `#/chats` */
export function chatsView({ signal }) {
  const content = h(
    "div",
    { class: "page" },
    h("h1", {}, "Messages"),
    h("p", { class: "lead" }, "The messages of all users and their answers, newest first."),
    chats({ signal }),
  );
  return { title: "Messages", content };
}

/** The list, of one user if `userId` is given. */
export function chats({ userId, signal }) {
  return paged({
    load: (next) => page(next ?? "api/admin/chats/", next ? null : { user_id: userId }, { signal }),
    row: (chat) => row(chat, !userId),
    list: h("ul", {
      class: "list admin-chats",
      "aria-label": userId ? "Messages" : "Messages of all users",
    }),
    empty: emptyState("chat", "No messages yet."),
    more: "Show more messages",
  });
}

function row(chat, named) {
  const answer = h("dd", { class: "prose", dir: "auto" });
  const details = h(
    "details",
    {},
    h("summary", {}, h("span", { class: "admin-preview", dir: "auto" }, preview(chat.message))),
    h(
      "dl",
      { class: "admin-said" },
      h("dt", {}, "Message"),
      h("dd", { class: "admin-text", dir: "auto" }, chat.message),
      h("dt", {}, "Answer"),
      answer,
      h("dt", {}, "Message id"),
      h("dd", { class: "mono" }, chat.id),
      h("dt", {}, "Chat id"),
      h("dd", { class: "mono" }, chat.conversation_id),
    ),
  );
  details.addEventListener("toggle", () => showAnswer(answer, chat.response));
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
