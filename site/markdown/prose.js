// Shows answers: at first as plain text, and as Markdown once the scripts and styles are loaded.
// Some models write their reasoning before the answer, between two marks; others send it separately.

import { fill, h } from "../ui/dom.js";
import { lazy } from "../ui/lazy.js";

const markdown = lazy(async () => {
  // Request all scripts at once. Otherwise each script would wait for the script that imports it.
  const [module] = await Promise.all([
    import("./in-view.js"),
    import("./draw.js"),
    import("./nodes.js"),
    import("./syntax.js"),
    import("./thoughts.js"),
    import("../vendor/markdown-it/markdown-it.esm.min.mjs"),
    look(),
  ]);
  return module;
});

let reading = null;

/** Loads the styles for answers, which override the page's styles. */
function look() {
  reading ??= link();
  reading.catch(() => (reading = null));
  return reading;
}

/** Loads the styles for answers, for a view that shows code. Never rejects. */
export const readLook = () => look().catch(() => {});

function link() {
  return new Promise((resolve, reject) => {
    const href = new URL("./prose.css", import.meta.url).href;
    const onerror = () => {
      element.remove();
      reject(new Error("Couldn't load the styles for answers."));
    };
    const element = h("link", { rel: "stylesheet", href, onload: resolve, onerror });
    document.body.append(element);
  });
}

/** Loads the modules that show Markdown. Never rejects. */
export const readMarkdown = markdown.read;

/** The parts of each element whose answer contains reasoning. */
const parted = new WeakMap();

/**
 * Shows an answer in an element, with its reasoning collapsed. `sent` is the reasoning that the API
 * sends separately. A later call with longer texts adds the new parts. `grows` is true if more text
 * may follow.
 */
export function showAnswer(element, text, { reasoning: sent = "", grows = false } = {}) {
  if (!markdown.module) {
    element.awaited = text;
    markdown.read().then((module) => {
      if (module && element.awaited === text) showAnswer(element, text, { reasoning: sent, grows });
    });
  }
  const whole = { reasoning: "", answer: text };
  const { reasoning: marked, answer } = markdown.module?.partsOf(text, grows) ?? whole;
  const reasoning = [sent, marked].filter(Boolean).join("\n\n");
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
  if (markdown.module) markdown.module.draw(element, text);
  else fill(element, h("p", { class: "as-written" }, text));
}

/** The text of an answer without its reasoning, or the whole text if the modules aren't loaded. */
export const answerOf = (text) => markdown.module?.withoutReasoning(text) ?? text;

/** The text of an answer for an excerpt, without Markdown marks if the modules are loaded. */
export function plainText(text) {
  const answer = answerOf(text);
  return markdown.module?.plainText(answer) ?? answer;
}

/** How much of an answer is announced, in characters with and without its Markdown marks. */
const [ANNOUNCED, SPOKEN] = [6000, 2000];

/**
 * The beginning of an answer for screen readers, once the modules are loaded. Parsing a long answer
 * again would take time. Never rejects.
 */
export async function spokenText(text) {
  const module = await markdown.read();
  const answer = answerOf(text).slice(0, ANNOUNCED);
  return (module?.spokenText(answer) ?? answer).slice(0, SPOKEN);
}
