// Whether the device has an on-screen keyboard, which covers part of the page.

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
