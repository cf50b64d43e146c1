// Reads a file that the user has chosen. Its bytes decide what it is, not its name.

import { boundOf } from "../session/models.js";
import { Unreadable, sizeInWords } from "./part.js";
import { isPdf, readPdf } from "./pdf.js";
import { pictureType, readPicture } from "./picture.js";
import { readText } from "./text.js";

/** The largest file that is read, in bytes. Most of a larger file would be cut. */
const LARGEST = 50 * 1024 * 1024;

/** The model tokens of the lines around a text, at most. */
const PER_TEXT = 64;

/** Matches characters that are invisible or change the direction of the text after them. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** The longest name, in characters. */
const LONGEST = 100;

/**
 * Returns a file's name as the API keeps it, or `file` if nothing is left of it.
 * @param {string} name
 */
export function cleanName(name) {
  const last = (name.toWellFormed?.() ?? name).replace(HIDDEN, "").split(/[/\\]/).at(-1);
  const clean = (last ?? "").trim().replace(/^[.\s]+/, "");
  const characters = [...clean];
  if (characters.length <= LONGEST) return clean || "file";
  // Keep the extension.
  const [end = ""] = /\.\w{1,9}$/.exec(clean) ?? [];
  return (
    characters
      .slice(0, LONGEST - end.length)
      .join("")
      .trim() + end
  );
}

/**
 * Reads a file: its parts, with their `tokens`. Throws an `Unreadable` with the reason, or an
 * `ApiError` if a part of the page can't be loaded.
 * @param {File} file
 * @param {FileOptions} options
 */
export async function readFile(file, { limits, pictures, signal, progress }) {
  if (file.size > LARGEST) throw new Unreadable(`A file can have at most ${sizeInWords(LARGEST)}.`);
  const bytes = new Uint8Array(
    await file.arrayBuffer().catch(() => {
      throw new Unreadable("This browser can't read it. A folder can't be sent.");
    }),
  );
  signal.throwIfAborted();
  const name = cleanName(file.name);
  const most = limits.bytes;
  const [left, refusal] = typeof pictures === "string" ? [0, pictures] : [pictures, null];
  const type = pictureType(bytes);
  /** @type {Part[]} */
  let parts;
  if (type) {
    if (refusal) throw new Unreadable(refusal);
    const picture = await readPicture(bytes, type, most);
    parts = [{ name: named(name, picture.type), ...picture, cut: null }];
  } else if (isPdf(bytes)) {
    parts = await readPdf(bytes, name, { most, pictures: left, signal, progress });
  } else parts = [{ name, ...readText(bytes, most) }];
  return parts.map((part) => ({ ...part, tokens: tokensOf(part) }));
}

/**
 * The most model tokens of a text, as the API counts them before it has seen it.
 * @param {Pick<Part, "name" | "text">} part
 */
export const tokensOf = ({ name, text }) =>
  text === undefined ? null : boundOf(text) + boundOf(name) + PER_TEXT;

/**
 * A picture's name with the extension of the format in which it is sent.
 * @param {string} name
 * @param {string} type
 */
function named(name, type) {
  const isPng = type === "image/png";
  const extension = isPng ? "png" : "jpg";
  const fits = isPng ? /\.png$/i : /\.jpe?g$/i;
  return fits.test(name) ? name : `${name.replace(/\.\w{1,5}$/, "")}.${extension}`;
}
