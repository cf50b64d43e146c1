// The logged-in user, as the API last reported: the balance, the price of an answer, the ways to
// get more tokens, and the profile. models.js contains the prices of a price list.

import { fill, h } from "../ui/dom.js";
import { formatNumber, formatTokens, formatUtcDay, inCurrency, plural } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { get } from "./api.js";
import { areModelsKnown, chosenModel, hasPrices, isFlat, watchModels } from "./models.js";
import { sells, watchShop } from "./shop.js";
import { onTold, tellTabs } from "./tabs.js";

// --- The balance ---

/** A balance is low if it is enough for fewer answers than this. */
const FEW = 5;

/** The time after which the balance is read again if tokens are held, in milliseconds. */
const HELD_PACE = 15_000;

/** @type {?number} */
let tokens = null;
/** The tokens held for messages without an answer. They aren't part of the balance. */
let held = 0;
/** @type {number | undefined} */
let rereading;
/** The price of all answers on a server without a price list. @type {?number} */
let price = null;
/** The operator's text and link about getting more tokens. @type {?TopUp} */
let topUp = null;
/** The allowance, or null if there is none. @type {?Allowance} */
let allowance = null;
/** The number of the last request for the balance, and of the newest reply that was used. */
let asked = 0;
let known = 0;
/** @type {Set<() => void>} */
const watchers = new Set();

/**
 * Calls `show` now and after each change of the balance or the price. Returns a function that stops
 * these calls.
 * @param {() => void} show
 */
export function watchBalance(show) {
  watchers.add(show);
  show();
  return () => watchers.delete(show);
}

// The choice of a model also changes the price, and a shop is a way to get more tokens.
watchModels(changed);
watchShop(changed);

function changed() {
  watchers.forEach((show) => show());
}

/** The balance, or null if it is unknown. */
export const balance = () => tokens;

/** The tokens that a message can cost. Infinity if the balance is unknown, or is due to be filled. */
export const spendable = () => (tokens === null || isAllowanceOld() ? Infinity : tokens);

export const heldTokens = () => held;

/** The price of an answer in tokens, or null if it is unknown or depends on the answer. */
export function answerPrice() {
  // Without the list, it isn't known whether all answers cost the same.
  if (!areModelsKnown()) return null;
  if (!hasPrices()) return price;
  const { fare } = chosenModel();
  return isFlat(fare) ? fare.message : null;
}

/** How many answers the balance is enough for, or null if that is unknown. */
function answersLeft() {
  const cost = answerPrice();
  return tokens === null || !cost ? null : Math.floor(tokens / cost);
}

/**
 * Shows the balance, price, top-up and allowance in a reply, in all tabs.
 * @param {BalanceReply} reply
 */
export function learn(reply) {
  const { tokens_left: left, tokens_deducted: cost, chat_price: now = cost, top_up: more } = reply;
  const learned = { left, holds: reply.tokens_held, cost: now, more, filled: reply.allowance };
  use(learned);
  if (Number.isInteger(left)) tellTabs("balance", learned);
}

/** @param {Learned} learned */
function use({ left, holds, cost, more, filled }) {
  if (filled !== undefined) allowance = filled;
  if (Number.isInteger(left)) {
    tokens = left;
    known = asked;
    if (Number.isInteger(holds)) held = holds;
    // Read the balance again later, because no reply tells this page that held tokens were spent or
    // returned, and most replies lack the allowance.
    clearTimeout(rereading);
    const isOld = filled === undefined && isAllowanceOld();
    const pace = Number.isInteger(holds) && !isOld ? HELD_PACE : 0;
    if (held > 0 || isOld) rereading = setTimeout(readBalance, pace);
  }
  if (Number.isInteger(cost) && cost > 0) price = cost;
  if (more) topUp = more;
  changed();
}

onTold("balance", use);

/** Returns true if the balance may have been topped up since the allowance was read. */
const isAllowanceOld = () =>
  allowance !== null && allowance.next <= new Date().toISOString().slice(0, 10);

/**
 * Reads the price, the balance, the held tokens and the allowance's next day from a refusal's
 * message, and shows them.
 * @param {string} sentence
 */
export function learnPrice(sentence) {
  /** A number in the message, or NaN. @param {RegExp} pattern */
  const named = (pattern) => Number(pattern.exec(sentence)?.[1].replaceAll(",", ""));
  const cost = named(/costs (?:at least )?([\d,]+) /);
  if (!cost) return;
  const left = named(/^You have ([\d,]+) /);
  const holds = named(/ and ([\d,]+) are held/) || 0;
  const next = / On (\d{4}-\d\d-\d\d) \(UTC\) your balance is filled up /.exec(sentence)?.[1];
  const filled = allowance && next ? { ...allowance, next } : undefined;
  learn({ tokens_deducted: cost, tokens_left: left, tokens_held: holds, allowance: filled });
}

/**
 * Waits for a reply and shows it. If a newer reply arrives first, shows only the price and the
 * top-up from this reply, because the newer reply may lack them.
 * @param {Promise<any>} awaited
 */
async function learnLater(awaited) {
  const turn = ++asked;
  const reply = await awaited;
  if (turn > known) {
    learn(reply);
    known = turn;
  } else learn({ chat_price: reply.chat_price, top_up: reply.top_up });
  return reply;
}

/**
 * Reads the balance, and fills it up if the allowance is due. Ignores a failure, because the next
 * request will report it.
 */
export async function readBalance() {
  // Without an allowance, the reply lacks the field.
  const reading = get("api/tokens/").then((reply) => ({ allowance: null, ...reply }));
  await learnLater(reading).catch(() => {});
}

/** Forgets the balance when the user logs out. */
export function forgetBalance() {
  tokens = null;
  held = 0;
  clearTimeout(rereading);
  allowance = null;
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
    const cost = answerPrice();
    const about = [
      cost && `An answer costs ${formatTokens(cost)}.`,
      allowanceInWords(),
      "Open your statement",
    ];
    element.title = about.filter(Boolean).join(" ");
  });
  return element;
}

/**
 * The warning about a low balance, with the ways to get more tokens, or null. `offer` is the offer
 * for the next message, if its price depends on the answer.
 * @param {?Offer} offer
 */
export function lowBalance(offer = null) {
  const left = answersLeft();
  if (left === null && offer !== null && tokens !== null) {
    const { usual, isCut } = offer;
    if (tokens >= FEW * usual) return null;
    const long = isCut ? ", and a long one may be shortened" : "";
    const about = `${youHave()} An answer usually costs about ${formatNumber(usual)}${long}.`;
    return [h("p", {}, about), (hasWay() || tokens < usual) && moreTokens()];
  }
  if (left === null || left >= FEW) return null;
  const sentence =
    left === 0
      ? lessThanAnAnswer()
      : inCurrency(`Your tokens are enough for ${plural(left, "more answer")}.`);
  return [h("p", {}, sentence), (hasWay() || left === 0) && moreTokens()];
}

/** Returns true if users can get more tokens without asking an administrator. */
const hasWay = () => sells() || Boolean(topUp?.text) || allowance !== null;

/** A sentence that says when the balance is topped up, or "" without an allowance. */
export function allowanceInWords() {
  if (allowance === null) return "";
  const { tokens: most, per, next } = allowance;
  return `Your balance is filled up to ${formatTokens(most)} each ${per}, next on ${formatUtcDay(next)} (UTC).`;
}

const lessThanAnAnswer = () => `${youHave()} An answer costs ${formatNumber(answerPrice() ?? 0)}.`;

function youHave() {
  const too = held > 0 ? `, and ${formatNumber(held)} are held for an unfinished message` : "";
  return `You have ${formatTokens(tokens ?? 0)}${too}.`;
}

/**
 * The note for a user who has too few tokens for an answer, after the API's `refusal`. The known
 * balance may be older than the refusal.
 * @param {Refusal} refusal
 */
export function tooFew({ cost, prompt }) {
  const now = answerPrice();
  const flat = now && `An answer costs ${formatTokens(now)}.`;
  let sentence = answersLeft() === 0 ? lessThanAnAnswer() : flat;
  if (hasPrices() && now === null && cost !== null && tokens !== null) {
    const missing = cost > tokens ? `, which is ${formatNumber(cost - tokens)} more` : "";
    sentence = `${youHave()} This message needs at least ${formatNumber(cost)}${missing}.`;
    if (prompt) sentence += ` Without its answer, it usually costs about ${formatNumber(prompt)}.`;
  }
  const head = h("strong", {}, inCurrency("You don't have enough tokens. "));
  return [h("p", {}, head, sentence), moreTokens()];
}

/** The ways to get more tokens: the allowance, the packs on sale, the operator's text and link. */
function moreTokens() {
  const { text, url } = topUp ?? {};
  const apart = url?.startsWith("mailto:") ? {} : { target: "_blank", rel: "noopener noreferrer" };
  const ways = [
    allowanceInWords(),
    sells() && h("a", { href: "#/buy" }, inCurrency("Buy tokens")),
    text && (url ? h("a", { href: url, ...apart }, text) : text),
  ].filter(Boolean);
  if (ways.length === 0) ways.push(inCurrency("An administrator can give you more tokens."));
  return ways.map((way) => h("p", {}, way));
}

// --- The profile ---

/** @type {?Profile} */
let own = null;
/** @type {Set<() => void>} */
const ofProfile = new Set();

/** The profile, or null. */
export const profile = () => own;

/** Calls `show` now and after each change of the profile. @param {() => void} show */
export function watchProfile(show) {
  ofProfile.add(show);
  show();
}

/** Shows the profile and balance in an awaited reply. @param {Promise<Profile>} awaited */
export async function learnProfile(awaited) {
  const changes = await learnLater(awaited);
  own = { ...own, ...changes };
  ofProfile.forEach((show) => show());
}

/** Forgets the profile when the user logs out. */
export function forgetProfile() {
  own = null;
  ofProfile.clear();
}
