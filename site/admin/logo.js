// Draws pictures as logos. The API accepts only small PNGs without metadata.

import { Unreadable, base64 } from "../files/part.js";
import { encoded, newCanvas } from "../files/picture.js";

/** The longest side of a logo in pixels, and its maximum size in bytes, as the API has them. */
const LONGEST_SIDE = 512;
const MOST_BYTES = 32 * 1024;

/** By how much a logo with too many bytes shrinks before it is drawn again. */
const SHRINK = 0.75;

/** The chunks that a PNG may contain. Browsers add others, such as the colour space. */
const CHUNKS = ["IHDR", "PLTE", "tRNS", "IDAT", "IEND"];

const SVG = "image/svg+xml";

/** Returns true for a logo that an earlier release stored as an SVG. */
export const isSvg = (logo) => logo.startsWith("<");

/** The URL of a stored logo. */
export const urlOf = (logo) =>
  isSvg(logo) ? `data:${SVG},${encodeURIComponent(logo)}` : `data:image/png;base64,${logo}`;

/** Draws a stored SVG as a logo. */
export const pngOfSvg = (svg) => logoOf(new Blob([svg], { type: SVG }));

/**
 * Draws a picture as a logo, and returns the PNG as Base64. Throws an `Unreadable` if the browser
 * can't draw it.
 */
export async function logoOf(file) {
  const image = await decoded(file);
  const sides = [image.naturalWidth, image.naturalHeight];
  const most = LONGEST_SIDE / Math.max(...sides);
  for (let scale = file.type === SVG ? most : Math.min(1, most); ; scale *= SHRINK) {
    const size = sides.map((side) => Math.max(1, Math.round(side * scale)));
    const canvas = newCanvas(...size);
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, ...size);
    const png = await plain(await encoded(canvas, "image/png"));
    if (png.length <= MOST_BYTES) return base64(png);
  }
}

/** Reads a picture. Scripts in an image don't run, and it loads no other files. */
async function decoded(file) {
  const image = new Image();
  try {
    const source = file.type === SVG ? new Blob([sized(await file.text())], { type: SVG }) : file;
    image.src = URL.createObjectURL(source);
    await image.decode();
    if (image.naturalWidth && image.naturalHeight) return image;
  } catch {
    // The browser can't read it.
  } finally {
    URL.revokeObjectURL(image.src);
  }
  throw new Unreadable("This browser can't draw this file. Choose a PNG, a JPEG or an SVG.");
}

/** Gives an SVG without a size the largest one. Firefox draws no SVG without a size. */
const sized = (svg) =>
  svg.replace(
    /<svg(?=\s)(?![^>]*\s(?:width|height)\s*=)/,
    `<svg width="${LONGEST_SIDE}" height="${LONGEST_SIDE}"`,
  );

/** The bytes of a PNG without the chunks that the API refuses. */
async function plain(blob) {
  const png = await blob.arrayBuffer();
  const view = new DataView(png);
  const parts = [png.slice(0, 8)];
  for (let at = 8, end; at < png.byteLength; at = end) {
    // The length of a chunk doesn't include the length itself, the kind and the checksum.
    end = at + 12 + view.getUint32(at);
    const kind = String.fromCharCode(...new Uint8Array(png, at + 4, 4));
    if (CHUNKS.includes(kind)) parts.push(png.slice(at, end));
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
