// The search in the sidebar. It finds chats by their titles, and messages by their text or answer.

import { plainText, readMarkdown } from "../markdown/prose.js";
import { get, page } from "../session/api.js";
import { announce } from "../ui/announce.js";
import { linkButton } from "../ui/button.js";
import { fill, h, newId } from "../ui/dom.js";
import { explain, formatAgo, plural, time } from "../ui/format.js";
import { skeleton } from "../ui/note.js";
import { excerpt, hasWord, marked } from "./excerpt.js";

/** How long the user must stop typing before the search begins, in milliseconds. */
const PAUSE = 250;

/** The maximum number of results of each kind, and of requests that search for them. */
const MOST = 8;
const REQUESTS = 5;

/** The length of a result's excerpt, in characters. */
const SHOWN = { before: 20, length: 90 };

/** The fields that already have listeners. */
const fields = new WeakSet();

let asked = new AbortController();
let timer = null;

/** The search that is shown: `{input, results, act}`. */
let shown = null;

/** Returns the title of a conversation in the list. */
let listed = () => undefined;

/** Titles by conversation id. The title of a deleted conversation is null. */
const titles = new Map();

/**
 * Shows in `results` the chats and messages that contain the text in `input`, and hides `chats`.
 * `inList` returns the title of a conversation that is in the list.
 */
export function listen(input, results, chats, inList) {
  if (fields.has(input)) return;
  fields.add(input);
  listed = inList;
  const act = () => {
    const text = input.value.trim();
    chats.hidden = text !== "";
    results.hidden = text === "";
    find(text, results);
  };
  shown = { input, results, act };
  input.addEventListener("input", act);
  const press = (event) => keyed(event, input, results, act);
  for (const element of [input, results]) element.addEventListener("keydown", press);
  // The user may have typed before this module was loaded.
  if (input.value !== "") act();
}

/** Ends the search and shows the list again. */
export function end() {
  titles.clear();
  if (!shown || shown.input.value === "") return;
  shown.input.value = "";
  shown.act();
}

/** Removes a deleted conversation (`c/<id>`) or message (`m/<id>`) from the results. */
export function forget(what) {
  if (!shown) return;
  const isGone = (row) => row.dataset.of.split(" ").includes(what);
  const rows = [...shown.results.querySelectorAll("[data-of]")];
  for (const row of rows.filter(isGone)) {
    const group = row.parentElement;
    row.remove();
    if (group.hasChildNodes()) continue;
    group.previousElementSibling.remove();
    group.remove();
  }
}

/**
 * Handles a key: arrow keys move between the field and the results, Enter opens the first result,
 * and Escape ends the search.
 */
function keyed(event, input, results, act) {
  if (event.isComposing || input.value === "") return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const links = [...results.querySelectorAll("a")];
  if (step) {
    const all = [input, ...links];
    all.at((all.indexOf(document.activeElement) + step) % all.length).focus();
  } else if (event.key === "Enter" && event.target === input) {
    links[0]?.click();
  } else if (event.key === "Escape") {
    input.value = "";
    input.focus();
    act();
    // Otherwise Escape would also close the drawer.
    event.stopPropagation();
  } else return;
  event.preventDefault();
}

function find(text, box) {
  asked.abort();
  clearTimeout(timer);
  if (text === "") {
    fill(box);
    return;
  }
  asked = new AbortController();
  const { signal } = asked;
  if (!box.hasChildNodes()) fill(box, skeleton(4));
  timer = setTimeout(() => show(text, box, signal), PAUSE);
}

async function show(text, box, signal) {
  try {
    const [chats, found] = await Promise.all([
      results("api/conversations/", text, signal),
      results("api/chat/", text, signal),
      readMarkdown(),
    ]);
    await readTitles(found, signal);
    if (signal.aborted) return;
    // The messages of a deleted conversation are erased later.
    const messages = found.filter(({ conversation_id: id }) => !id || titleOf(id) !== null);
    const history = `#/history?${new URLSearchParams({ q: text })}`;
    fill(
      box,
      group("Chats", chats, (chat) => {
        const when = time(chat.last_used, formatAgo);
        return result(
          { href: `#/c/${chat.id}`, text: chat.title, q: text, of: `c/${chat.id}` },
          when,
        );
      }),
      group("Messages", messages, (chat) => message(chat, text)),
      chats.length + messages.length === 0 &&
        h("p", { class: "sidebar-empty", dir: "auto" }, `No results for “${text}”`),
      linkButton("See all results", history, { kind: "quiet", small: true, icon: "history" }),
    );
    announce(`${plural(chats.length, "chat")} and ${plural(messages.length, "message")} found.`);
  } catch (error) {
    if (error?.name === "AbortError" || signal.aborted) return;
    fill(box, h("p", { class: "sidebar-empty", role: "alert" }, explain(error)));
  }
}

/** The newest results of a list. Reads several pages, because a page of a search may be empty. */
async function results(path, q, signal) {
  const found = [];
  let next = path;
  for (let requests = 0; requests < REQUESTS && next && found.length < MOST; requests += 1) {
    const query = requests === 0 ? { q, limit: MOST } : undefined;
    const read = await page(next, query, { signal });
    found.push(...read.items);
    next = read.next;
  }
  return found.slice(0, MOST);
}

function group(name, found, row) {
  if (found.length === 0) return null;
  const heading = h("h3", { class: "sidebar-title", id: newId("found") }, name);
  const list = h("ul", { class: "found", "aria-labelledby": heading.id }, found.map(row));
  return [heading, list];
}

/** A result that opens a message in its conversation. */
function message(chat, q) {
  const answer = plainText(chat.response);
  const isInAnswer = !hasWord(chat.message, q) && hasWord(answer, q);
  const text = isInAnswer ? answer : chat.message;
  const place = chat.conversation_id
    ? `#/c/${chat.conversation_id}?chat=${chat.id}`
    : `#/m/${chat.id}`;
  const of = `m/${chat.id} c/${chat.conversation_id}`;
  const title = chat.conversation_id ? titleOf(chat.conversation_id) : "via API";
  const about = title && [h("span", { class: "found-chat", dir: "auto" }, title), " · "];
  return result({ href: place, text, q, of }, [about, time(chat.timestamp, formatAgo)]);
}

/**
 * The title of a message's conversation: null if the conversation was deleted, undefined if
 * unknown.
 */
const titleOf = (id) => listed(id) || titles.get(id);

/** Reads the titles of these messages' conversations, except those in the list. */
async function readTitles(messages, signal) {
  const ids = new Set(messages.map(({ conversation_id: id }) => id));
  const unknown = [...ids].filter((id) => id && titleOf(id) === undefined);
  const read = async (id) => {
    try {
      const { title } = await get(`api/conversations/${id}/`, undefined, { signal });
      titles.set(id, title || "Untitled");
    } catch (error) {
      if (error.status === 404) titles.set(id, null);
    }
  };
  await Promise.all(unknown.map(read));
}

/** A result. `of` lists its conversation and message as in `forget`'s argument. */
function result({ href, text, q, of }, about) {
  const words = marked(excerpt(text || "Untitled", q, SHOWN), q);
  return h(
    "li",
    { dataset: { of } },
    h(
      "a",
      { href },
      h("span", { class: "found-text", dir: "auto" }, words),
      h("span", { class: "found-when" }, about),
    ),
  );
}
