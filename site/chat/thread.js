// The conversations that this page has opened. Each one has a view with its turns and the box for
// the next message.

import { readMarkdown } from "../markdown/prose.js";
import { ApiError, isSignedIn, newKey, page } from "../session/api.js";
import { renewModels } from "../session/models.js";
import { onTold } from "../session/tabs.js";
import { renewBalance, watchBalance } from "../session/user.js";
import { button, linkButton } from "../ui/button.js";
import { h } from "../ui/dom.js";
import { menuButton } from "../ui/menu.js";
import { attempt, toast } from "../ui/message.js";
import { go } from "../ui/router.js";
import { isTouch } from "./box.js";
import { START } from "./branches.js";
import { Composer } from "./composer.js";
import { NEW, keepDraft, moveDraft, readDraft } from "./drafts.js";
import { Follower } from "./follow.js";
import { offerOf } from "./offer.js";
import {
  conversationChoices,
  named,
  onChanged,
  putOnTop,
  readConversation,
  relist,
  takeOut,
  titleOf,
} from "./sidebar.js";
import { Turn } from "./turn.js";
import { Turns } from "./turns.js";
import {
  answers,
  dropUnfinished,
  forgetChats,
  newestChat,
  onLeaving,
  onReturn,
  unfinished,
} from "./unfinished.js";

/** How many messages are read to find the answers to messages sent before a reload. */
const PAGE = 20;

/** The opened conversations, by their id, or by a local name while they have no id. */
const threads = new Map();

/** The conversation that is shown. */
let shown = null;

const main = () => document.getElementById("main");

/**
 * Follows the end of the scrolling part. Created with the first view, and shared by all
 * conversations.
 */
let follower = null;

// --- Views ---

/** `#/`: a new conversation, which begins with the next message. */
export function newThread() {
  const thread = new Thread(null);
  return thread.view("New chat");
}

/** `#/c/<id>?chat=<id>`: a conversation, scrolled to one of its turns or to its end. */
export async function oldThread(place) {
  try {
    return await openThread(place);
  } catch (error) {
    // The API refuses an invalid id with 400.
    if (error.status !== 404 && !error.errors?.conversation_id) throw error;
    threads.delete(place.params.id);
    takeOut(place.params.id);
    moveDraft(place.params.id, NEW);
    return missing();
  }
}

/** The view of a conversation that doesn't exist. */
function missing() {
  const title = "Not found";
  const content = h(
    "div",
    { class: "page" },
    h("h1", {}, title),
    h("p", {}, "This chat doesn't exist. It may have been deleted."),
    linkButton("Start a new chat", "#/", { kind: "primary", icon: "plus" }),
  );
  return { title, content };
}

async function openThread({ params: { id }, query, signal }) {
  let thread = threads.get(id);
  if (!thread) {
    if (id.startsWith("new-")) {
      // Either the id arrived with the first answer after the address was read, or the conversation
      // began on another page and was never answered.
      const begun = [...threads.values()].find(({ name }) => name === id);
      moveDraft(id, begun?.id ?? NEW);
      return { instead: begun ? `#/c/${begun.id}` : "#/" };
    }
    thread = new Thread(id);
    await thread.load(signal);
    threads.set(id, thread);
  } else if (thread.id && !thread.running) await thread.turns.refresh(signal);
  const turn = query.chat && thread.id ? await thread.turns.find(query.chat, signal) : null;
  if (query.chat && !turn) toast("This message isn't in the chat any more.", { kind: "info" });
  return thread.view(named(thread.conversation), turn);
}

/** Continues the conversations that began before a reload and have no answer yet. */
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
  for (const thread of begun.values()) thread.turns.resume(items);
}

/** Forgets all conversations, and stops reading their answers. */
export function forgetThreads() {
  for (const thread of threads.values()) thread.turns.waiting.forEach((turn) => turn.leave());
  threads.clear();
  shown = null;
  forgetChats();
}

onLeaving(() => {
  for (const { turns } of threads.values()) turns.waiting.forEach((turn) => turn.keep());
});
onReturn(() => threads.forEach((thread) => thread.turns.resume([])));
onReturn(() => isSignedIn() && renewModels());
onReturn(() => isSignedIn() && renewBalance());
watchBalance(() => shown?.priced());

onTold("chats", (id) => {
  threads
    .get(id)
    ?.renew()
    .catch(() => {});
});

onChanged((conversation) => {
  const thread = threads.get(conversation.id);
  if (!thread) return;
  thread.conversation = { ...thread.conversation, ...conversation };
  thread.nameIt();
  thread.priced();
  if (thread === shown) thread.titlePage();
});

// --- A conversation ---

class Thread {
  constructor(id) {
    this.id = id;
    this.name = null;
    /** The key of the conversation's first message while the conversation has no id. */
    this.first = null;
    this.conversation = { id, title: null };
    this.turns = new Turns(this);
    this.heading = h("h1", { class: "thread-title", dir: "auto" });
    this.menu = menuButton("More about this chat", () => this.choices());
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
    const { earlier, list } = this.turns;
    this.element = h("div", { class: "thread" }, head, this.hello, earlier, list, foot);
    this.nameIt();
  }

  /** The turn whose answer is being read. */
  get running() {
    return this.turns.running;
  }

  /** The running turn, or null while it is being stopped: then the next message can be sent. */
  get stoppable() {
    return this.running?.stopping ? null : this.running;
  }

  /** True if no message in this conversation has an answer or waits for an answer. */
  get isUnbegun() {
    return !this.id && this.turns.shown.length === 0;
  }

  /** Returns the view of this conversation, scrolled to `turn` or to the end. */
  view(title, turn = null) {
    return {
      title,
      content: this.element,
      thread: this,
      // On touch devices, focusing the box would open the keyboard over the text.
      focus: turn?.element ?? (isTouch() ? undefined : this.composer.box),
      shown: () => {
        shown?.growth.disconnect();
        shown = this;
        follower ??= new Follower(main(), () => shown?.moved());
        this.composer.shown();
        this.priced();
        if (turn) this.showTurn(turn);
        else this.toEnd(true);
        for (const element of [this.element, main()]) this.growth.observe(element);
      },
    };
  }

  /** Reads the whole branch, and scrolls to its first turn. */
  async toBeginning() {
    await this.turns.whole();
    this.stay();
    main().scrollTop = 0;
    this.turns.shown[0]?.element.focus({ preventScroll: true });
    this.moved();
  }

  showTurn(turn) {
    this.stay();
    turn.element.classList.add("turn-found");
    const above = turn.element.getBoundingClientRect().top - main().getBoundingClientRect().top;
    main().scrollTop += above;
    this.moved();
  }

  nameIt() {
    const isNamed = this.id || this.name;
    this.heading.textContent = isNamed ? named(this.conversation) : "What would you like to know?";
    this.heading.className = isNamed ? "thread-title clip" : "hello-title";
    this.menu.hidden = !isNamed || conversationChoices(this.conversation).length === 0;
  }

  titlePage() {
    document.title = `${named(this.conversation)} · Farebox`;
  }

  /** The choices in the menu. */
  choices() {
    const choices = conversationChoices(this.conversation);
    if (!this.id) return choices;
    const leaves = (text, icon, how) => ({
      text,
      icon,
      run: () => attempt(async () => (await import("./transcript.js"))[how](this)),
    });
    return choices.toSpliced(
      -1,
      0,
      { text: "Go to the beginning", icon: "up", run: () => attempt(() => this.toBeginning()) },
      leaves("Copy as Markdown", "copy", "copy"),
      leaves("Download as Markdown", "download", "saveMarkdown"),
      leaves("Download as JSON", "download", "saveJson"),
      leaves("Print", "print", "print"),
    );
  }

  // --- Turns ---

  /** Reads the conversation and its newest turns. */
  async load(signal) {
    readMarkdown();
    const reading = readConversation(this.id, { signal });
    const [conversation, chats] = await Promise.all([reading, this.turns.load(signal)]);
    this.conversation = conversation;
    this.nameIt();
    for (const kept of unfinished().filter((kept) => kept.conversation === this.id)) {
      if (chats.some((chat) => answers(chat, kept))) dropUnfinished(kept);
      else this.restore(kept);
    }
    this.turns.resume([]);
  }

  /** Reads the messages that another tab has added, once no answer is being read here. */
  async renew() {
    while (this.running) await this.running.asking;
    await this.turns.refresh();
  }

  /**
   * Shows the price of the next message, and in a conversation without turns also the suggestions.
   */
  arranged() {
    if (this.hello) this.hello.hidden = Boolean(this.id) || this.turns.shown.length > 0;
    this.priced();
  }

  /** Shows a message that was sent before a reload. */
  restore(kept) {
    const turn = new Turn(this, { offer: null, ...kept });
    this.turns.add(turn);
    turn.interrupted();
  }

  /** Shows the answer to a turn if the API has stored it. */
  async readAnswerOf(turn) {
    const { items } = await page("api/chat/", { limit: PAGE });
    const chat = items.find((chat) => answers(chat, turn));
    if (chat) await turn.found(chat);
  }

  // --- The next message ---

  /**
   * Returns the offer for a message after `parent`, by default after the last message that is
   * shown.
   */
  offer(message, parent = this.turns.shown.at(-1) ?? START, model = undefined) {
    const before = (count) => this.turns.leading(parent, count);
    return offerOf(message, { before, model, instructions: this.conversation.instructions });
  }

  /** Shows the prices of the next messages. */
  priced() {
    this.composer.priced();
    this.turns.shown.at(-1)?.priced();
  }

  /** Makes a turn for a message that is sent now. */
  turnFor(message, { offer, ...more }) {
    return new Turn(this, {
      key: newKey(),
      message,
      sent: Date.now(),
      after: newestChat(),
      offer: offer ?? this.offer(message, more.follows || undefined),
      ...more,
    });
  }

  /** Sends a message that follows the last shown message, and shows it. */
  send(message) {
    const turn = this.turnFor(message, { follows: this.turns.shown.at(-1)?.chat?.id });
    this.turns.add(turn);
    if (!this.id && !this.name) {
      this.wait(turn);
      window.history.replaceState(null, "", `#/c/${this.name}`);
      this.titlePage();
      putOnTop(this.conversation);
    }
    this.toEnd(true);
    turn.ask();
  }

  /** Lists a new conversation under a local name until its first answer arrives. */
  wait({ key, first = key, message }) {
    this.first = first;
    this.name = `new-${first.slice(0, 8)}`;
    const remove = () => attempt(() => this.remove());
    this.conversation = { id: this.name, title: titleOf(message), waiting: true, remove };
    threads.set(this.name, this);
    putOnTop(this.conversation);
    this.nameIt();
  }

  /** Shows in the list whether this conversation is waiting for its first answer. */
  waits(isWaiting) {
    if (this.id || !this.name) return;
    this.conversation = { ...this.conversation, waiting: isWaiting };
    relist(this.conversation);
    this.nameIt();
  }

  /**
   * Resolves when a turn can be sent: no answer is being stopped and the conversation has its id.
   */
  async ready(turn) {
    const { turns } = this;
    const before = turns.waiting.find((one) => one === turn || (one.controller && one.stopping));
    if (before !== turn) {
      turn.wait();
      await before.ask();
    }
    // The conversation gets its id with its first answer. A message that was stopped before its
    // answer began brings no id.
    const first = turns.waiting.find((one) => one === turn || !(one.stopped && one.failed));
    if (this.id || turn === first) return;
    turn.wait();
    await first.ask(first.stopped);
    if (this.id) return;
    if (first.stopped && first.failed) return this.ready(turn);
    const detail = "Not sent: the previous message has no answer yet.";
    throw new ApiError({ status: 409, code: "not_begun", detail });
  }

  /** Gives the conversation the id that arrived with the first answer. */
  async begun(id) {
    const wasShown = location.hash === `#/c/${this.name}`;
    this.id = id;
    moveDraft(this.name, id);
    threads.delete(this.name);
    threads.set(id, this);
    // After a reload, the page finds the waiting turns in this conversation.
    this.turns.waiting.forEach((turn) => turn.keep());
    this.turns.arrange();
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

  /** Makes this a new conversation again after its only message was refused. */
  reset() {
    takeOut(this.name);
    if (location.hash === `#/c/${this.name}`) window.history.replaceState(null, "", "#/");
    threads.delete(this.name);
    // The box also gets the text that was written in another new chat.
    if (moveDraft(this.name, NEW)) this.composer.put(readDraft(NEW), false);
    this.name = null;
    this.nameIt();
  }

  /** Shows a new conversation after the user has taken back the only message to edit it. */
  discard() {
    const wasShown = location.hash === `#/c/${this.name}`;
    takeOut(this.name);
    threads.delete(this.name);
    moveDraft(this.name, NEW);
    if (wasShown) go("#/", { replace: true });
  }

  /** After a confirmation, removes this conversation, whose first message has no answer. */
  async remove() {
    const { turns } = this;
    const isOpen = turns.waiting.some((turn) => !turn.failed);
    const { deleteUnanswered } = await import("./dialogs.js");
    if (!(await deleteUnanswered(isOpen)) || this.id || this.running) return;
    for (const turn of [...turns.waiting]) turns.remove(turn);
    this.discard();
  }

  /** Moves an unsent message to a new conversation after another device deleted this one. */
  abandon(text) {
    keepDraft(this.id, text);
    moveDraft(this.id, NEW);
    threads.delete(this.id);
    takeOut(this.id);
    go("#/");
  }

  // --- Scrolling ---

  /** Scrolls to the newest turn if the reader follows it or `surely` is true. */
  toEnd(surely = false) {
    if (!this.element.isConnected || shown !== this) return;
    follower.toEnd(surely);
    this.moved();
  }

  /** Stops following the end. */
  stay() {
    follower.follows = false;
  }

  moved() {
    this.down.hidden = follower.isAtEnd();
  }
}

// --- A new conversation ---

/** Suggested questions for a new conversation. */
const IDEAS = [
  "Explain compound interest with an example",
  "Write a polite reminder for an unpaid invoice",
  "Compare a bicycle and a bus for an 8 km commute, as a table",
];

/** A list of suggested questions. `choose` gets the question that is pressed. */
function ideas(choose) {
  const idea = (text) => {
    const props = { type: "button", class: "idea", onclick: () => choose(text) };
    return h("li", {}, h("button", props, text));
  };
  const list = h("ul", { class: "ideas", "aria-label": "Ideas to begin with" }, IDEAS.map(idea));
  return h("div", { class: "hello" }, list);
}
