// How much files add to the price of a message.

import { chosenModel, fileLimits, priceOf } from "../session/models.js";

/** The estimated number of bytes of a text for each of its model tokens. */
const PER_TOKEN = 4;

/** Returns true for a picture. Its model tokens depend on the model. */
export const isPicture = ({ type }) => type.startsWith("image/");

/** The files in a chat that models can get: all texts, and the last pictures. */
export function inContext(files) {
  const most = fileLimits()?.pictures ?? 0;
  const last = new Set(most > 0 ? files.filter(isPicture).slice(-most) : []);
  return files.filter((file) => !isPicture(file) || last.has(file));
}

/** The files that a model gets with a message. Some models take no pictures. */
const sentFiles = (files, model = chosenModel()) =>
  inContext(files).filter((file) => !isPicture(file) || !model || model.pictures);

/** How often a message with these files costs a flat price. */
export function timesWith(files, model) {
  const limits = fileLimits();
  if (!limits) return 1;
  const { priced_bytes: each, priced_picture: picture } = limits;
  const sizes = sentFiles(files, model).map((file) => (isPicture(file) ? picture : file.bytes));
  return Math.max(1, Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / each));
}

/**
 * What files add to a message to a model by usage: `most`, the maximum number of their model tokens,
 * and `usual`, the usual price.
 */
export function tokensOf(files, model) {
  const { picture = 0, fare } = model;
  const sum = (countOf) =>
    sentFiles(files, model).reduce(
      (total, file) => total + (isPicture(file) ? picture : countOf(file.tokens)),
      0,
    );
  const most = sum((tokens) => tokens);
  const usual = sum((tokens) => Math.ceil(tokens / PER_TOKEN));
  return { most, usual: priceOf({ ...fare, output: 0 }, usual, 0) };
}
