// The conversations of this page: for each one a view, with its turns and the box for the next
// message.

import { announce } from "./announce.js";
import { ApiError, newKey, page } from "./api.js";
import { watchBalance } from "./balance.js";
import { button } from "./button.js";
import { Composer } from "./composer.js";
import { fill, h } from "./dom.js";
import { keepDraft } from "./drafts.js";
import { Follower } from "./follow.js";
import { ideas } from "./ideas.js";
import { menuButton } from "./menu.js";
import { attempt, toast } from "./message.js";
import { readMarkdown } from "./prose.js";
import { go } from "./router.js";
import {
  conversationChoices,
  named,
  onChanged,
  putOnTop,
  readConversation,
  takeOut,
  titleOf,
} from "./sidebar.js";
import { onTold, tellTabs } from "./tabs.js";
import { Turn } from "./turn.js";
import {
  answers,
  dropUnfinished,
  forgetChats,
  mayBeRunning,
  newestChat,
  onReturn,
  sawChat,
  unfinished,
} from "./unfinished.js";

/** How many turns are read at a time. */
const PAGE = 20;

/** How many are read at a time, and in all, to find the turn that an address names. */
const SEARCH_PAGE = 100;
const SEARCHED = 2000;

/** The opened conversations, by their id, or by a name of this page while they have no id. */
const threads = new Map();

/** The conversation that is shown. */
let shown = null;

const main = () => document.getElementById("main");

/** Made with the first view, and the same for all conversations. */
let follower = null;

// --- Views ---

/** `#/`: a conversation that begins with the next message. */
export function newThread() {
  const thread = new Thread(null);
  return thread.view("New chat");
}

/** `#/c/<id>?chat=<id>`: a conversation of this page or of the API, at one of its turns or its end. */
export async function oldThread({ params: { id }, query, signal }) {
  let thread = threads.get(id);
  if (!thread) {
    if (id.startsWith("new-")) {
      // It was begun on another page, and never answered.
      go("#/", { replace: true });
      return newThread();
    }
    thread = new Thread(id);
    await thread.load(signal);
    threads.set(id, thread);
  } else if (thread.id && !thread.running) await thread.refresh(signal);
  const turn = query.chat && thread.id ? await thread.find(query.chat, signal) : null;
  if (query.chat && !turn) toast("This message isn't in the chat any more.", { kind: "info" });
  return thread.view(named(thread.conversation), turn);
}

/** Continues the conversations that were begun before a reload and have no answer yet. */
export async function restoreThreads() {
  const begun = new Map();
  for (const kept of unfinished().filter(({ conversation }) => !conversation)) {
    if (!begun.has(kept.first)) begun.set(kept.first, new Thread(null));
    const thread = begun.get(kept.first);
    if (!thread.name) thread.wait(kept);
    thread.restore(kept);
  }
  if (begun.size === 0) return;
  const { items } = await page("api/chat/", { limit: PAGE }).catch(() => ({ items: [] }));
  for (const thread of begun.values()) thread.resume(items);
}

/** Forgets all conversations, and stops reading their answers. */
export function forgetThreads() {
  for (const thread of threads.values()) thread.turns.forEach((turn) => turn.leave());
  threads.clear();
  shown = null;
  forgetChats();
}

onReturn(() => threads.forEach((thread) => thread.resume([])));
watchBalance(() => shown?.composer.priced());

onTold("chats", (id) => {
  const thread = threads.get(id);
  if (thread && !thread.running) thread.refresh().catch(() => {});
});

onChanged((conversation) => {
  const thread = threads.get(conversation.id);
  if (!thread) return;
  thread.conversation = { ...thread.conversation, ...conversation };
  thread.nameIt();
  if (thread === shown) thread.titlePage();
});

// --- A conversation ---

class Thread {
  constructor(id) {
    this.id = id;
    this.name = null;
    /** The key of the message that begins it, while it has no id. */
    this.first = null;
    this.conversation = { id, title: null };
    this.turns = [];
    this.next = null;
    this.heading = h("h1", { class: "thread-title", dir: "auto" });
    this.menu = menuButton("More about this chat", () => conversationChoices(this.conversation));
    this.earlier = h("div", { class: "thread-earlier" });
    this.list = h("ol", { class: "turns", "aria-label": "Messages" });
    this.composer = new Composer(this);
    this.hello = id ? null : ideas((text) => this.composer.put(text));
    this.down = button(null, {
      icon: "down",
      label: "To the newest message",
      class: "button button-secondary button-icon to-newest",
      hidden: true,
      onclick: () => this.toEnd(true),
    });
    this.growth = new ResizeObserver(() => this.toEnd());
    const head = h("header", { class: "thread-head" }, this.heading, this.menu);
    const foot = h("div", { class: "thread-foot" }, this.down, this.composer.element);
    this.element = h("div", { class: "thread" }, head, this.hello, this.earlier, this.list, foot);
    this.nameIt();
  }

  /** The turn whose answer is being read. */
  get running() {
    return this.turns.find((turn) => turn.controller) ?? null;
  }

  /** The same, unless it is being stopped: then the next message can be sent. */
  get stoppable() {
    return this.running?.stopping ? null : this.running;
  }

  /** Whether none of its messages has an answer or waits for one. */
  get isUnbegun() {
    return !this.id && this.turns.length === 0;
  }

  /** The view of this conversation, at this turn or at its end. */
  view(title, turn = null) {
    return {
      title,
      content: this.element,
      thread: this,
      focus: turn ? turn.element : this.composer.box,
      shown: () => {
        shown?.growth.disconnect();
        shown = this;
        follower ??= new Follower(main(), () => shown?.moved());
        this.composer.shown();
        if (turn) this.showTurn(turn);
        else this.toEnd(true);
        for (const element of [this.element, main()]) this.growth.observe(element);
      },
    };
  }

  showTurn(turn) {
    follower.follows = false;
    turn.element.classList.add("turn-found");
    turn.element.scrollIntoView({ block: "start" });
    this.moved();
  }

  nameIt() {
    const isNamed = this.id || this.name;
    this.heading.textContent = isNamed ? named(this.conversation) : "What would you like to know?";
    this.heading.className = isNamed ? "thread-title clip" : "hello-title";
    this.menu.hidden = !this.id;
  }

  titlePage() {
    document.title = `${named(this.conversation)} · Farebox`;
  }

  // --- Turns ---

  /** Reads the conversation and its newest turns. */
  async load(signal) {
    readMarkdown();
    const reading = readConversation(this.id, { signal });
    const [conversation, chats] = await Promise.all([reading, this.chats(null, signal)]);
    this.conversation = conversation;
    this.nameIt();
    this.show(chats);
    for (const kept of unfinished().filter((kept) => kept.conversation === this.id)) {
      if (chats.items.some((chat) => answers(chat, kept))) dropUnfinished(kept);
      else this.restore(kept);
    }
    this.resume([]);
  }

  /** Reads the newest turns again: another device may have added some. */
  async refresh(signal) {
    const chats = await this.chats(null, signal).catch((error) => {
      if (error.status === 404) throw error;
      return null;
    });
    if (!chats || this.running) return;
    const known = new Map(
      this.turns.filter(({ chat }) => chat).map((turn) => [turn.chat.id, turn]),
    );
    const isContinued = chats.items.some(({ id }) => known.has(id));
    const left = this.turns.filter(({ chat }) => !chat);
    if (!isContinued) {
      // There are more new turns than a page has.
      this.turns.forEach((turn) => turn.element.remove());
      this.turns = [];
      this.show(chats);
      left.forEach((turn) => this.add(turn));
    }
    const oldest = chats.next ? chats.items.at(-1)?.id : "";
    for (const [id, turn] of isContinued ? known : [])
      if (id > oldest && !chats.items.some((chat) => chat.id === id)) this.remove(turn);
    for (const chat of [...chats.items].reverse()) {
      sawChat(chat);
      const turn = left.find((turn) => !turn.chat && answers(chat, turn));
      if (turn) {
        dropUnfinished(turn);
        if (isContinued) turn.finish(chat);
        else this.remove(turn);
      } else if (isContinued && !known.has(chat.id)) this.add(Turn.of(this, chat));
    }
    this.toEnd();
  }

  /** The turn with this id, after reading as many earlier turns as necessary; or null. */
  async find(id, signal) {
    const has = () => this.turns.find(({ chat }) => chat?.id === id) ?? null;
    let query = { conversation_id: this.id, limit: SEARCH_PAGE };
    for (let next = null; !has() && this.next && this.turns.length < SEARCHED;) {
      const read = await page(next ?? "api/chat/", query, { signal });
      const older = read.items.filter(({ id }) => !this.turns.some(({ chat }) => chat?.id === id));
      this.prepend(older, read.next);
      [next, query] = [read.next, undefined];
    }
    return has();
  }

  chats(next, signal) {
    const query = next ? undefined : { conversation_id: this.id, limit: PAGE };
    return page(next ?? "api/chat/", query, { signal });
  }

  show({ items, next }) {
    items.forEach(sawChat);
    for (const chat of [...items].reverse()) this.add(Turn.of(this, chat));
    this.offerEarlier(next);
  }

  /** Offers the turns before those that are shown, if `next` has any. */
  offerEarlier(next) {
    this.next = next;
    const onclick = () => attempt(() => this.showEarlier(more));
    const more = button("Show earlier messages", { small: true, onclick });
    fill(this.earlier, next && more);
  }

  async showEarlier(more) {
    more.setAttribute("aria-busy", "true");
    try {
      const { items, next } = await this.chats(this.next);
      const before = main().scrollHeight;
      const earlier = this.prepend(items, next);
      // The text that is being read doesn't move.
      main().scrollTop += main().scrollHeight - before;
      earlier.at(-1)?.element.focus({ preventScroll: true });
      announce(`${earlier.length} earlier messages`);
    } finally {
      more.removeAttribute("aria-busy");
    }
  }

  prepend(items, next) {
    const earlier = [...items].reverse().map((chat) => Turn.of(this, chat));
    this.turns.unshift(...earlier);
    this.list.prepend(...earlier.map((turn) => turn.element));
    this.offerEarlier(next);
    return earlier;
  }

  add(turn) {
    this.turns.push(turn);
    this.list.append(turn.element);
    this.hello?.remove();
    this.hello = null;
  }

  remove(turn) {
    this.turns = this.turns.filter((other) => other !== turn);
    turn.element.remove();
    dropUnfinished(turn);
  }

  /** Shows a message that was sent before a reload. */
  restore(kept) {
    const turn = new Turn(this, kept);
    this.add(turn);
    turn.interrupted();
  }

  /** Reads the answers that were interrupted, if the API has them or may still be writing them. */
  async resume(chats) {
    for (const turn of this.turns.filter(({ chat, controller }) => !chat && !controller)) {
      const chat = chats.find((chat) => answers(chat, turn));
      if (chat) await turn.found(chat);
      else if (mayBeRunning(turn)) turn.ask(turn.stopped);
    }
  }

  /** Shows the answer to a turn if the API has it. */
  async readAnswerOf(turn) {
    const { items } = await page("api/chat/", { limit: PAGE });
    const chat = items.find((chat) => answers(chat, turn));
    if (chat) await turn.found(chat);
  }

  // --- The next message ---

  /** Sends a message and shows it. */
  send(message) {
    const turn = new Turn(this, { key: newKey(), message, sent: Date.now(), after: newestChat() });
    this.add(turn);
    if (!this.id && !this.name) {
      this.wait(turn);
      window.history.replaceState(null, "", `#/c/${this.name}`);
      this.titlePage();
      putOnTop(this.conversation);
    }
    this.toEnd(true);
    turn.ask();
  }

  /** Lists a new conversation under a name of this page, until its first answer arrives. */
  wait({ key, first = key, message }) {
    this.first = first;
    this.name = `new-${first.slice(0, 8)}`;
    this.conversation = { id: this.name, title: titleOf(message), waiting: true };
    threads.set(this.name, this);
    putOnTop(this.conversation);
    this.nameIt();
  }

  /** Resolves when a turn can be sent: no answer is being stopped, and this chat has its id. */
  async ready(turn) {
    const before = this.turns.find((one) => one === turn || (one.controller && one.stopping));
    if (before !== turn) {
      turn.wait();
      await before.ask();
    }
    // The first answer has the id, and a message that was stopped before its answer began has none.
    const first = this.turns.find((one) => one === turn || !(one.stopped && one.failed));
    if (this.id || turn === first) return;
    turn.wait();
    await first.ask(first.stopped);
    if (this.id) return;
    if (first.stopped && first.failed) return this.ready(turn);
    const detail = "It has not been sent: the message before it has no answer yet.";
    throw new ApiError({ status: 409, code: "not_begun", detail });
  }

  /** Takes over the id that came with the first answer. */
  async begun(id) {
    const wasShown = location.hash === `#/c/${this.name}`;
    this.id = id;
    threads.delete(this.name);
    threads.set(id, this);
    // A reload finds them in this conversation from now on, and the conversation at its address.
    this.turns.filter(({ chat }) => !chat).forEach((turn) => turn.keep());
    if (wasShown) window.history.replaceState(null, "", `#/c/${id}`);
    this.conversation = { id, title: this.conversation.title };
    putOnTop(this.conversation, this.name);
    this.nameIt();
    const read = await readConversation(id).catch(() => null);
    if (!read) return;
    this.conversation = read;
    putOnTop(read);
    if (location.hash === `#/c/${id}`) this.titlePage();
    this.nameIt();
  }

  // --- Endings ---

  /** Makes this a new conversation again, after its only message was refused. */
  reset() {
    takeOut(this.name);
    if (location.hash === `#/c/${this.name}`) window.history.replaceState(null, "", "#/");
    threads.delete(this.name);
    this.name = null;
    this.nameIt();
  }

  /** Shows a new conversation, after the user took the only message of this one back to edit it. */
  discard() {
    takeOut(this.name);
    threads.delete(this.name);
    go("#/", { replace: true });
  }

  /** Moves an unsent message to a new conversation, after another device deleted this one. */
  abandon(text) {
    keepDraft("new", text);
    keepDraft(this.id, null);
    threads.delete(this.id);
    takeOut(this.id);
    go("#/");
  }

  // --- Scrolling ---

  /** Scrolls to the newest turn if the reader follows it, or in any case if `surely`. */
  toEnd(surely = false) {
    if (!this.element.isConnected || shown !== this) return;
    follower.toEnd(surely);
    this.moved();
  }

  moved() {
    this.down.hidden = follower.isAtEnd();
  }
}
