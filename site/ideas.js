// What a new conversation suggests to ask.

import { h } from "./dom.js";

const IDEAS = [
  "Explain compound interest with an example",
  "Write a polite reminder for an unpaid invoice",
  "Compare a bicycle and a bus for an 8 km commute, as a table",
];

/** A list of ideas. `choose` gets the one that is pressed. */
export function ideas(choose) {
  const idea = (text) => {
    const props = { type: "button", class: "idea", onclick: () => choose(text) };
    return h("li", {}, h("button", props, text));
  };
  const list = h("ul", { class: "ideas", "aria-label": "Ideas to begin with" }, IDEAS.map(idea));
  return h("div", { class: "hello" }, list);
}
