// The signed-in user, as last reported by the API: the balance, the price of an answer, the way to
// get more tokens, and the profile. models.js has the prices of a price list.

import { fill, h } from "../ui/dom.js";
import { formatNumber, formatTokens, inCurrency, plural } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { get } from "./api.js";
import { chosenModel, hasPrices, isFlat, watchModels } from "./models.js";
import { sells, watchShop } from "./shop.js";
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
/** The price of all answers on a server without a price list. */
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

// The choice of a model also changes the price, and a shop is a way to get more tokens.
watchModels(() => watchers.forEach((show) => show()));
watchShop(() => watchers.forEach((show) => show()));

/** The balance, or null if it is unknown. */
export const balance = () => tokens;

/** The price of an answer in tokens, or null if it is unknown or depends on the answer. */
export function answerPrice() {
  if (!hasPrices()) return price;
  const { fare } = chosenModel();
  return isFlat(fare) ? fare.message : null;
}

/** A sentence with the price of another answer, or "" if the price is unknown. */
export const costOfAnother = () =>
  answerPrice() ? `The new answer costs ${formatTokens(answerPrice())}.` : "";

/** The number of answers that the balance pays for, or null if unknown. */
const answersLeft = () =>
  tokens === null || !answerPrice() ? null : Math.floor(tokens / answerPrice());

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
  const cost = named(/costs (?:at least )?([\d,]+) /);
  if (!cost) return;
  const left = named(/^You have ([\d,]+) /);
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
export async function readBalance() {
  await learnLater(get("api/tokens/")).catch(() => {});
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
    const word = inCurrency("tokens");
    rest.textContent = left === null ? word : `${word} · ${plural(left, "answer")}`;
    const unfinished = h("span", { class: "balance-rest" }, " for an unfinished message");
    fill(holding, held > 0 && [h("span", {}, `${formatNumber(held)} held`), unfinished]);
    element.classList.toggle("balance-low", left !== null && left < FEW);
    element.title = answerPrice()
      ? `An answer costs ${formatTokens(answerPrice())}. Open your statement`
      : "Open your statement";
  });
  return element;
}

/**
 * The warning about a low balance, with the way to get more tokens; or null. `most` is the most that
 * the next message may cost, if its price depends on the answer.
 */
export function lowBalance(most = null) {
  const left = answersLeft();
  const isLess = left === null && most !== null && tokens !== null && tokens < most;
  if (isLess) return [h("p", {}, lessThanTheMost(most)), hasWay() && moreTokens()];
  if (left === null || left >= FEW) return null;
  const sentence =
    left === 0
      ? lessThanAnAnswer()
      : inCurrency(`Your tokens are enough for ${left} more ${left === 1 ? "answer" : "answers"}.`);
  return [h("p", {}, sentence), (hasWay() || left === 0) && moreTokens()];
}

/** Returns true if users can get more tokens without asking an administrator. */
const hasWay = () => sells() || Boolean(topUp?.text);

const lessThanAnAnswer = () => `${youHave()} An answer costs ${formatNumber(answerPrice())}.`;

const lessThanTheMost = (most) =>
  `${youHave()} This message may cost ${formatNumber(most)}, so its answer may be shortened.`;

const youHave = () => `You have ${formatTokens(tokens)}${heldToo()}.`;

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
 * refusal. `least` is what the refused message costs at least, if the refusal tells that.
 */
export function tooFew(least = null) {
  const now = answerPrice();
  const cost = now && `An answer costs ${formatTokens(now)}.`;
  const flat = answersLeft() === 0 ? lessThanAnAnswer() : cost;
  const needed = `This message costs at least ${formatNumber(least)}.`;
  const isOpen = hasPrices() && now === null && least !== null && tokens !== null;
  const sentence = isOpen ? `${youHave()} ${needed}` : flat;
  const head = h("strong", {}, inCurrency("You don't have enough tokens. "));
  return [h("p", {}, head, sentence), moreTokens()];
}

/** The ways to get more tokens: the packs on sale, and the operator's text and link. */
function moreTokens() {
  const { text, url } = topUp ?? {};
  const buy = sells() && h("p", {}, h("a", { href: "#/buy" }, inCurrency("Buy tokens")));
  if (!text && buy) return buy;
  if (!url)
    return [buy, h("p", {}, text || inCurrency("An administrator can give you more tokens."))];
  const apart = url.startsWith("mailto:") ? {} : { target: "_blank", rel: "noopener noreferrer" };
  return [buy, h("p", {}, h("a", { href: url, ...apart }, text))];
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
