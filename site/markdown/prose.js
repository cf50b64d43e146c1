// Answers, at once as they were written, and as Markdown as soon as its scripts and its look are
// loaded. Some models write a reasoning before their answer, between two marks.

import { fill, h } from "../ui/dom.js";
import { lazy } from "../ui/lazy.js";

const markdown = lazy(async () => {
  // All at once: each of them would wait for the one that imports it.
  const [module] = await Promise.all([
    import("./draw.js"),
    import("./nodes.js"),
    import("./syntax.js"),
    import("../vendor/markdown-it/markdown-it.esm.min.mjs"),
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

// --- The reasoning ---

const [BEGINS, ENDS] = ["<think>", "</think>"];

/**
 * A text as `{reasoning, answer}`. The reasoning is "" if the text doesn't begin with one. If the
 * text `grows`, a mark that has arrived in part is left out.
 */
export function partsOf(text, grows = false) {
  const begun = text.trimStart();
  if (!begun.startsWith(BEGINS)) {
    const isMark = grows && begun !== "" && BEGINS.startsWith(begun);
    return { reasoning: "", answer: isMark ? "" : text };
  }
  const rest = begun.slice(BEGINS.length);
  const end = rest.indexOf(ENDS);
  if (end >= 0)
    return {
      reasoning: rest.slice(0, end).trim(),
      answer: rest.slice(end + ENDS.length).trimStart(),
    };
  const mark = grows ? rest.lastIndexOf("<") : -1;
  const isMark = mark >= 0 && ENDS.startsWith(rest.slice(mark));
  return { reasoning: (isMark ? rest.slice(0, mark) : rest).trimStart(), answer: "" };
}

/** A text without its reasoning; the whole text if there is nothing else. */
export const withoutReasoning = (text) => partsOf(text).answer || text;
