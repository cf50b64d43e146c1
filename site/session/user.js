// The signed-in user, as last reported by the API: the balance, the price of an answer, the way to
// get more tokens, and the profile.

import { fill, h } from "../ui/dom.js";
import { formatNumber, formatTokens, plural } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { get } from "./api.js";
import { onTold, tellTabs } from "./tabs.js";

// --- The balance ---

/** A balance is low if it pays for fewer answers than this. */
const FEW = 5;

/** The time after which the balance is read again if tokens are held, in milliseconds. */
const HELD_PACE = 15_000;

let tokens = null;
/** The tokens held for messages without an answer. They aren't part of the balance. */
let held = 0;
let rereading;
let price = null;
/** The operator's text and link about getting more tokens: `{text, url}`. */
let topUp = null;
/** The numbers of the last request for the balance and of the newest reply that was used. */
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

/** A sentence with the price of another answer, or "" if the price is unknown. */
export const costOfAnother = () => (price ? `The new answer costs ${formatTokens(price)}.` : "");

/** The number of answers that the balance pays for, or null if unknown. */
const answersLeft = () => (tokens === null || !price ? null : Math.floor(tokens / price));

/** Shows the balance, price and top-up in a reply, in all tabs. */
export function learn(reply) {
  const { tokens_left: left, tokens_deducted: cost, chat_price: now = cost, top_up: more } = reply;
  const learned = { left, holds: reply.tokens_held, cost: now, more };
  use(learned);
  if (Number.isInteger(left)) tellTabs("balance", learned);
}

function use({ left, holds, cost, more }) {
  if (Number.isInteger(left)) {
    tokens = left;
    known = asked;
    if (Number.isInteger(holds)) held = holds;
    // Read the balance again later: this page gets no reply when held tokens are spent or returned.
    clearTimeout(rereading);
    if (held > 0) rereading = setTimeout(readBalance, Number.isInteger(holds) ? HELD_PACE : 0);
  }
  if (Number.isInteger(cost) && cost > 0) price = cost;
  if (more) topUp = more;
  watchers.forEach((show) => show());
}

onTold("balance", use);

/** Shows the price, the balance and the held tokens in a refusal's sentence. */
export function learnPrice(sentence) {
  const named = (pattern) => {
    const digits = pattern.exec(sentence)?.[1];
    return digits && Number(digits.replaceAll(",", ""));
  };
  const cost = named(/costs ([\d,]+) tokens/);
  if (!cost) return;
  const left = named(/^You have ([\d,]+) tokens/);
  const holds = named(/ and ([\d,]+) are held/) ?? 0;
  learn({ tokens_deducted: cost, tokens_left: left, tokens_held: holds });
}

/**
 * Shows the balance in an awaited reply unless a newer reply arrives first. Returns the reply.
 */
async function learnLater(awaited) {
  const turn = ++asked;
  const reply = await awaited;
  if (turn > known) {
    learn(reply);
    known = turn;
  }
  return reply;
}

/** Reads the balance. Ignores a failure, because the next request will report it. */
export function readBalance() {
  learnLater(get("api/tokens/")).catch(() => {});
}

/** Forgets the balance when the user signs out. */
export function forgetBalance() {
  tokens = null;
  held = 0;
  clearTimeout(rereading);
  price = null;
  known = asked;
}

/** The link to the statement in the page's frame. Its text is the balance. */
export function balanceLink() {
  const number = h("strong", { class: "balance-number" });
  const rest = h("span", { class: "balance-rest" });
  const holding = h("span", { class: "balance-held" });
  const element = h(
    "a",
    { class: "balance", href: "#/statement" },
    icon("coin"),
    h("span", { class: "sr-only" }, "Balance: "),
    number,
    " ",
    rest,
    holding,
  );
  watchBalance(() => {
    element.hidden = tokens === null;
    if (tokens === null) return;
    const left = answersLeft();
    number.textContent = formatNumber(tokens);
    rest.textContent = left === null ? "tokens" : `tokens · ${plural(left, "answer")}`;
    const unfinished = h("span", { class: "balance-rest" }, " for an unfinished message");
    fill(holding, held > 0 && [h("span", {}, `${formatNumber(held)} held`), unfinished]);
    element.classList.toggle("balance-low", left !== null && left < FEW);
    element.title = price
      ? `An answer costs ${formatTokens(price)}. Open your statement`
      : "Open your statement";
  });
  return element;
}

/** The warning about a low balance, with the way to get more tokens; or null. */
export function lowBalance() {
  const left = answersLeft();
  if (left === null || left >= FEW) return null;
  const sentence =
    left === 0
      ? lessThanAnAnswer()
      : `Your tokens are enough for ${left} more ${left === 1 ? "answer" : "answers"}.`;
  return [h("p", {}, sentence), (left === 0 || topUp?.text) && moreTokens()];
}

const lessThanAnAnswer = () =>
  `You have ${formatTokens(tokens)}${heldToo()}. An answer costs ${formatNumber(price)}.`;

const heldToo = () =>
  held > 0 ? `, and ${formatNumber(held)} are held for an unfinished message` : "";

/** A line about held tokens. It is empty if no tokens are held. */
export function heldLine(signal) {
  const line = h("p", { class: "hint" });
  const show = () => {
    line.hidden = held === 0;
    line.textContent = `${formatTokens(held)} held for an unfinished message. They are part of the balances in this list until they are spent or return, which takes a few minutes at most.`;
  };
  watchBalance(show);
  signal.addEventListener("abort", () => watchers.delete(show));
  return line;
}

/**
 * The note for a user who has too few tokens for an answer. The known balance may be older than the
 * refusal.
 */
export function tooFew() {
  const cost = price && `An answer costs ${formatTokens(price)}.`;
  const sentence = answersLeft() === 0 ? lessThanAnAnswer() : cost;
  return [h("p", {}, h("strong", {}, "You don't have enough tokens. "), sentence), moreTokens()];
}

/** The way to get more tokens: the operator's text and link. */
function moreTokens() {
  const { text, url } = topUp ?? {};
  if (!url) return h("p", {}, text || "An administrator can give you more tokens.");
  const apart = url.startsWith("mailto:") ? {} : { target: "_blank", rel: "noopener noreferrer" };
  return h("p", {}, h("a", { href: url, ...apart }, text));
}

// --- The profile ---

let own = null;
const ofProfile = new Set();

/** The profile, or null. */
export const profile = () => own;

/** Calls `show` now and after each change of the profile. */
export function watchProfile(show) {
  ofProfile.add(show);
  show();
}

/** Shows the profile and balance in an awaited reply. */
export async function learnProfile(awaited) {
  changeProfile(await learnLater(awaited));
}

function changeProfile(changes) {
  own = { ...own, ...changes };
  ofProfile.forEach((show) => show());
}

/** Forgets the profile when the user signs out. */
export function forgetProfile() {
  own = null;
  ofProfile.clear();
}
