// Shared by the modules that read files to be sent with a message.

/** The reason why a file can't be sent, as a sentence. */
export class Unreadable extends Error {}

/** The number of bytes that are turned into characters at once. */
const CHUNK = 0x8000;

/** Encodes bytes as Base64. @param {Uint8Array} bytes */
export function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK)
    text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(text);
}

/** Decodes Base64. @param {string} text */
export const fromBase64 = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

const encoder = new TextEncoder();

/** The number of bytes of a text as UTF-8. @param {string} text */
export const bytesOf = (text) => encoder.encode(text).length;

/**
 * The beginning of a text with at most `most` bytes. Doesn't divide a character.
 * @param {number} most
 * @param {string} text
 */
export function cutTo(most, text) {
  const { read } = encoder.encodeInto(text, new Uint8Array(most));
  return text.slice(0, read);
}

/**
 * A size in words: `12 KB`
 * @param {number} bytes
 */
export function sizeInWords(bytes) {
  if (bytes < 1024) return `${bytes} ${bytes === 1 ? "byte" : "bytes"}`;
  const kilobytes = bytes / 1024;
  if (kilobytes < 1000) return `${Math.round(kilobytes)} KB`;
  return `${(kilobytes / 1024).toFixed(1)} MB`;
}
