// Loads the pages' scripts for answers in Node, with linkedom as the DOM. TOOLS is the folder with
// linkedom.

import { rmSync } from "node:fs";
import { cp, mkdtemp, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

/** Loads a package in TOOLS: a CommonJS package, or a module. */
export const required = createRequire(path.resolve(process.env.TOOLS ?? "target/site-tools", "package.json"));
export const imported = (name) => import(pathToFileURL(required.resolve(name)));

const { parseHTML } = await imported("linkedom");
export const { document, Node } = parseHTML("<!doctype html><html><head></head><body></body></html>");
Object.defineProperty(document, "compatMode", { value: "CSS1Compat" });
Object.assign(globalThis, { document, Node });
// Replace the property, because linkedom's `href` decodes addresses.
const href = {
  get: () => "",
  set(url) {
    this.setAttribute("href", url);
  },
};
Object.defineProperty(Object.getPrototypeOf(document.createElement("a")), "href", href);

// Copy the scripts beside a package.json that tells Node that they are modules.
const site = await mkdtemp(path.join(os.tmpdir(), "site-"));
process.on("exit", () => rmSync(site, { recursive: true }));
await cp(path.join(import.meta.dirname, "../../../../../site"), site, { recursive: true });
await writeFile(path.join(site, "package.json"), '{ "type": "module" }');

/** Loads one of the pages' scripts, given its path in `site/`. */
export const script = (name) => import(pathToFileURL(path.join(site, name)));

const { draw } = await script("markdown/draw.js");

/** Returns an element that shows this answer. */
export function whole(text) {
  const element = document.createElement("div");
  draw(element, text);
  return element;
}

/** Returns an element in which this answer has grown by `step` characters at a time. */
export function grown(text, step = 1) {
  const element = document.createElement("div");
  for (let end = step; end < text.length + step; end += step) draw(element, text.slice(0, end));
  return element;
}

/** Returns true if two elements have the same content, with attributes in any order. */
export const alike = (one, other) => described(one) === described(other);

function described(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return JSON.stringify(node.data);
  const attributes = [...node.attributes].map(({ name, value }) => `${name}=${JSON.stringify(value)}`);
  return `<${node.localName} ${attributes.sort()}>${[...node.childNodes].map(described).join("")}</>`;
}
