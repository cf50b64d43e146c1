// Whether tokens are sold, as the API last reported. buy.js in ../account shows the packs.

import { get } from "./api.js";

/** The pause before a failed request is repeated, in milliseconds. */
const PAUSE = 30_000;

/** Null while it is unknown. @type {?Shop} */
let shop = null;
/** @type {?Promise<void>} */
let reading = null;
/** @type {Set<() => void>} */
const watchers = new Set();

/** Calls `show` after each change. @param {() => void} show */
export const watchShop = (show) => watchers.add(show);

/** Uses a reply with the packs and the newest purchases. @param {Offers} reply */
export function learnShop({ packs, purchases }) {
  const was = shop;
  shop = { sells: packs.length > 0, isUsed: purchases.length > 0 };
  if (was?.sells !== shop.sells) watchers.forEach((show) => show());
}

/** Reads whether tokens are sold, unless that is known. Ignores failures. */
export function readShop() {
  if (shop) return Promise.resolve();
  if (reading) return reading;
  const asked = get("api/user/purchases/", { limit: 1 })
    .catch(() => null)
    .then((reply) => {
      // Another user may have logged in during the request.
      if (reading !== asked) return;
      if (reply) learnShop(reply);
      else setTimeout(() => (reading = null), PAUSE);
    });
  reading = asked;
  return asked;
}

/** Returns true if users can buy tokens. If that is unknown, asks the API. */
export function sells() {
  readShop();
  return Boolean(shop?.sells);
}

/** Returns true if there is something to show: packs or earlier purchases. */
export const hasShop = () => Boolean(shop?.sells || shop?.isUsed);

/** Forgets the shop when the user logs out. */
export function forgetShop() {
  shop = null;
  reading = null;
}
