// Pictures are drawn and encoded again before they are sent: smaller, in a format that models
// read, and without the place and the time at which they were taken.

import { dimensions } from "./dimensions.js";
import { Unreadable, base64 } from "./part.js";

/** The longest side of a picture in pixels. Providers scale larger pictures down. */
const LONGEST = 1568;

/** The largest picture that is decoded, in pixels. A small file can contain a picture of any size. */
const MOST_PIXELS = 100_000_000;

/**
 * Throws an `Unreadable` if a picture of this size isn't decoded.
 * @param {number} width
 * @param {number} height
 */
function checkSize(width, height) {
  if (width * height > MOST_PIXELS) throw new Unreadable("This picture has too many pixels.");
}

/** The reason if the browser can't make or encode a canvas, for example for lack of memory. */
const NOT_DRAWN = "This browser can't draw this picture.";

/** The qualities of a JPEG that are tried, and by how much the picture shrinks after the last. */
const QUALITIES = [0.9, 0.8, 0.65, 0.5];
const SHRINK = 0.75;

/** The smallest scale, relative to the first, at which a picture is still tried. */
const LEAST = 0.1;

/**
 * The beginnings of the picture formats that browsers read, in hexadecimal. `.` is any digit.
 * @type {[type: string, format: RegExp][]}
 */
const BEGINNINGS = [
  ["image/jpeg", /^ffd8ff/],
  ["image/png", /^89504e470d0a1a0a/],
  ["image/webp", /^52494646.{8}57454250/],
  ["image/gif", /^474946383[79]61/],
  ["image/avif", /^.{8}66747970(617669(66|73)|6d696631)/],
  ["image/heic", /^.{8}66747970(686569|68657663)/],
  ["image/bmp", /^424d.{8}0{8}/],
];

/**
 * Returns a picture's type by its beginning, whatever its name says, or null.
 * @param {Uint8Array} bytes
 */
export function pictureType(bytes) {
  const digits = Array.from(bytes.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0"));
  return BEGINNINGS.find(([, format]) => format.test(digits.join("")))?.[0] ?? null;
}

/**
 * Reads a picture of this type: `{type, data, bytes}`, where `data` is Base64 and `bytes` at most
 * `most`.
 * @param {Uint8Array<ArrayBuffer>} content
 * @param {string} type
 * @param {number} most
 */
export async function readPicture(content, type, most) {
  // Decoding needs four bytes of memory for each pixel.
  checkSize(...(dimensions(content, type) ?? [0, 0]));
  const blob = new Blob([content], { type });
  const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" }).catch(() => {
    throw new Unreadable("This browser can't read this picture. Save it as JPEG or PNG.");
  });
  try {
    checkSize(bitmap.width, bitmap.height);
    return await drawnWithin(most, bitmap, type === "image/png" || type === "image/gif");
  } finally {
    bitmap.close();
  }
}

/**
 * Draws a bitmap or a canvas as a picture of at most `most` bytes: as PNG, which keeps the letters
 * of a screenshot sharp, if `isPng` and it is small enough, and otherwise as JPEG.
 * @param {number} most
 * @param {ImageBitmap | Canvas} source
 * @param {boolean} isPng
 */
export async function drawnWithin(most, source, isPng) {
  const first = Math.min(1, LONGEST / Math.max(source.width, source.height));
  for (let scale = 1; scale >= LEAST; scale *= SHRINK) {
    const width = Math.max(1, Math.round(source.width * first * scale));
    const height = Math.max(1, Math.round(source.height * first * scale));
    const canvas = newCanvas(width, height);
    const context = contextOf(canvas, { alpha: isPng });
    if (isPng && scale === 1) {
      context.drawImage(source, 0, 0, width, height);
      const blob = await encoded(canvas, "image/png");
      if (blob.size <= most) return pictureOf(blob);
    }
    // A JPEG has no transparent pixels.
    context.globalCompositeOperation = "copy";
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = "source-over";
    context.imageSmoothingQuality = "high";
    context.drawImage(source, 0, 0, width, height);
    for (const quality of QUALITIES) {
      const blob = await encoded(canvas, "image/jpeg", quality);
      if (blob.size <= most) return pictureOf(blob);
    }
  }
  throw new Unreadable("This picture can't be made small enough.");
}

/** @param {Blob} blob */
async function pictureOf(blob) {
  const data = base64(new Uint8Array(await blob.arrayBuffer()));
  return { type: blob.type, data, bytes: blob.size };
}

/**
 * A canvas that isn't shown.
 * @param {number} width
 * @param {number} height
 * @returns {Canvas}
 */
export function newCanvas(width, height) {
  if (typeof OffscreenCanvas === "function") return new OffscreenCanvas(width, height);
  return Object.assign(document.createElement("canvas"), { width, height });
}

/**
 * The context that draws on a canvas.
 * @param {Canvas} canvas
 * @param {CanvasRenderingContext2DSettings} settings
 */
export function contextOf(canvas, settings) {
  const context = /** @type {?CanvasRenderingContext2D} */ (canvas.getContext("2d", settings));
  if (!context) throw new Unreadable(NOT_DRAWN);
  return context;
}

/**
 * Encodes what a canvas shows, as a blob.
 * @param {Canvas} canvas
 * @param {string} type
 * @param {number} [quality]
 * @returns {Promise<Blob>}
 */
export function encoded(canvas, type, quality) {
  if ("convertToBlob" in canvas) return canvas.convertToBlob({ type, quality });
  return new Promise((done, fail) => {
    /** @param {?Blob} blob */
    const take = (blob) => (blob ? done(blob) : fail(new Unreadable(NOT_DRAWN)));
    canvas.toBlob(take, type, quality);
  });
}
