// The chat page's keyboard shortcuts, and the dialog that lists them.

import { h } from "../ui/dom.js";
import { attempt } from "../ui/message.js";
import { go } from "../ui/router.js";
import { focusSearch } from "./sidebar.js";

const isMac = /Mac|iPhone|iPad/.test(navigator.platform);
const CTRL = isMac ? "⌘" : "Ctrl";

/** The shortcuts: keys, description, action, and a test for the key event. */
const SHORTCUTS = [
  [[CTRL, "K"], "Search chats and messages", focusSearch, (event) => isCtrl(event, "k")],
  [[CTRL, "Shift", "O"], "New chat", begin, (event) => isCtrl(event, "o", true)],
  [["Shift", "Esc"], "Write a message", write, ({ key, shiftKey }) => key === "Escape" && shiftKey],
  [["Esc"], "Stop the answer", stop, ({ key, shiftKey }) => key === "Escape" && !shiftKey],
  [["?"], "Show this list", showShortcuts, (event) => isCtrl(event, "/") || isAsked(event)],
];

/** Keys in the box in which users write messages. */
const IN_BOX = [
  [["Enter"], "Send the message"],
  [["Shift", "Enter"], "Start a new line"],
  [["↑"], "Edit your last message, if the box is empty"],
];

/** Listens for the shortcuts. They work while `isActive()` returns true. */
export function listenToKeys(isActive) {
  addEventListener("keydown", (event) => {
    const isElsewhere = document.querySelector("dialog[open], .menu:popover-open, .sidebar.open");
    if (event.defaultPrevented || event.isComposing || isElsewhere || !isActive()) return;
    const [, , run] = SHORTCUTS.find(([, , , matches]) => matches(event)) ?? [];
    if (run?.() !== false && run) event.preventDefault();
  });
}

/** Returns true if this key is pressed with Ctrl, or with Command on a Mac. */
function isCtrl({ key, ctrlKey, metaKey, altKey, shiftKey }, wanted, shift = false) {
  const isHeld = isMac ? metaKey : ctrlKey;
  return isHeld && !altKey && shiftKey === shift && key.toLowerCase() === wanted;
}

/** Returns true for a question mark outside of a field. */
function isAsked({ key, target }) {
  return key === "?" && !target.matches?.("input, textarea, select");
}

function begin() {
  go("#/", { replace: location.hash === "#/" });
}

const box = () => document.getElementById("message");

function write() {
  if (!box()) return false;
  box().focus();
  return true;
}

function stop() {
  const running = document.querySelector(".composer-stop");
  if (!running) return false;
  running.click();
  return true;
}

/** Shows the list of the shortcuts. */
export function showShortcuts() {
  attempt(async () => {
    const { dialog } = await import("../ui/dialog.js");
    const keys = (names) => names.flatMap((name, at) => [at > 0 && " + ", h("kbd", {}, name)]);
    const rows = [...IN_BOX, ...SHORTCUTS].map(([names, what]) => [
      h("dt", {}, keys(names)),
      h("dd", {}, what),
    ]);
    dialog("Keyboard shortcuts", h("dl", { class: "facts" }, rows));
  });
}
