// What screen readers say of a change that the focus doesn't move to.

import { h } from "./dom.js";

const region = h("div", { class: "sr-only", role: "status", "aria-live": "polite" });
document.body.append(region);

/** Has screen readers say a text after what they are saying now. */
export function announce(text) {
  region.textContent = "";
  // A text that is already there is said again only if the region was empty in between.
  setTimeout(() => (region.textContent = text), 60);
}
