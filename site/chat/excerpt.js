// Excerpts around a search term, with the matches marked.

import { h } from "../ui/dom.js";

/** Returns a part of the text as one line: its beginning, or the part around the first match. */
export function excerpt(text, q, { before = 60, length = 200 } = {}) {
  const flat = text.replace(/\s+/g, " ");
  const found = q ? flat.toLowerCase().indexOf(q.toLowerCase()) : -1;
  const from = Math.max(0, found - before);
  const cut = flat.slice(from, from + length);
  return `${from > 0 ? "…" : ""}${cut}${from + length < flat.length ? "…" : ""}`;
}

/** Returns the text with all matches marked. */
export function marked(text, q) {
  if (!q) return text;
  const nodes = [];
  const [lower, sought] = [text.toLowerCase(), q.toLowerCase()];
  // If the lower-case text differs in length, the matches' positions would be wrong.
  if (lower.length !== text.length) return text;
  let at = 0;
  for (let found; (found = lower.indexOf(sought, at)) >= 0; at = found + sought.length)
    nodes.push(text.slice(at, found), h("mark", {}, text.slice(found, found + sought.length)));
  return [...nodes, text.slice(at)];
}
