// The sidebar: the conversations by the day of their last use, with their menus, and the search.

import { get, page } from "../session/api.js";
import { onTold, tellTabs } from "../session/tabs.js";
import { button, linkButton } from "../ui/button.js";
import { fill, h, newId, whenSeen } from "../ui/dom.js";
import { explain } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { lazy } from "../ui/lazy.js";
import { menuButton } from "../ui/menu.js";
import { attempt, toast } from "../ui/message.js";
import { skeleton } from "../ui/note.js";
import { go } from "../ui/router.js";
import { NEW, moveDraft } from "./drafts.js";

/** How many conversations a page of the list contains. */
const PAGE = 30;

/** The search, which is loaded when its field gets the focus. */
const finding = lazy(() => import("./find.js"));

/** The folders, which are loaded with the list. */
const folding = lazy(() => import("./folders.js"));

/** The module with the folders, or null while it isn't loaded. */
export const folders = () => folding.module;

let list = null;

/** The sidebar. `onchoose` is called when the user follows a link in it. */
export function sidebar({ brand, onchoose }) {
  list?.leave();
  list = conversationList();
  const closer = button(null, {
    kind: "quiet",
    icon: "close",
    label: "Close",
    class: "button button-quiet button-icon drawer-closer",
  });
  const fresh = linkButton("New chat", "#/", { kind: "primary", icon: "plus" });
  const { field, results } = search(list.element);
  const element = h(
    "aside",
    { class: "sidebar", id: "sidebar", "aria-label": "Chats" },
    h("div", { class: "sidebar-head" }, brand, closer),
    fresh,
    field,
    results,
    list.element,
    h(
      "nav",
      { class: "sidebar-foot", "aria-label": "Your records" },
      h("a", { href: "#/history" }, icon("history"), h("span", {}, "History")),
      h("a", { href: "#/statement" }, icon("receipt"), h("span", {}, "Statement")),
      h("a", { href: "#/account" }, icon("user"), h("span", {}, "Account")),
    ),
  );
  // A link to the current view only closes the drawer and ends the search.
  element.addEventListener("click", ({ target, ctrlKey, metaKey, shiftKey }) => {
    if (!target.closest("a") || ctrlKey || metaKey || shiftKey) return;
    onchoose();
    setTimeout(endSearch);
  });
  return element;
}

addEventListener("hashchange", endSearch);

// --- The search ---

/** The search field, and the element whose results replace the list. */
function search(chats) {
  const input = h("input", {
    id: "find",
    class: "input",
    type: "search",
    placeholder: "Search",
    "aria-label": "Search chats and messages",
    maxLength: 200,
    autocomplete: "off",
    spellcheck: "false",
  });
  const results = h("div", { class: "sidebar-list", hidden: true });
  const titleOf = (id) => list?.titleOf(id);
  input.addEventListener("focus", async () =>
    (await finding.read())?.listen(input, results, chats, titleOf),
  );
  const place = { class: "search sidebar-search", role: "search", "aria-label": "Chats" };
  const field = h("div", place, icon("search"), input);
  return { field, results };
}

/** Shows the list again instead of the results. */
function endSearch() {
  finding.module?.end();
}

/** Moves the focus to the search. In narrow windows, opens the drawer first. */
export function focusSearch() {
  const input = document.getElementById("find");
  if (!input) return false;
  if (!input.checkVisibility({ visibilityProperty: true }))
    document.querySelector(".drawer-opener").click();
  input.focus();
  input.select();
  return true;
}

// --- The list ---

/**
 * In all tabs, moves a conversation to the top of the list, or adds it there. `old` is its previous
 * id in the list. Temporary conversations aren't in the list.
 */
export function putOnTop(conversation, old = conversation.id) {
  if (isTemporary(conversation)) return;
  list?.put(conversation, old);
  if (conversation.waiting === undefined) tellTabs("used", conversation);
}

onTold("used", (conversation) => list?.put(conversation, conversation.id));
onTold("changed", (conversation) => showChanged(conversation));
onTold("deleted", (conversation) => leave(conversation, "was deleted in another tab"));

/** Removes a conversation from the list. */
export function takeOut(id) {
  list?.remove(id);
  finding.module?.forget(`c/${id}`);
}

/** Shows a changed conversation at its position in the list. */
export function relist(conversation) {
  list?.change(conversation);
}

function conversationList() {
  const shelf = h("div", {});
  const groups = h("div", {});
  const foot = h("div", { class: "sidebar-more" });
  const element = h(
    "nav",
    { class: "sidebar-list", "aria-label": "Chats" },
    shelf,
    h("h2", { class: "sr-only" }, "Chats"),
    groups,
    foot,
  );
  const rows = new Map();
  let next = null;
  let isLoading = false;

  /** Returns a group's list, and creates it if it doesn't exist yet. */
  const listOf = ({ name, rank }) => {
    const all = [...groups.children];
    const known = all.find((group) => group.dataset.name === name);
    if (known) return known.lastElementChild;
    const heading = h("h3", { class: "sidebar-title", id: newId("group") }, name);
    const inside = h("ul", { class: "conversations", "aria-labelledby": heading.id });
    const group = h("div", { dataset: { name, rank } }, heading, inside);
    groups.insertBefore(group, all.find((other) => Number(other.dataset.rank) > rank) ?? null);
    return inside;
  };
  /** Removes a row from its group, and the group with its last row. */
  const takeOff = ({ element: row }) => {
    const group = row.parentElement?.parentElement;
    row.remove();
    if (group?.dataset.rank && !group.lastElementChild.hasChildNodes()) group.remove();
  };
  /**
   * Puts a row into its group. Rows are sorted by their last use, but a pinned row is added at the
   * end of its group, or at the beginning if `first`.
   */
  const place = (row, first = false) => {
    const { element: item, conversation } = row;
    const focused = item.contains(document.activeElement) ? document.activeElement : null;
    takeOff(row);
    const ofFolder = !conversation.pinned && folders()?.listOf(conversation.folder_id);
    const inside = ofFolder || listOf(groupOf(conversation));
    const isOlder = ({ dataset }) => dataset.used < item.dataset.used;
    const isLast = !inside.lastElementChild || !isOlder(inside.lastElementChild);
    if (conversation.pinned) inside[first ? "prepend" : "append"](item);
    else inside.insertBefore(item, isLast ? null : [...inside.children].find(isOlder));
    // Moving a row takes the focus away from it.
    focused?.focus();
  };
  /** Shows a conversation in this row. Returns the row. */
  const show = (conversation, row = new Row()) => {
    row.show(conversation);
    rows.set(conversation.id, row);
    return row;
  };

  /** Adds the conversations that aren't in the list yet, and returns their rows. */
  const add = (items) => {
    const added = items.filter(({ id }) => !rows.has(id)).map((item) => show(item));
    added.forEach((row) => place(row));
    return added;
  };
  const arrange = () => {
    const all = [...rows.values()].filter(({ conversation }) => !conversation.pinned);
    all.forEach((row) => place(row));
  };
  // Without the folders, the list is complete, but shows none.
  const shelved = folding.read().then((module) => module?.showFolders(shelf, { add, arrange }));

  const load = async (pressed = false) => {
    if (isLoading) return;
    isLoading = true;
    if (rows.size === 0) fill(foot, skeleton(4));
    try {
      const query = next ? undefined : { limit: PAGE };
      const reading = page(next ?? "api/conversations/", query);
      const [{ items, next: later }] = await Promise.all([reading, shelved]);
      // Conversations that were moved to the top during the request are already in the list.
      const added = add(items);
      if (pressed) added[0]?.link.focus();
      next = later;
      const more = button("Show more", { kind: "quiet", small: true, onclick: () => load(true) });
      const none = h("p", { class: "sidebar-empty" }, "Your chats will appear here.");
      fill(foot, next ? more : rows.size === 0 && none);
      if (next) end.again();
    } catch (error) {
      const again = button("Try again", { kind: "quiet", small: true, onclick: () => load(true) });
      fill(foot, h("p", { class: "sidebar-empty" }, explain(error)), again);
    } finally {
      isLoading = false;
    }
  };
  const end = whenSeen(foot, () => next && load());
  load();

  let today = new Date().toDateString();
  /** Moves the rows to their groups when a new day has begun. */
  const turn = () => {
    clearTimeout(timer);
    timer = setTimeout(turn, untilMidnight());
    if (new Date().toDateString() === today) return;
    today = new Date().toDateString();
    arrange();
  };
  let timer = setTimeout(turn, untilMidnight());
  document.addEventListener("visibilitychange", turn);

  return {
    element,
    put(conversation, old) {
      const [was, is] = [rows.get(old), rows.get(conversation.id)];
      // The list may have read the conversation under its id while this page waited for its first
      // answer.
      if (was && is && was !== is) takeOff(is);
      const row = was ?? is;
      const known = row?.conversation;
      rows.delete(old);
      const pinned = known?.pinned ?? conversation.pinned ?? false;
      const last_used = new Date().toISOString();
      const used = { folder_id: known?.folder_id, ...conversation, pinned, last_used };
      const shown = show(used, row);
      if (!known || !pinned) place(shown);
      foot.querySelector(".sidebar-empty")?.remove();
    },
    change(conversation) {
      if (isTemporary(conversation)) return;
      const row = rows.get(conversation.id);
      // Pinning or moving adds an old conversation that the list hasn't read yet.
      if (!row && !conversation.pinned && !conversation.folder_id) return;
      const where = ({ pinned, folder_id: id } = {}) => (pinned ? "pinned" : (id ?? ""));
      const was = where(row?.conversation);
      const shown = show({ ...row?.conversation, ...conversation }, row);
      if (!row || where(shown.conversation) !== was) place(shown, true);
    },
    remove(id) {
      const row = rows.get(id);
      rows.delete(id);
      if (row) takeOff(row);
    },
    /** Returns the title of a conversation, or undefined if it isn't in the list. */
    titleOf: (id) => (rows.has(id) ? named(rows.get(id).conversation) : undefined),
    /** Stops the list's timer and listeners. */
    leave() {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", turn);
    },
  };
}

/** The row of a conversation. `show` updates it. */
class Row {
  constructor() {
    this.link = h("a", { class: "clip", dir: "auto" });
    this.element = h("li", {}, this.link);
    this.menu = null;
  }

  show(conversation) {
    this.conversation = conversation;
    const title = named(conversation);
    const dot = conversation.waiting && h("span", { class: "waiting-dot", "aria-hidden": "true" });
    Object.assign(this.link, { href: `#/c/${conversation.id}`, title });
    fill(this.link, dot, title);
    if (isShown(conversation)) this.link.setAttribute("aria-current", "page");
    this.element.dataset.used = conversation.last_used ?? "";
    const label = `More about ${title}`;
    if (!this.menu && conversationChoices(conversation).length > 0) {
      this.menu = menuButton(label, () => conversationChoices(this.conversation));
      this.element.append(this.menu);
    }
    if (!this.menu) return;
    this.menu.hidden = conversationChoices(conversation).length === 0;
    this.menu.setAttribute("aria-label", label);
    this.menu.setAttribute("title", label);
  }
}

/** Returns true if this conversation is shown. */
const isShown = ({ id }) => location.hash.split("?")[0] === `#/c/${id}`;

// --- Conversations ---

/** The title of a conversation. */
export const named = ({ title }) => title || "Untitled";

/** Returns true for a conversation that is deleted after a day. */
export const isTemporary = ({ temporary, expires }) => Boolean(temporary || expires);

/** The maximum length of a title from a message, in characters. */
const LONGEST = 80;

/** The line before and after a block of code. */
const FENCE = /^(?:`{3,}[^`]*|~{3,}.*)$/;

/**
 * Returns the title that the API will give to a conversation that begins with this message: the
 * first line with text.
 */
export function titleOf(message) {
  const lines = message
    .trim()
    .split("\n")
    .map((line) => line.trim());
  const first = lines.find((line) => line !== "" && !FENCE.test(line)) ?? lines[0];
  const line = first.split(/\s+/).join(" ");
  const letters = [...line];
  if (letters.length <= LONGEST) return line;
  const cut = letters.slice(0, LONGEST - 1).join("");
  const words = cut.slice(0, Math.max(0, cut.lastIndexOf(" ")));
  return `${[...words].length >= LONGEST / 2 ? words : cut}…`;
}

/** The choices in a conversation's menu. */
export function conversationChoices(conversation) {
  // The API hasn't stored this conversation yet.
  if (conversation.waiting) return [];
  const deletion = { text: "Delete", icon: "trash", danger: true };
  if (conversation.waiting === false) return [{ ...deletion, run: conversation.remove }];
  const change = (how) =>
    attempt(async () => {
      const dialogs = await import("./dialogs.js");
      await dialogs[how](conversation, how === "remove" ? removeIt : changeIt, removeIt);
    });
  // Lists show no temporary conversations, neither among the pinned ones nor in a folder.
  const isKept = !isTemporary(conversation);
  const pin = {
    text: conversation.pinned ? "Unpin" : "Pin",
    icon: "pin",
    run: () => change("pin"),
  };
  return [
    isKept && pin,
    { text: "Rename", icon: "pencil", run: () => change("rename") },
    { text: "Instructions", icon: "info", run: () => change("instruct") },
    ...((isKept && folders()?.choices(conversation, changeIt)) || []),
    { ...deletion, run: () => change("remove") },
  ];
}

const changed = new Set();
/** Calls `show` with each conversation that is renamed, pinned or unpinned. */
export function onChanged(show) {
  changed.add(show);
}

/** Shows the new title of a conversation in all tabs. */
export const retitle = (conversation) => changeIt(conversation);

function changeIt(conversation) {
  showChanged(conversation);
  tellTabs("changed", conversation);
}

function removeIt(conversation) {
  tellTabs("deleted", { id: conversation.id, title: conversation.title });
  leave(conversation, "was deleted");
}

function showChanged(conversation) {
  list?.change(conversation);
  changed.forEach((show) => show(conversation));
}

/** Removes a deleted conversation from the list, and leaves its view. */
function leave(conversation, how) {
  takeOut(conversation.id);
  const isKept = moveDraft(conversation.id, NEW);
  const kept = isKept ? " The text that you hadn't sent is in a new chat." : "";
  if (isShown(conversation) || isKept || how === "was deleted")
    toast(`“${named(conversation)}” ${how}.${kept}`);
  if (isShown(conversation)) go("#/", { replace: true });
}

/** Reads a conversation. */
export const readConversation = (id, options) =>
  get(`api/conversations/${encodeURIComponent(id)}/`, undefined, options);

// --- The groups of days ---

const DAY = 86_400_000;

const month = new Intl.DateTimeFormat("en", { month: "long" });
const monthOfYear = new Intl.DateTimeFormat("en", { month: "long", year: "numeric" });

/** The beginning of the day that contains a time. */
const midnight = (time) => new Date(time.getFullYear(), time.getMonth(), time.getDate());

/**
 * The group of a conversation: its name and its rank among the groups. A conversation without a
 * time counts as used now.
 */
function groupOf({ pinned, last_used: used }, now = new Date()) {
  if (pinned) return { name: "Pinned", rank: 0 };
  const time = used ? new Date(used) : now;
  // Days with a clock change don't have 24 hours.
  const days = Math.round((midnight(now) - midnight(time)) / DAY);
  if (days < 1) return { name: "Today", rank: 1 };
  if (days < 2) return { name: "Yesterday", rank: 2 };
  if (days <= 7) return { name: "Previous 7 days", rank: 3 };
  if (days <= 30) return { name: "Previous 30 days", rank: 4 };
  const years = now.getFullYear() - time.getFullYear();
  const months = 12 * years + now.getMonth() - time.getMonth();
  return { name: (years === 0 ? month : monthOfYear).format(time), rank: 4 + months };
}

/** The time until the groups change, in milliseconds. */
function untilMidnight(now = new Date()) {
  return midnight(new Date(midnight(now).getTime() + 1.5 * DAY)) - now;
}
