// Answers as people read them: the part of Markdown that AIs write, made of nodes. HTML in it stays text, images are links, and links lead to
// http and https alone. Every step is bounded, since an answer may hold anything.

import { copyButton } from "./button.js";
import { h } from "./dom.js";

/** How deep quotes, lists and emphasis may lie in each other; what lies deeper is text. */
const DEPTH = 8;

/**
 * Shows the text in the element. Called again while the text grows, it keeps the nodes of all that didn't change, so that whoever selects or
 * reads there isn't disturbed.
 */
export function showMarkdown(element, text) {
  const shown = element.blocks ?? [];
  const blocks = outlined(split(text.replaceAll("\r\n", "\n").split("\n")));
  const same = blocks.findIndex((block, index) => shown[index]?.source !== block.source);
  const kept = same < 0 ? blocks.length : same;
  for (const block of shown.slice(kept)) block.node.remove();
  element.blocks = blocks.map((block, index) =>
    index < kept ? shown[index] : { source: block.source, node: build(block, 0) },
  );
  element.append(...element.blocks.slice(kept).map((block) => block.node));
  return element;
}

/** Headings below the page's own two levels, without a gap, whatever levels the text begins with and leaves out. */
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

// --- Blocks --------------------------------------------------------------------------------------------------------------------------

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*)$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( {1,4}|\t|$)/;
const DIVIDER = /^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/** The blocks that these lines are: `{kind, lines, source, ..}` each. */
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

/** Behind the closing fence, or at the end of what has come so far. */
function codeEnd(lines, at, fence) {
  const closes = (line) => {
    const trimmed = line.trim();
    return trimmed.length >= fence.length && trimmed === fence[0].repeat(trimmed.length);
  };
  let end = at + 1;
  while (end < lines.length && !closes(lines[end])) end += 1;
  return Math.min(end + 1, lines.length);
}

/** A list goes on with its items, what is indented under them, and lines that begin nothing else. */
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
      // A list in the item.
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
  quote: ({ lines }, depth) =>
    h(
      "blockquote",
      {},
      all(
        lines.map((line) => line.replace(QUOTE, "")),
        depth + 1,
      ),
    ),

  // In a quote or a list it heads nothing of the answer.
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
    return h(
      "figure",
      { class: "code" },
      h("figcaption", {}, h("span", {}, language || "text"), copyButton(text, { kind: "quiet" })),
      h("pre", { tabIndex: 0 }, h("code", {}, text)),
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
      { class: "table-box", tabIndex: 0, role: "region", "aria-label": "Table" },
      h("table", {}, h("thead", {}, h("tr", {}, head.map(cell("th")))), h("tbody", {}, body)),
    );
  },
};

/** An item whose text is one paragraph needs none around it. */
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

// --- Within a line -------------------------------------------------------------------------------------------------------------------

const SPECIAL = /[\\`*_~[!<\nh]/g;
const EMPHASES = [
  ["**", "strong"],
  ["__", "strong"],
  ["~~", "del"],
  ["*", "em"],
  ["_", "em"],
];

function inline(text, depth = 0) {
  if (depth > DEPTH) return [text];
  const nodes = [];
  // What closes nowhere from here on is not looked for again.
  const missing = new Set();
  const find = (what, from) => {
    if (missing.has(what)) return -1;
    const found = text.indexOf(what, from);
    if (found < 0) missing.add(what);
    return found;
  };
  // Where so many backticks stand, no fewer and no more.
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

/** The node that begins here, and where it ends; null where this is text. */
function read(text, at, find, depth) {
  const mark = text[at];
  if (mark === "\n") return { node: h("br", {}), end: at + 1 };
  if (mark === "\\")
    return /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "") ? { node: text[at + 1], end: at + 2 } : null;
  if (mark === "`") return code(text, at, find);
  if (mark === "h") return bareLink(text, at);
  if (mark === "<") return angleLink(text, at, find);
  if (mark === "[") return link(text, at, find, depth);
  if (mark === "!") return text[at + 1] === "[" ? link(text, at + 1, find, depth) : null;
  return emphasis(text, at, find, depth);
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
  if (
    marks === "*" &&
    (text[end + 1] === "*" || text[end - 1] === "*") &&
    !(text[end + 1] === "*" && text[end + 2] === "*")
  )
    return false;
  return marks[0] !== "_" || !/\w/.test(text[end + marks.length] ?? "");
}

function link(text, at, find, depth) {
  let end = find("](", at + 1);
  if (end < 0 || end - at > 1000) return null;
  // Brackets that lie in the text of the link.
  const inner = text.slice(at + 1, end);
  if (inner.includes("[") && !inner.includes("]")) return null;
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
  // What ends a sentence, or a bracket around the address, is not part of it.
  while (/[.,:;!?'*_~\])]/.test(text[end - 1])) {
    if (text[end - 1] === ")" && text.slice(at, end).includes("(")) break;
    end -= 1;
  }
  const url = safe(text.slice(at, end));
  return url ? { node: anchor(url, [text.slice(at, end)]), end } : null;
}

/** The address, where it is one that leads to a web site. */
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
