// A turn of a conversation: a message and its answer, from the request to the last word.
//
// A turn keeps its idempotency key until the answer has arrived. After a failure the request is
// repeated with this key, so the message is answered and charged only once.

import { answerOf, readMarkdown, showAnswer, spokenText } from "../markdown/prose.js";
import { ApiError, get, interrupted, newKey, problemOf, stream } from "../session/api.js";
import { noticePrices, readModels } from "../session/models.js";
import { tellTabs } from "../session/tabs.js";
import { learn, learnPrice, readBalance, tooFew } from "../session/user.js";
import { learnUsage } from "../session/usual.js";
import { announce } from "../ui/announce.js";
import { button, copyButton } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { explain, formatTokens } from "../ui/format.js";
import { lazy } from "../ui/lazy.js";
import { menuButton } from "../ui/menu.js";
import { attempt, toast } from "../ui/message.js";
import { note } from "../ui/note.js";
import { go } from "../ui/router.js";
import { newAnswerCosts, priceInWords, timesWith, weights } from "./offer.js";
import { charged } from "./receipt.js";
import { named, putOnTop } from "./sidebar.js";
import { dropUnfinished, keepUnfinished, mayBeRunning, sawChat } from "./unfinished.js";

/**
 * After these statuses, a message returns to the box, because the API didn't begin to answer and
 * would refuse the message again.
 */
const BACK_TO_BOX = new Set([400, 401, 402, 403, 404, 413]);

/**
 * The maximum number of retries, one every five seconds, while the API still answers an earlier
 * request with the same key. Together the retries take longer than the API holds the tokens for a
 * lost answer. After the first few retries, the page says that the answer takes longer.
 */
const MOST_TRIES = 40;
const FEW_TRIES = 2;

/**
 * The first and the longest pause before a check whether the API can be reached again, in
 * milliseconds. Each pause is twice as long as the one before.
 */
const FIRST_CHECK = 2000;
const LONGEST_PAUSE = 60_000;

/**
 * The minimum time between two drawings of a growing answer: in milliseconds, and as a multiple of
 * the time that the last drawing took.
 */
const PACE = 50;
const REST = 10;

const ONCE = "You can safely retry: the message is only charged once.";
const RETURNS =
  "This page asks for the answer again when the server can be reached. The message is only charged once.";

const STILL = "The server is still finishing this message. You won't be charged twice.";
const APPEARS = "The answer will appear here. You can leave this page and come back.";

const NEVER_BEGAN = "You stopped the message before its answer began. Nothing was charged.";

const LOST_FILES =
  "This message had files that this page doesn't have any more. Add them again, and send it again.";

/** The notes on incomplete answers, by `finish_reason`. */
const CUT = {
  length: "This answer was cut off because it reached its maximum length.",
  content_filter: "This answer was cut off by the AI provider's content filter.",
  stopped: "You stopped this answer.",
};

const UNKEPT =
  "This answer isn't kept in this chat: the chat was deleted, or your chats have reached the largest size that can be stored.";

const SHORTENED = "This answer was shortened, because your balance didn't allow a longer one.";

const refusals = lazy(() => import("./refusals.js"));
const versions = lazy(() => import("./versions.js"));
const shelves = lazy(() => import("./shelf.js"));

/** The module that stops answers and waits for them. It can't be loaded without a connection. */
const stops = () =>
  import("./stop.js").catch(() => {
    throw interrupted();
  });
const requestStop = async (...asked) => (await stops()).requestStop(...asked);
const stoppedChat = async (...asked) => (await stops()).stoppedChat(...asked);
const pause = async (...long) => (await stops()).pause(...long);

/** A message and its answer, in a `Thread`. */
export class Turn {
  constructor(thread, { key = null, message, sent, after = "", ...more }) {
    const { follows, to, instead = null, offer, failed = false, stopped = false } = more;
    const { received = "", parts = [], files = parts.length } = more;
    const { folder = thread.conversation?.folder_id } = more;
    this.folder = folder;
    Object.assign(this, { thread, key, message, sent, after, follows, to });
    Object.assign(this, { instead, failed, stopped });
    Object.assign(this, { chat: null, received, controller: null, asking: null, pace: PACE });
    /** The pause before the next check after a lost connection. */
    this.rest = FIRST_CHECK;
    /** The files that are sent with the message, and their number. A reload may have lost some. */
    Object.assign(this, { parts, files });
    /** The reasoning that has arrived. */
    this.reasoning = "";
    /** The shown price. Null without a price list; undefined while the list is unknown. */
    this.offer = offer;
    /**
     * The stop request, which resolves with the message's `{id, status}`. Null if no stop was
     * requested.
     */
    this.stopping = null;
    readMarkdown();
    this.text = h("div", { class: "prose", dir: "auto" });
    this.state = h("div", { class: "turn-state" });
    this.deeds = h("div", { class: "turn-deeds" });
    this.foot = h("div", { class: "turn-foot" }, this.deeds);
    const label = h("span", { class: "sr-only" }, "Answer:");
    this.answer = h("div", { class: "answer" }, label, this.text, this.state, this.foot);
    const heading = h("h2", { class: "sr-only" }, "You said");
    this.switcher = null;
    this.tools = h("div", { class: "said-tools" });
    this.said = h("div", { class: "said" }, heading, h("p", { dir: "auto" }, message), this.tools);
    this.element = h("li", { class: "turn", tabIndex: -1 }, this.said, this.answer);
    if (received) this.showReceived();
    if (parts.length > 0) this.showFiles(parts);
  }

  /** Makes a turn from a chat that the API returned. */
  static of(thread, chat) {
    const turn = new Turn(thread, { message: chat.message });
    turn.finish(chat);
    return turn;
  }

  /** Shows the files of the message. */
  async showFiles(files) {
    const { shelf } = (await shelves.read()) ?? {};
    if (!shelf) return;
    const shown = shelf(files, this.parts);
    this.shelf?.remove();
    this.shelf = shown;
    this.tools.before(shown);
  }

  /** True if a reload has lost files of the message, so that it can't be sent again. */
  get lacksFiles() {
    return this.files !== this.parts.length;
  }

  /**
   * True if the API may have answered the message. Without its files, the message failed on the
   * page, and the outcome of an earlier request is unknown.
   */
  get isOpen() {
    return !this.failed || this.lacksFiles;
  }

  /** Stores the message, so that it survives a reload, until its answer has arrived. */
  keep() {
    keepUnfinished(this, this.failed);
  }

  /**
   * Sends the message, for the first time or again, and shows the answer while it is written. If
   * the user `stopped` the answer before a reload, stops it again, because the first request may
   * have been lost, and shows the stored part. Resolves when the answer ends.
   */
  ask(stopped = false) {
    this.asking ??= this.send(stopped).finally(() => {
      this.asking = null;
      this.thread.composer.update();
    });
    return this.asking;
  }

  async send(stopped) {
    const { thread } = this;
    this.controller = new AbortController();
    const { signal } = this.controller;
    const stopping = stopped ? requestStop(this.key, signal) : null;
    stopping?.catch(() => {});
    Object.assign(this, { failed: false, stopped, stopping });
    this.keep();
    thread.composer.update();
    this.answer.setAttribute("aria-busy", "true");
    const isAgain = this.state.querySelector(".note");
    this.showState(thinking(stopped ? "Stopping" : "Thinking"));
    fill(this.deeds);
    thread.waits(true);
    thread.toEnd();
    const sent = isAgain ? "Asking for the answer again." : "Sent. The answer is on its way.";
    announce(stopped ? "Stopping." : sent);
    try {
      await thread.ready(this);
      const chat = await (stopped ? stoppedChat(this.key, stopping, signal) : this.listen());
      this.controller = null;
      dropUnfinished(this);
      this.finish(chat);
      await this.arrived(chat);
    } catch (error) {
      this.controller = null;
      if (!this.left) await this.broke(error);
    } finally {
      this.answer.removeAttribute("aria-busy");
      thread.toEnd();
    }
  }

  /** Shows the answer's progress, or a note. Moves the focus to the turn if its button is gone. */
  showState(shown) {
    const isFocused = this.state.contains(document.activeElement);
    fill(this.state, shown);
    if (isFocused) this.element.focus({ preventScroll: true });
  }

  /** Shows that the API first answers another message. */
  wait() {
    this.showState(thinking("Waiting for the answer to another message"));
  }

  /**
   * Reads the answer to its end and resolves with the chat. If the API still answers an earlier
   * request with the same key, waits for that answer and keeps the text that is shown.
   */
  async listen() {
    const { key, message, thread, controller } = this;
    const { signal } = controller;
    // All requests with this key must have the same `after`, `model` and conversation.
    this.to ??= thread.id
      ? { conversation_id: thread.id }
      : { folder_id: this.folder || undefined, temporary: thread.temporary || undefined };
    if (this.to.conversation_id) this.follows ??= thread.turns.sentAfter(this);
    if (this.offer === undefined) {
      await Promise.all([readModels(), weights.read()]);
      this.offer = this.offerNow();
    }
    this.keep();
    if (this.lacksFiles) throw new ApiError({ status: 409, detail: LOST_FILES });
    const after = this.follows || undefined;
    const { model, max_cost } = this.offer ?? {};
    const sent = this.parts.map(({ name, type, data, text }) => ({ name, type, data, text }));
    const attachments = sent.length > 0 ? sent : undefined;
    const body = { message, attachments, ...this.to, after, model, max_cost };
    for (let tries = 0; ; tries += 1) {
      signal.throwIfAborted();
      let isFirst = true;
      try {
        const events = stream("api/chat/stream/", body, { key, signal });
        for await (const { event, data, replayed } of events) {
          if (event === "delta" || event === "reasoning") {
            this.receive(event, data.text, isFirst);
            isFirst = false;
          }
          if (event === "done") return { ...data, replayed };
          if (event === "error") throw problemOf(data);
        }
        throw interrupted();
      } catch (error) {
        const isRunning = error.code === "idempotency_key_running";
        // Don't repeat the request: if the API hasn't begun an answer, another request would begin
        // one.
        if (this.stopping && (isRunning || error.status === 0))
          return stoppedChat(key, this.stopping, signal);
        if (!isRunning || tries === MOST_TRIES) throw error;
        if (tries === 0) this.showState(thinking("Waiting for the rest of the answer"));
        if (tries === FEW_TRIES) {
          this.showState(thinking(`${STILL} ${APPEARS}`));
          announce(STILL);
        }
        const stopped = new Promise((wake) => (this.wake = wake));
        await Promise.race([pause((error.retryAfter ?? 2) * 1000, signal), stopped]);
        if (this.stopping) return stoppedChat(key, this.stopping, signal);
      }
    }
  }

  /**
   * Adds a piece of the answer or of its reasoning. The first piece replaces the text from an
   * earlier request.
   */
  receive(event, text, isFirst) {
    if (isFirst) Object.assign(this, { received: "", reasoning: "" });
    const isAnswer = event === "delta";
    const begins = (isAnswer ? this.received : this.reasoning) === "";
    if (begins && !this.stopping)
      this.showState(
        isAnswer ? thinking("The answer is being written", true) : thinking("Thinking"),
      );
    if (isAnswer) this.received += text;
    else this.reasoning += text;
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      if (!this.controller) return;
      const began = performance.now();
      this.showReceived();
      this.thread.toEnd();
      this.pace = Math.max(PACE, REST * (performance.now() - began));
    }, this.pace);
  }

  /** Shows the text and the reasoning that have arrived. */
  showReceived() {
    const { reasoning } = this;
    showAnswer(this.text, this.received, { reasoning, grows: true });
  }

  /**
   * Asks the API to end the answer now. The text so far is stored and arrives like a whole answer.
   * If the API can't be reached, the page stops reading.
   */
  async stop() {
    if (this.stopping) return;
    const { signal } = this.controller;
    this.stopped = true;
    this.keep();
    this.stopping = requestStop(this.key, signal);
    this.showState(thinking("Stopping"));
    announce("Stopping.");
    this.thread.composer.update();
    this.wake?.();
    try {
      await this.stopping;
    } catch (error) {
      if (signal.aborted || this.controller?.signal !== signal) return;
      this.unstopped = explain(error);
      this.controller.abort();
    }
  }

  /** Stops reading because the user logged out. The turn is restored at the next log-in. */
  leave() {
    this.left = true;
    this.controller?.abort();
  }

  /** Shows the complete answer. */
  finish(chat) {
    this.chat = chat;
    if (chat.files) this.showFiles(chat.files);
    showAnswer(this.text, chat.response, { reasoning: chat.reasoning });
    this.showState(chat.conversation_id === null ? note("warn", h("p", {}, UNKEPT)) : this.cut());
    const copy = copyButton(() => answerOf(chat.response), {
      class: "button button-quiet button-small copy",
      "aria-label": "Copy the answer",
    });
    const run = () => attempt(async () => (await import("./dialogs.js")).deleteTurn(this));
    const menu = menuButton("More about this message", [
      { text: "Delete this message", icon: "trash", danger: true, run },
    ]);
    // The button opens a menu, so that an accidental press costs nothing.
    const again = () => {
      const parent = this.thread.turns.branches.parent(chat.id);
      const offer = this.thread.offer(this.message, { parent });
      const run = () => attempt(() => this.regenerate(offer));
      return [{ text: regeneration(offer), icon: "repeat", run }];
    };
    const repeat = menuButton("Regenerate the answer", again, { icon: "repeat" });
    fill(this.deeds, copy, repeat, menu, charged(chat));
    const change = { kind: "quiet", small: true, icon: "pencil", label: "Edit this message" };
    this.pencil ??= button(null, { ...change, onclick: () => attempt(() => this.edit()) });
    this.tools.append(this.pencil);
    this.thread.toEnd();
  }

  /**
   * Shows the number of this version and the count of versions. `isOne` is true if all versions
   * have the same message.
   */
  showVersion(number, count, isOne) {
    this.version = [number, count, isOne];
    if (count < 2 && !this.switcher) return;
    if (!versions.module) {
      versions.read().then((module) => module && this.showVersion(...this.version));
      return;
    }
    this.switcher ??= new versions.module.Switcher(this);
    this.switcher.show(number, count, isOne);
  }

  /** Asks for another answer to the same message, for the price that was shown. */
  async regenerate(offer) {
    await (await import("./versions.js")).regenerate(this, offer);
  }

  /** Lets the user edit the message and sends the edited text as a new version. */
  async edit(text = this.message) {
    await (await import("./versions.js")).edit(this, text);
  }

  /** Shows that the answer was cut off or stopped. For the last answer, offers to continue it. */
  cut() {
    const { finish_reason: reason, tokens_deducted: cost, receipt } = this.chat;
    const sentence = reason === "length" && receipt?.shortened ? this.shortened() : CUT[reason];
    if (!sentence) return null;
    const price = reason === "stopped" && ` It cost ${formatTokens(cost)}.`;
    const onclick = () => this.thread.running || this.thread.send("Continue");
    const more = button("Continue", { kind: "primary", small: true, onclick });
    this.moreCosts = h("span", {});
    this.priced();
    const actions = h("div", { class: "note-actions turn-more" }, more, this.moreCosts);
    return note(reason === "stopped" ? "info" : "warn", h("p", {}, sentence, price), actions);
  }

  /** The reason why the answer was shortened: the balance, or else the price that was shown. */
  shortened() {
    const { max_cost: most } = this.offer ?? {};
    if (this.chat.receipt.held !== most) return SHORTENED;
    return `This answer was shortened, because its price limit of ${formatTokens(most)} didn't allow a longer one.`;
  }

  /** Shows the price of continuing the answer, after a change of the model or the prices. */
  priced() {
    if (!this.moreCosts) return;
    this.moreCosts.textContent = newAnswerCosts(this.thread.offer("Continue", { parent: this }));
  }

  /** The current offer for this message, by default with the chosen model. */
  offerNow(model) {
    const { message, thread, parts } = this;
    return thread.offer(message, { parent: thread.turns.before(this), model, parts });
  }

  /** Shows an answer that didn't arrive through the stream. */
  async found(chat) {
    dropUnfinished(this);
    this.finish(chat);
    await this.arrived({ ...chat, replayed: true });
  }

  /** Updates the rest of the page after an answer has arrived. */
  async arrived(chat) {
    const { thread } = this;
    sawChat(chat);
    thread.turns.answer(this);
    if (chat.finish_reason === "stopped") announce("Stopped.");
    else spokenText(chat.response).then((said) => announce(`Answer: ${said}`));
    // A replayed answer contains the old balance, from the time of the first reply.
    const left = chat.replayed ? undefined : chat.tokens_left;
    learnUsage([chat]);
    weights.module?.learnPictures(chat, this.offer);
    const files = [...thread.files, ...(chat.files ?? [])];
    // With files, a message may cost several times the price.
    const cost = timesWith(files) > 1 ? undefined : chat.tokens_deducted;
    learn({ tokens_deducted: cost, tokens_left: left });
    if (chat.files) thread.hasFiles(files);
    if (chat.replayed) readBalance();
    else noticePrices(chat.receipt?.prices ?? null);
    if (!thread.id && chat.conversation_id) await thread.begun(chat.conversation_id);
    else {
      if (!thread.id) thread.waits(false);
      putOnTop(thread.conversation);
      thread.recount();
    }
    if (!thread.element.isConnected) {
      const action = { text: "Show", run: () => go(`#/c/${thread.id}`) };
      toast(`New answer in “${named(thread.conversation)}”.`, { action });
    }
    tellTabs("chats", thread.id);
  }

  /** Handles a failure or the user's stop. Keeps the text that was received. */
  async broke(error) {
    announce("");
    if (error.name === "AbortError") {
      this.goesOn();
      return;
    }
    if (error.code === "stopped") {
      this.neverBegan();
      return;
    }
    const isPriceRefused = Boolean(this.offer) && isAboutPrice(error);
    const module = isPriceRefused && (await refusals.read());
    if (module) await module.renew(error, this);
    if (timesWith([...this.thread.files, ...this.parts]) === 1) learnPrice(error.message);
    if (this.left) return;
    const isRefused = BACK_TO_BOX.has(error.status) || error.code === "costs_more";
    if (isRefused && (this.instead || this.isBoxEmpty())) {
      this.giveBack(error);
      return;
    }
    if (["idempotency_key_reused", "chat_deleted"].includes(error.code)) {
      dropUnfinished(this);
      this.key = newKey();
    }
    this.failed = !isUnknown(error);
    // The next request with this key may begin another run, in another conversation.
    if (this.failed) this.to = undefined;
    this.keep();
    const isRunning = error.code === "idempotency_key_running";
    const isAsked = error.status === 0 && mayBeRunning(this);
    const sentence = explain(error);
    const charged = sentence.replace(/.*Nothing was charged.*/, "You weren't charged.");
    const hasBegun = this.received !== "" || this.reasoning !== "";
    const text = hasBegun ? `The answer broke off. ${charged}` : sentence;
    const isPoor = module ? module.isPoor(error) : error.status === 402;
    const words = module ? module.refusal(error, this) : h("p", {}, text);
    const what = isPoor ? tooFew(error) : words;
    const reason = isRunning
      ? note("info", h("p", {}, `${STILL} Ask for its answer again in a few minutes.`))
      : note("bad", what, isUnknown(error) && h("p", {}, isAsked ? RETURNS : ONCE));
    // The API finishes and charges an answer that has begun, even if the client disconnects.
    const isAnswered = isRunning || (isUnknown(error) && hasBegun);
    const again = module && !isPoor ? module.offerAgain(this) : "Retry";
    this.unanswered(reason, { seconds: error.retryAfter ?? 0, editable: !isAnswered, again });
    if (isAsked) this.askLater(reason);
    readBalance();
  }

  /**
   * After a lost connection, asks again once the API can be reached, unless `shown`, the note about
   * the loss, is gone. Browsers don't notice every loss, so `onReturn` isn't enough.
   */
  async askLater(shown) {
    const isLost = () =>
      !this.left && this.state.contains(shown) && this.thread.turns.waiting.includes(this);
    while (mayBeRunning(this) && isLost()) {
      await new Promise((done) => setTimeout(done, this.rest));
      this.rest = Math.min(2 * this.rest, LONGEST_PAUSE);
      // When the user returns to the page, it asks at once.
      if (document.hidden || !isLost()) continue;
      const check = get("api/health/", null, { open: true });
      if (await check.then(isLost).catch(() => false)) this.ask(this.stopped);
    }
  }

  isBoxEmpty() {
    const { box, parts } = this.thread.composer;
    return box.value.trim() === "" && parts.length === 0;
  }

  /** Returns the message to where the user wrote it: the box or the previous version. */
  putBack(text = this.message) {
    const { turns, composer } = this.thread;
    turns.remove(this);
    const version = turns.shown.find(({ chat }) => this.instead && chat?.id === this.instead);
    if (!version) {
      composer.keep([...this.parts, ...composer.parts]);
      composer.put(text);
    } else if (version.message !== this.message) attempt(() => version.edit(this.message));
  }

  /** Returns the message to where the user wrote it, with the reason. */
  giveBack(error) {
    const { thread } = this;
    this.putBack();
    thread.composer.refuse(error, this);
    if (thread.isUnbegun) thread.reset();
    if (error.errors?.after) thread.turns.refresh().catch(() => {});
    readBalance();
  }

  /** Shows that the answer couldn't be stopped, and that the page no longer reads it. */
  goesOn() {
    this.stopped = false;
    this.keep();
    this.showReceived();
    const price = priceInWords(this.offer);
    const cost = price ? ` and costs ${price}` : "";
    const text = `The answer could not be stopped, and is still being generated${cost}.`;
    const why = h("p", {}, this.unstopped);
    this.unanswered(note("warn", h("p", {}, text), why), { again: "Show the whole answer" });
    announce(text);
    setTimeout(readBalance, 1500);
  }

  /**
   * Returns a message to the box if it was stopped before its answer began. If the box already
   * contains other text, the message stays in the conversation.
   */
  neverBegan() {
    const { thread } = this;
    if (this.instead || (thread.turns.shown.at(-1) === this && this.isBoxEmpty())) {
      this.putBack();
      thread.composer.tell(NEVER_BEGAN);
      if (thread.isUnbegun) thread.reset();
    } else {
      Object.assign(this, { failed: true, to: undefined });
      this.keep();
      this.unanswered(note("info", h("p", {}, NEVER_BEGAN)), { editable: true });
    }
    announce(NEVER_BEGAN);
    readBalance();
  }

  /** Shows a turn that was sent before a reload. */
  interrupted() {
    const editable = !mayBeRunning(this);
    const failed = this.stopped ? NEVER_BEGAN : "This message was not answered.";
    const text = this.failed ? failed : "You left this page before the answer was complete.";
    this.unanswered(note("warn", h("p", {}, text), h("p", {}, ONCE)), { editable });
  }

  /**
   * Shows a note with a button that asks again. The button waits for `seconds`. The message can't
   * be edited while the API may be answering it, because that answer would still be charged. If its
   * answer would be in a temporary conversation without an id, the page can't find it, so the message
   * can't be edited either.
   */
  unanswered(reason, { seconds = 0, again = "Retry", editable = false }) {
    const repeat = button(again, {
      kind: "primary",
      icon: "repeat",
      small: true,
      onclick: () => repeat.getAttribute("aria-disabled") || this.ask(),
    });
    const onclick = () => this.takeBack();
    const isHidden = this.isOpen && this.thread.temporary && !this.thread.id;
    const props = { icon: "pencil", small: true, onclick };
    const edit = editable && !isHidden && button("Edit message", props);
    reason.querySelector(".note-body").append(h("div", { class: "note-actions" }, repeat));
    if (edit) repeat.after(edit);
    this.showState(reason);
    this.thread.waits(false);
    countDown(repeat, again, seconds);
    this.thread.toEnd();
  }

  /**
   * Returns the message to the box, before any text in it, so that the user can edit it. If the
   * outcome is unknown, first checks whether the message was answered.
   */
  async takeBack() {
    const { thread } = this;
    const isKnown = !this.isOpen || (await attempt(() => thread.readAnswerOf(this)));
    if (!isKnown || this.chat || this.controller) return;
    const { value } = thread.composer.box;
    this.putBack(value.trim() === "" ? this.message : `${this.message}\n\n${value}`);
    if (thread.isUnbegun) thread.discard();
  }
}

/** The text of the menu item that asks for another answer, with its price. */
function regeneration(offer) {
  const price = priceInWords(offer);
  return price ? `Regenerate for ${price}` : "Regenerate";
}

/** Returns true if the API refused the shown price or the model. */
function isAboutPrice({ status, code, errors }) {
  return status === 402 || code === "costs_more" || Boolean(errors?.model);
}

/** Returns true if the API may have executed the request, although the client got no reply. */
function isUnknown({ status, code }) {
  const isOpen = ["unavailable", "idempotency_key_running"].includes(code);
  return status === 0 || isOpen || code?.startsWith("http_5");
}

/** Three moving dots with a text. If `quiet`, the text is only for screen readers. */
function thinking(text, quiet = false) {
  const dots = h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
  return h("p", { class: "thinking" }, dots, h("span", { class: quiet ? "sr-only" : "" }, text));
}

/** Disables a button for some seconds and shows the remaining seconds. */
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
