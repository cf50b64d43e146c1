// The sidebar: the list of conversations, the last used first, and what can be done with them.

import { get, page } from "./api.js";
import { button, linkButton } from "./button.js";
import { fill, h } from "./dom.js";
import { explain } from "./format.js";
import { icon } from "./icons.js";
import { menuButton } from "./menu.js";
import { attempt, toast } from "./message.js";
import { skeleton } from "./note.js";
import { go } from "./router.js";
import { onTold, tellTabs } from "./tabs.js";

/** How many conversations are read at a time. */
const PAGE = 30;

let list = null;

/** The sidebar. `onchoose` is called when a link in it is followed. */
export function sidebar({ brand, onchoose }) {
  list = conversationList();
  const closer = button(null, {
    kind: "quiet",
    icon: "close",
    label: "Close",
    class: "button button-quiet button-icon drawer-closer",
  });
  const fresh = linkButton("New chat", "#/", { kind: "primary", icon: "plus" });
  const element = h(
    "aside",
    { class: "sidebar", id: "sidebar", "aria-label": "Chats" },
    h("div", { class: "sidebar-head" }, brand, closer),
    fresh,
    list.element,
    h(
      "nav",
      { class: "sidebar-foot", "aria-label": "Your records" },
      h("a", { href: "#/history" }, icon("history"), h("span", {}, "History")),
      h("a", { href: "#/statement" }, icon("receipt"), h("span", {}, "Statement")),
      h("a", { href: "#/account" }, icon("user"), h("span", {}, "Account")),
    ),
  );
  // A link to the address of the view changes nothing, but closes the drawer.
  element.addEventListener("click", (event) => event.target.closest("a") && onchoose());
  return element;
}

/**
 * Moves a conversation to the top of the list, or adds it, in all tabs. `old` is its id in the list
 * so far.
 */
export function putOnTop(conversation, old = conversation.id) {
  list?.put(conversation, old);
  if (!conversation.waiting) tellTabs("used", conversation);
}

onTold("used", (conversation) => list?.put(conversation, conversation.id));
onTold("renamed", (conversation) => showRenamed(conversation));
onTold("deleted", (conversation) => leave(conversation, "was deleted in another tab"));

/** Removes a conversation from the list. */
export function takeOut(id) {
  list?.remove(id);
}

function conversationList() {
  const rows = h("ul", { class: "conversations" });
  const foot = h("div", { class: "sidebar-more" });
  const element = h(
    "nav",
    { class: "sidebar-list", "aria-label": "Chats" },
    h("h2", { class: "sidebar-title" }, "Chats"),
    rows,
    foot,
  );
  const byId = new Map();
  let next = null;

  const add = (conversation, onTop) => {
    const item = row(conversation);
    byId.set(conversation.id, item);
    if (onTop) rows.prepend(item);
    else rows.append(item);
    return item;
  };
  const load = async () => {
    if (byId.size === 0) fill(foot, skeleton(4));
    try {
      const { items, next: later } = await page(
        next ?? "api/conversations/",
        next ? undefined : { limit: PAGE },
      );
      // Conversations that were moved to the top meanwhile are in the list already.
      const added = items
        .filter(({ id }) => !byId.has(id))
        .map((conversation) => add(conversation, false));
      if (next && added[0]) added[0].querySelector("a").focus();
      next = later;
      const more = button("Show more", { kind: "quiet", small: true, onclick: load });
      fill(
        foot,
        next
          ? more
          : byId.size === 0 && h("p", { class: "sidebar-empty" }, "Your chats will appear here."),
      );
    } catch (error) {
      fill(
        foot,
        h("p", { class: "sidebar-empty" }, explain(error)),
        button("Try again", { kind: "quiet", small: true, onclick: load }),
      );
    }
  };
  load();
  return {
    element,
    put(conversation, old) {
      byId.get(old)?.remove();
      byId.get(conversation.id)?.remove();
      byId.delete(old);
      const item = add(conversation, true);
      foot.querySelector(".sidebar-empty")?.remove();
      mark(item, conversation);
    },
    rename(conversation) {
      if (!byId.has(conversation.id)) return;
      const item = row(conversation);
      byId.get(conversation.id).replaceWith(item);
      byId.set(conversation.id, item);
      mark(item, conversation);
    },
    remove(id) {
      byId.get(id)?.remove();
      byId.delete(id);
    },
  };
}

/** Whether this conversation is shown. */
const isShown = ({ id }) => location.hash.split("?")[0] === `#/c/${id}`;

function mark(item, conversation) {
  if (isShown(conversation)) item.querySelector("a").setAttribute("aria-current", "page");
}

function row(conversation) {
  const title = named(conversation);
  const link = h(
    "a",
    { href: `#/c/${conversation.id}`, class: "clip", dir: "auto", title },
    conversation.waiting && h("span", { class: "waiting-dot", "aria-hidden": "true" }),
    title,
  );
  const choices = conversationChoices(conversation);
  return h("li", {}, link, choices.length > 0 && menuButton(`More about ${title}`, choices));
}

/** The title of a conversation. */
export const named = ({ title }) => title || "Untitled";

/** The longest title that is taken from a message, in characters. */
const LONGEST = 80;

/** The title of a conversation that a message begins, as the API will take it. */
export function titleOf(message) {
  const line = message.trim().split("\n")[0].trim().split(/\s+/).join(" ");
  const letters = [...line];
  if (letters.length <= LONGEST) return line;
  const cut = letters.slice(0, LONGEST - 1).join("");
  const words = cut.slice(0, Math.max(0, cut.lastIndexOf(" ")));
  return `${[...words].length >= LONGEST / 2 ? words : cut}…`;
}

/** The choices of a conversation's menu. */
export function conversationChoices(conversation) {
  // The API doesn't know it yet.
  if (conversation.waiting !== undefined) return [];
  const change = (how) =>
    attempt(async () => {
      const dialogs = await import("./change-conversation.js");
      await dialogs[how](conversation, how === "remove" ? removeIt : renameIt);
    });
  return [
    { text: "Rename", icon: "pencil", run: () => change("rename") },
    { text: "Instructions", icon: "info", run: () => change("instruct") },
    { text: "Delete", icon: "trash", danger: true, run: () => change("remove") },
  ];
}

const renamed = new Set();
/** Calls `show` with each conversation that is renamed. */
export function onRenamed(show) {
  renamed.add(show);
}

function renameIt(conversation) {
  showRenamed(conversation);
  tellTabs("renamed", conversation);
}

function removeIt(conversation) {
  tellTabs("deleted", { id: conversation.id, title: conversation.title });
  leave(conversation, "is deleted");
}

function showRenamed(conversation) {
  list?.rename(conversation);
  renamed.forEach((show) => show(conversation));
}

/** Takes a deleted conversation out of the list and out of view. */
function leave(conversation, how) {
  takeOut(conversation.id);
  if (isShown(conversation) || how === "is deleted") toast(`“${named(conversation)}” ${how}.`);
  if (isShown(conversation)) go("#/", { replace: true });
}

/** Reads a conversation. */
export const readConversation = (id, options) =>
  get(`api/conversations/${encodeURIComponent(id)}/`, undefined, options);
