// Messages between the tabs of an account, so that all tabs show the same state.

import { accountId, base } from "./api.js";

const channel =
  typeof BroadcastChannel === "function"
    ? new BroadcastChannel(`farebox.changes${base.pathname}`)
    : null;

/** @type {Map<string, Act[]>} */
const listeners = new Map();

/**
 * Tells the other tabs of this account about a change.
 * @param {string} change
 * @param {any} about
 */
export function tellTabs(change, about) {
  channel?.postMessage({ account: accountId(), change, about });
}

/**
 * Calls `act` with another tab's message about this kind of change.
 * @param {string} change
 * @param {Act} act
 */
export function onTold(change, act) {
  listeners.set(change, [...(listeners.get(change) ?? []), act]);
}

if (channel) {
  channel.onmessage = ({ data: { account, change, about } }) => {
    if (account && account === accountId()) listeners.get(change)?.forEach((act) => act(about));
  };
}
