// Answers in Markdown as nodes, as much of it as AIs write. HTML stays text, images become links,
// and links lead only to http and https. The time of every step is bounded, whatever an answer
// contains.

import { copyButton } from "./button.js";
import { h } from "./dom.js";
import { DEPTH, inline } from "./markdown-line.js";
import { morph } from "./morph.js";

/**
 * Shows a text in an element. Called again with a longer text, it keeps the nodes that didn't
 * change, also within the block that grows: a selection, a screen reader or a code block that is
 * scrolled sideways is not interrupted.
 */
export function showMarkdown(element, text) {
  const shown = element.blocks ?? [];
  const blocks = outlined(split(text.replaceAll("\r\n", "\n").split("\n")));
  const same = blocks.findIndex((block, index) => shown[index]?.source !== block.source);
  const kept = same < 0 ? blocks.length : same;
  for (const block of shown.slice(blocks.length)) block.node.remove();
  element.blocks = blocks.map((block, index) => {
    if (index < kept) return shown[index];
    const old = shown[index]?.node;
    const fresh = build(block, 0);
    if (!old) element.append(fresh);
    return { source: block.source, node: old ? morph(old, fresh) : fresh };
  });
  return element;
}

/** The text of an answer without its marks, for an excerpt. */
export function plainText(text) {
  const element = showMarkdown(h("div", {}), text);
  element.querySelectorAll("figcaption").forEach((caption) => caption.remove());
  element.querySelectorAll("li, th, td, br").forEach((end) => end.after(" "));
  return element.blocks.map(({ node }) => node.textContent).join("\n");
}

/** Moves headings below the two levels of the page, without gaps between the levels. */
function outlined(blocks) {
  const above = [];
  for (const block of blocks.filter(({ kind }) => kind === "heading")) {
    const level = HEADING.exec(block.lines[0])[1].length;
    while (above.length > 0 && above.at(-1) >= level) above.pop();
    above.push(level);
    block.tag = `h${Math.min(2 + above.length, 6)}`;
    block.source = `${block.tag}\n${block.source}`;
  }
  return blocks;
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*)$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( {1,4}|\t|$)/;
const FORMULA = /^ {0,3}(\$\$|\\\[)/;
const DIVIDER = /^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/** The blocks in these lines, each `{kind, lines, source, ..}`. */
function split(lines) {
  const blocks = [];
  let at = 0;
  const take = (kind, end, more = {}) => {
    const own = lines.slice(at, end);
    blocks.push({ kind, lines: own, source: `${kind}\n${own.join("\n")}`, ...more });
    at = end;
  };
  while (at < lines.length) {
    const line = lines[at];
    const fence = FENCE.exec(line);
    if (line.trim() === "") at += 1;
    else if (fence)
      take("code", codeEnd(lines, at, fence[1]), {
        fence: fence[1],
        language: fence[2].trim().split(/\s/)[0],
      });
    else if (formulaEnd(lines, at) > at) take("formula", formulaEnd(lines, at));
    else if (HEADING.test(line)) take("heading", at + 1);
    else if (RULE.test(line)) take("rule", at + 1);
    else if (QUOTE.test(line))
      take(
        "quote",
        endOf(lines, at, (next) => next.trim() !== "" && (QUOTE.test(next) || !begins(next))),
      );
    else if (ITEM.test(line)) take("list", listEnd(lines, at));
    else if (isTable(lines, at))
      take(
        "table",
        endOf(lines, at + 1, (next) => next.includes("|")),
      );
    else
      take(
        "paragraph",
        endOf(
          lines,
          at,
          (next, index) => next.trim() !== "" && !begins(next) && !isTable(lines, index),
        ),
      );
  }
  return blocks;
}

function begins(line) {
  return (
    FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line)
  );
}

function endOf(lines, at, goesOn) {
  let end = at + 1;
  while (end < lines.length && goesOn(lines[end], end)) end += 1;
  return end;
}

function isTable(lines, at) {
  return (
    lines[at].includes("|") &&
    at + 1 < lines.length &&
    lines[at + 1].includes("-") &&
    DIVIDER.test(lines[at + 1]) &&
    lines[at + 1].length < 2000
  );
}

/** The line after the closing fence, or the end of the text so far. */
function codeEnd(lines, at, fence) {
  const closes = (line) => {
    const trimmed = line.trim();
    return trimmed.length >= fence.length && trimmed === fence[0].repeat(trimmed.length);
  };
  let end = at + 1;
  while (end < lines.length && !closes(lines[end])) end += 1;
  return Math.min(end + 1, lines.length);
}

/** The line after the end of the formula that begins here, or `at` if none does. */
function formulaEnd(lines, at) {
  const mark = FORMULA.exec(lines[at])?.[1];
  if (!mark) return at;
  const close = mark === "$$" ? "$$" : "\\]";
  const rest = (line, index) => (index === 0 ? line.slice(line.indexOf(mark) + 2) : line);
  for (let end = at; end < lines.length && lines[end].trim() !== ""; end += 1)
    if (
      rest(lines[end], end - at)
        .trimEnd()
        .endsWith(close)
    )
      return end + 1;
  return at;
}

/** The end of a list: of its items, indented lines, and lines that begin no other block. */
function listEnd(lines, at) {
  const ordered = isOrdered(lines[at]);
  const inner = indentOf(lines[at]) + 2;
  let end = at + 1;
  while (end < lines.length) {
    const line = lines[end];
    const item = ITEM.test(line) && !RULE.test(line);
    if (line.trim() === "") {
      const next = lines[end + 1] ?? "";
      if (!(
        /^\s{2,}\S/.test(next) ||
        (ITEM.test(next) && !RULE.test(next) && isOrdered(next) === ordered)
      ))
        break;
    } else if (item && indentOf(line) >= inner) {
      // A nested list.
    } else if (
      item
        ? isOrdered(line) !== ordered
        : !/^\s{2,}/.test(line) && (begins(line) || lines[end - 1].trim() === "")
    )
      break;
    end += 1;
  }
  return end;
}

const indentOf = (line) => line.length - line.trimStart().length;

function isOrdered(line) {
  return /^\s*\d/.test(line);
}

function build(block, depth) {
  if (depth > DEPTH) return h("p", {}, block.lines.join("\n"));
  return BUILDERS[block.kind](block, depth);
}

function all(lines, depth) {
  return split(lines).map((block) => build(block, depth));
}

const BUILDERS = {
  paragraph: ({ lines }) => h("p", {}, inline(lines.map((line) => line.trim()).join("\n"))),
  rule: () => h("hr", {}),
  // As it was written: nothing in it is Markdown.
  formula: ({ lines }) => h("p", { class: "formula", dir: "ltr" }, lines.join("\n")),
  quote: ({ lines }, depth) =>
    h(
      "blockquote",
      {},
      all(
        lines.map((line) => line.replace(QUOTE, "")),
        depth + 1,
      ),
    ),

  // In a quote or a list it is not a heading of the answer.
  heading: ({ lines, tag }) => {
    const text = inline(
      HEADING.exec(lines[0])[2]
        .replace(/\s#+\s*$/, "")
        .trim(),
    );
    return tag ? h(tag, {}, text) : h("p", {}, h("strong", {}, text));
  },

  code: ({ lines, fence, language }) => {
    const last = lines.at(-1).trim();
    const closed =
      lines.length > 1 && last.startsWith(fence) && last === fence[0].repeat(last.length);
    const text = lines.slice(1, closed ? -1 : undefined).join("\n");
    const code = h("code", {}, text);
    // Code is written from left to right, also in an answer in Arabic.
    return h(
      "figure",
      { class: "code", dir: "ltr" },
      h(
        "figcaption",
        {},
        h("span", {}, language || "text"),
        copyButton(() => code.textContent, { kind: "quiet" }),
      ),
      h("pre", { tabIndex: 0 }, code),
    );
  },

  list: ({ lines }, depth) => {
    const ordered = isOrdered(lines[0]);
    const items = [];
    const outer = indentOf(lines[0]);
    let indent = 0;
    for (const line of lines) {
      const item = ITEM.exec(line);
      if (item && !RULE.test(line) && isOrdered(line) === ordered && indentOf(line) < outer + 2) {
        indent = item[0].length;
        items.push([line.slice(indent)]);
      } else {
        items.at(-1)?.push(line.slice(Math.min(indentOf(line), Math.max(indent, 2))));
      }
    }
    const start = ordered ? Number.parseInt(lines[0].trim(), 10) : 1;
    return h(
      ordered ? "ol" : "ul",
      start === 1 ? {} : { start },
      items.map((item) => h("li", {}, tight(item, depth))),
    );
  },

  table: ({ lines }) => {
    const [head, divider, ...rows] = lines.map(cells);
    const sides = divider.map((text) =>
      text.endsWith(":") ? (text.startsWith(":") ? "center" : "right") : "left",
    );
    const cell = (tag) => (text, index) =>
      h(
        tag,
        { style: { textAlign: sides[index] ?? "left" }, ...(tag === "th" ? { scope: "col" } : {}) },
        inline(text),
      );
    const width = head.length;
    const body = rows.map((row) =>
      h(
        "tr",
        {},
        Array.from({ length: width }, (_, index) => cell("td")(row[index] ?? "", index)),
      ),
    );
    return h(
      "div",
      { class: "table-box", tabIndex: 0, role: "group", "aria-label": "Table" },
      h("table", {}, h("thead", {}, h("tr", {}, head.map(cell("th")))), h("tbody", {}, body)),
    );
  },
};

/** The content of an item, without the element of a paragraph around its first text. */
function tight(lines, depth) {
  const [first, ...rest] = lines;
  const done = { "[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ " }[first.slice(0, 4)];
  const blocks = split([done ? done + first.slice(4) : first, ...rest]);
  return blocks.map((block, index) =>
    index === 0 && block.kind === "paragraph"
      ? inline(block.lines.map((line) => line.trim()).join("\n"))
      : build(block, depth + 1),
  );
}

function cells(line) {
  const text = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  const cells = [""];
  let code = false;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "\\" && text[at + 1] === "|") {
      cells[cells.length - 1] += "|";
      at += 1;
    } else if (text[at] === "|" && !code) cells.push("");
    else {
      if (text[at] === "`") code = !code;
      cells[cells.length - 1] += text[at];
    }
  }
  return cells.map((cell) => cell.trim());
}
