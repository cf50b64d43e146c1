// Whether the user types on the screen, where a keyboard covers a part of the page.

const coarse = matchMedia("(pointer: coarse)");

/** Whether this device is used with a finger. */
export const isTouch = () => coarse.matches;

/** What the Enter key of a box of several lines does, for the keyboard on the screen. */
export const enterKey = () => (isTouch() ? "enter" : "send");

/** Whether a key that is pressed in such a box sends the text. On the screen, Enter is a new line. */
export function sends({ key, isComposing, shiftKey, ctrlKey, metaKey }) {
  // With `isComposing`, Enter accepts a Chinese or Japanese word.
  if (key !== "Enter" || isComposing || shiftKey) return false;
  return !isTouch() || ctrlKey || metaKey;
}
