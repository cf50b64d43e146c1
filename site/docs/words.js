// Descriptions in Markdown, as nodes.

import { nodesOf } from "../markdown/nodes.js";
import { parse } from "../markdown/syntax.js";
import { h } from "../ui/dom.js";

/** A description as an element, or null without one. Its line ends aren't line breaks. */
export function described(source, kind = "docs-words") {
  if (!source) return null;
  const tokens = parse(source, {});
  for (const inner of tokens.flatMap(({ children }) => children ?? []))
    if (inner.type === "softbreak") Object.assign(inner, { type: "text", content: "\n" });
  return h("div", { class: kind }, nodesOf(tokens));
}
