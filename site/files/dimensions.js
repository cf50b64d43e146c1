// The width and the height of a picture, read from the beginning of its file without decoding it.

/** The number in `count` bytes from `at` on, whose first byte counts most. @type {ReadNumber} */
const big = (bytes, at, count) =>
  bytes.subarray(at, at + count).reduce((sum, byte) => 256 * sum + byte, 0);

/** The number in `count` bytes from `at` on, whose last byte counts most. @type {ReadNumber} */
const little = (bytes, at, count) =>
  bytes.subarray(at, at + count).reduceRight((sum, byte) => 256 * sum + byte, 0);

/**
 * The markers that begin a frame of a JPEG: those from C0 to CF without C4, C8 and CC.
 * @param {number} marker
 */
const isFrame = (marker) => (marker & 0xf0) === 0xc0 && ![0xc4, 0xc8, 0xcc].includes(marker);

/** The header is the first chunk. @type {ReadSize} */
const ofPng = (bytes) => [big(bytes, 16, 4), big(bytes, 20, 4)];

/** The frame follows other segments, each with its length. @type {ReadSize} */
function ofJpeg(bytes) {
  let at = 2;
  while (bytes[at] === 0xff) {
    const marker = bytes[at + 1];
    if (isFrame(marker)) return [big(bytes, at + 7, 2), big(bytes, at + 5, 2)];
    // A marker can follow any number of bytes FF.
    at += marker === 0xff ? 1 : 2 + big(bytes, at + 2, 2);
  }
  return null;
}

/**
 * The first chunk is a lossy or a lossless picture, or describes the chunks after it.
 * @type {ReadSize}
 */
function ofWebp(bytes) {
  const kind = String.fromCharCode(...bytes.subarray(12, 16));
  if (kind === "VP8 ") return [little(bytes, 26, 2) & 0x3fff, little(bytes, 28, 2) & 0x3fff];
  if (kind === "VP8X") return [little(bytes, 24, 3) + 1, little(bytes, 27, 3) + 1];
  if (kind !== "VP8L") return null;
  const sides = little(bytes, 21, 4);
  return [(sides & 0x3fff) + 1, ((sides >>> 14) & 0x3fff) + 1];
}

/** @type {Record<string, ReadSize>} */
const READERS = { "image/png": ofPng, "image/jpeg": ofJpeg, "image/webp": ofWebp };

/**
 * The width and the height of a picture of this type, or null if its file doesn't tell them.
 * @param {Uint8Array} bytes
 * @param {string} type
 */
export const dimensions = (bytes, type) => READERS[type]?.(bytes) ?? null;
