// Pictures are drawn and encoded again before they are sent: smaller, in a format that models
// read, and without the place and the time at which they were taken.

import { dimensions } from "./dimensions.js";
import { Unreadable, base64 } from "./part.js";

/** The longest side of a picture in pixels. Providers scale larger pictures down. */
const LONGEST = 1568;

/** The largest picture that is decoded, in pixels. A small file can contain a picture of any size. */
const MOST_PIXELS = 100_000_000;

/** Throws an `Unreadable` if a picture of this size isn't decoded. */
function checkSize(width, height) {
  if (width * height > MOST_PIXELS) throw new Unreadable("This picture has too many pixels.");
}

/** The qualities of a JPEG that are tried, and by how much the picture shrinks after the last. */
const QUALITIES = [0.9, 0.8, 0.65, 0.5];
const SHRINK = 0.75;

/** The smallest scale, relative to the first, at which a picture is still tried. */
const LEAST = 0.1;

/** The beginnings of the picture formats that browsers read, in hexadecimal. `.` is any digit. */
const BEGINNINGS = [
  ["image/jpeg", /^ffd8ff/],
  ["image/png", /^89504e470d0a1a0a/],
  ["image/webp", /^52494646.{8}57454250/],
  ["image/gif", /^474946383[79]61/],
  ["image/avif", /^.{8}66747970(617669(66|73)|6d696631)/],
  ["image/heic", /^.{8}66747970(686569|68657663)/],
  ["image/bmp", /^424d.{8}0{8}/],
];

/** Returns a picture's type by its beginning, whatever its name says, or null. */
export function pictureType(bytes) {
  const digits = Array.from(bytes.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0"));
  return BEGINNINGS.find(([, format]) => format.test(digits.join("")))?.[0] ?? null;
}

/**
 * Reads a picture of this type: `{type, data, bytes}`, where `data` is Base64 and `bytes` at most
 * `most`.
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
 */
export async function drawnWithin(most, source, isPng) {
  const first = Math.min(1, LONGEST / Math.max(source.width, source.height));
  for (let scale = 1; scale >= LEAST; scale *= SHRINK) {
    const size = [source.width, source.height].map((side) =>
      Math.max(1, Math.round(side * first * scale)),
    );
    const canvas = newCanvas(...size);
    const context = canvas.getContext("2d", { alpha: isPng });
    if (isPng && scale === 1) {
      context.drawImage(source, 0, 0, ...size);
      const blob = await encoded(canvas, "image/png");
      if (blob.size <= most) return pictureOf(blob);
    }
    // A JPEG has no transparent pixels.
    context.globalCompositeOperation = "copy";
    context.fillStyle = "#fff";
    context.fillRect(0, 0, ...size);
    context.globalCompositeOperation = "source-over";
    context.imageSmoothingQuality = "high";
    context.drawImage(source, 0, 0, ...size);
    for (const quality of QUALITIES) {
      const blob = await encoded(canvas, "image/jpeg", quality);
      if (blob.size <= most) return pictureOf(blob);
    }
  }
  throw new Unreadable("This picture can't be made small enough.");
}

async function pictureOf(blob) {
  const data = base64(new Uint8Array(await blob.arrayBuffer()));
  return { type: blob.type, data, bytes: blob.size };
}

/** A canvas that isn't shown. */
export function newCanvas(width, height) {
  if (typeof OffscreenCanvas === "function") return new OffscreenCanvas(width, height);
  return Object.assign(document.createElement("canvas"), { width, height });
}

/** Encodes what a canvas shows, as a blob. */
export function encoded(canvas, type, quality) {
  if (canvas.convertToBlob) return canvas.convertToBlob({ type, quality });
  return new Promise((done) => canvas.toBlob(done, type, quality));
}
