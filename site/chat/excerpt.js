// Excerpts around the words of a search, with the words marked.

import { h } from "../ui/dom.js";

/** The words of a search, in lower case. As in the API, a text between double quotes is one. */
export function wordsOf(q) {
  const parts = q.toLowerCase().split('"');
  const words = parts.flatMap((part, index) => (index % 2 ? [part.trim()] : part.split(/\s+/)));
  return words.filter(Boolean);
}

/** Returns true if the text contains one of the words. */
export const hasWord = (text, q) => wordsOf(q).some((word) => text.toLowerCase().includes(word));

/** Returns a part of the text as one line: its beginning, or the part around the first match. */
export function excerpt(text, q, { before = 60, length = 200 } = {}) {
  const flat = text.replace(/\s+/g, " ");
  const places = wordsOf(q).map((word) => flat.toLowerCase().indexOf(word));
  const found = Math.min(...places.filter((place) => place >= 0));
  const from = Number.isFinite(found) ? Math.max(0, found - before) : 0;
  const cut = flat.slice(from, from + length);
  return `${from > 0 ? "…" : ""}${cut}${from + length < flat.length ? "…" : ""}`;
}

/** Returns the text with all matches marked. */
export function marked(text, q) {
  const words = wordsOf(q).toSorted((one, other) => other.length - one.length);
  const lower = text.toLowerCase();
  // If the lower-case text differs in length, the matches' positions would be wrong.
  if (words.length === 0 || lower.length !== text.length) return text;
  const matches = lower.matchAll(new RegExp(words.map(escaped).join("|"), "g"));
  const nodes = [];
  let at = 0;
  for (const { index, 0: match } of matches) {
    const end = index + match.length;
    nodes.push(text.slice(at, index), h("mark", {}, text.slice(index, end)));
    at = end;
  }
  return [...nodes, text.slice(at)];
}

/** The word as a regular expression that matches only this word. */
const escaped = (word) => word.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
