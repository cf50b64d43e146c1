// The profile of the signed-in user, for all views that show it.

import { learnLater } from "./balance.js";

let own = null;
const watchers = new Set();

/** The profile, or null. */
export const profile = () => own;

/** Calls `show` now and after each change of the profile. */
export function watchProfile(show) {
  watchers.add(show);
  show();
}

/** Uses the profile and the balance in a reply that is awaited. */
export async function learnProfile(awaited) {
  changeProfile(await learnLater(awaited));
}

function changeProfile(changes) {
  own = { ...own, ...changes };
  watchers.forEach((show) => show());
}

/** Forgets the profile when the user signs out. */
export function forgetProfile() {
  own = null;
  watchers.clear();
}
