// What was said and what it cost: the history of chats with its search, and the statement.

import { del, file, page, save } from "./api.js";
import { busy, button, linkButton } from "./button.js";
import { confirm } from "./dialog.js";
import { h } from "./dom.js";
import {
  formatClock,
  formatDay,
  formatNumber,
  formatSigned,
  formatTime,
  formatTokens,
  time,
} from "./format.js";
import { icon } from "./icons.js";
import { paged, table } from "./list.js";
import { showMarkdown } from "./markdown.js";
import { attempt, toast } from "./message.js";
import { emptyState } from "./note.js";
import { go } from "./router.js";

// --- History -------------------------------------------------------------------------------------------------------------------------

/** `#/history?q=..`: all chats, newest first, or those that hold a text. */
export function history({ query, signal }) {
  const q = (query.q ?? "").trim();
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
    { class: "toolbar", role: "search" },
    h("div", { class: "search" }, icon("search"), input),
    h("button", { type: "submit", class: "button button-secondary" }, "Search"),
    q && linkButton("All chats", "#/history", { kind: "quiet" }),
  );
  search.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = input.value.trim();
    go(text === "" ? "#/history" : `#/history?${new URLSearchParams({ q: text })}`);
  });
  const empty = q
    ? emptyState(
        "search",
        `Nothing holds “${q}”`,
        h("p", {}, "Look for less of it, or for another word."),
      )
    : emptyState("history", "No chats yet", linkButton("Begin one", "#/", { kind: "primary" }));
  const list = paged({
    load: (next) => page(next ?? "api/chat/", next ? undefined : { q, limit: 20 }, { signal }),
    row: (chat) => chatRow(chat, q),
    empty,
    list: h("ul", { class: "list chats" }),
  });
  const title = q ? `Search: ${q}` : "History";
  return {
    title,
    focus: q ? input : undefined,
    content: h(
      "div",
      { class: "page" },
      h("h1", {}, "History"),
      h("p", { class: "lead" }, "Everything you asked, newest first."),
      search,
      list,
    ),
  };
}

function chatRow(chat, q) {
  const answer = h("div", { class: "prose", dir: "auto" });
  const details = h(
    "details",
    { class: "chat-answer" },
    h("summary", {}, marked(excerpt(chat.response, q), q)),
    answer,
  );
  details.addEventListener("toggle", () => showMarkdown(answer, chat.response));
  const element = h(
    "li",
    { class: "chat-row" },
    h("h2", { class: "chat-asked" }, marked(chat.message, q)),
    details,
    h(
      "div",
      { class: "row chat-about" },
      h("span", {}, time(chat.timestamp)),
      h("span", {}, formatTokens(chat.tokens_deducted)),
      chat.model && h("span", {}, chat.model),
      h(
        "span",
        { class: "chat-actions" },
        chat.conversation_id
          ? linkButton("Open", `#/c/${chat.conversation_id}`, {
              small: true,
              kind: "quiet",
              icon: "chat",
              "aria-label": `Open the conversation of ${formatTime(chat.timestamp)}`,
            })
          : h("span", { class: "badge" }, "by a program"),
        button(null, {
          small: true,
          kind: "quiet",
          icon: "trash",
          label: "Delete this chat",
          onclick: remove,
        }),
      ),
    ),
  );
  async function remove() {
    const run = () =>
      del(`api/chat/${chat.id}/`).catch((error) => {
        if (error.status !== 404) throw error;
      });
    if (
      !(await confirm(
        "Delete this chat?",
        "Your message and its answer are deleted for good. What they cost stays in your statement.",
        { action: "Delete", danger: true, run },
      ))
    )
      return;
    element.remove();
    toast("The chat is deleted.");
  }
  return element;
}

/** So much of a text as fits a line or two: its beginning, or what is around the first find. */
function excerpt(text, q) {
  const flat = text.replace(/\s+/g, " ");
  const found = q ? flat.toLowerCase().indexOf(q.toLowerCase()) : -1;
  const from = Math.max(0, found - 60);
  const cut = flat.slice(from, from + 200);
  return `${from > 0 ? "…" : ""}${cut}${from + 200 < flat.length ? "…" : ""}`;
}

/** A text with every find marked. */
function marked(text, q) {
  if (!q) return text;
  const nodes = [];
  const [lower, sought] = [text.toLowerCase(), q.toLowerCase()];
  // Letters whose small form is longer would shift what is marked.
  if (lower.length !== text.length) return text;
  let at = 0;
  for (let found; (found = lower.indexOf(sought, at)) >= 0; at = found + sought.length)
    nodes.push(text.slice(at, found), h("mark", {}, text.slice(found, found + sought.length)));
  return [...nodes, text.slice(at)];
}

// --- Statement -----------------------------------------------------------------------------------------------------------------------

const KINDS = { grant: "Grant", chat: "Chat", adjustment: "Adjustment" };

/** `#/statement`: everything that ever moved the balance. */
export function statement({ signal }) {
  const { element: box, body } = table("Statement, newest first", [
    "When",
    "What",
    { text: "Tokens", class: "number" },
    { text: "Balance", class: "number" },
  ]);
  const row = (entry) =>
    h(
      "tr",
      {},
      h("td", {}, time(entry.timestamp, dayAndClock)),
      h("td", {}, what(entry)),
      h("td", { class: `number ${entry.amount > 0 ? "good" : ""}` }, formatSigned(entry.amount)),
      h("td", { class: "number" }, formatNumber(entry.balance)),
    );
  const list = paged({
    load: (next) => page(next ?? "api/user/ledger/", next ? undefined : { limit: 50 }, { signal }),
    row,
    list: body,
    around: () => box,
    empty: emptyState("receipt", "Nothing has moved your balance yet"),
  });
  const download = button("Download as CSV", {
    icon: "download",
    onclick: () => busy(download, () => attempt(() => csv(signal))),
  });
  return {
    title: "Statement",
    content: h(
      "div",
      { class: "page" },
      h("div", { class: "page-head" }, h("h1", {}, "Statement"), download),
      h(
        "p",
        { class: "lead" },
        "Everything that ever moved your balance, newest first. Nothing in it is ever changed.",
      ),
      list,
    ),
  };
}

/** Two pieces, so that a narrow column breaks between them. */
function dayAndClock(timestamp) {
  return [
    h("span", { class: "nowrap" }, formatDay(timestamp)),
    " ",
    h("span", { class: "nowrap muted" }, formatClock(timestamp)),
  ];
}

function what({ kind, reason }) {
  const name = KINDS[kind] ?? kind;
  const plain = reason === kind || (kind === "grant" && reason === "registration");
  if (plain) return kind === "grant" ? "Grant for a new account" : name;
  return [h("span", {}, name), ": ", h("span", {}, reason)];
}

/** All pages of the statement as one file with one head. */
async function csv(signal) {
  const parts = [];
  let next = "api/user/ledger/";
  while (next) {
    const part = await file(next, {
      query: parts.length === 0 ? { limit: 100 } : undefined,
      accept: "text/csv",
      signal,
    });
    const text = await part.blob.text();
    parts.push(parts.length === 0 ? text : text.slice(text.indexOf("\n") + 1));
    next = part.next;
  }
  save(new Blob(parts, { type: "text/csv" }), "farebox-statement.csv");
  toast("Your statement is downloaded.");
}
