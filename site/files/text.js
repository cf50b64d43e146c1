// Text files: code, CSV, Markdown, logs, JSON. Any file whose bytes are UTF-8 without a NUL
// counts as text, whatever its name says, and so does UTF-16 with a byte order mark, which Notepad
// and Excel write.

import { Unreadable, cutTo, sizeInWords } from "./part.js";

const OTHER = "This isn't a picture, a PDF or a text in UTF-8, so it can't be read here.";

/**
 * Reads a text: `{type, text, bytes, cut}`, where `bytes` is at most `most`.
 * @param {Uint8Array} bytes
 * @param {number} most
 */
export function readText(bytes, most) {
  let whole;
  try {
    whole = new TextDecoder(encodingOf(bytes), { fatal: true }).decode(bytes);
  } catch {
    throw new Unreadable(OTHER);
  }
  if (whole.includes("\0")) throw new Unreadable(OTHER);
  return textPart(whole, most);
}

/** @param {Uint8Array} bytes */
function encodingOf([first, second]) {
  if (first === 0xff && second === 0xfe) return "utf-16le";
  return first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
}

/**
 * A part with as much of a text as fits.
 * @param {string} whole
 * @param {number} most
 */
export function textPart(whole, most, type = "text/plain") {
  if (whole.trim() === "") throw new Unreadable("This file is empty.");
  const text = cutTo(most, whole);
  const bytes = new TextEncoder().encode(text).length;
  const cut = text.length < whole.length && `only the first ${sizeInWords(bytes)} of the text`;
  return { type, text, bytes, cut: cut || null };
}
