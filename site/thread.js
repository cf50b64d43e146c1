// The conversations of this page: for each one a view, with its turns and the box for the next
// message.

import { announce } from "./announce.js";
import { newKey, page } from "./api.js";
import { watchBalance } from "./balance.js";
import { button } from "./button.js";
import { Composer } from "./composer.js";
import { fill, h } from "./dom.js";
import { keepDraft } from "./drafts.js";
import { menuButton } from "./menu.js";
import { attempt } from "./message.js";
import { go } from "./router.js";
import {
  conversationChoices,
  named,
  onRenamed,
  putOnTop,
  readConversation,
  takeOut,
} from "./sidebar.js";
import { Turn } from "./turn.js";
import {
  answers,
  dropUnfinished,
  forgetChats,
  newestChat,
  sawChat,
  unfinished,
} from "./unfinished.js";

/** How many turns are read at a time. */
const PAGE = 20;

/** How near to the end, in pixels, a reader still follows an answer that grows. */
const NEAR = 80;

const IDEAS = [
  "Explain compound interest with an example",
  "Write a polite reminder for an unpaid invoice",
  "Compare a bicycle and a bus for a commute of 8 km, as a table",
];

/** The opened conversations, by their id, or by a name of this page while they have no id. */
const threads = new Map();

/** The conversation that is shown. */
let shown = null;

/** Counts the conversations that were begun on this page. */
let names = 0;

// --- Views ---

/** `#/`: a conversation that begins with the next message. */
export function newThread() {
  const thread = new Thread(null);
  return thread.view("New conversation");
}

/** `#/c/<id>`: a conversation of this page or of the API. */
export async function oldThread({ params: { id }, signal }) {
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
  return thread.view(named(thread.conversation));
}

/** Lists the conversations that were begun before a reload and have no answer yet. */
export function restoreThreads() {
  for (const kept of unfinished().filter(({ conversation }) => !conversation)) {
    const thread = new Thread(null);
    thread.restore(kept);
    thread.wait(kept.message);
  }
}

/** Forgets all conversations, and stops reading their answers. */
export function forgetThreads() {
  for (const thread of threads.values()) thread.turns.forEach((turn) => turn.leave());
  threads.clear();
  shown = null;
  forgetChats();
}

watchBalance(() => shown?.composer.priced());

onRenamed((conversation) => {
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
    this.conversation = { id, title: null };
    this.turns = [];
    this.next = null;
    this.heading = h("h1", { class: "thread-title" });
    this.menu = h("div", {});
    this.earlier = h("div", { class: "thread-earlier" });
    this.list = h("ol", { class: "turns", "aria-label": "Messages" });
    this.composer = new Composer(this);
    this.hello = id ? null : hello((text) => this.composer.put(text));
    this.down = button(null, {
      icon: "down",
      label: "To the newest message",
      class: "button button-secondary button-icon to-newest",
      hidden: true,
      onclick: () => this.toEnd(true),
    });
    const head = h("header", { class: "thread-head" }, this.heading, this.menu);
    const foot = h("div", { class: "thread-foot" }, this.down, this.composer.element);
    this.element = h("div", { class: "thread" }, head, this.hello, this.earlier, this.list, foot);
    this.nameIt();
  }

  /** The turn whose answer is being read. */
  get running() {
    return this.turns.find((turn) => turn.controller) ?? null;
  }

  /** Whether none of its messages has an answer or waits for one. */
  get isUnbegun() {
    return !this.id && this.turns.length === 0;
  }

  view(title) {
    return {
      title,
      content: this.element,
      thread: this,
      focus: this.composer.box,
      shown: () => {
        shown = this;
        this.composer.shown();
        this.toEnd(true);
        main().onscroll = () => (this.down.hidden = this.atEnd());
      },
    };
  }

  nameIt() {
    const isNamed = this.id || this.name;
    this.heading.textContent = isNamed ? named(this.conversation) : "What would you like to know?";
    this.heading.className = isNamed ? "thread-title clip" : "hello-title";
    const choices = this.id ? conversationChoices(this.conversation) : [];
    fill(this.menu, choices.length > 0 && menuButton("More about this conversation", choices));
  }

  titlePage() {
    document.title = `${named(this.conversation)} · Farebox`;
  }

  // --- Turns ---

  /** Reads the conversation and its newest turns. */
  async load(signal) {
    const reading = readConversation(this.id, { signal });
    const [conversation, chats] = await Promise.all([reading, this.chats(null, signal)]);
    this.conversation = conversation;
    this.nameIt();
    this.show(chats);
    for (const kept of unfinished().filter((kept) => kept.conversation === this.id)) {
      if (chats.items.some((chat) => answers(chat, kept))) dropUnfinished(kept);
      else this.restore(kept);
    }
  }

  /** Reads the newest turns again: another device may have added some. */
  async refresh(signal) {
    const chats = await this.chats(null, signal).catch((error) => {
      if (error.status === 404) throw error;
      return null;
    });
    if (!chats || this.running) return;
    const left = this.turns.filter((turn) => !turn.chat);
    this.turns.forEach((turn) => turn.element.remove());
    this.turns = [];
    this.show(chats);
    for (const turn of left) {
      const chat = chats.items.find((chat) => answers(chat, turn));
      if (chat) dropUnfinished(turn);
      else this.add(turn);
    }
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
      const earlier = [...items].reverse().map((chat) => Turn.of(this, chat));
      const before = main().scrollHeight;
      this.turns.unshift(...earlier);
      this.list.prepend(...earlier.map((turn) => turn.element));
      this.offerEarlier(next);
      // The text that is being read doesn't move.
      main().scrollTop += main().scrollHeight - before;
      earlier.at(-1)?.element.focus({ preventScroll: true });
      announce(`${earlier.length} earlier messages`);
    } finally {
      more.removeAttribute("aria-busy");
    }
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

  /** Shows a turn that a reload interrupted. */
  restore(kept) {
    const turn = new Turn(this, kept);
    this.add(turn);
    turn.interrupted();
  }

  // --- The next message ---

  /** Sends a message and shows it. Resolves with whether it was sent. */
  async send(message) {
    if (!this.id && this.turns.length > 0) {
      // Only the answer to the first message has the id of this conversation.
      await this.turns[0].ask();
      if (!this.id) return false;
    }
    const turn = new Turn(this, { key: newKey(), message, sent: Date.now(), after: newestChat() });
    this.add(turn);
    if (!this.id && !this.name) {
      this.wait(message);
      window.history.replaceState(null, "", `#/c/${this.name}`);
      this.titlePage();
      putOnTop(this.conversation);
    }
    this.toEnd(true);
    turn.ask();
    return true;
  }

  /** Lists a new conversation under a name of this page, until its first answer arrives. */
  wait(message) {
    this.name ??= `new-${(names += 1)}`;
    const title = [...message.trim().split("\n")[0]].slice(0, 60).join("");
    this.conversation = { id: this.name, title, waiting: true };
    threads.set(this.name, this);
    putOnTop(this.conversation);
    this.nameIt();
  }

  /** Takes over the id that came with the first answer. */
  async begun(id) {
    this.id = id;
    threads.delete(this.name);
    threads.set(id, this);
    const isShown = () => location.hash === `#/c/${this.name}`;
    const wasShown = isShown();
    const unread = { id, title: this.conversation.title };
    this.conversation = await readConversation(id).catch(() => unread);
    putOnTop(this.conversation, this.name);
    if (wasShown && isShown()) {
      // The address changes, the view doesn't.
      window.history.replaceState(null, "", `#/c/${id}`);
      putOnTop(this.conversation);
      this.titlePage();
    }
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

  atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = main();
    return scrollHeight - scrollTop - clientHeight < NEAR;
  }

  /** Scrolls to the newest turn if the reader follows it, or in any case if `surely`. */
  toEnd(surely = false) {
    if (!this.element.isConnected) return;
    if (surely || this.follows) main().scrollTop = main().scrollHeight;
    this.down.hidden = this.atEnd();
  }
}

const main = () => document.getElementById("main");

/** What a new conversation suggests. */
function hello(choose) {
  const idea = (text) => {
    const props = { type: "button", class: "idea", onclick: () => choose(text) };
    return h("li", {}, h("button", props, text));
  };
  const list = h("ul", { class: "ideas", "aria-label": "Ideas to begin with" }, IDEAS.map(idea));
  return h("div", { class: "hello" }, list);
}
