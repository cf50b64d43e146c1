// Lets screen readers announce changes that don't get the focus.

import { h } from "./dom.js";

/** The elements for announcements: that of the page, and those of open dialogs, the last on top. */
const announcers = () => [...document.querySelectorAll(".announcer")];
document.body.append(
  h("div", { class: "sr-only announcer", role: "status", "aria-live": "polite" }),
);

let timer;

/** Lets screen readers announce text after their current announcement. "" withdraws it. */
export function announce(text) {
  for (const one of announcers()) one.textContent = "";
  if (!text) clearTimeout(timer);
  // Screen readers repeat the same text only if the element was empty in between.
  timer = setTimeout(() => (announcers().at(-1).textContent = text), 60);
}
