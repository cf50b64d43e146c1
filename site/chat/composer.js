// The box below a conversation, in which the user writes and sends a message.

import { chooseModel, chosenModel, hasChoice, hasPrices, models } from "../session/models.js";
import { answerPrice, balance, lowBalance, tooFew } from "../session/user.js";
import { announce } from "../ui/announce.js";
import { button, linkButton } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { explain, formatNumber, formatTokens, inCurrency } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { note } from "../ui/note.js";
import { enterKey, isTouch, lengthNear, sends, tooLong } from "./box.js";
import { NEW, keepDraft, readDraft } from "./drafts.js";
import { offerInWords, usualAndMost } from "./offer.js";
import { picker } from "./picker.js";

/** The maximum number of cheaper models that are offered for a refused message. */
const CHEAPER = 3;

const KEPT = "Nothing was charged, and your message is kept.";

const LOST = "The message before yours was deleted. Send yours again to continue from here.";

/** The box of a conversation. Its text is kept as a draft until it is sent. */
export class Composer {
  constructor(thread) {
    this.thread = thread;
    this.notice = h("div", { class: "composer-notice" });
    this.low = h("div", { class: "composer-notice" });
    this.box = h("textarea", {
      id: "message",
      class: "composer-box",
      rows: 1,
      placeholder: "Ask anything",
      "aria-label": "Your message",
      "aria-describedby": "composer-hint",
      autocomplete: "off",
    });
    this.go = h("button", {
      type: "submit",
      class: "button button-primary button-icon composer-go",
    });
    this.hint = h("p", { class: "composer-hint", id: "composer-hint" });
    this.length = h("span", { class: "composer-length" });
    this.picker = picker((model) => thread.offer(this.box.value, undefined, model));
    this.cost = h("span", { class: "composer-cost", id: "composer-cost" });
    this.bar = h("div", { class: "composer-bar", hidden: true }, this.picker.element, this.cost);
    const parts = [this.box, this.bar, this.go];
    this.form = h("form", { class: "composer-form", noValidate: true }, parts);
    this.element = h("div", { class: "composer" }, this.low, this.notice, this.form, this.hint);
    this.frame = null;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.box.addEventListener("input", () => this.changed());
    this.box.addEventListener("keydown", (event) => {
      if (event.shiftKey || event.isComposing) return;
      const isUp = event.key === "ArrowUp" && this.box.value === "";
      if (isUp && this.thread.turns.editLast()) event.preventDefault();
      if (!sends(event)) return;
      event.preventDefault();
      if (!this.thread.stoppable) this.submit();
    });
    this.update();
  }

  /** The name of the draft. A conversation without an id has a local name once it has begun. */
  get draft() {
    return this.thread.id ?? this.thread.name ?? NEW;
  }

  /** Restores the draft. Called when the box is shown. */
  shown() {
    if (this.box.value === "") this.put(readDraft(this.draft) ?? "", false);
    this.box.enterKeyHint = enterKey();
    this.measure();
    this.grow();
  }

  /** Moves the focus to the box, unless that opens a keyboard over the page. */
  focus() {
    if (this.box.isConnected && !isTouch()) this.box.focus();
  }

  /** Replaces the text in the box. */
  put(text, focus = true) {
    this.box.value = text;
    this.changed(false);
    if (focus) this.focus();
  }

  changed(clear = true) {
    keepDraft(this.draft, this.box.value);
    if (clear) this.clear();
    this.box.removeAttribute("aria-invalid");
    this.measure();
    this.grow();
    // The price of a message depends on its length. Show it at most once a frame.
    if (hasPrices())
      this.frame ??= requestAnimationFrame(() => {
        this.frame = null;
        this.priced();
      });
  }

  /** Removes the note about the last message. */
  clear() {
    fill(this.notice);
  }

  /** Shows the text's length if it is near the limit. */
  measure() {
    const { value } = this.box;
    const isOver = tooLong(value) !== null;
    const wasOver = this.length.classList.contains("bad");
    this.length.textContent = lengthNear(value);
    this.length.classList.toggle("bad", isOver);
    if (isOver && !wasOver) announce(this.length.textContent);
  }

  /** Makes the box as high as its text, within limits. */
  grow() {
    this.box.style.height = "auto";
    this.box.style.height = `${Math.min(this.box.scrollHeight + 2, innerHeight * 0.4)}px`;
  }

  /** Sends the message, or stops the answer that is being written. */
  submit() {
    const { stoppable } = this.thread;
    if (stoppable) {
      stoppable.stop();
      this.focus();
      return;
    }
    const message = this.box.value.toWellFormed?.() ?? this.box.value;
    if (message.trim() === "") {
      this.box.focus();
      return;
    }
    const reason = tooLong(message);
    if (reason) {
      this.refuseText(reason);
      this.box.focus();
      return;
    }
    keepDraft(this.draft, null);
    this.box.value = "";
    this.changed();
    this.thread.send(message);
    // Close the on-screen keyboard, so that the user can read the answer.
    if (isTouch()) this.box.blur();
    else this.box.focus();
  }

  /** Shows a note about a message that has returned to the box. */
  tell(text) {
    fill(this.notice, note("info", h("p", {}, text)));
    this.priced();
  }

  /** Shows why the text in the box can't be sent. */
  refuseText(reason) {
    fill(this.notice, note("bad", h("p", {}, reason)));
    this.box.setAttribute("aria-invalid", "true");
    this.priced();
  }

  /** Shows why the API refused a turn's message, which has returned to its box. */
  refuse(error, turn) {
    const { thread } = this;
    const isPoor = error.status === 402;
    const isDear = error.code === "costs_more" || Boolean(error.errors?.model);
    const isGone = error.status === 404 && thread.id;
    const words = error.errors?.after ? LOST : isGone ? "This chat was deleted." : explain(error);
    const text = error.errors?.message?.join(" ") ?? words;
    const actions = [];
    if (isGone) {
      const onclick = () => thread.abandon(this.box.value);
      actions.push(button("Ask in a new chat", { small: true, kind: "primary", onclick }));
    }
    if (isPoor) {
      const props = { small: true, icon: "receipt" };
      actions.push(linkButton("See your statement", "#/statement", props));
    }
    const kept = h("p", {}, KEPT);
    const sentences = isPoor
      ? [tooFew(error.cost), kept]
      : isDear
        ? [this.refusal(error, turn), kept]
        : [h("p", {}, text)];
    if (isPoor || isDear) actions.unshift(...this.offers(error, turn));
    const shown = note(
      isPoor || isDear ? "warn" : "bad",
      sentences,
      actions.length > 0 && h("div", { class: "note-actions" }, actions),
    );
    shown.setAttribute("role", "alert");
    fill(this.notice, shown);
    if (error.errors?.message) this.box.setAttribute("aria-invalid", "true");
    this.priced();
  }

  /** The reason why the API refused a turn's price or model. */
  refusal({ cost, errors }, turn) {
    const { offer } = turn;
    const now = turn.offerNow();
    if (errors?.model)
      return h("p", {}, `The model ${offer.model} isn't offered any more. Choose another one.`);
    const isDearer = now?.model === offer.model && now.max_cost > offer.max_cost;
    const was = offerInWords(offer);
    if (isDearer)
      return h(
        "p",
        {},
        `The price has changed. This message costs ${offerInWords(now)} now, not ${was}.`,
      );
    const price = cost === null ? "costs more" : `may cost up to ${formatTokens(cost)}`;
    return h(
      "p",
      {},
      `This message ${price}, but its price was shown as ${was}. Try again in a minute, or shorten it.`,
    );
  }

  /**
   * Buttons that send a refused message again: for the new price if the price has changed, and with
   * cheaper models that the user can pay for.
   */
  offers({ status, cost: least }, turn) {
    if (!hasPrices() || !turn.offer) return [];
    const chosen = chosenModel().name;
    const isDear = status !== 402;
    const most = Math.min(balance() ?? Infinity, isDear ? turn.offer.max_cost : Infinity);
    const offers = models().map((model) => turn.offerNow(model));
    const cheaper = offers
      .filter(({ model, max_cost: cost }) => model !== chosen && cost <= most)
      .sort((one, other) => one.max_cost - other.max_cost)
      .slice(0, CHEAPER);
    const own = offers.find(({ model }) => model === chosen);
    const isPayable = own.max_cost >= (least ?? 0) && own.max_cost <= (balance() ?? Infinity);
    const send = (offer, text, kind) => {
      const onclick = () => {
        chooseModel(offer.model);
        turn.sendAgain();
      };
      return button(`${text} ${offerInWords(offer)}`, { small: true, kind, onclick });
    };
    return [
      isDear && isPayable && send(own, "Send for", "primary"),
      ...cheaper.map((offer) => send(offer, `Send with ${offer.model} for`, "secondary")),
    ].filter(Boolean);
  }

  /** Shows the price of an answer, and a warning if the balance is low. */
  priced() {
    const offer = this.thread.offer(this.box.value);
    const price = answerPrice();
    const isChoice = Boolean(offer) && hasChoice();
    this.bar.hidden = !isChoice;
    this.form.classList.toggle("composer-priced", isChoice);
    if (isChoice) {
      this.picker.show();
      const parts = offer.isFlat ? [offerInWords(offer)] : usualAndMost(offer);
      const shown = parts.flatMap((part) => [" ", h("span", { class: "nowrap" }, part)]);
      fill(this.cost, shown.slice(1));
      this.go.setAttribute("aria-describedby", this.cost.id);
    } else this.go.removeAttribute("aria-describedby");
    const flat = price
      ? `An answer costs ${formatNumber(price)} tokens`
      : price === 0
        ? "Answers cost nothing"
        : "Only answers cost tokens";
    const keys = [
      h("kbd", {}, "Enter"),
      " sends, ",
      h("kbd", {}, "Shift"),
      "+",
      h("kbd", {}, "Enter"),
    ];
    fill(
      this.hint,
      h("span", { class: "keys" }, keys, " starts a new line"),
      h("span", {}, isChoice ? chosenModel().about : inCurrency(flat)),
      this.length,
    );
    const low = lowBalance(offer);
    fill(this.low, low && !this.notice.hasChildNodes() && note("warn", low));
  }

  /** Shows whether the button sends a message or stops an answer. */
  update() {
    const { stoppable } = this.thread;
    const label = stoppable ? "Stop" : "Send";
    this.go.setAttribute("aria-label", label);
    this.go.title = label;
    this.go.classList.toggle("composer-stop", Boolean(stoppable));
    fill(this.go, icon(stoppable ? "stop" : "send"));
    this.priced();
  }
}
