// Lets screen readers announce changes that don't get the focus.

import { h } from "./dom.js";

const region = h("div", { class: "sr-only", role: "status", "aria-live": "polite" });
document.body.append(region);

/** Lets screen readers announce text after their current announcement. */
export function announce(text) {
  region.textContent = "";
  // Screen readers repeat the same text only if the region was empty in between.
  setTimeout(() => (region.textContent = text), 60);
}
