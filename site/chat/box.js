// What the boxes for messages have in common: the longest message that the API accepts, in characters
// as the API counts them, and what Enter does.

import { profile } from "../session/user.js";
import { formatNumber, plural } from "../ui/format.js";

/** The share of the limit from which the length is shown. */
const NEAR = 0.9;

const limit = () => profile()?.message_limit ?? Infinity;

/** The number of characters. A character may be two units of a string. */
function lengthOf(text) {
  let length = 0;
  for (const _ of text) length += 1;
  return length;
}

/** The length of a text near the limit, `7,950 of 8,000 characters`; otherwise "". */
export function lengthNear(text) {
  if (text.length < NEAR * limit()) return "";
  const length = lengthOf(text);
  return length < NEAR * limit()
    ? ""
    : `${formatNumber(length)} of ${formatNumber(limit())} characters`;
}

/** The error text for a message that is too long; null for any other. */
export function tooLong(text) {
  if (text.length <= limit()) return null;
  const over = lengthOf(text) - limit();
  if (over <= 0) return null;
  const most = `A message can have at most ${formatNumber(limit())} characters.`;
  return `${most} Remove ${plural(over, "character")}.`;
}

/** An on-screen keyboard covers part of the page. */
const coarse = matchMedia("(pointer: coarse)");

/** Whether this is a touch device. */
export const isTouch = () => coarse.matches;

/** What Enter does in a box of several lines, for the label on the on-screen keyboard. */
export const enterKey = () => (isTouch() ? "enter" : "send");

/** Whether this key sends the text of such a box. On touch devices, Enter begins a new line. */
export function sends({ key, isComposing, shiftKey, ctrlKey, metaKey }) {
  // With `isComposing`, Enter accepts a Chinese or Japanese word.
  if (key !== "Enter" || isComposing || shiftKey) return false;
  return !isTouch() || ctrlKey || metaKey;
}
