// Formats numbers, times and failures for people.

import { h } from "./dom.js";

const numbers = new Intl.NumberFormat("en");
const signed = new Intl.NumberFormat("en", { signDisplay: "exceptZero" });
const times = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const days = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const utcDays = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: "UTC" });
const months = new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric" });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** `4,000` */
export const formatNumber = (number) => numbers.format(number);
/** `+4,000`, `−100` */
export const formatSigned = (number) => signed.format(number).replace("-", "−");
/** `4,000 tokens`, `1 token`, in the operator's word */
export const formatTokens = (number) => inCurrency(plural(number, "token"));
/** `2 messages`, `1 message` */
export const plural = (number, word) =>
  `${numbers.format(number)} ${word}${number === 1 ? "" : "s"}`;
/** `20 Nov 2026, 07:17` */
export const formatTime = (time) => times.format(new Date(time));
/** `20 Nov 2026, 07:17:39` */
export const formatExactTime = (time) => exact.format(new Date(time));
/** `20 Nov 2026` */
export const formatDay = (time) => days.format(new Date(time));
/** `20 Nov 2026`, of a day in UTC such as `2026-11-20` */
export const formatUtcDay = (day) => utcDays.format(new Date(day));
/** `November 2026` */
export const formatMonth = (time) => months.format(new Date(time));
/** `07:17:39` */
export const formatClock = (time) => clock.format(new Date(time));

// --- The operator's word for tokens ---

/** The name under which the browser remembers the word, for the views without a session. */
const WORD = "farebox.currency";

/** The word in the plural. */
let currency = rememberedCurrency() ?? "tokens";

/** Returns the word that this browser remembers, or null. */
export function rememberedCurrency() {
  try {
    return localStorage.getItem(WORD);
  } catch {
    return null;
  }
}

/** Uses this word for the product's tokens. Returns true if the word has changed. */
export function useCurrency(word) {
  const isNew = word !== currency;
  currency = word;
  try {
    localStorage.setItem(WORD, word);
  } catch {
    // Without storage, the word applies only to this page.
  }
  return isNew;
}

/**
 * Replaces `token` and `tokens` in a string with the operator's word. The singular is the word
 * without a final `s`. Model tokens keep their name.
 */
export function inCurrency(text) {
  if (currency === "tokens") return text;
  return text.replace(/(?<!model )\btoken(s?)\b/gi, (found, isPlural) => {
    const word = isPlural ? currency : currency.replace(/(?<=[^s])s$/, "");
    return found[0] === "T" ? word.charAt(0).toUpperCase() + word.slice(1) : word;
  });
}

/**
 * Formats an API word that this page has no text for, for example from a later release: `gift_card`
 * becomes `Gift card`.
 */
export function formatWord(word) {
  const text = word.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `just now`, `5 minutes ago`, `yesterday`; the day if it is more than a week ago. */
export function formatAgo(time) {
  const seconds = (new Date(time) - Date.now()) / 1000;
  const ago = Math.abs(seconds);
  if (ago < 45) return "just now";
  if (ago < 3300) return relative.format(Math.round(seconds / 60), "minute");
  if (ago < 79_200) return relative.format(Math.round(seconds / 3600), "hour");
  if (ago < 7 * 86_400) return relative.format(Math.round(seconds / 86_400), "day");
  return formatDay(time);
}

/** `today`, `yesterday`, `6 days ago`, of a day in UTC; the day if it is longer ago. */
export function formatUtcDayAgo(day) {
  // This browser's clock may be slow.
  const days = Math.max(0, Math.floor((Date.now() - new Date(day)) / 86_400_000));
  return days < 7 ? relative.format(-days, "day") : formatUtcDay(day);
}

/** `in 5 seconds`, `in 2 minutes` */
function formatIn(seconds) {
  if (seconds < 100) return relative.format(Math.max(1, Math.ceil(seconds)), "second");
  if (seconds < 5400) return relative.format(Math.ceil(seconds / 60), "minute");
  return relative.format(Math.ceil(seconds / 3600), "hour");
}

/**
 * A `time` element whose text comes from one of the functions above. Its tooltip is the full time.
 */
export function time(value, form = formatTime) {
  return h("time", { dateTime: value, title: formatTime(value) }, form(value));
}

/** A failure as a sentence that says when to try again. */
export function explain(error) {
  if (error?.name !== "ApiError") {
    console.error(error);
    return "Something went wrong. Reload the page and try again.";
  }
  const { status, message, retryAfter } = error;
  const isSilent = status === 429 && retryAfter > 1 && !/try again in/i.test(message);
  return isSilent ? `${message} Try again ${formatIn(retryAfter)}.` : message;
}
