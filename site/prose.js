// Answers, at once as they were written, and as Markdown as soon as its scripts and its look are
// loaded.

import { fill, h } from "./dom.js";
import { lazy } from "./lazy.js";
import { partsOf, withoutReasoning } from "./reasoning.js";

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

let reading = null;

/** Loads the look of answers, which comes after that of the page. */
function look() {
  reading ??= link();
  reading.catch(() => (reading = null));
  return reading;
}

/** Loads the look of answers for a view that shows code. Resolves in any case. */
export const readLook = () => look().catch(() => {});

function link() {
  return new Promise((resolve, reject) => {
    const href = new URL("./prose.css", import.meta.url).href;
    const onerror = () => {
      element.remove();
      reject(new Error("The look of answers can't be loaded."));
    };
    const element = h("link", { rel: "stylesheet", href, onload: resolve, onerror });
    document.body.append(element);
  });
}

/** Loads the modules that show Markdown. Resolves in any case. */
export const readMarkdown = markdown.read;

/** The parts of each element whose answer has a reasoning. */
const parted = new WeakMap();

/**
 * Shows an answer in an element, with its reasoning collapsed. Called again with a longer text, it
 * adds the new part. `grows` says that more may follow.
 */
export function showAnswer(element, text, grows = false) {
  const { reasoning, answer } = partsOf(text, grows);
  if (reasoning === "" && !parted.has(element)) {
    show(element, answer);
    return;
  }
  if (!parted.has(element)) {
    const [thoughts, body] = [0, 1].map(() => h("div", { class: "prose", dir: "auto" }));
    const summary = h("summary", {}, "Reasoning");
    const details = h("details", { class: "reasoning", dir: "ltr" }, summary, thoughts);
    parted.set(element, { details, thoughts, body });
    fill(element, details, body);
  }
  const { details, thoughts, body } = parted.get(element);
  details.hidden = reasoning === "";
  show(thoughts, reasoning);
  show(body, answer);
}

function show(element, text) {
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
  const answer = withoutReasoning(text);
  return markdown.module?.plainText(answer) ?? answer;
}
