// Dialogs: content over the page, and confirmations.

import { busy, button } from "./button.js";
import { fill, h, newId } from "./dom.js";
import { explain } from "./format.js";
import { raiseMessages } from "./message.js";
import { note } from "./note.js";

/** Matches focusable elements. A dialog focuses the first one, or the element with `autofocus`. */
const FIRST = ".dialog-body :is(input, textarea, select, button, a)";

/**
 * Opens a dialog. `content` is its nodes, or a function that gets `close` and returns the nodes.
 * Escape and the cross close the dialog, and the focus returns to its previous element. Resolves
 * with the argument of `close`.
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
    const crossing = { kind: "quiet", icon: "close", label: "Close", onclick: () => close() };
    const cross = button(null, crossing);
    element.append(
      h("header", { class: "dialog-head" }, heading, cross),
      h("div", { class: "dialog-body" }, typeof content === "function" ? content(close) : content),
    );
    element.addEventListener("close", () => {
      element.remove();
      raiseMessages();
      resolve(result);
    });
    // A press outside of the dialog closes it, unless typed text would be lost.
    element.addEventListener("mousedown", (event) => {
      const isTyped = element.matches(":has(:is(input, textarea):not(:placeholder-shown))");
      if (event.target === element && !isTyped) close();
    });
    document.body.append(element);
    element.showModal();
    raiseMessages();
    (element.querySelector("[autofocus]") ?? element.querySelector(FIRST) ?? cross).focus();
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
