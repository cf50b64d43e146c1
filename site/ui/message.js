// Messages over the page that disappear after some seconds.

import { button } from "./button.js";
import { h } from "./dom.js";
import { explain } from "./format.js";
import { icon } from "./icons.js";

const messages = h("div", { class: "toasts", role: "region", "aria-label": "Notifications" });
document.body.append(messages);

/**
 * Shows a message for some seconds. `kind` is `good`, `info` or `bad`; a `bad` message stays
 * longer. `action` is `{text, run}`.
 */
export function toast(text, { kind = "good", action } = {}) {
  const element = h(
    "div",
    { class: `toast toast-${kind}`, role: kind === "bad" ? "alert" : "status" },
    icon({ good: "check", info: "info" }[kind] ?? "alert"),
    h("p", {}, text),
  );
  const remove = () => element.remove();
  if (action) {
    const onclick = () => (remove(), action.run());
    element.append(button(action.text, { kind: "quiet", small: true, onclick }));
  }
  const dismissal = { kind: "quiet", icon: "close", label: "Dismiss", small: true };
  element.append(button(null, { ...dismissal, onclick: remove }));
  messages.append(element);
  raiseMessages();
  let timer = setTimeout(remove, kind === "bad" ? 12_000 : 5000);
  element.addEventListener("pointerenter", () => clearTimeout(timer));
  element.addEventListener("pointerleave", () => (timer = setTimeout(remove, 3000)));
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

/** Moves the messages into the open dialog, because everything behind a dialog is inert. */
export function raiseMessages() {
  const top = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  if (messages.parentElement !== top) top.append(messages);
}
