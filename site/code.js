// Code in the colours of its language, by highlight.js, as nodes.

import { h } from "./dom.js";
import { lazy } from "./lazy.js";

/** The library, which builds nodes and not HTML. */
const library = lazy(async () => {
  const { default: module } = await import("./highlight.min.mjs");
  module.configure({ __emitter: Nodes });
  return module;
});

/** Longer code has one colour: a growing answer is coloured again and again. */
const LONGEST = 50_000;

/** The class for each of highlight.js's scopes that has a colour of its own. */
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
 * A text as nodes in the colours of a language. If the library isn't loaded yet, it is added to
 * `lacking`.
 */
export function coloured(text, named, lacking) {
  // Some AIs name the file too, as in `python:main.py`.
  const language = named.split(/[:,{]/)[0];
  if (!language || text.length > LONGEST) return [text];
  if (!library.module) {
    lacking.add(library);
    return [text];
  }
  if (!library.module.getLanguage(language)) return [text];
  const result = library.module.highlight(text, { language, ignoreIllegals: true });
  // The library gives up at its own mistakes.
  return result.errorRaised ? [text] : result._emitter.nodes;
}

/** What highlight.js tells of a text, as nodes. Neighbouring texts are one node. */
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
