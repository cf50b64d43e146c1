// The Markdown of answers: CommonMark with GitHub's tables, strikethrough and bare links, numbered
// footnotes, and formulas. HTML is shown as text, except for a few elements without attributes that
// AIs use, such as `<br>` in tables and `<sub>`.

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
 * earlier ones.
 */
export const parse = (text, env) => markdown.parse(text, env);

/** The language that the first line of a code block names. */
export const languageOf = (token) => markdown.utils.unescapeAll(token.info).trim().split(/\s/)[0];

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
