// The list of the keyboard shortcuts.

import { dialog } from "./dialog.js";
import { h } from "./dom.js";

/** Keys of the box in which a message is written. */
const IN_BOX = [
  [["Enter"], "Send the message"],
  [["Shift", "Enter"], "Start a new line"],
  [["↑"], "Edit your last message, in an empty box"],
];

/** Shows the list of these shortcuts, each `[keys, what they do]`. */
export function list(shortcuts) {
  const keys = (names) => names.flatMap((name, at) => [at > 0 && " + ", h("kbd", {}, name)]);
  const rows = [...IN_BOX, ...shortcuts].map(([names, what]) => [
    h("dt", {}, keys(names)),
    h("dd", {}, what),
  ]);
  dialog("Keyboard shortcuts", h("dl", { class: "facts" }, rows));
}
