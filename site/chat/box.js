// Rules for the boxes in which users write messages: the maximum length, in characters as the API
// counts them, and the effect of Enter.

import { profile } from "../session/user.js";
import { formatNumber, plural } from "../ui/format.js";

/** The share of the maximum length above which the box shows the length of its text. */
const NEAR = 0.9;

const limit = () => profile()?.message_limit ?? Infinity;

/** The number of characters in a string. A character may consist of two code units. */
function lengthOf(text) {
  let length = 0;
  for (const _ of text) length += 1;
  return length;
}

/** The text's length if it is near the limit, `31,950 of 32,000 characters`; otherwise "". */
export function lengthNear(text) {
  if (text.length < NEAR * limit()) return "";
  const length = lengthOf(text);
  return length < NEAR * limit()
    ? ""
    : `${formatNumber(length)} of ${formatNumber(limit())} characters`;
}

/** The error for a message that is too long, or null. */
export function tooLong(text) {
  if (text.length <= limit()) return null;
  const over = lengthOf(text) - limit();
  if (over <= 0) return null;
  const most = `A message can have at most ${formatNumber(limit())} characters.`;
  return `${most} Remove ${plural(over, "character")}.`;
}

/** Matches touch devices, whose on-screen keyboard covers part of the page. */
const coarse = matchMedia("(pointer: coarse)");

/** Returns true on a touch device. */
export const isTouch = () => coarse.matches;

/** The label of the Enter key on an on-screen keyboard, for a multi-line box. */
export const enterKey = () => (isTouch() ? "enter" : "send");

/** Returns true if this key sends the text in a box. On touch devices, Enter begins a new line. */
export function sends({ key, isComposing, shiftKey, ctrlKey, metaKey }) {
  // While `isComposing`, Enter accepts a Chinese or Japanese word.
  if (key !== "Enter" || isComposing || shiftKey) return false;
  return !isTouch() || ctrlKey || metaKey;
}
