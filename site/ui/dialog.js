// Dialogs: content over the page, and confirmations.

import { busy, button } from "./button.js";
import { fill, h, newId } from "./dom.js";
import { explain } from "./format.js";
import { note } from "./note.js";

/** Matches focusable elements. A dialog focuses the first one, or the element with `autofocus`. */
const FIRST = ".dialog-body :is(input, textarea, select, button, a)";

/**
 * Opens a dialog. `content` is its nodes, or a function that gets `close` and returns the nodes.
 * Escape and the cross close the dialog, and the focus returns to its previous element. If a text
 * would be lost, the user is asked first: a text in a box, or one with the attribute `data-once`,
 * which can't be shown again. Resolves with the argument of `close`.
 */
export function dialog(title, content, { wide = false, kind = "" } = {}) {
  return new Promise((resolve) => {
    const heading = h("h2", { id: newId("dialog"), class: "dialog-title" }, title);
    const classes = ["dialog", wide && "dialog-wide", kind && `dialog-${kind}`].filter(Boolean);
    const element = h("dialog", { class: classes.join(" "), "aria-labelledby": heading.id });
    let result;
    const close = (value) => {
      result = value;
      element.close();
    };
    const leave = async () => (await mayLose(element, written)) && close();
    const crossing = { kind: "quiet", icon: "close", label: "Close", onclick: leave };
    const cross = button(null, crossing);
    element.append(
      h("header", { class: "dialog-head" }, heading, cross),
      h("div", { class: "dialog-body" }, typeof content === "function" ? content(close) : content),
    );
    // Everything behind a dialog is inert, so it has its own element for announcements.
    document
      .querySelectorAll("body > .announcer")
      .forEach((one) => element.append(one.cloneNode()));
    const written = textIn(element);
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault();
      event.stopPropagation();
      leave();
    });
    // Without a focused element, only the dialog hears of Escape.
    element.addEventListener("cancel", (event) => {
      if (event.target !== element) return;
      event.preventDefault();
      leave();
    });
    element.addEventListener("close", () => {
      raiseMessages();
      element.remove();
      resolve(result);
    });
    // A press outside of the dialog closes it, unless typed text would be lost.
    element.addEventListener("mousedown", (event) => {
      const isTyped = element.matches(":has(:is(input, textarea):not(:placeholder-shown))");
      if (event.target === element && !isTyped) leave();
    });
    document.body.append(element);
    element.showModal();
    raiseMessages();
    (element.querySelector("[autofocus]") ?? element.querySelector(FIRST) ?? cross).focus();
  });
}

/** Moves the messages into the open dialog, because everything behind a dialog is inert. */
function raiseMessages() {
  const top = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  top.append(document.querySelector(".toasts"));
}

/** The text in the boxes of a dialog that the user can edit. */
const textIn = (element) =>
  [...element.querySelectorAll("textarea:not([readonly])")].map(({ value }) => value).join("\n");

/** Asks before a dialog closes, if a text in it would be lost. Resolves with true if it may close. */
async function mayLose(element, written) {
  if (element.querySelector("[data-once]"))
    return confirm("Close without a copy?", "This is shown only once, and can't be shown again.", {
      action: "Close",
      danger: true,
    });
  const isSame = textIn(element) === written || !element.querySelector("textarea:not([readonly])");
  if (isSame) return true;
  return confirm("Discard your text?", "What you have written here isn't saved.", {
    action: "Discard",
    danger: true,
  });
}

/**
 * Asks for confirmation of an action. Runs `run` before the dialog closes, and shows a failure in
 * the dialog, as `words` puts it. Resolves with true if the action was confirmed and succeeded.
 */
export function confirm(title, text, options = {}) {
  const { action = "OK", danger = false, run, words = explain } = options;
  return dialog(title, (close) => {
    const failure = h("div", {});
    const yes = button(action, {
      kind: danger ? "danger" : "primary",
      onclick: () =>
        busy(yes, async () => {
          try {
            await run?.();
            close(true);
          } catch (error) {
            fill(failure, note("bad", words(error)));
          }
        }),
    });
    const no = button("Cancel", { onclick: () => close(false), autofocus: true });
    return [h("p", {}, text), failure, h("div", { class: "dialog-actions" }, no, yes)];
  });
}
