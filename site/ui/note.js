// Notes and placeholders for content that is loading, and for empty lists.

import { h } from "./dom.js";
import { icon } from "./icons.js";

/** A note in a box. `kind` is `info`, `good`, `warn` or `bad`. */
export function note(kind, ...children) {
  const name = { info: "info", good: "check", warn: "alert", bad: "alert" }[kind];
  return h(
    "div",
    { class: `note note-${kind}`, role: kind === "bad" ? "alert" : undefined },
    icon(name),
    h("div", { class: "note-body" }, children),
  );
}

/** Grey lines in place of content that is loading. */
export function skeleton(lines = 3) {
  const widths = ["60%", "90%", "75%", "85%", "50%"];
  const line = (_, index) =>
    h("div", { class: "skeleton", style: { width: widths[index % widths.length] } });
  return h(
    "div",
    { class: "skeletons", role: "status" },
    h("span", { class: "sr-only" }, "Loading"),
    Array.from({ length: lines }, line),
  );
}

/** The note in an empty list. */
export function emptyState(name, title, ...children) {
  return h(
    "div",
    { class: "empty" },
    icon(name),
    h("p", { class: "empty-title" }, title),
    children,
  );
}
