// The dialog that lists the chat page's keyboard shortcuts, whose actions are in app.js.

import { dialog } from "../ui/dialog.js";
import { h } from "../ui/dom.js";

/** The keys, with the key that is pressed for Ctrl, and what they do. */
const shortcuts = (ctrl) => [
  [["Enter"], "Send the message"],
  [["Shift", "Enter"], "Start a new line"],
  [["↑"], "Edit your last message, if the box is empty"],
  [[ctrl, "K"], "Search chats and messages"],
  [[ctrl, "Shift", "O"], "New chat"],
  [["Shift", "Esc"], "Write a message"],
  [["Esc"], "Stop the answer"],
  [["?"], "Show this list"],
];

/** Shows the list of the shortcuts. */
export function list(isMac) {
  const keys = (names) => names.flatMap((name, at) => [at > 0 && " + ", h("kbd", {}, name)]);
  const rows = shortcuts(isMac ? "⌘" : "Ctrl").map(([names, what]) => [
    h("dt", {}, keys(names)),
    h("dd", {}, what),
  ]);
  dialog("Keyboard shortcuts", h("dl", { class: "facts" }, rows));
}
