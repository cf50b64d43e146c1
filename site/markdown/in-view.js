// Draws answers on a page that shows many: the first ones at once, and the others as they come into
// view. Until then, an answer is shown as written, so that searches in the page find its text.

import { fill, h } from "../ui/dom.js";
import { draw as drawNow } from "./draw.js";

export { partsOf, plainText, spokenText, withoutReasoning } from "./draw.js";

/** After this number of elements in a task, further answers wait. */
const AT_ONCE = 3000;

/** How far from the visible part an answer is drawn. */
const NEAR = "600px";

/** The estimated length of a line, which gives a waiting answer about its final height. */
const LINE = 80;

/** The elements with a drawing, whose answer may grow. */
const drawn = new WeakSet();

/** The number of elements that were made in this task. */
let made = 0;

/** Shows an answer in an element. A later call may pass a longer answer. */
export function draw(element, text) {
  if (drawn.has(element)) drawNow(element, text);
  else if (made < AT_ONCE && !element.querySelector(".unseen")) begin(element, text);
  else wait(element, text);
}

function begin(element, text) {
  if (made === 0) setTimeout(() => (made = 0));
  drawn.add(element);
  drawNow(element, text);
  made += 1 + element.querySelectorAll("*").length;
}

function wait(element, text) {
  const lines = text.split("\n").length + Math.floor(text.length / LINE);
  const style = { containIntrinsicHeight: `auto ${lines}lh` };
  const written = h("p", { class: "unseen", style }, text);
  fill(element, written);
  observer.observe(written);
}

const options = { rootMargin: NEAR, scrollMargin: NEAR };
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting || !target.parentElement) continue;
    observer.unobserve(target);
    if (made < AT_ONCE) begin(target.parentElement, target.textContent);
    // The observer reports it again with the next frame.
    else observer.observe(target);
  }
}, options);

addEventListener("beforeprint", () => {
  for (const { parentElement, textContent } of document.querySelectorAll(".unseen"))
    begin(parentElement, textContent);
});
