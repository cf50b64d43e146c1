// The history: all messages with their answers, a search, and a view for one message.

import { chosenIn, dayField, daysInWords, filteredPlace, modelField } from "../account/filters.js";
import { plainText, readMarkdown, showAnswer } from "../markdown/prose.js";
import { get, page } from "../session/api.js";
import { isFlat, models, usageInWords } from "../session/models.js";
import { tellTabs } from "../session/tabs.js";
import { button, linkButton } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { formatTime, formatTokens, time } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { lazy } from "../ui/lazy.js";
import { paged } from "../ui/list.js";
import { emptyState } from "../ui/note.js";
import { go } from "../ui/router.js";
import { deleteMessage } from "./dialogs.js";
import { excerpt, marked } from "./excerpt.js";

/** The code for messages with files. */
const shelves = lazy(() => import("./shelf.js"));

/** The notes on incomplete answers, by `finish_reason`. */
const ENDS = { length: "cut off", content_filter: "cut off", stopped: "stopped" };

/** The parameters in the address that select messages. */
const FILTERS = ["q", "from", "to", "model"];

/**
 * `#/history?q=..&from=2026-11-01&to=2026-11-20&model=..`: all messages and answers, or those that
 * contain `q`, are from these days, and were answered by this model, newest first.
 */
export function history({ query, signal }) {
  const given = chosenIn(query, FILTERS);
  const { q = "" } = given;
  const isLimited = Object.keys(given).length > 0;
  const input = h("input", {
    class: "input",
    type: "search",
    name: "q",
    value: q,
    placeholder: "Search messages and answers",
    "aria-label": "Search messages and answers",
    maxLength: 200,
  });
  const search = h(
    "form",
    { class: "toolbar period", role: "search" },
    h("div", { class: "search" }, icon("search"), input),
    h("button", { type: "submit", class: "button button-secondary" }, "Search"),
    isLimited && linkButton("Show all messages", "#/history", { kind: "quiet" }),
    h("span", { class: "toolbar-break" }),
    dayField("From", "from", given.from),
    dayField("To", "to", given.to),
    modelField(
      models().map(({ name }) => name),
      given.model,
    ),
    h("p", { class: "hint" }, "Dates are in UTC."),
  );
  search.addEventListener("submit", (event) => {
    event.preventDefault();
    go(filteredPlace("#/history", search, FILTERS));
  });
  const empty = isLimited
    ? emptyState(
        "search",
        q ? `No results for “${q}”` : "No messages of these days or this model",
        h("p", {}, q ? "Try a shorter text or another word." : "Try other days or another model."),
      )
    : emptyState(
        "history",
        "No messages yet",
        linkButton("Ask something", "#/", { kind: "primary" }),
      );
  const list = paged({
    load: async (next) => {
      const query = next ? undefined : { ...given, limit: 20 };
      const reading = page(next ?? "api/chat/", query, { signal });
      return (await Promise.all([reading, readMarkdown()]))[0];
    },
    row: (chat) => chatRow(chat, q),
    endless: true,
    empty,
    list: h("ul", { class: "list chats" }),
  });
  const title = q ? `Search: ${q}` : "History";
  const lead = isLimited ? leadOf(given) : "All of your messages, newest first.";
  return {
    title,
    focus: "q" in query ? input : undefined,
    content: h(
      "div",
      { class: "page" },
      h("h1", {}, "History"),
      h("p", { class: "lead" }, lead),
      search,
      list,
    ),
  };
}

/** `Messages and answers that contain “tram”, from 1 Nov 2026 on, by quick, newest first.` */
function leadOf({ q, model, ...period }) {
  const days = daysInWords(period);
  const what = q ? `Messages and answers that contain “${q}”` : "Messages";
  return [what, days, model && `answered by ${model}`, "newest first."].filter(Boolean).join(", ");
}

/**
 * `#/m/<id>`: a message in its conversation. A message without a conversation, such as a program's
 * message, is shown alone.
 */
export async function message({ params: { id }, signal }) {
  const reading = get(`api/chat/${encodeURIComponent(id)}/`, undefined, { signal });
  const chat = await Promise.all([reading, readMarkdown()]).then(([chat]) => chat, missing);
  if (chat?.conversation_id) return { instead: `#/c/${chat.conversation_id}?chat=${chat.id}` };
  const title = chat ? "Message" : "This message was deleted";
  const content = h(
    "div",
    { class: "page" },
    h("h1", {}, title),
    chat
      ? h("ul", { class: "list chats" }, chatRow(chat, ""))
      : h("p", {}, "The cost of the message stays in your statement."),
    h("p", { class: "page-actions" }, linkButton("See your statement", "#/statement")),
  );
  return { title, content };
}

/** Returns null for a 404, and throws other failures. */
function missing(error) {
  if (error.status === 404) return null;
  throw error;
}

function chatRow(chat, q) {
  const { receipt, usage } = chat;
  const isShortened = receipt?.shortened && chat.finish_reason === "length";
  const end = isShortened ? "shortened" : ENDS[chat.finish_reason];
  const answer = h("div", { class: "prose", dir: "auto" });
  const details = h(
    "details",
    { class: "chat-answer" },
    h("summary", { dir: "auto" }, marked(excerpt(plainText(chat.response), q), q)),
    answer,
  );
  const files = chat.files && h("div", {});
  if (files) shelves.read().then((module) => module && fill(files, module.shelf(chat.files)));
  const { response, reasoning } = chat;
  details.addEventListener("toggle", () => showAnswer(answer, response, { reasoning }));
  const element = h(
    "li",
    { class: "chat-row" },
    h("h2", { class: "chat-asked", dir: "auto" }, marked(chat.message, q)),
    files,
    details,
    h(
      "div",
      { class: "row chat-about" },
      h("span", {}, time(chat.timestamp)),
      h("span", {}, formatTokens(chat.tokens_deducted)),
      chat.model && h("span", {}, chat.model),
      receipt && usage && !isFlat(receipt.fare) && h("span", {}, usageInWords(usage)),
      end && h("span", { class: "badge badge-coin" }, end),
      h(
        "span",
        { class: "chat-actions" },
        chat.conversation_id
          ? linkButton("Open", `#/c/${chat.conversation_id}?chat=${chat.id}`, {
              small: true,
              kind: "quiet",
              icon: "chat",
              "aria-label": `Open the chat of ${formatTime(chat.timestamp)}`,
            })
          : h("span", { class: "badge" }, "via API"),
        button(null, {
          small: true,
          kind: "quiet",
          icon: "trash",
          label: "Delete this message",
          onclick: remove,
        }),
      ),
    ),
  );
  async function remove() {
    if (!(await deleteMessage(chat))) return;
    element.remove();
    tellTabs("chats", chat.conversation_id);
  }
  return element;
}
