// What is left, and what a chat costs: what the API said last.

import { get } from "./api.js";
import { h } from "./dom.js";
import { formatNumber, formatTokens, plural } from "./format.js";
import { icon } from "./icons.js";

/** With fewer chats left than this people are told. */
const FEW = 5;

let tokens = null;
let price = null;
/** How often a balance was asked for, and up to which of these times a reply says nothing new. */
let asked = 0;
let known = 0;
const watchers = new Set();

/** Calls `show` now and whenever the balance or the price is another. */
export function watchBalance(show) {
  watchers.add(show);
  show();
}

/** What a chat costs, or null where nobody has paid for one yet. */
export const chatPrice = () => price;

/** How many chats the balance is enough for, or null where that isn't known. */
export const chatsLeft = () => (tokens === null || !price ? null : Math.floor(tokens / price));

/** Takes over what a reply says: a balance, and what a chat has cost. */
export function learn({ tokens_left: left, tokens_deducted: cost }) {
  if (Number.isInteger(left)) {
    tokens = left;
    known = asked;
  }
  if (Number.isInteger(cost) && cost > 0) price = cost;
  watchers.forEach((show) => show());
}

/** Takes over the price that a refusal names. */
export function learnPrice(sentence) {
  const named = /costs ([\d,]+) tokens/.exec(sentence)?.[1];
  if (named) learn({ tokens_deducted: Number(named.replaceAll(",", "")) });
}

/** Takes over the balance of a reply that is awaited, unless a newer one comes before it, and gives the reply. */
export async function learnLater(awaited) {
  const turn = ++asked;
  const reply = await awaited;
  if (turn > known) {
    learn(reply);
    known = turn;
  }
  return reply;
}

/** Asks for the balance. Where it can't be had, the last one goes on standing, and whatever follows says what is wrong. */
export function readBalance() {
  learnLater(get("api/tokens/")).catch(() => {});
}

/** Forgets whose balance it was. */
export function forgetBalance() {
  tokens = null;
  price = null;
  known = asked;
}

/** The balance as it is always in sight, and the way to the statement. */
export function balanceLink() {
  const number = h("strong", { class: "balance-number" });
  const rest = h("span", { class: "balance-rest" });
  const element = h(
    "a",
    { class: "balance", href: "#/statement" },
    icon("coin"),
    h("span", { class: "sr-only" }, "Balance: "),
    number,
    " ",
    rest,
  );
  watchBalance(() => {
    element.hidden = tokens === null;
    if (tokens === null) return;
    const left = chatsLeft();
    number.textContent = formatNumber(tokens);
    rest.textContent = left === null ? "tokens" : `tokens · ${plural(left, "chat")}`;
    element.classList.toggle("balance-low", left !== null && left < FEW);
    element.title = price
      ? `A chat costs ${formatTokens(price)}. Open your statement`
      : "Open your statement";
  });
  return element;
}

/** What is to be said where few tokens are left: a sentence, or null. */
export function lowBalance() {
  const left = chatsLeft();
  if (left === null || left >= FEW) return null;
  if (left === 0)
    return `Your balance of ${formatTokens(tokens)} is less than a chat costs (${formatNumber(price)}). Whoever runs this site can give you more.`;
  return `Your tokens are enough for ${left} more ${left === 1 ? "chat" : "chats"}.`;
}
