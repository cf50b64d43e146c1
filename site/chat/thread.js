// The conversations that this page has opened. Each one has a view with its turns and the box for
// the next message.

import { ApiError, isSignedIn, newKey, page, post } from "../session/api.js";
import {
  canShare,
  chosenModel,
  continueWith,
  hasTitles,
  modelFor,
  renewModels,
} from "../session/models.js";
import { onTold } from "../session/tabs.js";
import { readBalance, watchBalance } from "../session/user.js";
import { showTitle } from "../ui/brand.js";
import { button, linkButton } from "../ui/button.js";
import { h } from "../ui/dom.js";
import { lazy } from "../ui/lazy.js";
import { menuButton } from "../ui/menu.js";
import { attempt, toast } from "../ui/message.js";
import { go } from "../ui/router.js";
import { isTouch } from "./box.js";
import { START } from "./branches.js";
import { Composer } from "./composer.js";
import { NEW, filesOf, isForTemporary, moveDraft, readDraft } from "./drafts.js";
import { offerOf } from "./offer.js";
import {
  conversationChoices,
  folders,
  isTemporary,
  named,
  onChanged,
  putOnTop,
  readConversation,
  relist,
  retitle,
  takeOut,
  titleOf,
} from "./sidebar.js";
import { Turns, turning } from "./turns.js";
import {
  answers,
  dropUnfinished,
  forgetChats,
  newestChat,
  onLeaving,
  onReturn,
  unfinished,
} from "./unfinished.js";

/** The space above a message that was looked for, in pixels. */
const SPACE = 16;

/** How many messages are read to find the answers to messages sent before a reload. */
const PAGE = 20;

/** The line below a title, and the switch of temporary chats. */
const about = lazy(() => import("./about.js"));

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

/** `#/?folder=<id>`: a new conversation, which begins in the folder with the next message. */
export function newThread({ query }) {
  const temporary = isForTemporary(NEW);
  // No folder contains temporary conversations.
  const thread = new Thread(null, temporary ? null : query?.folder);
  thread.temporary = temporary;
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
  } else if (thread.id && !thread.running) {
    await thread.turns.refresh(signal);
    thread.recount();
  }
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
    thread.temporary ||= Boolean(kept.temporary);
    if (!thread.name) thread.wait(kept);
    thread.restore(kept);
  }
  if (begun.size === 0) return;
  const { items } = await page("api/chat/", { limit: PAGE }).catch(() => ({ items: [] }));
  // The history contains no temporary conversations. A message in it with the same text is another.
  for (const thread of begun.values()) thread.turns.resume(thread.temporary ? [] : items);
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
onReturn(() => {
  if (!isSignedIn()) return;
  renewModels();
  // An administrator or a payment may have changed the balance.
  readBalance();
});
watchBalance(() => shown?.priced());

for (const how of ["dragover", "drop"])
  addEventListener(how, (event) => {
    if (shown?.element.isConnected) shown.composer.take(event, event.dataTransfer);
  });

onTold("chats", (id) => {
  threads
    .get(id)
    ?.renew()
    .catch(() => {});
});

addEventListener("folders", () => {
  shown?.nameIt();
  shown?.priced();
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
  constructor(id, folder = null) {
    this.id = id;
    this.name = null;
    /** The key of the conversation's first message while the conversation has no id. */
    this.first = null;
    /** The name of the model that was chosen when the conversation was last shown, or null. */
    this.model = null;
    /** True if the conversation is temporary, or will be when the first message begins it. */
    this.temporary = false;
    this.conversation = { id, title: null, folder_id: folder };
    this.turns = new Turns(this);
    this.heading = h("h1", { class: "thread-title", dir: "auto" });
    this.about = h("p", { class: "thread-about", hidden: true });
    /** The switch that makes a conversation temporary, before it begins. */
    this.choice = h("div", { class: "temporary-choice" });
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
    const titles = h("div", { class: "thread-titles" }, this.heading, this.about);
    this.head = h("header", { class: "thread-head" }, titles, this.menu);
    const foot = h("div", { class: "thread-foot" }, this.down, this.composer.element);
    const { earlier, list } = this.turns;
    const begin = [this.choice, this.hello];
    this.element = h("div", { class: "thread" }, this.head, begin, earlier, list, foot);
    this.nameIt();
    turning.read();
  }

  /** The turn whose answer is being read. */
  get running() {
    return this.turns.running;
  }

  /** The running turn, or null while it is being stopped: then the next message can be sent. */
  get stoppable() {
    return this.running?.stopping ? null : this.running;
  }

  /** The model for the next message, even if another conversation is shown. */
  get chosen() {
    return shown === this ? chosenModel() : modelFor(this.model ?? this.turns.model);
  }

  /** The files in the conversation, which the AI gets with each message. */
  get files() {
    return this.conversation.files ?? [];
  }

  /** Shows the files in the conversation. */
  hasFiles(files) {
    this.conversation = { ...this.conversation, files };
    this.priced();
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
        const isOther = shown !== this;
        if (shown && isOther) shown.model = chosenModel()?.name ?? null;
        shown = this;
        if (isOther) continueWith(this.model ?? this.turns.model);
        follower ??= new Follower(main(), () => shown?.moved());
        this.composer.shown();
        this.nameIt();
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
    main().scrollTop += above - SPACE;
    this.moved();
  }

  nameIt() {
    const isNamed = Boolean(this.id || this.name);
    this.heading.textContent = isNamed ? named(this.conversation) : "What would you like to know?";
    this.heading.className = isNamed ? "thread-title clip" : "hello-title";
    this.menu.hidden = !isNamed || conversationChoices(this.conversation).length === 0;
    folders()?.label(this);
    this.choice.hidden = isNamed || Boolean(this.conversation.folder_id);
    about.read().then((module) => module?.show(this));
  }

  /** The address of a new conversation in the folder of this one. */
  get fresh() {
    const { folder_id: id } = this.conversation;
    return folders()?.folder(id) ? `#/?folder=${id}` : "#/";
  }

  /** Notices that this conversation, or the folder in which it should begin, was deleted. */
  missed() {
    if (this.id) takeOut(this.id);
    else this.conversation.folder_id = null;
    this.nameIt();
  }

  titlePage() {
    showTitle(named(this.conversation));
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
      canShare() && !isTemporary(this.conversation) && leaves("Share", "users", "share"),
      leaves("Copy as Markdown", "copy", "copy"),
      leaves("Download as Markdown", "download", "saveMarkdown"),
      leaves("Download as JSON", "download", "saveJson"),
      leaves("Print", "print", "print"),
    );
  }

  // --- Turns ---

  /** Reads the conversation and its newest turns. */
  async load(signal) {
    import("../markdown/prose.js").then(({ readMarkdown }) => readMarkdown()).catch(() => {});
    const reading = readConversation(this.id, { signal });
    const [conversation, chats] = await Promise.all([reading, this.turns.load(signal)]);
    this.conversation = conversation;
    this.temporary = isTemporary(conversation);
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
    await Promise.all([this.turns.refresh(), this.recount()]);
  }

  /** Reads what the conversation has been charged, and the files in it. */
  async recount() {
    const read = this.id && (await readConversation(this.id).catch(() => null));
    if (!read) return;
    // The API omits an empty list of files.
    this.conversation = { ...this.conversation, files: [], ...read };
    this.nameIt();
    this.priced();
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
    const parts = readDraft(filesOf(kept.key)) ?? [];
    const turn = new turning.module.Turn(this, { offer: null, ...kept, parts });
    this.turns.add(turn);
    turn.interrupted();
  }

  /** Shows the answer to a turn if the API has stored it. */
  async readAnswerOf(turn) {
    const { items } = await page("api/chat/", { conversation_id: this.id, limit: PAGE });
    const chat = items.find((chat) => answers(chat, turn));
    if (chat) await turn.found(chat);
  }

  // --- The next message ---

  /**
   * Returns the offer for a message with the files `parts` after `parent`, by default after the last
   * message that is shown.
   */
  offer(message, { parent = this.turns.shown.at(-1) ?? START, model, parts = [] } = {}) {
    const before = (count) => this.turns.leading(parent, count);
    const files = [...this.files, ...parts];
    const { instructions, folder_id: id } = this.conversation;
    const all = [instructions, folders()?.folder(id)?.instructions];
    return offerOf(message, { before, model: model ?? this.chosen, files, instructions: all });
  }

  /** Shows the prices of the next messages. */
  priced() {
    this.composer.priced();
    this.turns.shown.at(-1)?.priced();
  }

  /** Makes a turn for a message that is sent now. */
  turnFor(message, { offer, ...more }) {
    return new turning.module.Turn(this, {
      key: newKey(),
      message,
      sent: Date.now(),
      after: newestChat(),
      offer: offer ?? this.offer(message, { parent: more.follows || undefined, parts: more.parts }),
      ...more,
    });
  }

  /** Sends a message, with files, that follows the last shown message, and shows it. */
  send(message, parts = []) {
    const follows = this.id ? this.turns.shown.at(-1)?.chat?.id : undefined;
    const turn = this.turnFor(message, { parts, follows });
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
  wait({ key, first = key, message, folder = this.conversation.folder_id }) {
    this.first = first;
    this.name = `new-${first.slice(0, 8)}`;
    const remove = () => attempt(async () => (await import("./dialogs.js")).removeUnanswered(this));
    const { temporary } = this;
    this.conversation = {
      id: this.name,
      title: titleOf(message),
      folder_id: folder,
      waiting: true,
      remove,
      temporary,
    };
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
    // The API has the message already, or will refuse to begin another answer.
    if (turn.to) return;
    const before = turns.waiting.find((one) => one === turn || (one.controller && one.stopping));
    if (before !== turn) {
      turn.wait();
      await before.ask();
    }
    // The conversation gets its id with its first answer. A message that was refused, or stopped
    // before its answer began, brings no id. Only the user sends such a message again, unless a
    // later message may begin the conversation.
    const sent = turns.waiting.find((one) => one.to && one !== turn);
    const first = sent ?? turns.waiting.find((one) => one === turn || !one.failed);
    if (this.id || turn === first) return;
    turn.wait();
    await (first.asking ?? first.ask(first.stopped));
    if (this.id) return;
    const isOver = first.failed || !turns.waiting.includes(first);
    if (isOver && (first === sent || first.stopped)) return this.ready(turn);
    const detail = "Not sent: another message has no answer yet.";
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
    const { title, folder_id, files } = this.conversation;
    this.conversation = { id, title, folder_id, files, temporary: this.temporary };
    putOnTop(this.conversation, this.name);
    this.nameIt();
    const read = await readConversation(id).catch(() => null);
    if (!read) return;
    this.conversation = read;
    putOnTop(read);
    if (location.hash === `#/c/${id}`) this.titlePage();
    this.nameIt();
    if (hasTitles() && !this.temporary) this.entitle().catch(() => {});
  }

  /** Lets a model write the title. If it fails, the title from the first message stays. */
  async entitle() {
    const titled = await post(`api/conversations/${this.id}/title/`);
    if (titled.title !== this.conversation.title) retitle(titled);
  }

  // --- Endings ---

  /** Makes this a new conversation again after its only message was refused. */
  reset() {
    takeOut(this.name);
    threads.delete(this.name);
    // The box also gets the text that was written in another new chat.
    const isKept = moveDraft(this.name, NEW);
    this.temporary ||= isForTemporary(NEW);
    if (this.temporary) this.conversation.folder_id = null;
    if (location.hash === `#/c/${this.name}`) window.history.replaceState(null, "", this.fresh);
    if (isKept) {
      this.name = null;
      this.composer.put(readDraft(NEW), false);
      this.composer.keep(readDraft(filesOf(NEW)) ?? []);
    }
    this.name = null;
    this.conversation = { id: null, title: null, folder_id: this.conversation.folder_id };
    this.nameIt();
  }

  /**
   * Moves what isn't sent to a new conversation, and shows that. The only message of this one was
   * taken back or deleted, or another device has deleted the conversation.
   */
  discard() {
    const name = this.id ?? this.name;
    const wasShown = location.hash.split("?")[0] === `#/c/${name}`;
    takeOut(name);
    threads.delete(name);
    moveDraft(name, NEW);
    if (wasShown) go(this.fresh, { replace: true });
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

// --- The end of a growing text ---

/** The distance from the end, in pixels, within which scrolling down follows the text again. */
const NEAR = 80;

/**
 * How long after a gesture away from the end a scroll doesn't count as a return, in milliseconds.
 */
const GESTURE = 150;

const UP = new Set(["ArrowUp", "PageUp", "Home"]);

/** Follows the end of the scrolling element `box`. `moved` runs after each scroll. */
class Follower {
  constructor(box, moved) {
    Object.assign(this, { box, follows: true, top: box.scrollTop, left: -GESTURE });
    let finger = 0;
    const on = (name, act) => box.addEventListener(name, act, { passive: true });
    on("wheel", ({ deltaY }) => deltaY < 0 && this.leave());
    on("touchstart", ({ touches }) => (finger = touches[0].clientY));
    on("touchmove", ({ touches }) => {
      if (touches[0].clientY > finger) this.leave();
      finger = touches[0].clientY;
    });
    on("keydown", ({ key, shiftKey, target }) => {
      const isTyping = target.matches("input, textarea, select");
      if (!isTyping && (UP.has(key) || (key === " " && shiftKey))) this.leave();
    });
    on("scroll", () => {
      const { scrollTop } = box;
      const isRecent = performance.now() - this.left < GESTURE;
      // Text that shrinks also moves the box up, but not away from the end.
      if (scrollTop < this.top && !this.isAtEnd(2)) this.follows = false;
      else if (scrollTop > this.top && !isRecent && this.isAtEnd()) this.follows = true;
      this.top = scrollTop;
      moved();
    });
  }

  /** Called when the reader scrolls towards the beginning. */
  leave() {
    if (this.box.scrollTop <= 0) return;
    this.follows = false;
    this.left = performance.now();
  }

  isAtEnd(within = NEAR) {
    const { scrollHeight, scrollTop, clientHeight } = this.box;
    return scrollHeight - scrollTop - clientHeight < within;
  }

  /** Scrolls to the end if the reader follows the text or `surely` is true. */
  toEnd(surely = false) {
    if (surely) this.follows = true;
    if (this.follows) this.box.scrollTop = this.box.scrollHeight;
    this.top = this.box.scrollTop;
  }
}
