// Whose account it is, for whatever shows it.

import { learn } from "./balance.js";

let own = null;
const watchers = new Set();

/** The profile of whoever is signed in, or null. */
export const profile = () => own;

/** Calls `show` now and whenever the profile is another. */
export function watchProfile(show) {
  watchers.add(show);
  show();
}

/** Takes over a profile as a reply shows it. */
export function learnProfile(data) {
  own = data;
  learn(data);
  watchers.forEach((show) => show());
}

/** Forgets whose it was. */
export function forgetProfile() {
  own = null;
  watchers.clear();
}
