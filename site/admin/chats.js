// The messages and answers of all users or of one user, newest first, with a search.

import { showAnswer } from "../markdown/prose.js";
import { page } from "../session/api.js";
import { isFlat, usageInWords } from "../session/models.js";
import { h } from "../ui/dom.js";
import { field } from "../ui/form.js";
import { formatAgo, formatTokens, time } from "../ui/format.js";
import { paged } from "../ui/list.js";
import { emptyState } from "../ui/note.js";
import { dayFields, filters } from "./filters.js";
import { userLink } from "./people.js";

/** The maximum length of a message's preview in characters. */
const PREVIEW = 160;

/** `#/chats?q=tram&from=2026-11-01&to=2026-11-20&model=quick` */
export function chatsView({ query, signal, title }) {
  const search = field("Search", "q", {
    type: "search",
    autocomplete: "off",
    maxLength: 200,
    hint: "Any part of a message or its answer.",
  });
  const { element } = filters({
    place: "#/chats",
    label: "Filter messages",
    fields: [search, ...dayFields(), field("Model", "model", { maxLength: 200 })],
    query,
    signal,
    show: (chosen, own) => chats({ chosen, signal: own }),
  });
  const content = h(
    "div",
    { class: "page" },
    h("h1", {}, title),
    h("p", { class: "lead" }, "All users' messages with their answers, newest first."),
    element,
  );
  return { content };
}

/** The list of messages that match the filters in `chosen`, or of one user's messages. */
export function chats({ userId, chosen = {}, signal }) {
  const isSearch = Object.keys(chosen).length > 0;
  const asked = { user_id: userId, ...chosen };
  return paged({
    load: (next) => page(next ?? "api/admin/chats/", next ? null : asked, { signal }),
    row: (chat) => row(chat, !userId, chosen.chat_id === chat.id),
    list: h("ul", {
      class: "list admin-chats",
      "aria-label": userId ? "Messages" : "Messages of all users",
    }),
    empty: isSearch
      ? emptyState("search", "No message matches.")
      : emptyState("chat", "No messages yet."),
    more: "Show more messages",
  });
}

function row(chat, named, isOpen) {
  const { receipt, usage } = chat;
  const answer = h("dd", { class: "prose", dir: "auto" });
  const details = h(
    "details",
    { open: isOpen },
    h("summary", {}, h("span", { class: "admin-preview", dir: "auto" }, preview(chat.message))),
    h(
      "dl",
      { class: "admin-said" },
      h("dt", {}, "Message"),
      h("dd", { class: "admin-text", dir: "auto" }, chat.message),
      h("dt", {}, "Answer"),
      answer,
      h("dt", {}, "Message ID"),
      h("dd", { class: "mono" }, chat.id),
      h("dt", {}, "Chat ID"),
      h("dd", { class: "mono" }, chat.conversation_id),
    ),
  );
  const { response, reasoning } = chat;
  details.addEventListener("toggle", () => showAnswer(answer, response, { reasoning }));
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
      receipt && usage && !isFlat(receipt.fare) && h("span", {}, usageInWords(usage)),
    ),
    details,
  );
}

function preview(text) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > PREVIEW ? `${line.slice(0, PREVIEW).trimEnd()}…` : line || "(empty)";
}
