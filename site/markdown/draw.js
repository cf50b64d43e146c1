// Draws answers in Markdown, as they are and as they grow. A step reads only the last block again,
// whose end may not have arrived, and makes only what has changed.

import { BUDGET, nodesOf } from "./nodes.js";
import { parse } from "./syntax.js";

/** What is drawn in each element. */
const drawings = new WeakMap();

/**
 * Shows a text in an element. Called again with a longer text, it keeps the nodes that didn't
 * change, also within the block that grows: a selection, a screen reader or a code block that is
 * scrolled sideways is not interrupted.
 */
export function draw(element, text) {
  let drawing = drawings.get(element);
  if (!drawing) {
    element.replaceChildren();
    drawing = new Drawing(element);
    drawings.set(element, drawing);
  }
  drawing.show(text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text);
}

/** The text of an answer without its marks, for an excerpt. */
export function plainText(text) {
  const words = (tokens) => tokens.map((token) => wordsOf(token, words)).join("");
  return words(parse(text, {}));
}

function wordsOf(token, words) {
  if (token.type === "image" || token.type === "inline") return words(token.children);
  const isEnd = token.block ? token.nesting < 1 : token.type.endsWith("break");
  return token.content + (isEnd ? " " : "");
}

/** An answer in an element. */
class Drawing {
  constructor(element) {
    this.element = element;
    this.text = "";
    /**
     * What is shown: `{source, node, before, after}` for each block, with the budget before it and
     * after it, and with its `tokens` if it lacks a library.
     */
    this.blocks = [];
    /** The definitions of links in the text. */
    this.defined = "{}";
    this.restart();
  }

  /** Reads the text from its beginning again. */
  restart() {
    /** How many blocks are complete, and where the first one after them begins. */
    this.complete = 0;
    this.at = 0;
    /** The levels of the headings above that place, and the definitions of links. */
    this.levels = [];
    this.references = {};
    this.budget = BUDGET;
  }

  show(text) {
    if (!text.startsWith(this.text)) this.restart();
    this.text = text;
    const rest = text.slice(this.at);
    const env = { references: { ...this.references } };
    const blocks = split(parse(rest, env));
    const defined = JSON.stringify(env.references);
    if (defined !== this.defined) {
      this.defined = defined;
      // A complete block may refer to what is defined now.
      if (this.at > 0) {
        this.restart();
        this.show(text);
        return;
      }
    }
    const lines = rest.split("\n");
    for (const { node } of this.blocks.splice(this.complete + blocks.length)) node.remove();
    const levels = [...this.levels];
    let budget = this.budget;
    blocks.forEach((block, index) => {
      const [first] = block.tokens;
      Object.assign(block, { levels: [...levels], budget });
      if (first.type === "heading_open") first.tag = outlined(first.tag, levels);
      const source = [first.tag, defined, ...lines.slice(...first.map)].join("\n");
      budget = this.put(this.complete + index, source, block.tokens, budget);
    });
    this.settle(blocks, lines);
  }

  /** Shows a block in its place. Returns the budget after it. */
  put(index, source, tokens, before) {
    const old = this.blocks[index];
    const isAlike = old?.source === source && !old.tokens;
    if (isAlike && JSON.stringify(old.before) === JSON.stringify(before)) return old.after;
    const lacking = new Set();
    const after = { ...before };
    const [fresh] = nodesOf(tokens, { lacking, budget: after });
    if (!old) this.element.append(fresh);
    const node = old ? morph(old.node, fresh) : fresh;
    const isLacking = lacking.size > 0;
    this.blocks[index] = { source, node, before, after, tokens: isLacking ? tokens : null };
    if (isLacking) {
      const reading = [...lacking].map((library) => library.read());
      Promise.all(reading).then((modules) => modules.some(Boolean) && this.supply());
    }
    return after;
  }

  /** Shows the blocks again that lacked a library. */
  supply() {
    this.blocks.forEach(
      ({ source, tokens, before }, index) => tokens && this.put(index, source, tokens, before),
    );
  }

  /**
   * Finds the last block whose first line is complete. Nothing that follows changes those before it,
   * so they are not read again.
   */
  settle(blocks, lines) {
    const last = blocks.findLastIndex(({ tokens: [{ map }] }) => map[0] < lines.length - 1);
    if (last < 1) return;
    const { tokens, levels, budget } = blocks[last];
    const above = `${lines.slice(0, tokens[0].map[0]).join("\n")}\n`;
    const { references } = this;
    // Adds the definitions in these lines.
    if (this.defined !== JSON.stringify(references)) parse(above, { references });
    Object.assign(this, { levels, budget });
    this.complete += last;
    this.at += above.length;
  }
}

/** The tokens of each block, as `{tokens}`. */
function split(tokens) {
  const blocks = [];
  let depth = 0;
  for (const token of tokens) {
    if (depth === 0) blocks.push({ tokens: [] });
    blocks.at(-1).tokens.push(token);
    depth += token.nesting;
  }
  return blocks;
}

/** Moves a heading below the two levels of the page, without gaps between the levels. */
function outlined(tag, above) {
  const level = Number(tag[1]);
  while (above.length > 0 && above.at(-1) >= level) above.pop();
  above.push(level);
  return `h${Math.min(2 + above.length, 6)}`;
}

// --- Growth ---

/**
 * Makes `old` equal to `fresh`, and keeps its nodes where they are alike: a selection, the focus and
 * the place to which a box is scrolled survive. Returns the node that is in the page afterwards.
 */
function morph(old, fresh) {
  // The styles in a formula can't be set as attributes, which the pages' policy refuses.
  const isOther = old.nodeName === "math" && !old.isEqualNode(fresh);
  if (old.nodeName !== fresh.nodeName || isOther) {
    old.replaceWith(fresh);
    return fresh;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    changeText(old, fresh.data);
    return old;
  }
  for (const { name, value } of fresh.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  const wanted = [...fresh.childNodes];
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
  wanted.forEach((child, index) => {
    const there = old.childNodes[index];
    if (there) morph(there, child);
    else old.append(child);
  });
  return old;
}

/** Replaces the part of a text that differs. A selection before it stays. */
function changeText(node, text) {
  const { data } = node;
  if (data === text) return;
  let same = 0;
  while (same < data.length && data[same] === text[same]) same += 1;
  node.replaceData(same, data.length - same, text.slice(same));
}
