// The tabs of the account and the page around each view.

import { h } from "../ui/dom.js";
import { icon } from "../ui/icons.js";

const TABS = [
  ["account", "user", "Profile"],
  ["account/sessions", "device", "Sessions"],
  ["account/api-keys", "key", "API keys"],
  ["account/data", "shield", "Data"],
];

/** A view of the account. */
export function accountPage(title, lead, ...content) {
  const tabs = h(
    "nav",
    { class: "nav tabs", "aria-label": "Account" },
    TABS.map(([path, name, text]) =>
      h("a", { href: `#/${path}` }, icon(name), h("span", {}, text)),
    ),
  );
  return {
    title,
    content: h(
      "div",
      { class: "page" },
      tabs,
      h("h1", {}, title),
      lead && h("p", { class: "lead" }, lead),
      content,
    ),
  };
}
