// Requests that stop an answer, the stored part of a stopped answer, and pauses that end early
// after a stop.

import { ApiError, get, post } from "../session/api.js";

/** The maximum number of stop requests while the message may still be on its way to the API. */
const MOST_STOPS = 6;

/** The time between two checks for a stopped answer, in milliseconds, and their maximum number. */
const LOOK = 1000;
const MOST_LOOKS = 30;

/**
 * Asks the API to stop the answer to the message with this key. Repeats the request while the
 * message may still be on its way to the API. Resolves with the message's `{id, status}`.
 */
export async function requestStop(key, signal, most = MOST_STOPS) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await post("api/chat/stop/", { idempotency_key: key }, { signal });
    } catch (error) {
      const isEarly = error.status === 404 || error.passing;
      if (!isEarly || tries === most) throw error;
    }
    await pause(300, signal);
  }
}

/**
 * Reads the stored part of a stopped answer that this page doesn't receive. `stopping` is the first
 * stop request. If nothing was delivered, the API stores no answer with this key.
 */
export async function stoppedChat(key, stopping, signal) {
  const neverBegan = new ApiError({ status: 410, code: "stopped" });
  let asked = stopping;
  for (let looks = 0; looks < MOST_LOOKS; looks += 1) {
    const { id, status } = await asked.catch((error) => {
      throw error.status === 404 ? neverBegan : error;
    });
    if (status === "ended")
      return { ...(await get(`api/chat/${id}/`, undefined, { signal })), replayed: true };
    await pause(LOOK, signal);
    asked = requestStop(key, signal, 1);
  }
  throw neverBegan;
}

/** Resolves after a while, or rejects as soon as the signal is aborted. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    });
  });
}
