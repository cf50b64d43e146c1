// Reads replies as files, and lets the browser save files.

import { currentBrand } from "../ui/brand.js";
import { interrupted, nextPage, send } from "./api.js";

/**
 * Reads a reply as a file: `{blob, name, next}`. Throws if the reply was truncated.
 * @param {string} path
 * @param {Options} [options]
 */
export async function file(path, { query, accept, signal } = {}) {
  const response = await send("GET", path, { query, accept, signal });
  const blob = await response.blob().catch(() => {
    throw interrupted();
  });
  const name = /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
  return { blob, name, next: nextPage(response) };
}

/**
 * A file's name that begins with the brand's: `acme-chat-export.json`
 * @param {string} rest
 */
export function fileName(rest) {
  const plain = (currentBrand().name ?? "").normalize("NFKD").replaceAll(/\p{M}/gu, "");
  const words = plain.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return [...words, rest].join("-");
}

/**
 * Lets the browser save a blob as a file.
 * @param {Blob} blob
 * @param {string} name
 */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
