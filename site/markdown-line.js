// Markdown within a line: emphasis, code and links, as nodes.

import { h } from "./dom.js";

/**
 * How deep quotes, lists and emphasis are nested at most. What is nested deeper is shown as text.
 */
export const DEPTH = 8;

const SPECIAL = /[\\`*_~[!<\nh$]/g;
const EMPHASES = [
  ["**", "strong"],
  ["__", "strong"],
  ["~~", "del"],
  ["*", "em"],
  ["_", "em"],
];

/** The nodes of a line. */
export function inline(text, depth = 0) {
  if (depth > DEPTH) return [text];
  const nodes = [];
  // A mark that was not found is not searched again, which bounds the time.
  const missing = new Set();
  const find = (what, from) => {
    if (missing.has(what)) return -1;
    const found = text.indexOf(what, from);
    if (found < 0) missing.add(what);
    return found;
  };
  // The position of exactly `size` backticks.
  find.ticks = (size, from) => {
    const marks = "`".repeat(size);
    let found = missing.has(size) ? -1 : text.indexOf(marks, from);
    while (found >= 0 && (text[found + size] === "`" || text[found - 1] === "`")) {
      let end = found;
      while (text[end] === "`") end += 1;
      found = text.indexOf(marks, end);
    }
    if (found < 0) missing.add(size);
    return found;
  };
  let plain = 0;
  let at = 0;
  const put = (node, end) => {
    if (at > plain) nodes.push(text.slice(plain, at));
    nodes.push(...[node].flat());
    at = end;
    plain = end;
  };
  while (at < text.length) {
    SPECIAL.lastIndex = at;
    const special = SPECIAL.exec(text);
    if (!special) break;
    at = special.index;
    const found = read(text, at, find, depth);
    if (found) put(found.node, found.end);
    else at += 1;
  }
  at = text.length;
  put([], at);
  return nodes;
}

/** The node that begins at `at`, and its end; null if there is only text. */
function read(text, at, find, depth) {
  const mark = text[at];
  if (mark === "\n") return { node: h("br", {}), end: at + 1 };
  if (mark === "\\" || mark === "$") {
    const formula = formulaAt(text, at, find);
    if (formula || mark === "$") return formula;
  }
  if (mark === "\\")
    return /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "") ? { node: text[at + 1], end: at + 2 } : null;
  if (mark === "`") return code(text, at, find);
  if (mark === "h") return bareLink(text, at);
  if (mark === "<") return angleLink(text, at, find);
  if (mark === "[") return link(text, at, find, depth);
  if (mark === "!") return text[at + 1] === "[" ? link(text, at + 1, find, depth) : null;
  return emphasis(text, at, find, depth);
}

const FORMULAS = { "\\(": "\\)", "\\[": "\\]", $$: "$$" };

/** A formula, as it was written: nothing in it is Markdown. */
function formulaAt(text, at, find) {
  const close = FORMULAS[text.slice(at, at + 2)];
  const end = close ? find(close, at + 2) : -1;
  if (end < 0) return null;
  const source = text.slice(at, end + 2);
  return { node: h("span", { class: "formula", dir: "ltr" }, source), end: end + 2 };
}

function code(text, at, find) {
  let size = 1;
  while (text[at + size] === "`") size += 1;
  const marks = "`".repeat(size);
  const end = find.ticks(size, at + size);
  if (end < 0) return { node: marks, end: at + size };
  const content = text.slice(at + size, end).replaceAll("\n", " ");
  const padded = content.startsWith(" ") && content.endsWith(" ") && content.trim() !== "";
  return { node: h("code", {}, padded ? content.slice(1, -1) : content), end: end + size };
}

function emphasis(text, at, find, depth) {
  for (const [marks, tag] of EMPHASES) {
    if (!text.startsWith(marks, at)) continue;
    const inside = at + marks.length;
    if (/^\s?$/.test(text[inside] ?? "")) return { node: marks, end: inside };
    // In names_like_this underscores are letters.
    if (marks[0] === "_" && /\w/.test(text[at - 1] ?? "")) return { node: marks, end: inside };
    let end = find(marks, inside + 1);
    while (end >= 0 && !closes(text, end, marks)) end = find(marks, end + 1);
    if (end < 0) continue;
    if (marks.length === 2 && text[end + 2] === marks[0]) end += 1;
    return {
      node: h(tag, {}, inline(text.slice(inside, end), depth + 1)),
      end: end + marks.length,
    };
  }
  return null;
}

function closes(text, end, marks) {
  if (/\s/.test(text[end - 1]) || text[end - 1] === "\\") return false;
  const isDoubled = text[end + 1] === "*" || text[end - 1] === "*";
  const isTripled = text[end + 1] === "*" && text[end + 2] === "*";
  if (marks === "*" && isDoubled && !isTripled) return false;
  return marks[0] !== "_" || !/\w/.test(text[end + marks.length] ?? "");
}

function link(text, at, find, depth) {
  const first = find("](", at + 1);
  if (first < 0 || first - at > 1000) return null;
  const end = bracketEnd(text, at);
  if (end < 0 || text[end + 1] !== "(") return null;
  const inner = text.slice(at + 1, end);
  let close = end + 2;
  for (let open = 1; close < text.length && close - end < 1000; close += 1) {
    if (text[close] === "(") open += 1;
    else if (text[close] === ")") open -= 1;
    else if (text[close] === "\n") return null;
    if (open === 0) break;
  }
  if (text[close] !== ")") return null;
  const target = text
    .slice(end + 2, close)
    .trim()
    .replace(/\s+["'(].*$/, "")
    .replace(/^<(.*)>$/, "$1");
  const url = safe(target);
  const content = inline(inner, depth + 1);
  return {
    node: url ? anchor(url, content.length > 0 ? content : [url]) : content,
    end: close + 1,
  };
}

/** The bracket that closes the one at `at`. The text between may contain pairs of brackets. */
function bracketEnd(text, at) {
  for (let [open, end] = [0, at]; end < text.length && end - at < 1000; end += 1) {
    if (text[end] === "\\") end += 1;
    else if (text[end] === "[") open += 1;
    else if (text[end] === "]") open -= 1;
    if (open === 0) return end;
  }
  return -1;
}

function angleLink(text, at, find) {
  if (/^<br ?\/?>/i.test(text.slice(at, at + 6)))
    return { node: h("br", {}), end: text.indexOf(">", at) + 1 };
  const end = find(">", at);
  const url = end < 0 || end - at > 2000 ? null : safe(text.slice(at + 1, end));
  return url ? { node: anchor(url, [text.slice(at + 1, end)]), end: end + 1 } : null;
}

function bareLink(text, at) {
  if (!/^https?:\/\//.test(text.slice(at, at + 8)) || /\w/.test(text[at - 1] ?? "")) return null;
  let end = at;
  while (end < text.length && end - at < 2000 && !/[\s<>"`|\\^{}]/.test(text[end])) end += 1;
  // The end of a sentence, or a bracket around the address, does not belong to it.
  while (/[.,:;!?'*_~\])]/.test(text[end - 1])) {
    if (text[end - 1] === ")" && text.slice(at, end).includes("(")) break;
    end -= 1;
  }
  const url = safe(text.slice(at, end));
  return url ? { node: anchor(url, [text.slice(at, end)]), end } : null;
}

/** The address if it is one of a web site, otherwise null. */
function safe(text) {
  if (!/^https?:\/\//i.test(text)) return null;
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

function anchor(href, content) {
  return h("a", { href, rel: "noopener noreferrer nofollow", target: "_blank" }, content);
}
