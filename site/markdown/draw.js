// Draws answers in Markdown, whole or growing. Each step parses only the last block again, because
// its end may not have arrived yet, and updates only the nodes that changed.

import { BUDGET, nodesOf } from "./nodes.js";
import { parse } from "./syntax.js";

export { partsOf, withoutReasoning } from "./thoughts.js";

/** The drawing of each element. */
const drawings = new WeakMap();

/**
 * Shows an answer in an element. A later call with a longer answer keeps the unchanged nodes, even
 * in the growing block, so that it doesn't disturb a selection, a screen reader or a scrolled code
 * block.
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

/** The text of an answer without Markdown marks, with `end` after each block and each cell. */
export function plainText(text, end = " ") {
  const words = (tokens) => tokens.map((token) => wordsOf(token, words, end)).join("");
  return words(parse(text, { room: BUDGET.nodes }));
}

function wordsOf(token, words, end) {
  if (token.type === "image" || token.type === "inline")
    return words(token.children) + (token.rest ?? "");
  if (token.block) return token.content + (token.nesting < 1 ? end : "");
  return token.content + (token.type.endsWith("break") ? " " : "");
}

/** The text of an answer for screen readers, which pause after each block and each cell. */
export function spokenText(text) {
  const parts = plainText(text, "\n").split(/\s*\n\s*/);
  return parts
    .map((part) => part.replace(/[\p{L}\p{N}\p{S})”"]$/u, "$&."))
    .join(" ")
    .trim();
}

/** The drawing of an answer in an element. */
class Drawing {
  constructor(element) {
    this.element = element;
    this.text = "";
    /**
     * The shown blocks: `{source, node, before, after}`, where `before` and `after` are budgets. A
     * block that waits for a library also keeps its `tokens`.
     */
    this.blocks = [];
    /** The link definitions in the text, as JSON. */
    this.defined = "{}";
    this.restart();
  }

  /** Parses the text from the beginning again. */
  restart() {
    /** The number of complete blocks, and the position at which the next block begins. */
    this.complete = 0;
    this.at = 0;
    /** The heading levels above that position, and the link definitions. */
    this.levels = [];
    this.references = {};
    this.budget = BUDGET;
  }

  show(text) {
    if (!text.startsWith(this.text)) this.restart();
    this.text = text;
    const rest = text.slice(this.at);
    const env = { references: { ...this.references }, room: this.budget.nodes };
    const blocks = split(parse(rest, env));
    const defined = JSON.stringify(env.references);
    if (defined !== this.defined) {
      this.defined = defined;
      // A complete block may refer to a new definition.
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
      const after = this.put(this.complete + index, source, block.tokens, budget);
      budget = { ...after, nodes: block.tokens.at(-1).room };
    });
    this.settle(blocks, lines);
  }

  /** Shows a block at its position. Returns the budget after the block. */
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

  /** Redraws the blocks that waited for a library. */
  supply() {
    this.blocks.forEach(
      ({ source, tokens, before }, index) => tokens && this.put(index, source, tokens, before),
    );
  }

  /**
   * Finds the last block with a complete first line. Later text can't change the blocks before it,
   * so they aren't parsed again.
   */
  settle(blocks, lines) {
    const last = blocks.findLastIndex(({ tokens: [{ map }] }) => map[0] < lines.length - 1);
    if (last < 1) return;
    const { tokens, levels, budget } = blocks[last];
    const above = `${lines.slice(0, tokens[0].map[0]).join("\n")}\n`;
    const { references } = this;
    const room = this.budget.nodes;
    // Add the definitions in these lines.
    if (this.defined !== JSON.stringify(references)) parse(above, { references, room });
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

/** The level of a heading: below the page's two levels, and without gaps. */
function outlined(tag, above) {
  const level = Number(tag[1]);
  while (above.length > 0 && above.at(-1) >= level) above.pop();
  above.push(level);
  return `h${Math.min(2 + above.length, 6)}`;
}

// --- Growth ---

/**
 * Makes `old` equal to `fresh` and keeps equal nodes, so that a selection, the focus and scroll
 * positions survive. Returns the node that is in the page afterwards.
 */
function morph(old, fresh) {
  // Styles in a formula can't be set as attributes, because the pages' policy forbids those.
  const isOther = old.nodeName === "math" && !old.isEqualNode(fresh);
  if (old.nodeName !== fresh.nodeName || isOther) {
    old.replaceWith(fresh);
    return fresh;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    changeText(old, fresh.data);
    return old;
  }
  // The reader may have opened or closed this part.
  const isReaders = (name) => name === "open" && old.localName === "details";
  for (const { name, value } of fresh.attributes)
    if (old.getAttribute(name) !== value && !isReaders(name)) old.setAttribute(name, value);
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name) && !isReaders(name)) old.removeAttribute(name);
  let there = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const next = there?.nextSibling;
    if (there) morph(there, child);
    else old.append(child);
    there = next;
  }
  while (there) {
    const next = there.nextSibling;
    there.remove();
    there = next;
  }
  return old;
}

/** Replaces the part of a text node that differs. A selection before that part survives. */
function changeText(node, text) {
  const { data } = node;
  if (data === text) return;
  let same = 0;
  while (same < data.length && data[same] === text[same]) same += 1;
  node.replaceData(same, data.length - same, text.slice(same));
}
