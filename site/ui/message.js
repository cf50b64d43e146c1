// Messages over the page that disappear after some seconds.

import { button } from "./button.js";
import { h } from "./dom.js";
import { explain } from "./format.js";
import { icon } from "./icons.js";

const messages = h("div", {
  class: "toasts",
  role: "region",
  "aria-label": "Notifications",
});
document.body.append(messages);

/** The last movement of a mouse in the window. */
let mouse = {};
addEventListener("pointermove", (event) => {
  if (event.pointerType === "mouse") mouse = event;
});
document.documentElement.addEventListener("pointerleave", () => (mouse = {}));

/** Returns true if the focus or the mouse is in `element`, which `:hover` may not match. */
function isHeld(element) {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  const { x, y } = mouse;
  const isOver = x > left && x < right && y > top && y < bottom;
  return isOver || element.contains(document.activeElement);
}

/**
 * Shows a message for some seconds, and until the focus or the mouse has left it. Then the focus
 * returns to its previous element. `kind` is `good`, `info` or `bad`; a `bad` message stays longer.
 * `action` is `{text, run}`.
 */
export function toast(text, { kind = "good", action } = {}) {
  const element = h(
    "div",
    { class: `toast toast-${kind}`, role: kind === "bad" ? "alert" : "status" },
    icon({ good: "check", info: "info" }[kind] ?? "alert"),
    h("p", {}, text),
  );
  let seconds = kind === "bad" ? 12 : 5;
  const timer = setInterval(() => {
    if (isHeld(element)) seconds = 4;
    else if (!(seconds -= 1)) remove();
  }, 1000);
  let before;
  element.addEventListener("focusin", ({ relatedTarget }) => {
    if (!element.contains(relatedTarget)) before = relatedTarget;
  });
  const remove = () => {
    clearInterval(timer);
    const isFocused = element.contains(document.activeElement);
    element.remove();
    if (isFocused) before?.focus();
  };
  if (action) {
    const onclick = () => (remove(), action.run());
    element.append(button(action.text, { kind: "quiet", small: true, onclick }));
  }
  const dismissal = { kind: "quiet", icon: "close", label: "Dismiss", small: true };
  element.append(button(null, { ...dismissal, onclick: remove }));
  messages.append(element);
}

/** Runs `work`, and shows a message if it fails. Resolves with true if it succeeded. */
export async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    if (error?.name !== "AbortError") toast(explain(error), { kind: "bad" });
    return false;
  }
}
