// Reads PDFs with pdf.js, which is loaded with the first PDF. The text is read page by page. If a
// PDF has no text, such as a scan, its first pages become pictures.
//
// pdf.js runs in a worker whose policy lets it load nothing. It gets no network and no `eval`, and
// ignores the PDF's forms and scripts.

import { interrupted } from "../session/api.js";
import { Unreadable, bytesOf, cutTo } from "./part.js";
import { contextOf, drawnWithin, newCanvas } from "./picture.js";
import { textPart } from "./text.js";

/** The long side of a page as a picture, in pixels. */
const LONGEST = 1568;

/** A PDF with fewer characters per page has no text. Scanners write a line or a number. */
const SPARSE = 8;

const WORKER = new URL("../vendor/pdfjs/pdf.worker.min.mjs", import.meta.url).href;

/** A policy for this one script. Without one, the page's policy refuses every worker. */
const policy = globalThis.trustedTypes?.createPolicy("pdf", { createScriptURL: () => WORKER });

/** Returns true if a file begins like a PDF, whatever its name says. @param {Uint8Array} bytes */
export const isPdf = (bytes) => String.fromCharCode(...bytes.subarray(0, 1024)).includes("%PDF-");

/**
 * Reads a PDF: one part with its text, or up to `pictures` parts with pictures of its pages. No part
 * is larger than `most` bytes.
 * @param {Uint8Array} bytes
 * @param {string} name
 * @param {{pictures: number} & PdfOptions} options
 * @returns {Promise<Part[]>}
 */
export async function readPdf(bytes, name, { most, pictures, signal, progress }) {
  const library = await import("../vendor/pdfjs/pdf.min.mjs").catch(() => {
    throw interrupted();
  });
  signal.throwIfAborted();
  const port = new Worker(policy?.createScriptURL("") ?? WORKER, { type: "module" });
  /** @type {Promise<never>} */
  const failed = new Promise((_, reject) =>
    port.addEventListener("error", () => reject(interrupted())),
  );
  failed.catch(() => {});
  /** @type {PdfReading["within"]} */
  const within = (work) => Promise.race([work, failed]);
  const worker = new library.PDFWorker({ port, verbosity: library.VerbosityLevel.ERRORS });
  const loading = library.getDocument({
    data: bytes,
    worker,
    verbosity: library.VerbosityLevel.ERRORS,
    isEvalSupported: false,
    disableFontFace: true,
    enableXfa: false,
    useSystemFonts: false,
    useWorkerFetch: false,
  });
  try {
    const pdf = await within(loading.promise);
    const read = { pdf, most, signal, progress, within };
    const text = await textOf(read);
    if (text) return [{ name, ...text }];
    if (pictures === 0)
      throw new Unreadable("It contains no text, and no more pictures can be sent.");
    return await picturesOf(read, name, pictures);
  } catch (error) {
    if (error instanceof Unreadable || error.code || error.name === "AbortError") throw error;
    const isLocked = error.name === "PasswordException";
    throw new Unreadable(isLocked ? "This PDF needs a password." : "This PDF is damaged.");
  } finally {
    await loading.destroy().catch(() => {});
    worker.destroy();
    port.terminate();
  }
}

/** The text of the pages as a part, or null if there is hardly any. @param {PdfReading} reading */
async function textOf({ pdf, most, signal, progress, within }) {
  const pages = [];
  let size = 0;
  let length = 0;
  for (let number = 1; number <= pdf.numPages && size < most; number += 1) {
    signal.throwIfAborted();
    const page = await within(pdf.getPage(number));
    const { items } = await within(page.getTextContent());
    page.cleanup();
    const text = items.map(({ str = "", hasEOL }) => (hasEOL ? `${str}\n` : str)).join("");
    const clean = text.replaceAll("\0", "").toWellFormed?.() ?? text.replaceAll("\0", "");
    length += clean.trim().length;
    const printed = `Page ${number}\n\n${clean.trim()}\n\n`;
    pages.push(printed);
    size += bytesOf(printed);
    progress(number / pdf.numPages);
  }
  if (length < SPARSE * pages.length) return null;
  const part = textPart(pages.join(""), most, "application/pdf");
  if (size <= most && pages.length === pdf.numPages) return { ...part, cut: null };
  // Don't end with a part of a page, unless the first page is too long.
  const whole = pages.length > 1 ? pages.slice(0, -1).join("") : cutTo(most, pages[0]);
  const shown = pages.length > 1 ? pages.length - 1 : 1;
  const range = shown === 1 ? "page 1" : `pages 1 to ${shown}`;
  return { ...textPart(whole, most, "application/pdf"), cut: `only ${range} of ${pdf.numPages}` };
}

/**
 * The first pages as pictures.
 * @param {PdfReading} reading
 * @param {string} name
 * @param {number} pictures
 */
async function picturesOf({ pdf, most, signal, progress, within }, name, pictures) {
  const count = Math.min(pictures, pdf.numPages);
  const parts = [];
  for (let number = 1; number <= count; number += 1) {
    signal.throwIfAborted();
    const page = await within(pdf.getPage(number));
    const { width, height } = page.getViewport({ scale: 1 });
    const viewport = page.getViewport({ scale: LONGEST / Math.max(width, height) });
    const canvas = newCanvas(Math.ceil(viewport.width), Math.ceil(viewport.height));
    const canvasContext = contextOf(canvas, { alpha: false });
    await within(page.render({ canvasContext, viewport }).promise);
    page.cleanup();
    const picture = await drawnWithin(most, canvas, true);
    const extension = picture.type === "image/png" ? "png" : "jpg";
    const cut =
      number === 1 && pdf.numPages > count ? `only ${count} of ${pdf.numPages} pages` : null;
    const begins = [...name.replace(/\.pdf$/i, "")].slice(0, 80).join("");
    parts.push({ name: `${begins} page ${number}.${extension}`, ...picture, cut });
    progress(number / count);
  }
  return parts;
}
