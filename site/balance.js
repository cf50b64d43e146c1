// The balance, and the price of an answer, as the API reported them last.

import { get } from "./api.js";
import { h } from "./dom.js";
import { formatNumber, formatTokens, plural } from "./format.js";
import { icon } from "./icons.js";
import { onTold, tellTabs } from "./tabs.js";

/** A balance for fewer answers than this is low. */
const FEW = 5;

let tokens = null;
let price = null;
/** The number of the last request for the balance, and of the newest reply that was used. */
let asked = 0;
let known = 0;
const watchers = new Set();

/** Calls `show` now and after each change of the balance or the price. */
export function watchBalance(show) {
  watchers.add(show);
  show();
}

/** The price of an answer in tokens, or null if it is unknown. */
export const answerPrice = () => price;

/** How many answers the balance is enough for, or null if that is unknown. */
const answersLeft = () => (tokens === null || !price ? null : Math.floor(tokens / price));

/** Uses the balance and the cost in a reply, also in the other tabs. */
export function learn({ tokens_left: left, tokens_deducted: cost }) {
  use({ tokens_left: left, tokens_deducted: cost });
  if (Number.isInteger(left)) tellTabs("balance", { tokens_left: left, tokens_deducted: cost });
}

function use({ tokens_left: left, tokens_deducted: cost }) {
  if (Number.isInteger(left)) {
    tokens = left;
    known = asked;
  }
  if (Number.isInteger(cost) && cost > 0) price = cost;
  watchers.forEach((show) => show());
}

onTold("balance", use);

/** Uses the price in the sentence of a refusal. */
export function learnPrice(sentence) {
  const named = /costs ([\d,]+) tokens/.exec(sentence)?.[1];
  if (named) learn({ tokens_deducted: Number(named.replaceAll(",", "")) });
}

/**
 * Uses the balance in a reply that is awaited, unless a newer one arrives first. Returns the reply.
 */
export async function learnLater(awaited) {
  const turn = ++asked;
  const reply = await awaited;
  if (turn > known) {
    learn(reply);
    known = turn;
  }
  return reply;
}

/** Reads the balance. After a failure the old one stays: the next request reports what is wrong. */
export function readBalance() {
  learnLater(get("api/tokens/")).catch(() => {});
}

/** Forgets the balance when the user signs out. */
export function forgetBalance() {
  tokens = null;
  price = null;
  known = asked;
}

/** The balance in the frame of the page, which links to the statement. */
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
    const left = answersLeft();
    number.textContent = formatNumber(tokens);
    rest.textContent = left === null ? "tokens" : `tokens · ${plural(left, "answer")}`;
    element.classList.toggle("balance-low", left !== null && left < FEW);
    element.title = price
      ? `An answer costs ${formatTokens(price)}. Open your statement`
      : "Open your statement";
  });
  return element;
}

/** A sentence about a low balance, or null. */
export function lowBalance() {
  const left = answersLeft();
  if (left === null || left >= FEW) return null;
  if (left === 0)
    return `Your balance of ${formatTokens(tokens)} is less than an answer costs (${formatNumber(price)}). An administrator can give you more.`;
  return `Your tokens are enough for ${left} more ${left === 1 ? "answer" : "answers"}.`;
}
