// Makes the nodes of an answer from its Markdown tokens. Elements are created by name, so the text
// of an answer never becomes HTML.

import { copyButton } from "../ui/button.js";
import { h } from "../ui/dom.js";
import { coloured } from "./code.js";
import { formula } from "./formula.js";
import { languageOf } from "./syntax.js";

/**
 * How many code characters are coloured in an answer, how many formula characters are laid out, and
 * how many other nodes are made, elements and texts. The rest is shown as plain text, so that no
 * answer blocks the page. Most technical documents of 64 KB have 3,000 to 6,000 nodes.
 */
export const BUDGET = { code: 24_000, formulas: 16_000, nodes: 8000 };

/**
 * Returns the nodes of these tokens. Adds libraries that they need, and that aren't loaded yet, to
 * `lacking`. `address` returns a link's target, or null if the link isn't allowed. Deducts the cost
 * of the tokens from `budget`.
 */
export function nodesOf(
  tokens,
  { lacking = new Set(), address = safe, budget = { ...BUDGET } } = {},
) {
  const made = [];
  const open = [];
  const context = { lacking, address, budget, links: 0 };
  const put = (nodes) => (open.at(-1)?.children ?? made).push(...[nodes].flat());
  for (const token of tokens) {
    if (token.type.startsWith("link_")) context.links += token.nesting;
    if (token.nesting > 0) open.push({ token, children: [] });
    else if (token.nesting === 0) put(ALONE[token.type](token, context));
    else {
      const { token: first, children } = open.pop();
      put(AROUND[first.type](first, children, context));
    }
  }
  return made;
}

/** Makers of elements with content, by token type. */
const AROUND = {
  // In a list without blank lines, markdown-it marks paragraphs as hidden.
  paragraph_open: ({ hidden }, children) => (hidden ? children : h("p", {}, children)),
  blockquote_open: (_, children) => h("blockquote", {}, children),
  bullet_list_open: (_, children) => h("ul", {}, children),
  ordered_list_open: (token, children) => h("ol", { start: token.attrGet("start") }, children),
  list_item_open: (_, children) => item(children),

  // A heading in a quote or a list isn't part of the answer's outline, so it gets no level.
  heading_open: ({ level, tag }, children) =>
    level === 0 ? h(tag, {}, children) : h("p", {}, h("strong", {}, children)),

  table_open: (_, children) =>
    h(
      "div",
      { class: "table-box", tabIndex: 0, role: "group", "aria-label": "Table" },
      h("table", {}, children),
    ),
  thead_open: (_, children) => h("thead", {}, children),
  tbody_open: (_, children) => h("tbody", {}, children),
  tr_open: (_, children) => h("tr", {}, children),
  th_open: (token, children) => h("th", { scope: "col", class: side(token) }, children),
  td_open: (token, children) => h("td", { class: side(token) }, children),

  details_open: ({ meta }, children) =>
    h("details", { class: "folded", open: meta.isOpen }, children),
  summary_open: (_, children) => h("summary", {}, children),

  em_open: (_, children) => h("em", {}, children),
  strong_open: (_, children) => h("strong", {}, children),
  s_open: (_, children) => h("del", {}, children),
  element_open: ({ tag }, children) => h(tag, {}, children),
  link_open: (token, children, { address }) =>
    link(token.attrGet("href"), token.attrGet("title"), children, address),
};

/** Makers of elements and text without inner tokens, by token type. */
const ALONE = {
  inline: ({ children, rest }, context) => {
    const written = rest ? [h("span", { class: "as-written" }, rest)] : [];
    return [...nodesOf(children, context), ...written];
  },
  as_written: ({ content }) => h("p", { class: "as-written" }, content),
  text: ({ content }) => content,
  softbreak: () => h("br", {}),
  hardbreak: () => h("br", {}),
  code_inline: ({ content }) => h("code", {}, content),
  footnote: ({ content }) => h("sup", {}, content),
  hr: () => h("hr", {}),
  fence: (token, context) => code(token.content, languageOf(token), context),
  code_block: ({ content }, context) => code(content, "", context),
  formula: (token, context) => formula(token, context),
  formula_block: (token, context) =>
    h(
      "div",
      { class: "formula-box", tabIndex: 0, role: "group", "aria-label": "Formula" },
      formula({ ...token, block: true }, context),
    ),

  // Pictures become links, because pages load nothing from other hosts. A link can't contain
  // another link.
  image: (token, { address, links }) => {
    const text = token.children.map(({ content }) => content).join("");
    const [src, title] = [token.attrGet("src"), token.attrGet("title")];
    return links > 0 ? text : link(src, title, text ? [text] : [], address);
  },
};

function link(href, title, children, address) {
  const url = address(href);
  if (!url) return children;
  const props = { href: url, title, rel: "noopener noreferrer nofollow", target: "_blank" };
  return h("a", props, children.length > 0 ? children : url);
}

/**
 * A link's target if it is a web site or an e-mail address; otherwise null. Removes a prefilled
 * subject or text from an e-mail link.
 */
function safe(text) {
  if (!/^(?:https?:\/\/|mailto:.*@)/i.test(text)) return null;
  try {
    const { protocol, href, pathname } = new URL(text);
    if (protocol === "mailto:") return protocol + pathname;
    return protocol === "https:" || protocol === "http:" ? href : null;
  } catch {
    return null;
  }
}

function code(content, language, context) {
  const text = content.replace(/\n$/, "");
  const named = language ? `language-${language}` : null;
  const element = h("code", { class: named }, coloured(text, language, context));
  // Code is written from left to right, even in an Arabic answer.
  return h(
    "figure",
    { class: "code", dir: "ltr" },
    h(
      "figcaption",
      {},
      h("span", {}, language || "text"),
      copyButton(() => element.textContent),
    ),
    h("pre", { tabIndex: 0 }, element),
  );
}

const BOXES = { "[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ " };

/** A list item. Its first characters may be the checkbox of a task. */
function item(children) {
  const [first, ...rest] = children;
  const text = typeof first === "string" ? first : first?.firstChild?.data;
  const box = BOXES[text?.slice(0, 4)];
  if (!box) return h("li", {}, children);
  if (typeof first === "string") return h("li", { class: "task" }, box + first.slice(4), rest);
  first.firstChild.data = box + text.slice(4);
  return h("li", { class: "task" }, children);
}

/** The class of a table cell, by the alignment of its column. */
const side = (token) => /left|center|right/.exec(token.attrGet("style") ?? "")?.[0];
