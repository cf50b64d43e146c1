// A conversation: what was said, what is being said, and the box for what comes next.
//
// A message is a turn with an idempotency key of its own from the moment it is sent until its answer is here. Whatever breaks in between,
// it is asked again under that key, so that it is answered and charged once. Unfinished turns are kept with the drafts for a reload.

import { announce } from "./announce.js";
import { del, newKey, page, problemOf, stream, ApiError } from "./api.js";
import { chatPrice, learn, learnPrice, lowBalance, readBalance, watchBalance } from "./balance.js";
import { button, copyButton, linkButton } from "./button.js";
import { confirm } from "./dialog.js";
import { fill, h } from "./dom.js";
import { keepDraft, readDraft } from "./drafts.js";
import { explain, formatNumber, formatTokens, time } from "./format.js";
import { icon } from "./icons.js";
import { showMarkdown } from "./markdown.js";
import { menuButton } from "./menu.js";
import { attempt, toast } from "./message.js";
import { note } from "./note.js";
import { go } from "./router.js";
import {
  conversationChoices,
  named,
  onRenamed,
  putOnTop,
  readConversation,
  takeOut,
} from "./sidebar.js";

/** How many chats come at a time. */
const PAGE = 20;

/** How long an idempotency key is remembered, less an hour. */
const KEY_LIFE = 23 * 3600 * 1000;

/** Failures after which the message goes back to its box: it was not begun, and not as it is would it be. */
const BACK_TO_BOX = new Set([400, 401, 402, 403, 404, 413]);

/** Conversations that are open or being answered, by their id, or by a name of their own while they have none. */
const threads = new Map();

/** The id of the newest chat that this page knows of: ids sort by time. */
let newest = "";

/** Takes note of a chat that was seen. */
export function sawChat({ id }) {
  if (id > newest) newest = id;
}

/** Forgets all conversations, and stops reading their answers. */
export function forgetThreads() {
  for (const thread of threads.values()) thread.turns.forEach((turn) => turn.leave());
  threads.clear();
  shown = null;
  newest = "";
}

// --- Views ---------------------------------------------------------------------------------------------------------------------------

/** `#/`: a conversation that begins with the next message. */
export function newThread() {
  const thread = new Thread(null);
  return thread.view("New chat");
}

/** `#/c/<id>`: a conversation that stands. */
export async function oldThread({ params: { id }, signal }) {
  let thread = threads.get(id);
  if (!thread) {
    if (id.startsWith("new-")) {
      // It was never answered, and another tab's: nothing is here.
      go("#/", { replace: true });
      return newThread();
    }
    thread = new Thread(id);
    await thread.load(signal);
    threads.set(id, thread);
  } else if (thread.id && !thread.running) await thread.refresh(signal);
  return thread.view(named(thread.conversation));
}

/** Puts what was begun before a reload into the sidebar. */
export function restoreThreads() {
  for (const kept of unfinished().filter(({ conversation }) => !conversation)) {
    const thread = new Thread(null);
    thread.restore(kept);
    thread.wait(kept.message);
  }
}

/** The one that is shown. */
let shown = null;

watchBalance(() => shown?.composer.priced());

onRenamed((conversation) => {
  const thread = threads.get(conversation.id);
  if (!thread) return;
  thread.conversation = { ...thread.conversation, ...conversation };
  thread.nameIt();
  if (thread === shown) document.title = `${named(conversation)} · Farebox`;
});

// --- What is unfinished --------------------------------------------------------------------------------------------------------------

function unfinished() {
  return (readDraft("unfinished") ?? []).filter(({ sent }) => Date.now() - sent < KEY_LIFE);
}

function keepUnfinished(turn) {
  const { key, message, sent, after } = turn;
  keepDraft("unfinished", [...unfinished().filter((other) => other.key !== key), { key, message, sent, after, conversation: turn.thread.id }]);
}

function dropUnfinished({ key }) {
  const rest = unfinished().filter((other) => other.key !== key);
  keepDraft("unfinished", rest.length === 0 ? null : rest);
}

// --- A conversation --------------------------------------------------------------------------------------------------------------------

let names = 0;

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
    this.list = h("ol", { class: "turns", "aria-label": "Chats" });
    this.composer = new Composer(this);
    this.hello = id ? null : hello((text) => this.composer.put(text));
    this.down = button(null, { icon: "down", label: "To the newest", class: "button button-secondary button-icon to-newest", hidden: true, onclick: () => this.toEnd(true) });
    this.element = h("div", { class: "thread" },
      h("header", { class: "thread-head" }, this.heading, this.menu),
      this.hello, this.earlier, this.list,
      h("div", { class: "thread-foot" }, this.down, this.composer.element));
    this.nameIt();
  }

  get running() {
    return this.turns.find((turn) => turn.controller) ?? null;
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
    this.heading.textContent = this.id || this.name ? named(this.conversation) : "What would you like to know?";
    this.heading.className = this.id || this.name ? "thread-title clip" : "hello-title";
    const choices = this.id ? conversationChoices(this.conversation) : [];
    fill(this.menu, choices.length > 0 && menuButton("More about this conversation", choices));
  }

  /** Reads the conversation and the end of what was said in it. */
  async load(signal) {
    const [conversation, chats] = await Promise.all([readConversation(this.id, { signal }), this.chats(null, signal)]);
    this.conversation = conversation;
    this.nameIt();
    this.show(chats);
    for (const kept of unfinished().filter((kept) => kept.conversation === this.id)) {
      if (chats.items.some((chat) => answers(chat, kept))) dropUnfinished(kept);
      else this.restore(kept);
    }
  }

  /** Reads the end once more: another device may have gone on. */
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
    return page(next ?? "api/chat/", next ? undefined : { conversation_id: this.id, limit: PAGE }, { signal });
  }

  show({ items, next }) {
    items.forEach(sawChat);
    for (const chat of [...items].reverse()) this.add(Turn.of(this, chat));
    this.laterThan(next);
  }

  /** Where there are earlier chats than those that are shown, the way to them. */
  laterThan(next) {
    this.next = next;
    const more = button("Show earlier chats", { small: true, onclick: () => attempt(() => this.showEarlier(more)) });
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
      this.laterThan(next);
      // What was being read stays where it is.
      main().scrollTop += main().scrollHeight - before;
      earlier.at(-1)?.element.focus({ preventScroll: true });
      announce(`${earlier.length} earlier chats`);
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

  /** Shows a turn that a reload has interrupted. */
  restore(kept) {
    const turn = new Turn(this, kept);
    this.add(turn);
    turn.failed(note("warn", h("p", {}, "This page was left before the whole answer had come."), h("p", {}, ONCE)));
  }

  /** Has a place of its own in the list while its first answer is awaited. */
  wait(title) {
    this.name ??= `new-${(names += 1)}`;
    this.conversation = { id: this.name, title: [...title.trim().split("\n")[0]].slice(0, 60).join(""), waiting: true };
    threads.set(this.name, this);
    putOnTop(this.conversation);
    this.nameIt();
  }

  /** The conversation has begun, and has an id. */
  async begun(id) {
    this.id = id;
    threads.delete(this.name);
    threads.set(id, this);
    const shown = location.hash === `#/c/${this.name}`;
    this.conversation = await readConversation(id).catch(() => ({ id, title: this.conversation.title }));
    putOnTop(this.conversation, this.name);
    if (shown && location.hash === `#/c/${this.name}`) {
      // The same place under its lasting address: nothing is shown anew.
      window.history.replaceState(null, "", `#/c/${id}`);
      putOnTop(this.conversation);
      document.title = `${named(this.conversation)} · Farebox`;
    }
    this.nameIt();
  }

  /** Sends a message; it is here from now on, with its answer below. */
  async say(message) {
    if (!this.id && this.turns.length > 0) {
      // Only the answer to the first message says which conversation this is.
      await this.turns[0].ask();
      if (!this.id) return false;
    }
    const turn = new Turn(this, { key: newKey(), message, sent: Date.now(), after: newest });
    this.add(turn);
    if (!this.id && !this.name) {
      this.wait(message);
      window.history.replaceState(null, "", `#/c/${this.name}`);
      document.title = `${named(this.conversation)} · Farebox`;
      putOnTop(this.conversation);
    }
    this.toEnd(true);
    turn.ask();
    return true;
  }

  atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = main();
    return scrollHeight - scrollTop - clientHeight < 80;
  }

  /** Goes down to the newest, where somebody is there already or wants to. */
  toEnd(surely = false) {
    if (!this.element.isConnected) return;
    if (surely || this.follows) main().scrollTop = main().scrollHeight;
    this.down.hidden = this.atEnd();
  }
}

const main = () => document.getElementById("main");

/** Whether a chat is what became of an unfinished turn: it says the same, and came after whatever was known when that was sent. */
function answers(chat, { message, after }) {
  return chat.message === message && chat.id > after;
}

const ONCE = "You can safely ask again: it is answered once and charged once.";

// --- A message and its answer ----------------------------------------------------------------------------------------------------------

class Turn {
  constructor(thread, { key = null, message, sent, after = "" }) {
    Object.assign(this, { thread, key, message, sent, after, chat: null, heard: "", controller: null });
    this.text = h("div", { class: "prose", dir: "auto" });
    this.state = h("div", { class: "turn-state" });
    this.foot = h("div", { class: "turn-foot" });
    this.answer = h("div", { class: "answer" }, h("span", { class: "sr-only" }, "Answer:"), this.text, this.state, this.foot);
    this.element = h("li", { class: "turn", tabIndex: -1 }, h("div", { class: "said" }, h("h2", { class: "sr-only" }, "You said"), h("p", { dir: "auto" }, message)), this.answer);
  }

  /** A turn that is over, as a list shows it. */
  static of(thread, chat) {
    const turn = new Turn(thread, { message: chat.message });
    turn.finish(chat);
    return turn;
  }

  /** Asks the AI, the first time or again, and shows the answer as it comes. */
  async ask() {
    if (this.controller) return;
    const { thread } = this;
    this.controller = new AbortController();
    this.heard = "";
    this.painted = 0;
    keepUnfinished(this);
    thread.composer.update();
    this.answer.setAttribute("aria-busy", "true");
    fill(this.state, thinking("The AI is asked"));
    fill(this.foot);
    showMarkdown(this.text, "");
    announce("Sent. The answer is on its way.");
    try {
      const chat = await this.listen();
      this.controller = null;
      dropUnfinished(this);
      this.finish(chat);
      await this.arrived(chat);
    } catch (error) {
      this.controller = null;
      if (!this.left) await this.broke(error);
    } finally {
      this.answer.removeAttribute("aria-busy");
      thread.composer.update();
      thread.toEnd();
    }
  }

  /** Listens until the answer is there. Where this very message is being answered already, it waits for that. */
  async listen() {
    const { key, message, thread, controller } = this;
    const body = { message, conversation_id: thread.id ?? undefined };
    for (let tries = 0; ; tries += 1) {
      try {
        for await (const { event, data, replayed } of stream("api/chat/stream/", body, { key, signal: controller.signal })) {
          if (event === "delta") this.hear(data.text);
          if (event === "done") return { ...data, replayed };
          if (event === "error") throw problemOf(data);
        }
        throw new ApiError({ code: "interrupted", detail: "The connection broke before everything had come." });
      } catch (error) {
        if (error.code !== "idempotency_key_running" || tries === 20) throw error;
        fill(this.state, thinking("The answer is being finished"));
        await pause((error.retryAfter ?? 2) * 1000, controller.signal);
      }
    }
  }

  hear(text) {
    this.heard += text;
    this.thread.follows = this.thread.atEnd();
    if (this.heard.length === text.length) fill(this.state, thinking("The answer is being written", true));
    // A long answer is put together anew a few times a second, not for every word.
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      if (!this.controller) return;
      this.thread.follows = this.thread.atEnd();
      showMarkdown(this.text, this.heard);
      this.thread.toEnd();
    }, 50);
  }

  stop() {
    this.controller?.abort();
  }

  /** Whoever asked is not here any more. It stays unfinished until they are back. */
  leave() {
    this.left = true;
    this.stop();
  }

  /** The answer is all here. */
  finish(chat) {
    this.chat = chat;
    this.thread.follows = this.thread.element.isConnected && this.thread.atEnd();
    showMarkdown(this.text, chat.response);
    fill(this.state);
    const about = [chat.model, formatTokens(chat.tokens_deducted)].filter(Boolean).join(" · ");
    fill(this.foot, copyButton(() => chat.response, { class: "button button-quiet button-small copy", "aria-label": "Copy the answer" }),
      menuButton("More about this chat", [{ text: "Delete this chat", icon: "trash", danger: true, run: () => this.delete() }]),
      h("span", { class: "turn-about" }, about, " · ", time(chat.timestamp)));
    this.thread.toEnd();
  }

  /** What else follows from an answer that has just come. */
  async arrived(chat) {
    const { thread } = this;
    sawChat(chat);
    announce(`Answer: ${this.text.textContent.slice(0, 2000)}`);
    learn({ tokens_deducted: chat.tokens_deducted, tokens_left: chat.replayed ? undefined : chat.tokens_left });
    // A repeated answer says what was left when it was first given.
    if (chat.replayed) readBalance();
    if (!thread.id && chat.conversation_id) await thread.begun(chat.conversation_id);
    else putOnTop(thread.conversation);
    if (!thread.element.isConnected) {
      toast(`“${named(thread.conversation)}” is answered.`, { action: { text: "Show", run: () => go(`#/c/${thread.id}`) } });
    }
  }

  /** It was stopped, or broke. What was heard stays. */
  async broke(error) {
    if (error.name === "AbortError") {
      this.stopped();
      return;
    }
    learnPrice(error.message);
    const { thread } = this;
    if (BACK_TO_BOX.has(error.status) && thread.composer.box.value.trim() === "") {
      this.giveBack(error);
      return;
    }
    if (["idempotency_key_reused", "chat_deleted"].includes(error.code)) {
      dropUnfinished(this);
      this.key = newKey();
    }
    this.failed(note("bad", h("p", {}, this.heard ? `The answer broke off. ${explain(error)}` : explain(error)), isUnknown(error) && h("p", {}, ONCE)), error.retryAfter ?? 0);
    readBalance();
  }

  /** The message is in its box again, with what is to be said about it. */
  giveBack(error) {
    const { thread } = this;
    thread.remove(this);
    thread.composer.put(this.message);
    thread.composer.refuse(error);
    if (!thread.id && thread.turns.length === 0) {
      takeOut(thread.name);
      if (location.hash === `#/c/${thread.name}`) window.history.replaceState(null, "", "#/");
      threads.delete(thread.name);
      thread.name = null;
      thread.nameIt();
    }
    readBalance();
  }

  stopped() {
    showMarkdown(this.text, this.heard);
    const price = chatPrice();
    this.failed(note("info",
      h("p", {}, "You stopped here. The answer is finished all the same, and charged once", price ? ` (${formatTokens(price)})` : "", ".")), 0, "Show the whole answer");
    announce("Stopped.");
    setTimeout(readBalance, 1500);
  }

  /** Says what is the matter, and offers to ask again. */
  failed(told, seconds = 0, text = "Ask again") {
    const again = button(text, { kind: "primary", icon: "repeat", small: true, onclick: () => again.getAttribute("aria-disabled") || this.ask() });
    const edit = button("Back to the box", { icon: "pencil", small: true, onclick: () => this.takeBack() });
    told.querySelector(".note-body").append(h("div", { class: "note-actions" }, again, edit));
    fill(this.state, told);
    countDown(again, text, seconds);
    this.thread.toEnd();
  }

  takeBack() {
    const { thread } = this;
    thread.remove(this);
    thread.composer.put(thread.composer.box.value.trim() === "" ? this.message : `${this.message}\n\n${thread.composer.box.value}`);
    if (!thread.id && thread.turns.length === 0) {
      takeOut(thread.name);
      threads.delete(thread.name);
      go("#/", { replace: true });
      keepDraft("new", this.message);
    }
  }

  async delete() {
    const deleted = await confirm("Delete this chat?", "Your message and its answer are deleted for good. What they cost stays in your statement.", {
      action: "Delete",
      danger: true,
      run: () => del(`api/chat/${this.chat.id}/`).catch((error) => {
        if (error.status !== 404) throw error;
      }),
    });
    if (!deleted) return;
    this.thread.remove(this);
    toast("The chat is deleted.");
    this.thread.composer.box.focus();
  }
}

/** Whether what was asked for may have happened all the same. */
function isUnknown(error) {
  return error.status === 0 || error.code === "unavailable" || error.code?.startsWith("http_5");
}

function thinking(text, quiet = false) {
  return h("p", { class: "thinking" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i", {}), h("i", {}), h("i", {})), h("span", { class: quiet ? "sr-only" : "" }, text));
}

function countDown(element, text, seconds) {
  const words = element.querySelector("span");
  const ends = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((ends - Date.now()) / 1000);
    words.textContent = left > 0 ? `${text} in ${left} s` : text;
    if (left > 0) {
      element.setAttribute("aria-disabled", "true");
      setTimeout(tick, 250);
    } else element.removeAttribute("aria-disabled");
  };
  tick();
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    });
  });
}

// --- The box -----------------------------------------------------------------------------------------------------------------------------

class Composer {
  constructor(thread) {
    this.thread = thread;
    this.notice = h("div", { class: "composer-notice" });
    this.low = h("div", { class: "composer-notice" });
    this.box = h("textarea", { id: "message", class: "composer-box", rows: 1, placeholder: "Ask something", "aria-label": "Your message", "aria-describedby": "composer-hint", autocomplete: "off" });
    this.go = h("button", { type: "submit", class: "button button-primary button-icon composer-go" });
    this.hint = h("p", { class: "composer-hint", id: "composer-hint" });
    this.form = h("form", { class: "composer-form", noValidate: true }, this.box, this.go);
    this.element = h("div", { class: "composer" }, this.low, this.notice, this.form, this.hint);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.box.addEventListener("input", () => this.changed());
    this.box.addEventListener("keydown", (event) => {
      // The Enter that ends the writing of a Chinese or Japanese word sends nothing.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.thread.running) this.submit();
    });
    this.update();
  }

  /** Under which name what is being written is kept. */
  get draft() {
    return this.thread.id ?? "new";
  }

  /** It is on the page: what was begun here goes on. */
  shown() {
    if (this.box.value === "") this.put(readDraft(this.draft) ?? "", false);
    this.grow();
  }

  put(text, focus = true) {
    this.box.value = text;
    this.changed(false);
    if (focus && this.box.isConnected) this.box.focus();
  }

  changed(clear = true) {
    keepDraft(this.draft, this.box.value);
    if (clear) fill(this.notice);
    this.box.removeAttribute("aria-invalid");
    this.grow();
  }

  grow() {
    this.box.style.height = "auto";
    this.box.style.height = `${Math.min(this.box.scrollHeight + 2, innerHeight * 0.4)}px`;
  }

  submit() {
    const { running } = this.thread;
    if (running) {
      running.stop();
      return;
    }
    const message = this.box.value.toWellFormed?.() ?? this.box.value;
    if (message.trim() === "") {
      this.box.focus();
      return;
    }
    keepDraft(this.draft, null);
    this.box.value = "";
    this.changed();
    this.thread.say(message).then((said) => said || this.put(message));
    this.box.focus();
  }

  /** Says why the message in the box was not taken. */
  refuse(error) {
    const { thread } = this;
    const actions = [];
    if (error.status === 404 && thread.id) {
      const anew = () => {
        keepDraft("new", this.box.value);
        keepDraft(this.draft, null);
        threads.delete(thread.id);
        takeOut(thread.id);
        go("#/");
      };
      actions.push(button("Ask in a new chat", { small: true, kind: "primary", onclick: anew }));
    }
    if (error.status === 402) actions.push(linkButton("See your statement", "#/statement", { small: true, icon: "receipt" }));
    const text = error.errors?.message?.join(" ") ?? explain(error);
    const told = error.status === 402
      ? [h("p", {}, h("strong", {}, "You have too few tokens for this. "), text), h("p", {}, "Your message is kept in the box. Whoever runs this site can give you more tokens.")]
      : [h("p", {}, text)];
    const shown = note(error.status === 402 ? "warn" : "bad", told, actions.length > 0 && h("div", { class: "note-actions" }, actions));
    shown.setAttribute("role", "alert");
    fill(this.notice, shown);
    if (error.errors?.message) this.box.setAttribute("aria-invalid", "true");
    this.priced();
  }

  /** What a chat costs, and how many are left, where that is few. */
  priced() {
    const price = chatPrice();
    fill(this.hint, h("span", { class: "keys" }, h("kbd", {}, "Enter"), " sends, ", h("kbd", {}, "Shift"), "+", h("kbd", {}, "Enter"), " begins a new line"),
      h("span", {}, price ? `An answer costs ${formatNumber(price)} tokens` : "Only answers cost tokens"));
    const low = lowBalance();
    fill(this.low, low && !this.notice.hasChildNodes() && note("warn", h("p", {}, low)));
  }

  update() {
    const { running } = this.thread;
    const label = running ? "Stop" : "Send";
    this.go.setAttribute("aria-label", label);
    this.go.title = label;
    this.go.classList.toggle("composer-stop", Boolean(running));
    fill(this.go, icon(running ? "stop" : "send"));
    this.priced();
  }
}

const IDEAS = [
  "Explain compound interest with an example",
  "Write a polite reminder for an unpaid invoice",
  "Compare a bicycle and a bus for a daily way of 8 km, as a table",
];

function hello(choose) {
  return h("div", { class: "hello" },
    h("ul", { class: "ideas", "aria-label": "Ideas to begin with" }, IDEAS.map((idea) => h("li", {}, h("button", { type: "button", class: "idea", onclick: () => choose(idea) }, idea)))));
}
