// The box below a conversation, in which the user writes and sends a message.

import { picker, usualAndMost } from "../account/choice.js";
import { chosenModel, fileLimits, hasChoice, hasPrices } from "../session/models.js";
import { answerPrice, lowBalance } from "../session/user.js";
import { announce } from "../ui/announce.js";
import { button } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { explain, formatNumber, inCurrency } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { lazy } from "../ui/lazy.js";
import { note } from "../ui/note.js";
import { enterKey, isTouch, lengthNear, sends, tooLong } from "./box.js";
import { NEW, filesOf, keepDraft, keepKind, readDraft } from "./drafts.js";
import { offerInWords, timesWith } from "./offer.js";
import { turning } from "./turns.js";

/** The length above which a pasted text can become a file, in characters. */
const LONG_PASTE = 4000;

/** The code for refused messages. */
const refusals = lazy(() => import("./refusals.js"));

/** The code for files. */
const tray = lazy(() => import("./tray.js"));

/** The box of a conversation. Its text is kept as a draft until it is sent. */
export class Composer {
  constructor(thread) {
    this.thread = thread;
    /** The files that will be sent with the message. */
    this.parts = [];
    /** The reason why the files can't be sent, or null. */
    this.problem = null;
    this.tray = h("div", { class: "composer-tray" });
    this.clip = button(null, {
      kind: "quiet",
      icon: "clip",
      label: "Add files",
      onclick: () => {
        // Browsers refuse the dialog some seconds after the click. Keep the element until it closes.
        this.input = h("input", {
          type: "file",
          multiple: true,
          onchange: () => this.withTray((module) => module.add(this, [...this.input.files])),
        });
        this.input.click();
        tray.read();
      },
    });
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
    this.picker = picker((model) => thread.offer(this.box.value, { model, parts: this.parts }));
    this.cost = h("span", { class: "composer-cost", id: "composer-cost" });
    this.bar = h("div", { class: "composer-bar", hidden: true }, this.picker.element, this.cost);
    const parts = [this.box, this.clip, this.bar, this.go];
    this.form = h("form", { class: "composer-form", noValidate: true }, parts);
    const rows = [this.low, this.notice, this.tray, this.form, this.hint];
    this.element = h("div", { class: "composer" }, rows);
    this.frame = null;
    /** Called with the price of an answer after each change while a message is refused, or null. */
    this.refused = null;
    /** Resolves when a message has been sent that waits for code, or null. */
    this.later = null;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.box.addEventListener("input", () => this.changed());
    this.box.addEventListener("paste", (event) => this.take(event, event.clipboardData));
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

  /** The name of the draft. A conversation without an id has a local name. */
  get draft() {
    return this.thread.id ?? this.thread.name ?? NEW;
  }

  /** Restores the draft. Called when the box is shown. */
  shown() {
    if (this.box.value === "") this.put(readDraft(this.draft) ?? "", false);
    if (this.parts.length === 0) this.keep(readDraft(filesOf(this.draft)) ?? []);
    this.box.enterKeyHint = enterKey();
    this.measure();
    this.grow();
  }

  /** Moves the focus to the box, unless that opens a keyboard. */
  focus() {
    if (this.box.isConnected && !isTouch()) this.box.focus();
  }

  /** Replaces the text in the box. */
  put(text, focus = true) {
    this.box.value = text;
    this.changed(false);
    if (focus) this.focus();
  }

  /** Runs `act` with the code for files. */
  async withTray(act) {
    const module = await tray.read();
    if (module) act(module);
    else this.refuseText("Files can't be used without a connection. Try again in a minute.");
  }

  /** Takes files and long texts that are pasted or dropped. */
  take(event, data) {
    if (!fileLimits()) return;
    const text = event.type === "paste" ? data.getData("text/plain") : "";
    const files = [...data.files];
    if (text.length > LONG_PASTE) this.withTray((module) => module.offerFile(this, text));
    if (text || !data.types.includes("Files")) return;
    event.preventDefault();
    if (files.length > 0) this.withTray((module) => module.add(this, files));
  }

  /** Sets the files that will be sent with the message. */
  keep(parts) {
    this.parts = parts;
    keepDraft(filesOf(this.draft), parts.length > 0 ? parts : null);
    this.keepKind();
    this.priced();
  }

  /** Keeps with the draft whether it is for a temporary conversation. */
  keepKind() {
    const isEmpty = this.box.value === "" && this.parts.length === 0;
    keepKind(this.draft, !isEmpty && this.thread.temporary);
  }

  changed(clear = true) {
    keepDraft(this.draft, this.box.value);
    this.keepKind();
    if (clear) this.clear();
    this.box.removeAttribute("aria-invalid");
    this.measure();
    this.grow();
    // Show the price of this length at most once a frame.
    if (hasPrices())
      this.frame ??= requestAnimationFrame(() => {
        this.frame = null;
        this.priced();
      });
  }

  /** Removes the note about the last message. */
  clear() {
    this.refused = null;
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
      if (this.parts.length > 0) this.refuseText("Write what the AI should do with the files.");
      this.box.focus();
      return;
    }
    const { parts } = this;
    const reason = tooLong(message) ?? this.problem;
    if (reason) {
      this.refuseText(reason);
      this.box.focus();
      return;
    }
    if (!turning.module) {
      this.submitLater();
      return;
    }
    keepDraft(this.draft, null);
    this.box.value = "";
    this.keep([]);
    this.changed();
    this.thread.send(message, parts);
    // Close the on-screen keyboard.
    if (isTouch()) this.box.blur();
    else this.box.focus();
  }

  /** Sends the message when the code for turns is loaded. */
  submitLater() {
    this.later ??= turning.read().then((module) => {
      this.later = null;
      if (!this.box.isConnected) return;
      if (module) this.submit();
      else
        this.refuseText("The message can't be sent without a connection. Try again in a minute.");
    });
  }

  /** Shows a note above the box instead of the last one. */
  notify(shown) {
    this.clear();
    fill(this.notice, shown);
  }

  /** Shows a note about a message that has returned to the box. */
  tell(text) {
    this.notify(note("info", h("p", {}, text)));
    this.priced();
  }

  /** Shows why the text in the box can't be sent. */
  refuseText(reason) {
    this.notify(note("bad", h("p", {}, reason)));
    this.box.setAttribute("aria-invalid", "true");
    this.priced();
  }

  /** Shows why the API refused a turn's message, which has returned to its box. */
  async refuse(error, turn) {
    if (error.status === 404) this.thread.missed();
    const module = await refusals.read();
    if (module) module.refuse(this, error, turn);
    else this.refuseText(explain(error));
  }

  /** Shows the price of an answer, and a warning if the balance is low. */
  priced() {
    const { thread, parts } = this;
    const offer = thread.offer(this.box.value, { parts });
    const times = timesWith([...thread.files, ...parts]);
    const price = answerPrice() * times;
    this.refused?.(price);
    const isChoice = hasChoice();
    this.bar.hidden = !isChoice;
    this.form.classList.toggle("composer-priced", isChoice);
    if (isChoice) {
      this.picker.show();
      const parts = offer?.isFlat ? [offerInWords(offer)] : usualAndMost(offer);
      const shown = parts.flatMap((part) => [" ", h("span", { class: "nowrap" }, part)]);
      fill(this.cost, shown.slice(1));
      this.go.setAttribute("aria-describedby", this.cost.id);
    } else this.go.removeAttribute("aria-describedby");
    const flat = price
      ? `An answer costs ${formatNumber(price)} tokens${times > 1 ? " with these files" : ""}`
      : answerPrice() === 0
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
    this.clip.hidden = !fileLimits();
    if (thread.files.length + parts.length > 0 || this.tray.hasChildNodes())
      this.withTray((module) => module.show(this));
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
