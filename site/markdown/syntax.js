// The Markdown of answers: CommonMark with GitHub's tables, strikethrough and bare links, numbered
// footnotes, and formulas. HTML is shown as text, except for a few elements that AIs use, such as
// `<br>` in tables, `<sub>`, and `<details>` with a `<summary>`. Attributes are ignored, except for
// `open` of `<details>`.

import MarkdownIt from "../vendor/markdown-it/markdown-it.esm.min.mjs";

/**
 * The maximum number of characters and lines that are searched for the end of a formula or an
 * address.
 */
const LONGEST = 4000;
const MOST_LINES = 200;

const markdown = new MarkdownIt({ html: false, linkify: true });

// Accept all links here, because they are checked when they are shown. Their text is shown as
// written, because a decoded host name could look like a different host name.
markdown.validateLink = () => true;
markdown.normalizeLinkText = (url) => url;

// A bare `main.rs` isn't a link.
markdown.linkify.set({ fuzzyLink: false });
markdown.linkify.add("www.", {
  validate: (text, at, linkify) => {
    const url = `http://www.${text.slice(at, at + LONGEST)}`;
    return Math.max(0, linkify.testSchemaAt(url, "http:", 5) - "//www.".length);
  },
  normalize: (match) => (match.url = `http://${match.url}`),
});

/**
 * Returns the tokens of the text. `env.references` collects link definitions, and may contain
 * earlier ones. `env.room` is the number of nodes that the text may get, by default any number. The
 * rest of the text is tokens `as_written`, or the `rest` of an inline token.
 */
export function parse(text, env) {
  const room = (env.room ??= Infinity);
  if (room > 0) return markdown.parse(text, env);
  const lines = text.replace(/\n$/, "").split("\n");
  const tokens = [];
  for (let start = 0; start < lines.length; start += PART) {
    const part = lines.slice(start, start + PART);
    const map = [start, start + part.length];
    const content = part.join("\n");
    tokens.push({ type: "as_written", nesting: 0, block: true, content, map, room });
  }
  return tokens;
}

/** The language that the first line of a code block names. */
export const languageOf = (token) => markdown.utils.unescapeAll(token.info).trim().split(/\s/)[0];

// --- The budget of nodes ---

/** The maximum number of lines in a token `as_written`. */
const PART = 100;

/**
 * The number of nodes, which are elements and texts, of tokens that make several. The layout of an
 * item with its mark takes as long as that of three other nodes.
 */
const NODES = { fence: 12, code_block: 12, list_item_open: 3 };

/**
 * Matches one of the two marks of an element, or the beginning of an element that has one mark. A
 * link's address is a part of its element. Counting marks takes less time than parsing them, and
 * later text doesn't change the number.
 */
const MARKS = /([*_~`$])|[\n<[@\\]|(?<!\]\(\w+:)\/\/|www\./gi;

/**
 * Returns how many nodes may follow after these tokens, and sets the same number as `room` of each
 * token. Moves the content of a token that doesn't fit to its `rest`.
 */
function roomAfter({ tokens, env }) {
  let at = tokens.length;
  while (at > 0 && tokens[at - 1].room === undefined) at -= 1;
  let room = tokens[at - 1]?.room ?? env.room;
  for (const token of tokens.slice(at)) {
    if (token.nesting >= 0) room -= NODES[token.type] ?? 1;
    if (token.type === "inline") room = fitting(token, room);
    token.room = room;
  }
  return room;
}

/** Cuts an inline token's content at the first mark that doesn't fit. Returns the room after it. */
function fitting(token, before) {
  let room = before;
  for (const { 1: half, index } of token.content.matchAll(MARKS)) {
    room -= half ? 0.5 : 1;
    if (room > 0) continue;
    token.rest = token.content.slice(index);
    token.content = token.content.slice(0, index);
    return 0;
  }
  return room;
}

// This rule is tried first for each block. It also ends a list, a quote or a table.
const [table] = markdown.block.ruler.getRules("");
markdown.block.ruler.before("table", "rest", rest, { alt: ["blockquote", "list"] });
markdown.core.ruler.after("block", "room", roomAfter);

/** Shows the rest of the text as written, or the rest of the item or quote that contains it. */
function rest(state, start, end, silent) {
  if (roomAfter(state) > 0) return false;
  if (silent) return true;
  const isOver = (line) => state.sCount[line] < state.blkIndent && !state.isEmpty(line);
  const last = Math.min(end, start + PART);
  let next = start + 1;
  while (next < last && !isOver(next)) next += 1;
  const token = state.push("as_written", "p", 0);
  token.content = state.getLines(start, next, state.blkIndent, false);
  token.map = [start, next];
  state.line = next;
  return true;
}

/** The maximum number of columns in a table. A row is made as a whole. Wider tables are text. */
const MOST_COLUMNS = 100;

markdown.block.ruler.at(
  "table",
  (state, start, end, silent) => {
    const line = state.src.slice(state.bMarks[start + 1], state.eMarks[start + 1]);
    return line.split("|").length <= MOST_COLUMNS && table(state, start, end, silent);
  },
  { alt: ["paragraph", "reference"] },
);

// --- Formulas ---

const BLOCK_ENDS = { $$: "$$", "\\[": "\\]" };
const INLINE_ENDS = { ...BLOCK_ENDS, "\\(": "\\)" };

/**
 * A formula in lines from `$$` or `\[` to its end. Without an end, the formula continues to the end
 * of the text, because the rest may not have arrived.
 */
markdown.block.ruler.before("fence", "formula", formulaBlock, {
  alt: ["paragraph", "reference", "blockquote", "list"],
});

function formulaBlock(state, start, end, silent) {
  if (state.sCount[start] - state.blkIndent >= 4) return false;
  const lineAt = (line) =>
    state.src.slice(state.bMarks[line] + state.tShift[line], state.eMarks[line]);
  const first = lineAt(start);
  const close = BLOCK_ENDS[first.slice(0, 2)];
  if (!close) return false;
  const lines = [];
  let next = start;
  for (let isOpen = true; isOpen && next < end; next += 1) {
    const isOver = state.isEmpty(next) || state.sCount[next] < state.blkIndent;
    if (isOver || lines.length === MOST_LINES) return false;
    const line = next === start ? first.slice(2) : lineAt(next);
    const found = line.indexOf(close);
    if (found >= 0 && line.slice(found + 2).trim() !== "") return false;
    isOpen = found < 0;
    // A line that begins with `\[no link]` is text.
    if (isOpen && next === start && close === "\\]" && line.includes("]")) return false;
    // The first line alone decides whether the formula ends a paragraph, because a later line can't
    // undo that.
    if (isOpen && silent) return true;
    lines.push(isOpen ? line : line.slice(0, found));
  }
  const tex = lines.join("\n").trim();
  if (!isFormula(tex)) return false;
  if (silent) return true;
  const token = state.push("formula_block", "math", 0);
  token.content = tex;
  token.markup = state.getLines(start, next, state.blkIndent, false).trim();
  token.map = [start, next];
  state.line = next;
  return true;
}

/** Returns false for text without letters and digits, such as escaped brackets. */
const isFormula = (tex) => /[\p{L}\p{N}]/u.test(tex);

markdown.inline.ruler.before("escape", "formula", (state, silent) => {
  const { src, pos, posMax } = state;
  if (src[pos] !== "\\" && src[pos] !== "$") return false;
  const close = INLINE_ENDS[src.slice(pos, pos + 2)];
  if (close === "$$" && (src[pos - 1] === "$" || src[pos + 2] === "$")) return false;
  const from = pos + (close ?? "$").length;
  const text = src.slice(from, Math.min(from + LONGEST, posMax));
  const length = close ? text.indexOf(close) : dollars(text, src[pos - 1]);
  const tex = text.slice(0, length);
  if (length < 0 || !isFormula(tex)) return false;
  const last = from + length + (close ?? "$").length;
  if (!silent) {
    const token = state.push("formula", "math", 0);
    token.content = tex.trim();
    token.markup = src.slice(pos, last);
    token.block = close === "$$" || close === "\\]";
  }
  state.pos = last;
  return true;
});

/**
 * Returns the length of the formula that ends at a single dollar, or -1. A dollar may also belong
 * to a price or a variable: `$x^2$` is a formula, but `$5 and $6` and `$HOME/$USER` contain no
 * formula.
 */
function dollars(text, before = "") {
  if (/[\w$\\]/.test(before) || !/^[^\s$]/.test(text)) return -1;
  const length = text.indexOf("$");
  const tex = text.slice(0, length);
  if (length < 0 || /[\n`]|[\s\\]$/.test(tex) || /[\w$]/.test(text[length + 1] ?? "")) return -1;
  if (/[\\^_]/.test(tex)) return length;
  // A formula without TeX commands contains no words.
  const words = /^\d/.test(tex) ? /\p{L}{2}/u : /\p{L}{3}/u;
  return words.test(tex) ? -1 : length;
}

// --- Footnotes ---

/** The mark of a footnote. In `[^1](url)`, the same characters are the text of a link. */
const FOOTNOTE = /^\[\^(\d{1,3})\](?![([])/;

// A footnote's mark is a raised number, in the text and before the note.
markdown.inline.ruler.before("link", "footnote", (state, silent) => {
  const { src, pos } = state;
  const mark = src[pos] === "[" && FOOTNOTE.exec(src.slice(pos, pos + 8));
  if (!mark) return false;
  const isNote = src[pos + mark[0].length] === ":" && (pos === 0 || src[pos - 1] === "\n");
  if (!silent) state.push("footnote", "sup", 0).content = mark[1];
  state.pos += mark[0].length + (isNote ? 1 : 0);
  return true;
});

// Otherwise a note that consists only of an address would be a link definition.
const paragraph = markdown.block.ruler.getRules("").at(-1);
markdown.block.ruler.before("reference", "footnote", (state, start, end, silent) => {
  const at = state.bMarks[start] + state.tShift[start];
  return FOOTNOTE.test(state.src.slice(at, at + 8)) && paragraph(state, start, end, silent);
});

// --- Collapsible parts ---

/** The maximum depth of nested parts. Deeper parts are text. */
const DEEPEST = 8;

const BEGINNING = /^<details(?:\s[^<>]*)?>/i;
const DETAILS = /<(\/?)details(?:\s[^<>]*)?>/gi;
const SUMMARY = /^\s*<summary(?:\s[^<>]*)?>/i;
const SUMMARY_END = /<\/summary\s*>/i;

/** The beginning of a tag at the end of the text, because a tag may arrive in pieces. */
const TAG_PART = /<(?:\/?[a-z\d]*|(?:details|summary)\s[^<>]*)$/i;

/**
 * A part of the answer from `<details>` to its end, with a title in `<summary>` and Markdown inside.
 * Without an end, the part continues to the end of the text, because the rest may not have arrived.
 */
markdown.block.ruler.before("fence", "details", detailsBlock, {
  alt: ["paragraph", "reference", "blockquote", "list"],
});

function detailsBlock(state, start, end, silent) {
  const { depth = 0 } = state;
  if (depth === DEEPEST || state.sCount[start] - state.blkIndent >= 4) return false;
  const lineAt = (line) =>
    state.src.slice(state.bMarks[line] + state.tShift[line], state.eMarks[line]);
  const tag = beginning(lineAt(start));
  if (!tag) return false;
  if (silent) return true;
  const isOver = (line) => state.sCount[line] < state.blkIndent && !state.isEmpty(line);
  const { next, close } = endOfDetails(start, end, lineAt, isOver);
  const text = state.getLines(start, next, state.blkIndent, false);
  const from = text.indexOf("<") + tag.length;
  const to = close ? text.length - close.length : text.length;
  let content = text.slice(from, to);
  const grows = !close && state.eMarks[next - 1] === state.src.length;
  if (grows) content = content.replace(TAG_PART, "");
  // Text after the end on the same line isn't lost.
  if (close) content += `\n\n${text.slice(to + close.tag.length).trim()}`;

  const { title, body } = titled(content, grows);
  const open = state.push("details_open", "details", 1);
  open.map = [start, next];
  open.meta = { isOpen: isOpen(tag) };
  state.push("summary_open", "summary", 1);
  const line = state.push("inline", "", 0);
  Object.assign(line, { content: title, map: [start, start + 1], children: [] });
  state.push("summary_close", "summary", -1);
  const inner = new markdown.block.State(body, markdown, state.env, state.tokens);
  Object.assign(inner, { level: state.level, depth: depth + 1 });
  markdown.block.tokenize(inner, 0, inner.lineMax);
  state.push("details_close", "details", -1);
  state.line = next;
  return true;
}

/**
 * The tag that begins a part, if this is its first line. Only the summary may follow on the line,
 * because a text about the element may also begin with its tag.
 */
function beginning(line) {
  const [tag] = BEGINNING.exec(line) ?? [];
  if (!tag) return null;
  const rest = line.slice(tag.length).trim().toLowerCase();
  return "<summary".startsWith(rest) || /^<summary[\s>]/.test(rest) ? tag : null;
}

/**
 * The line after a part, and its end in the last line, as `{next, close}`. `close` is `{tag, length}`
 * with the length of the line from the tag on, or null if the part has no end.
 */
function endOfDetails(start, end, lineAt, isOver) {
  let depth = 0;
  let fence = null;
  for (let next = start; next < end; next += 1) {
    if (next > start && isOver(next)) return { next, close: null };
    const line = lineAt(next);
    const code = line.replace(/^(?:(?:[-*+]|\d{1,9}[.)])\s+|>\s*)+/, "").trim();
    const [mark = ""] = /^(?:`{3,}(?=[^`]*$)|~{3,})/.exec(code) ?? [];
    if (fence) {
      if (mark === code && mark.startsWith(fence)) fence = null;
    } else if (mark) {
      fence = mark;
    } else {
      for (const { 0: tag, 1: slash, index } of detailsIn(line)) {
        depth += slash ? -1 : 1;
        if (depth === 0) return { next: next + 1, close: { tag, length: line.length - index } };
      }
    }
  }
  return { next: end, close: null };
}

/** The tags of parts in a line. A tag within a sentence or in code is text. */
function detailsIn(line) {
  const text = line.replace(/`[^`]+`/g, (code) => "x".repeat(code.length));
  return [...text.matchAll(DETAILS)].filter(({ 0: tag, index }) => {
    let [before, after] = [index - 1, index + tag.length];
    while (text[before] === " ") before -= 1;
    while (text[after] === " ") after += 1;
    return ["", ">"].includes(text[before] ?? "") || ["", "<"].includes(text[after] ?? "");
  });
}

/** Returns true if the tag has the attribute `open`. */
const isOpen = (tag) => /\sopen[\s=/>]/i.test(tag.replace(/"[^"]*"|'[^']*'/g, ""));

/** The title and the rest of a part. More text may follow if the part `grows`. */
function titled(content, grows) {
  const [tag] = SUMMARY.exec(content) ?? [];
  if (!tag) {
    const isAwaited = grows && content.trim() === "";
    return { title: isAwaited ? "" : "Details", body: content };
  }
  const rest = content.slice(tag.length);
  // Without an end, the title ends at an empty line.
  const [paragraph] = rest.slice(0, LONGEST).split(/\n[ \t]*\n/, 1);
  const end = SUMMARY_END.exec(paragraph);
  const title = plainTitle(end ? paragraph.slice(0, end.index) : paragraph);
  const body = rest.slice(end ? end.index + end[0].length : paragraph.length);
  return { title: title || (grows && !end ? "" : "Details"), body: body.replace(/^[ \t]+/, "") };
}

/** A title on one line, without the tags with which AIs make the whole title bold. */
const plainTitle = (text) =>
  text
    .replace(/(`[^`]+`)|<\/?(?:b|strong|i|em|h[1-6])>/gi, (_, code = "") => code)
    .replace(/\s+/g, " ")
    .trim();

// --- HTML ---

const ELEMENT = /^<(kbd|mark|sub|sup)>/i;

// An element is shown as text until its end has arrived.
markdown.inline.ruler.before("autolink", "element", (state, silent) => {
  const { src, pos, posMax } = state;
  const start = src[pos] === "<" && ELEMENT.exec(src.slice(pos, pos + 6));
  if (!start) return false;
  const [name, tag] = [start[1].toLowerCase(), start[0]];
  const from = pos + tag.length;
  const within = src.slice(from, Math.min(from + LONGEST, posMax));
  const length = within.toLowerCase().indexOf(`</${name}>`);
  if (length < 1) return false;
  if (!silent) {
    state.push("element_open", name, 1);
    state.pos = from;
    state.posMax = from + length;
    state.md.inline.tokenize(state);
    state.push("element_close", name, -1);
  }
  state.pos = from + length + `</${name}>`.length;
  state.posMax = posMax;
  return true;
});

markdown.inline.ruler.before("autolink", "line_break", (state, silent) => {
  const mark = /^<br ?\/?>/i.exec(state.src.slice(state.pos, state.pos + 6));
  if (!mark) return false;
  if (!silent) state.push("hardbreak", "br", 0);
  state.pos += mark[0].length;
  return true;
});
