// The search of the sidebar: chats by their titles, and messages with their answers.

import { announce } from "./announce.js";
import { page } from "./api.js";
import { linkButton } from "./button.js";
import { fill, h, newId } from "./dom.js";
import { excerpt, marked } from "./excerpt.js";
import { explain, formatAgo, plural, time } from "./format.js";
import { skeleton } from "./note.js";
import { plainText, readMarkdown } from "./prose.js";

/** How long the text must stay the same before it is searched, in milliseconds. */
const PAUSE = 250;

/** How many results of a kind are shown, and how many requests look for them. */
const MOST = 8;
const REQUESTS = 5;

/** How much of a text a result shows, in characters. */
const SHOWN = { before: 20, length: 90 };

/** The fields that are listened to. */
const fields = new WeakSet();

let asked = new AbortController();
let timer = null;

/** Shows in `results` what contains the text in the field `input`, and hides `chats` meanwhile. */
export function listen(input, results, chats) {
  if (fields.has(input)) return;
  fields.add(input);
  const act = () => {
    const text = input.value.trim();
    chats.hidden = text !== "";
    results.hidden = text === "";
    find(text, results);
  };
  input.addEventListener("input", act);
  const press = (event) => keyed(event, input, results, act);
  for (const element of [input, results]) element.addEventListener("keydown", press);
  // It may have been typed into while this was loaded.
  if (input.value !== "") act();
}

/** Arrow keys move between the field and the results, Enter opens the first one, Escape ends. */
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
    // It would also close the drawer.
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
    const [chats, messages] = await Promise.all([
      results("api/conversations/", text, signal),
      results("api/chat/", text, signal),
      readMarkdown(),
    ]);
    if (signal.aborted) return;
    const history = `#/history?${new URLSearchParams({ q: text })}`;
    fill(
      box,
      group("Chats", chats, (chat) => result(`#/c/${chat.id}`, chat.title, text, chat.last_used)),
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

/** The newest results of a list, from a few pages: pages of a search may be empty before its end. */
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

/** A message, which is opened at its place in its chat. */
function message(chat, q) {
  const answer = plainText(chat.response);
  const has = (text) => text.toLowerCase().includes(q.toLowerCase());
  const text = has(chat.message) || !has(answer) ? chat.message : answer;
  const place = chat.conversation_id
    ? `#/c/${chat.conversation_id}?chat=${chat.id}`
    : `#/m/${chat.id}`;
  return result(place, text, q, chat.timestamp);
}

function result(href, text, q, when) {
  const shown = marked(excerpt(text || "Untitled", q, SHOWN), q);
  return h(
    "li",
    {},
    h(
      "a",
      { href },
      h("span", { class: "found-text", dir: "auto" }, shown),
      h("span", { class: "found-when" }, time(when, formatAgo)),
    ),
  );
}
