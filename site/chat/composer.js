// The box below a conversation, in which the user writes and sends a message.

import { answerPrice, lowBalance, tooFew } from "../session/user.js";
import { announce } from "../ui/announce.js";
import { button, linkButton } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { explain, formatNumber } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { note } from "../ui/note.js";
import { enterKey, isTouch, lengthNear, sends, tooLong } from "./box.js";
import { keepDraft, readDraft } from "./drafts.js";

const LOST = "The message that yours follows was deleted. Send yours again to continue from here.";

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
    this.form = h("form", { class: "composer-form", noValidate: true }, this.box, this.go);
    this.element = h("div", { class: "composer" }, this.low, this.notice, this.form, this.hint);
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

  /** The name of the draft. */
  get draft() {
    return this.thread.id ?? "new";
  }

  /** Restores the draft when the box is shown. */
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
    if (clear) fill(this.notice);
    this.box.removeAttribute("aria-invalid");
    this.measure();
    this.grow();
  }

  /** Shows the length of a text near the limit. */
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

  /** Shows a note about a message that was returned to the box. */
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

  /** Shows why the API refused the message that was returned to the box. */
  refuse(error) {
    const { thread } = this;
    const isPoor = error.status === 402;
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
    const sentences = isPoor
      ? [tooFew(), h("p", {}, "Nothing was charged, and your message is kept.")]
      : [h("p", {}, text)];
    const shown = note(
      isPoor ? "warn" : "bad",
      sentences,
      actions.length > 0 && h("div", { class: "note-actions" }, actions),
    );
    shown.setAttribute("role", "alert");
    fill(this.notice, shown);
    if (error.errors?.message) this.box.setAttribute("aria-invalid", "true");
    this.priced();
  }

  /** Shows the price of an answer, and a warning if the balance is low. */
  priced() {
    const price = answerPrice();
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
      h(
        "span",
        {},
        price ? `An answer costs ${formatNumber(price)} tokens` : "Only answers cost tokens",
      ),
      this.length,
    );
    const low = lowBalance();
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
