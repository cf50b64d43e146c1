// Whose account it is, for whatever shows it.

import { learnLater } from "./balance.js";

let own = null;
const watchers = new Set();

/** The profile of whoever is signed in, or null. */
export const profile = () => own;

/** Calls `show` now and whenever the profile is another. */
export function watchProfile(show) {
  watchers.add(show);
  show();
}

/** Takes over the profile of a reply that is awaited, and the balance in it. */
export async function learnProfile(awaited) {
  changeProfile(await learnLater(awaited));
}

/** Takes over what is another in the profile. */
export function changeProfile(changes) {
  own = { ...own, ...changes };
  watchers.forEach((show) => show());
}

/** Forgets whose it was. */
export function forgetProfile() {
  own = null;
  watchers.clear();
}
