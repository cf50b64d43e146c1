// The tabs of the account and the page around each view.

import { hasShop, readShop } from "../session/shop.js";
import { h } from "../ui/dom.js";
import { icon } from "../ui/icons.js";

const TABS = [
  ["account", "user", "Profile"],
  ["account/sessions", "device", "Sessions"],
  ["account/api-keys", "key", "API keys"],
  ["account/data", "shield", "Data"],
];

/** The shop's tab. It is hidden if nothing is sold. */
const BUY = ["buy", "coin", "Buy"];

const tab = ([path, name, text]) => h("a", { href: `#/${path}` }, icon(name), h("span", {}, text));

/** A view of the account. */
export function accountPage(title, lead, ...content) {
  const buy = tab(BUY);
  buy.hidden = !hasShop();
  readShop().then(() => (buy.hidden = !hasShop()));
  const tabs = h("nav", { class: "nav tabs", "aria-label": "Account" }, TABS.map(tab), buy);
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
