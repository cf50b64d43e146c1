// A turn of a conversation: a message and its answer, from the request to the last word.
//
// A turn keeps its idempotency key until the answer has arrived. After a failure the request is
// repeated with this key, so the message is answered and charged only once.

import { readMarkdown, showAnswer, withoutReasoning } from "../markdown/prose.js";
import { interrupted, newKey, problemOf, stream } from "../session/api.js";
import { learnFare, noticePrices, readModels } from "../session/models.js";
import { tellTabs } from "../session/tabs.js";
import { answerPrice, learn, learnPrice, readBalance, tooFew } from "../session/user.js";
import { learnCosts } from "../session/usual.js";
import { announce } from "../ui/announce.js";
import { button, copyButton, countDown } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { explain, formatTokens } from "../ui/format.js";
import { lazy } from "../ui/lazy.js";
import { menuButton } from "../ui/menu.js";
import { attempt, toast } from "../ui/message.js";
import { note, thinking } from "../ui/note.js";
import { go } from "../ui/router.js";
import { newAnswerCosts, offerInWords } from "./offer.js";
import { charged } from "./receipt.js";
import { forgetFound, named, putOnTop } from "./sidebar.js";
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
 * The minimum time between two drawings of a growing answer: in milliseconds, and as a multiple of
 * the time that the last drawing took.
 */
const PACE = 50;
const REST = 10;

const ONCE = "You can safely retry: the message is only charged once.";

const STILL = "The server is still finishing this message. You won't be charged twice.";
const APPEARS = "The answer will appear here. You can leave this page and come back.";

const NEVER_BEGAN = "You stopped the message before its answer began. Nothing was charged.";

/** The notes on incomplete answers, by `finish_reason`. */
const CUT = {
  length: "This answer was cut off because it reached its maximum length.",
  content_filter: "This answer was cut off by the AI provider's content filter.",
  stopped: "You stopped this answer.",
};

const SHORTENED = "This answer was shortened, because your balance didn't allow a longer one.";

const versions = lazy(() => import("./versions.js"));

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
    const { follows, instead = null, offer, failed = false, stopped = false } = more;
    const { received = "" } = more;
    Object.assign(this, { thread, key, message, sent, after, follows, instead, failed, stopped });
    Object.assign(this, { chat: null, received, controller: null, asking: null, pace: PACE });
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
  }

  /** Makes a turn from a chat that the API returned. */
  static of(thread, chat) {
    const turn = new Turn(thread, { message: chat.message });
    turn.finish(chat);
    return turn;
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
    fill(this.state, thinking(stopped ? "Stopping" : "Thinking"));
    fill(this.deeds);
    thread.waits(true);
    thread.toEnd();
    announce(stopped ? "Stopping." : "Sent. The answer is on its way.");
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

  /** Shows that the API first answers the previous message. */
  wait() {
    fill(this.state, thinking("Waiting for the answer above"));
  }

  /**
   * Reads the answer to its end and resolves with the chat. If the API still answers an earlier
   * request with the same key, waits for that answer and keeps the text that is shown.
   */
  async listen() {
    const { key, message, thread, controller } = this;
    const { signal } = controller;
    // All requests with this key must have the same `after` and `model`.
    if (thread.id) this.follows ??= thread.turns.sentAfter(this);
    if (this.offer === undefined) {
      await readModels();
      this.offer = this.offerNow();
    }
    this.keep();
    const after = this.follows || undefined;
    const { model, max_cost } = this.offer ?? {};
    const body = { message, conversation_id: thread.id ?? undefined, after, model, max_cost };
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
        if (tries === 0) fill(this.state, thinking("Waiting for the rest of the answer"));
        if (tries === FEW_TRIES) {
          fill(this.state, thinking(`${STILL} ${APPEARS}`));
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
      fill(
        this.state,
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
    fill(this.state, thinking("Stopping"));
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
    showAnswer(this.text, chat.response, { reasoning: chat.reasoning });
    fill(this.state, this.cut());
    const copy = copyButton(() => withoutReasoning(chat.response), {
      class: "button button-quiet button-small copy",
      "aria-label": "Copy the answer",
    });
    const run = () => attempt(() => this.delete());
    const menu = menuButton("More about this message", [
      { text: "Delete this message", icon: "trash", danger: true, run },
    ]);
    // The button opens a menu, so that an accidental press costs nothing.
    const again = () => {
      const offer = this.thread.offer(this.message, this.thread.turns.branches.parent(chat.id));
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
    const most = this.offer?.max_cost;
    if (this.chat.receipt.held !== most) return SHORTENED;
    return `This answer was shortened, because its price limit of ${formatTokens(most)} didn't allow a longer one.`;
  }

  /** Shows the price of continuing the answer, after a change of the model or the prices. */
  priced() {
    if (!this.moreCosts) return;
    this.moreCosts.textContent = newAnswerCosts(this.thread.offer("Continue", this));
  }

  /** The current offer for this message, by default with the chosen model. */
  offerNow(model) {
    return this.thread.offer(this.message, this.thread.turns.before(this), model);
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
    const body = this.text.querySelector(".reasoning + .prose") ?? this.text;
    const said = body.textContent.slice(0, 2000);
    announce(chat.finish_reason === "stopped" ? "Stopped." : `Answer: ${said}`);
    // A replayed answer contains the old balance, from the time of the first reply.
    const left = chat.replayed ? undefined : chat.tokens_left;
    learnCosts([chat]);
    learn({ tokens_deducted: chat.tokens_deducted, tokens_left: left });
    if (chat.replayed) readBalance();
    else noticePrices(chat.receipt?.prices ?? null);
    if (!thread.id && chat.conversation_id) await thread.begun(chat.conversation_id);
    else putOnTop(thread.conversation);
    if (!thread.element.isConnected) {
      const action = { text: "Show", run: () => go(`#/c/${thread.id}`) };
      toast(`New answer in “${named(thread.conversation)}”.`, { action });
    }
    tellTabs("chats", thread.id);
  }

  /** Handles a failure or the user's stop. Keeps the text that was received. */
  async broke(error) {
    if (error.name === "AbortError") {
      this.goesOn();
      return;
    }
    if (error.code === "stopped") {
      this.neverBegan();
      return;
    }
    learnPrice(error.message);
    const isPriceRefused = Boolean(this.offer) && isAboutPrice(error);
    // The note about the refusal shows the current prices and balance.
    if (isPriceRefused) await Promise.all([readBalance(), readModels().catch(() => {})]);
    if (isPriceRefused && error.code === "costs_more") learnFare(this.offer.model, error.cost);
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
    this.keep();
    const isRunning = error.code === "idempotency_key_running";
    const sentence = explain(error);
    const charged = sentence.replace(/.*Nothing was charged.*/, "You weren't charged.");
    const hasBegun = this.received !== "" || this.reasoning !== "";
    const text = hasBegun ? `The answer broke off. ${charged}` : sentence;
    const words = isPriceRefused ? this.thread.composer.refusal(error, this) : h("p", {}, text);
    const what = error.status === 402 ? tooFew(error.cost) : words;
    const reason = isRunning
      ? note("info", h("p", {}, `${STILL} Ask for its answer again in a few minutes.`))
      : note("bad", what, isUnknown(error) && h("p", {}, ONCE));
    // The API finishes and charges an answer that has begun, even if the client disconnects.
    const isAnswered = isRunning || (isUnknown(error) && hasBegun);
    const again = isPriceRefused && error.status !== 402 ? this.offerAgain() : "Retry";
    this.unanswered(reason, { seconds: error.retryAfter ?? 0, editable: !isAnswered, again });
    readBalance();
  }

  /**
   * Sets the current price, and a new key, for a message that the API refused because of its old
   * price or model. Returns the text of the button that sends the message.
   */
  offerAgain() {
    dropUnfinished(this);
    Object.assign(this, { key: newKey(), offer: this.offerNow() });
    this.keep();
    return this.offer ? `Send for ${offerInWords(this.offer)}` : "Retry";
  }

  isBoxEmpty() {
    return this.thread.composer.box.value.trim() === "";
  }

  /** Returns the message to where the user wrote it: the box or the previous version. */
  putBack(text = this.message) {
    const { turns, composer } = this.thread;
    turns.remove(this);
    const version = turns.shown.find(({ chat }) => this.instead && chat?.id === this.instead);
    if (!version) composer.put(text);
    else if (version.message !== this.message) attempt(() => version.edit(this.message));
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

  /** Sends the refused message again, from the box or the version to which it was returned. */
  sendAgain() {
    const { turns, composer } = this.thread;
    const version = turns.shown.find(({ chat }) => this.instead && chat?.id === this.instead);
    const editor = version?.said.querySelector(".edit");
    composer.clear();
    if (editor) editor.requestSubmit();
    else if (version) attempt(() => version.regenerate());
    else composer.submit();
  }

  /** Shows that the answer couldn't be stopped, and that the page no longer reads it. */
  goesOn() {
    this.stopped = false;
    this.keep();
    this.showReceived();
    const price = this.offer
      ? offerInWords(this.offer)
      : answerPrice() && formatTokens(answerPrice());
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
      this.failed = true;
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
   * be edited while the API may be answering it, because that answer would still be charged.
   */
  unanswered(reason, { seconds = 0, again = "Retry", editable = false }) {
    const repeat = button(again, {
      kind: "primary",
      icon: "repeat",
      small: true,
      onclick: () => repeat.getAttribute("aria-disabled") || this.ask(),
    });
    const onclick = () => this.takeBack();
    const edit = editable && button("Edit message", { icon: "pencil", small: true, onclick });
    reason.querySelector(".note-body").append(h("div", { class: "note-actions" }, repeat));
    if (edit) repeat.after(edit);
    fill(this.state, reason);
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
    const isKnown = this.failed || (await attempt(() => thread.readAnswerOf(this)));
    if (!isKnown || this.chat) return;
    const { value } = thread.composer.box;
    this.putBack(this.isBoxEmpty() ? this.message : `${this.message}\n\n${value}`);
    if (thread.isUnbegun) thread.discard();
  }

  async delete() {
    const { deleteMessage } = await import("./dialogs.js");
    if (!(await deleteMessage(this.chat))) return;
    forgetFound(this.chat.id);
    this.thread.turns.remove(this);
    tellTabs("chats", this.thread.id);
    this.thread.composer.focus();
  }
}

/** The text of the menu item that asks for another answer, with its price. */
function regeneration(offer) {
  if (offer) return `Regenerate for ${offerInWords(offer)}`;
  const price = answerPrice();
  return price ? `Regenerate for ${formatTokens(price)}` : "Regenerate";
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
