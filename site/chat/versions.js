// The versions of a message: the switch between them, the box in which the user edits the message,
// and the request for a new version.

import { hasPrices } from "../session/models.js";
import { watchBalance } from "../session/user.js";
import { announce } from "../ui/announce.js";
import { button } from "../ui/button.js";
import { confirm } from "../ui/dialog.js";
import { fill, h } from "../ui/dom.js";
import { toast } from "../ui/message.js";
import { note } from "../ui/note.js";
import { enterKey, sends, tooLong } from "./box.js";
import { keepDraft, readDraft } from "./drafts.js";
import { newAnswerCosts } from "./offer.js";

/**
 * The version switch of a `Turn`. It is below the answer if all versions have the same message, and
 * otherwise below the message.
 */
export class Switcher {
  constructor(turn) {
    const end = (label, icon, step) => {
      const isEnd = () => this.ends.get(step).getAttribute("aria-disabled");
      const onclick = () => isEnd() || turnTo(turn, step);
      return button(null, { kind: "quiet", small: true, icon, label, onclick });
    };
    this.ends = new Map([
      [-1, end("Previous version", "left", -1)],
      [1, end("Next version", "right", 1)],
    ]);
    this.count = h("span", { class: "versions-count" });
    const [back, on] = this.ends.values();
    this.turn = turn;
    this.element = h("div", { class: "versions", role: "group" }, back, this.count, on);
    this.element.addEventListener("keydown", ({ key }) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
      if (step) this.ends.get(step).click();
    });
  }

  /**
   * Shows the number of this version if there are several. `isOne` is true if all versions have the
   * same message.
   */
  show(number, count, isOne) {
    const place = isOne ? this.turn.foot : this.turn.tools;
    if (this.element.parentElement !== place) place.prepend(this.element);
    this.element.setAttribute("aria-label", `Versions of this ${isOne ? "answer" : "message"}`);
    this.element.hidden = count < 2;
    const words = h("span", { class: "sr-only" }, `Version ${number} of ${count}`);
    fill(this.count, h("span", { "aria-hidden": "true" }, `${number} / ${count}`), words);
    for (const [step, element] of this.ends) {
      if (number + step < 1 || number + step > count) element.setAttribute("aria-disabled", "true");
      else element.removeAttribute("aria-disabled");
    }
  }

  focus(step) {
    this.ends.get(step).focus();
  }
}

/** Shows the version that is `step` positions away, and moves the focus to its switch. */
function turnTo(turn, step) {
  const { thread, switcher } = turn;
  const versions = thread.turns.versions(turn);
  const to = versions.indexOf(turn.chat?.id ?? turn) + step;
  if (!(to in versions)) return;
  const { top } = switcher.element.getBoundingClientRect();
  const other = thread.turns.turnTo(versions[to]);
  leaveMessage(thread);
  // Scroll so that the switch stays where it was pressed.
  thread.stay();
  const main = document.getElementById("main");
  main.scrollTop += other.switcher.element.getBoundingClientRect().top - top;
  other.switcher.focus(step);
  announce(`Version ${to + 1} of ${versions.length}`);
}

/** Removes the opened message from the address, because the page now shows another version. */
function leaveMessage({ id }) {
  const address = `#/c/${id}`;
  if (location.hash.startsWith(`${address}?`)) window.history.replaceState(null, "", address);
}

/** Asks for another answer to the same message, for the price that was shown. */
export async function regenerate(turn, offer) {
  if (isFree(turn)) await send(turn, turn.message, offer);
}

/** Shows a box with this text in place of a message, and sends the edited text. */
export async function edit(turn, text) {
  if (turn.said.querySelector(".edit")) return;
  const message = await edited(turn, text);
  if (message === null) turn.pencil.focus();
  else await send(turn, message);
}

/** Returns true if a new version can be sent. Otherwise shows why not. */
function isFree({ thread }) {
  if (!thread.running) return true;
  toast("Wait until the answer is complete, or stop it.", { kind: "info" });
  return false;
}

/**
 * Sends a new version of a message, edited or unchanged, to get another answer. `offer` is the
 * shown price.
 */
async function send(turn, message, offer) {
  const { thread } = turn;
  const instead = turn.chat.id;
  const follows = await thread.turns.parentOf(instead);
  if (!isFree(turn)) return;
  if (!follows) {
    toast("This message is too far back to be sent again here.", { kind: "info" });
    return;
  }
  const version = thread.turnFor(message, { follows, instead, offer });
  thread.turns.add(version);
  leaveMessage(thread);
  thread.toEnd(true);
  thread.composer.focus();
  version.ask();
}

/** Asks before an edited text is lost. Resolves with true if it may be. */
const mayDiscard = () =>
  confirm("Discard your text?", "Your changes to the message haven't been sent.", {
    action: "Discard",
    danger: true,
  });

/** Resolves with the edited text when the user sends it, or with null if the user cancels. */
function edited(turn, text) {
  const { said } = turn;
  return new Promise((resolve) => {
    const named = {
      "aria-label": "Edit the message",
      autocomplete: "off",
      enterKeyHint: enterKey(),
    };
    const box = h("textarea", { class: "input", rows: 2, dir: "auto", ...named });
    const draft = `edit.${turn.chat.id}`;
    box.value = readDraft(draft) ?? text;
    const close = (result) => {
      keepDraft(draft, null);
      unwatch();
      form.remove();
      said.classList.remove("said-edited");
      resolve(result);
    };
    const leave = async () => {
      const isSame = box.value === turn.message;
      if (isSame || (await mayDiscard())) close(null);
    };
    const submit = button("Send", { kind: "primary", small: true, type: "submit" });
    const cancel = button("Cancel", { small: true, onclick: () => close(null) });
    const hint = h("div", { class: "hint" });
    const parent = turn.thread.turns.branches.parent(turn.chat.id);
    const showCosts = () => {
      const costs = newAnswerCosts(turn.thread.offer(box.value, { parent }));
      hint.textContent = `${costs} Your original message is kept.`.trim();
    };
    const unwatch = watchBalance(showCosts);
    const actions = h("div", { class: "edit-actions" }, hint, cancel, submit);
    const failure = h("div", { class: "edit-failure" });
    const form = h("form", { class: "edit", noValidate: true }, box, failure, actions);
    const grow = () => {
      box.style.height = "auto";
      box.style.height = `${Math.min(box.scrollHeight + 2, innerHeight * 0.5)}px`;
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const written = box.value.toWellFormed?.() ?? box.value;
      const reason = tooLong(written);
      if (reason) fill(failure, note("bad", h("p", {}, reason)));
      if (reason || written.trim() === "") box.focus();
      else if (isFree(turn)) close(written);
    });
    form.addEventListener("keydown", (event) => {
      if (event.isComposing || event.shiftKey) return;
      const isSent = event.target === box && sends(event);
      if (event.key !== "Escape" && !isSent) return;
      event.preventDefault();
      if (isSent) form.requestSubmit();
      else leave();
    });
    box.addEventListener("input", () => {
      fill(failure);
      keepDraft(draft, box.value);
      grow();
      if (hasPrices()) showCosts();
    });
    said.classList.add("said-edited");
    said.append(form);
    grow();
    box.focus();
  });
}
