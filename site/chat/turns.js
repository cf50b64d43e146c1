// The turns of a conversation: those in the shown branch, and messages without an answer.

import { interrupted, page } from "../session/api.js";
import { learnUsage } from "../session/usual.js";
import { announce } from "../ui/announce.js";
import { button } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { lazy } from "../ui/lazy.js";
import { attempt } from "../ui/message.js";
import { Branches, START } from "./branches.js";
import { keepDraft, readDraft } from "./drafts.js";
import { answers, dropUnfinished, mayBeRunning, sawChat } from "./unfinished.js";

/** The number of messages in a page, and the minimum number of shown messages in a branch. */
const PAGE = 20;
const LEAST = 10;

/** The page size, and the maximum number of messages, when searching for a message or a branch. */
const SEARCH_PAGE = 100;
const SEARCHED = 2000;

const main = () => document.getElementById("main");

/** The code for a turn, which a new conversation needs only when its first message is sent. */
export const turning = lazy(() => import("./turn.js"));

/** Loads the code for turns. Throws if it can't be loaded. */
export async function readTurns() {
  if (!(await turning.read())) throw interrupted();
}

/** Returns true for a turn. Other places in a conversation are ids, `START` or null. */
const isTurn = (place) => place !== null && typeof place === "object";

/** The turns of a `Thread`. */
export class Turns {
  constructor(thread) {
    this.thread = thread;
    this.branches = new Branches();
    // A conversation without an id began on this page, so all its messages are known.
    this.branches.reach(!thread.id);
    /** The turns with answers that have been shown, by their ids. */
    this.answered = new Map();
    /** The turns without an answer, in the order in which they were sent. */
    this.waiting = [];
    /** The turns that are shown. */
    this.shown = [];
    /** The end of the branch: an id or a turn without an answer. Null means the newest message. */
    this.place = null;
    /** The path of the next page of older messages, or null. */
    this.next = null;
    this.list = h("ol", { class: "turns", "aria-label": "Messages" });
    this.earlier = h("div", { class: "thread-earlier" });
  }

  /** The turn whose answer is being read. */
  get running() {
    const open = this.waiting.filter((turn) => turn.controller);
    // A message that was sent earlier may wait for one that was sent later.
    return open.find((turn) => turn.to) ?? open[0] ?? null;
  }

  /** The name of the model that wrote the last answer that is shown, or null. */
  get model() {
    return this.shown.findLast(({ chat }) => chat)?.chat.model ?? null;
  }

  // --- Reading ---

  /** Reads the newest messages. Reads more if the branch shown before a reload is older. */
  async load(signal) {
    const [{ items, next }] = await Promise.all([this.read(null, PAGE, signal), readTurns()]);
    this.learn(items, next);
    this.place = readDraft(this.draft);
    await this.complete(signal);
    this.arrange();
    return items;
  }

  get draft() {
    return `branch.${this.thread.id}`;
  }

  read(next, limit, signal) {
    const query = next ? undefined : { conversation_id: this.thread.id, limit };
    return page(next ?? "api/chat/", query, { signal });
  }

  /** Adds messages that are older than all known messages, and the path of the next page. */
  learn(items, next) {
    for (const chat of items) this.know(chat);
    learnUsage(items);
    this.next = next;
    this.branches.reach(!next);
  }

  know(chat) {
    sawChat(chat);
    this.branches.add(chat);
    const turn = this.answered.get(chat.id);
    if (turn) turn.chat = chat;
  }

  /** Reads and shows the whole branch. Returns its messages, oldest first, without waiting turns. */
  async whole() {
    await this.readWhile(() => true, undefined, Infinity);
    this.arrange();
    return this.path().map((id) => this.branches.get(id));
  }

  /** Reads older messages while `lacks()` is true, but at most `most` of them. */
  async readWhile(lacks, signal, most = SEARCHED) {
    const { chats } = this.branches;
    // Read larger pages. They begin again with the newest message, so the first page also contains
    // known messages.
    let next = chats.size <= PAGE ? null : this.next;
    while (this.next && lacks() && chats.size < most) {
      const read = await this.read(next, SEARCH_PAGE, signal);
      this.learn(read.items, read.next);
      ({ next } = this);
    }
  }

  /** Reads all messages of the branch, and all first messages if the conversation has several. */
  async complete(signal) {
    const isUnknown = () => typeof this.place === "string" && !this.branches.has(this.place);
    const isShort = () => {
      const [first, ...rest] = this.path();
      if (!first) return false;
      const { after } = this.branches.get(first) ?? {};
      const isOpen = this.branches.parent(first) === null;
      return after === START || (isOpen && rest.length + 1 < LEAST);
    };
    await this.readWhile(() => isUnknown() || isShort(), signal);
    if (isUnknown()) this.place = null;
  }

  /** Reads the newest messages again, because another device may have added some. */
  async refresh(signal) {
    if (!this.thread.id) return;
    const read = await this.read(null, PAGE, signal).catch((error) => {
      if (error.status === 404) throw error;
      return null;
    });
    if (!read || this.running) return;
    const { items, next } = read;
    if (items.some(({ id }) => this.branches.has(id))) {
      const oldest = next ? items.at(-1).id : "";
      const isGone = (id) => id > oldest && !items.some((chat) => chat.id === id);
      for (const id of [...this.branches.chats.keys()].filter(isGone)) this.forget(id);
      items.forEach((chat) => this.know(chat));
    } else {
      // The page doesn't reach the known messages, so begin again.
      this.branches = new Branches();
      this.learn(items, next);
    }
    for (const chat of [...items].reverse()) {
      const turn = this.waiting.find((turn) => answers(chat, turn));
      if (!turn || this.answered.has(chat.id)) continue;
      turn.finish(chat);
      this.answer(turn);
    }
    await this.complete(signal);
    this.arrange();
    this.thread.toEnd();
  }

  /** Shows the branch through the message with this id. Returns its turn, or null. */
  async find(id, signal) {
    await this.readWhile(() => !this.branches.has(id), signal);
    if (!this.branches.has(id)) return null;
    if (!this.path().includes(id)) this.place = id;
    await this.complete(signal);
    this.arrange();
    return this.answered.get(id);
  }

  /** Returns a message's parent, which a new version of the message also follows. */
  async parentOf(id) {
    await this.readWhile(() => this.branches.parent(id) === null);
    return this.branches.parent(id) ?? this.branches.get(id)?.after ?? "";
  }

  async showEarlier(more) {
    more.setAttribute("aria-busy", "true");
    try {
      const had = new Set(this.shown);
      const before = main().scrollHeight;
      let added = [];
      while (this.next && added.length === 0) {
        const { items, next } = await this.read(this.next);
        this.learn(items, next);
        this.arrange();
        added = this.shown.filter((turn) => !had.has(turn));
      }
      // Keep the text that is being read in place.
      main().scrollTop += main().scrollHeight - before;
      added.at(-1)?.element.focus({ preventScroll: true });
      announce(`${added.length} earlier messages`);
    } finally {
      more.removeAttribute("aria-busy");
    }
  }

  // --- Messages without an answer ---

  /** Shows a message that was just sent, or was sent before a reload. */
  add(turn) {
    turn.previous = turn.follows ? null : (this.shown.at(-1) ?? null);
    this.waiting.push(turn);
    if (turn.instead) this.place = turn;
    this.arrange();
    if (this.shown.includes(turn)) return;
    this.place = turn;
    this.arrange();
  }

  /** A waiting message's parent: an id, `START`, a waiting turn, or null. */
  before({ follows, previous }) {
    return follows || (previous?.chat?.id ?? previous ?? (this.thread.id ? START : null));
  }

  /**
   * The `after` field of a message's request. It is empty, which means the newest message, if there
   * is no parent, or if the page can't tell whether the API answers the parent.
   */
  sentAfter(turn) {
    const before = this.before(turn);
    if (!isTurn(before)) return before ?? "";
    return before.failed ? this.sentAfter(before) : "";
  }

  /**
   * The last messages before a new message, oldest first and at most `count`: `{chats, isWhole}`,
   * where `isWhole` is false if some are unknown. `before` is the new message's parent, as in
   * `before(turn)`.
   */
  leading(before, count) {
    let at = before;
    let isWhole = true;
    while (isTurn(at)) {
      // The API may still answer this message.
      isWhole &&= Boolean(at.chat) || at.failed;
      at = at.chat?.id ?? this.before(at);
    }
    if (at === START || count === 0 || (at === null && !this.thread.id))
      return { chats: [], isWhole };
    const path = this.branches.has(at) ? this.branches.upTo(at) : [];
    const begins = path.length > 0 && this.branches.parent(path[0]) === START;
    isWhole &&= begins || path.length >= count;
    return { chats: path.slice(-count).map((id) => this.branches.get(id)), isWhole };
  }

  /** Adds the answer to a message. If the message is shown, its answer is shown, too. */
  answer(turn) {
    const isShown = this.shown.includes(turn);
    dropUnfinished(turn);
    this.waiting = this.waiting.filter((other) => other !== turn);
    this.answered.set(turn.chat.id, turn);
    this.branches.add(turn.chat);
    if (this.place === turn) this.place = turn.chat.id;
    this.arrange();
    if (isShown && !this.shown.includes(turn)) this.turnTo(turn.chat.id);
  }

  /** Removes a turn whose message was deleted, or has returned to where it was written. */
  remove(turn) {
    if (this.shown.includes(turn)) {
      const left = this.shown.findLast((other) => other !== turn && other.chat);
      this.place = (turn.chat ? null : turn.instead) ?? left?.chat.id ?? null;
    }
    for (const other of this.waiting.filter(({ previous }) => previous === turn)) {
      other.previous = turn.previous ?? null;
      other.follows ??= turn.follows;
    }
    if (turn.chat) this.forget(turn.chat.id);
    this.waiting = this.waiting.filter((other) => other !== turn);
    dropUnfinished(turn);
    if (typeof this.place === "string" && !this.branches.has(this.place)) this.place = null;
    this.arrange();
  }

  forget(id) {
    if (this.place === id) this.place = this.branches.parent(id);
    if (this.place === START) this.place = null;
    this.branches.remove(id);
    this.answered.delete(id);
  }

  /** Opens the last message for editing. Returns false if the last message can't be edited. */
  editLast() {
    const last = this.shown.at(-1);
    if (last?.chat) attempt(() => last.edit());
    return Boolean(last?.chat);
  }

  /** Reads interrupted answers that the API has stored or may still be writing. */
  async resume(chats) {
    for (const turn of this.waiting.filter(({ controller }) => !controller)) {
      if (turn.controller) continue;
      const chat = chats.find((chat) => answers(chat, turn));
      if (chat) await turn.found(chat);
      else if (mayBeRunning(turn)) turn.ask(turn.stopped);
    }
  }

  // --- The branch that is shown ---

  /** The ids of the messages with answers in the shown branch. */
  path() {
    let { place } = this;
    while (isTurn(place)) place = this.before(place);
    if (place === START) return [];
    const { branches } = this;
    if (isTurn(this.place)) return branches.has(place) ? branches.upTo(place) : [];
    const id = place ?? branches.newest();
    return id ? branches.through(id) : [];
  }

  /** Shows the turns of the branch. Waiting turns are shown after the turn that they follow. */
  arrange() {
    const shown = [];
    const waits = this.waiting.filter((turn) => turn === this.place || !turn.instead);
    const show = (turn) => {
      if (turn) shown.push(turn);
      for (const next of waits) if (!shown.includes(next) && this.isAfter(next, turn)) show(next);
    };
    const path = this.path();
    if (path.length === 0 || this.branches.parent(path[0]) === START) show(null);
    for (const id of path) show(this.turnOf(id));
    // At the end, show waiting turns whose parent was deleted or hasn't been read.
    for (const turn of waits)
      if (!shown.includes(turn) && (turn === this.place || this.isLost(turn))) show(turn);
    this.shown = shown;
    const elements = shown.map(({ element }) => element);
    place(this.list, elements);
    for (const turn of shown) {
      const versions = this.versions(turn);
      const isOne = versions.every((version) => this.messageOf(version) === turn.message);
      turn.showVersion(versions.indexOf(turn.chat?.id ?? turn) + 1, versions.length, isOne);
    }
    this.offerEarlier();
    this.remember();
    this.thread.arranged();
  }

  isAfter(turn, other) {
    const before = this.before(turn);
    if (!other) return before === null || before === START;
    return before === other || before === other.chat?.id;
  }

  isLost(turn) {
    const before = this.before(turn);
    return typeof before === "string" && before !== START && !this.branches.has(before);
  }

  turnOf(id) {
    const { Turn } = turning.module;
    if (!this.answered.has(id)) this.answered.set(id, Turn.of(this.thread, this.branches.get(id)));
    return this.answered.get(id);
  }

  /** The versions of a turn, oldest first, as ids or as turns without an answer. */
  versions(turn) {
    const parent = turn.chat ? this.branches.parent(turn.chat.id) : this.before(turn);
    if (typeof parent !== "string" || !(turn.chat || turn.instead)) return [turn.chat?.id ?? turn];
    const isVersion = (other) => other.instead && this.before(other) === parent;
    return [...this.branches.following(parent), ...this.waiting.filter(isVersion)];
  }

  /** The message of a version. */
  messageOf(version) {
    return isTurn(version) ? version.message : this.branches.get(version)?.message;
  }

  /** Shows the branch through this version. Returns its turn. */
  turnTo(version) {
    this.place = version;
    this.arrange();
    return this.shown.find((turn) => turn === version || turn.chat?.id === version);
  }

  /** Remembers the shown branch for a reload, unless it leads to the newest message. */
  remember() {
    const last = this.shown.findLast(({ chat }) => chat)?.chat.id ?? null;
    if (!this.thread.id || !last) return;
    const isNewest = this.branches.through(this.branches.newest()).includes(last);
    keepDraft(this.draft, isNewest ? null : last);
    // Keep this branch in view when another device adds versions.
    if (!isTurn(this.place)) this.place = last;
  }

  /** Offers to show earlier turns, if there are any. */
  offerEarlier() {
    const first = this.shown[0]?.chat?.id;
    const isOpen = this.next && (!first || this.branches.parent(first) === null);
    const onclick = () => attempt(() => this.showEarlier(more));
    const more = isOpen && button("Show earlier messages", { small: true, onclick });
    if (Boolean(isOpen) !== this.earlier.hasChildNodes()) fill(this.earlier, more);
  }
}

/** Puts elements into a list in this order. Moves only elements in a wrong position. */
function place(list, elements) {
  let at = list.firstChild;
  for (const element of elements) {
    if (element === at) at = at.nextSibling;
    else list.insertBefore(element, at);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}
