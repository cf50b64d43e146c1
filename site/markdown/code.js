// Coloured code: highlight.js finds the parts to colour, and this module makes the nodes.

import { h } from "../ui/dom.js";
import { lazy } from "../ui/lazy.js";

/** The library, which builds nodes here instead of HTML. */
const library = lazy(async () => {
  const { default: module } = await import("../vendor/highlight/highlight.min.mjs");
  module.configure({ __emitter: Nodes });
  return module;
});

/**
 * The maximum number of coloured characters in a block, and in a line. The rest of the code has one
 * colour, because the library takes quadratic or cubic time for some inputs.
 */
const LONGEST = 8000;
const WIDEST = 1000;

/** The classes for the highlight.js scopes that have their own colour. */
const CLASSES = {
  keyword: "keyword",
  "variable.language": "keyword",
  "template-tag": "keyword",
  literal: "keyword",
  "selector-tag": "keyword",
  tag: "tag",
  name: "tag",
  section: "title",
  title: "title",
  "title.class": "type",
  built_in: "type",
  type: "type",
  "selector-class": "type",
  "selector-attr": "name",
  "selector-pseudo": "name",
  "selector-id": "type",
  attr: "name",
  attribute: "name",
  property: "name",
  variable: "name",
  "template-variable": "name",
  symbol: "name",
  string: "string",
  regexp: "string",
  char: "string",
  link: "string",
  addition: "string",
  number: "number",
  bullet: "number",
  comment: "comment",
  quote: "comment",
  doctag: "comment",
  meta: "meta",
  deletion: "deletion",
  subst: "plain",
};

/**
 * Returns the nodes for code in a language's colours. If the library isn't loaded yet, adds it to
 * `lacking`. `budget.code` is the number of characters in the answer that may still be coloured.
 */
export function coloured(text, named, { lacking, budget }) {
  // Some AIs also name the file, as in `python:main.py`.
  const language = named.split(/[:,{]/)[0];
  const end = language ? colourable(text, Math.min(LONGEST, budget.code)) : 0;
  if (end === 0) return [text];
  budget.code -= end;
  if (!library.module) {
    lacking.add(library);
    return [text];
  }
  if (!library.module.getLanguage(language)) return [text];
  const result = library.module.highlight(text.slice(0, end), { language, ignoreIllegals: true });
  // Show plain text if the library fails.
  if (result.errorRaised) return [text];
  if (end < text.length) result._emitter.addText(text.slice(end));
  return result._emitter.nodes;
}

/** The length of the first lines, which are coloured. */
function colourable(text, most) {
  let end = 0;
  while (end < text.length) {
    const next = text.indexOf("\n", end) + 1 || text.length;
    if (next > most || next - end > WIDEST) break;
    end = next;
  }
  return end;
}

/** An emitter for highlight.js that makes nodes. Adjacent pieces of text become one node. */
class Nodes {
  constructor() {
    this.nodes = [];
    this.outer = [];
  }

  addText(text) {
    const last = this.nodes.length - 1;
    if (typeof this.nodes[last] === "string") this.nodes[last] += text;
    else this.nodes.push(text);
  }

  openNode(scope) {
    this.outer.push({ scope, nodes: this.nodes });
    this.nodes = [];
  }

  closeNode() {
    if (this.outer.length === 0) return;
    const inner = this.nodes;
    const { scope, nodes } = this.outer.pop();
    this.nodes = nodes;
    const kind = CLASSES[scope] ?? CLASSES[scope.split(".")[0]];
    if (kind) this.nodes.push(h("span", { class: `code-${kind}` }, inner));
    else this.addAll(inner);
  }

  addAll(nodes) {
    for (const node of nodes)
      if (typeof node === "string") this.addText(node);
      else this.nodes.push(node);
  }

  startScope(scope) {
    this.openNode(scope);
  }

  endScope() {
    this.closeNode();
  }

  __addSublanguage({ nodes }) {
    this.addAll(nodes);
  }

  finalize() {
    while (this.outer.length > 0) this.closeNode();
  }

  toHTML() {
    return "";
  }
}
