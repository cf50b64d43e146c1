// Answers, at once as they were written, and as Markdown as soon as its scripts and its look are
// loaded.

import { fill, h } from "./dom.js";
import { lazy } from "./lazy.js";

const markdown = lazy(async () => {
  // All at once: each of them would wait for the one that imports it.
  const [module] = await Promise.all([
    import("./markdown.js"),
    import("./markdown-nodes.js"),
    import("./markdown-syntax.js"),
    import("./markdown-it.esm.min.mjs"),
    look(),
  ]);
  return module;
});

/** Loads the look of answers, which comes after that of the page. */
function look() {
  return new Promise((resolve, reject) => {
    const href = new URL("./prose.css", import.meta.url).href;
    const onerror = () => {
      link.remove();
      reject(new Error("The look of answers can't be loaded."));
    };
    const link = h("link", { rel: "stylesheet", href, onload: resolve, onerror });
    document.body.append(link);
  });
}

/** Loads what shows Markdown. Resolves in any case. */
export const readMarkdown = markdown.read;

/** Shows an answer in an element. Called again with a longer text, it adds what is new. */
export function showAnswer(element, text) {
  if (markdown.module) {
    markdown.module.draw(element, text);
    return;
  }
  fill(element, h("p", { class: "as-written" }, text));
  element.awaited = text;
  markdown.read().then((module) => {
    if (module && element.awaited === text) module.draw(element, text);
  });
}

/** An answer without its marks, for an excerpt; as it was written if Markdown isn't loaded. */
export function plainText(text) {
  return markdown.module?.plainText(text) ?? text;
}
