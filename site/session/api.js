// The client of the API: the session of this tab, requests, pages of lists, and streams.
//
// This module keeps the access token only in memory. The refresh token is a cookie that no script
// can read. The API sets and reads the cookie only in requests with the header `X-Refresh-Token:
// cookie`, which other sites can't send. The header `X-Page-Key` contains a random value from this
// origin's storage. A browser sends cookies to every port of a host, but a server on a different
// port can't use them without the key.

/** The URL of the API. This file is `<base>/assets/<version>/session/api.js`. */
export const base = new URL("../../../", import.meta.url);

/** The time-out of a request in milliseconds. It is longer than API Gateway's time-out. */
const PATIENCE = 45_000;

/** The name under which the browser stores this site's session. Each stage of a host is a site. */
const HERE = `farebox.session${base.pathname}`;

/** The name under which the browser stores the page key. */
const KEY = `farebox.key${base.pathname}`;

/** A failed request, with the fields of a `Problem`. */
export class ApiError extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.detail);
    this.name = "ApiError";
    this.status = problem.status ?? 0;
    this.code = problem.code;
    this.errors = problem.errors ?? {};
    this.retryAfter = problem.retryAfter ?? null;
    this.cost = problem.cost ?? null;
    this.prompt = problem.prompt ?? null;
    this.most = problem.most ?? null;
  }

  /**
   * True if the same request can be repeated because its outcome is unknown or the failure is
   * temporary.
   */
  get passing() {
    return (
      this.status === 0 ||
      [408, 429, 502, 503, 504].includes(this.status) ||
      this.code === "idempotency_key_running"
    );
  }
}

// --- The session ---

/** @type {?string} */
let access = null;
/** @type {?Promise<void>} */
let refreshing = null;
/** @type {Set<() => void>} */
const listeners = new Set();
const others = typeof BroadcastChannel === "function" ? new BroadcastChannel(HERE) : null;

/** Returns true if this tab has a session. */
export const isSignedIn = () => access !== null;

/** The id of the session's account, or null. */
export const accountId = () => subject(access);

/**
 * Calls `listener` when the session ends for a reason outside of this tab.
 * @param {() => void} listener
 */
export function onSessionEnded(listener) {
  listeners.add(listener);
}

/** Returns true if this browser probably has a session. */
export const isLikely = () => remembered.get() !== "no";

/**
 * Continues the session whose cookie the browser has. Resolves with false if there is no session.
 * Throws if the API can't be reached.
 */
export async function resume() {
  // Without a session the request would only fail.
  if (!isLikely()) return false;
  try {
    await refresh();
    return true;
  } catch (error) {
    if (error.status === 401) return false;
    throw error;
  }
}

/**
 * Returns a new access token for the browser's session, or null if there is no session. For a page
 * that doesn't send its requests through this module.
 */
export const sessionToken = async () => ((await resume()) ? access : null);

/**
 * Logs in, and resolves with the account.
 * @param {string} username
 * @param {string} password
 */
export async function signIn(username, password) {
  try {
    return await begin("api/login/", { username, password });
  } catch (error) {
    // Replace the API's message. The API itself can't change it, because programs compare it.
    if (error.code === "invalid_credentials") error.message = "Incorrect username or password.";
    throw error;
  }
}

/**
 * Creates an account and logs in to it. Idempotent under the same key.
 * @param {Registration} account
 * @param {string} key
 */
export function register({ username, email, password }, key) {
  return begin("api/register/", { username, email, password }, key);
}

/**
 * Changes the password. All other sessions end, and this tab continues in a new one.
 * @param {string} currentPassword
 * @param {string} newPassword
 */
export async function changePassword(currentPassword, newPassword) {
  const body = { current_password: currentPassword, new_password: newPassword };
  const { data } = await request("POST", "api/user/password/", { body, headers: inCookie() });
  hold(data.access);
}

/** Ends this session, or all sessions of the account. */
export async function signOut({ everywhere = false } = {}) {
  try {
    await request("POST", "api/logout/", { body: { all: everywhere }, headers: inCookie() });
  } catch (error) {
    // The session had ended already.
    if (error.status !== 401) throw error;
  }
  leave();
}

/** Forgets the session in all tabs after the API has ended it. */
export function leave() {
  forget();
  others?.postMessage("ended");
}

function forget() {
  access = null;
  remembered.set("no");
}

/**
 * @param {string} path
 * @param {object} body
 * @param {string} [key]
 */
async function begin(path, body, key) {
  const { data } = await request("POST", path, { body, key, headers: inCookie(), open: true });
  hold(data.access);
  others?.postMessage("began");
  return data;
}

/** @param {string} token */
function hold(token) {
  access = token;
  remembered.set("yes");
}

/** Remembers whether this browser probably has a session, because no script can read the cookie. */
const remembered = {
  get() {
    try {
      return localStorage.getItem(HERE) ?? "no";
    } catch {
      return "unknown";
    }
  },
  /** @param {"no" | "yes"} value */
  set(value) {
    try {
      localStorage.setItem(HERE, value);
    } catch {
      // Without storage, each page asks the API.
    }
  },
};

/**
 * The headers of requests whose reply may set or clear the cookies. All tabs share the page key, so
 * it is read each time. The key outlives a log-out, because the device token's cookie is also bound
 * to it. The device token's cookie distinguishes this browser from strangers who guess passwords.
 * Without storage, there is no page key.
 * @returns {Record<string, string>}
 */
export function inCookie() {
  try {
    if (!localStorage.getItem(KEY)) localStorage.setItem(KEY, newKey());
    return { "X-Refresh-Token": "cookie", "X-Page-Key": localStorage.getItem(KEY) ?? "" };
  } catch {
    return { "X-Refresh-Token": "cookie" };
  }
}

/**
 * Gets a new access token, with one request for all callers in this tab. Tabs refresh one after the
 * other, because they share the cookie.
 */
function refresh() {
  refreshing ??= alone(async () => {
    const before = subject(access);
    const { data } = await request("POST", "api/token/refresh/", {
      body: {},
      headers: inCookie(),
      open: true,
    });
    if (before && subject(data.access) !== before) {
      // Another tab has logged in to another account, but this page shows the old one.
      access = null;
      location.reload();
      return new Promise(() => {});
    }
    hold(data.access);
  })
    .catch((error) => {
      if (error.status === 401) end();
      throw error;
    })
    .finally(() => (refreshing = null));
  return refreshing;
}

/** @param {() => Promise<void>} work */
function alone(work) {
  return navigator.locks ? navigator.locks.request(HERE, work) : work();
}

function end() {
  const began = access !== null;
  forget();
  if (began) listeners.forEach((listener) => listener());
}

if (others) {
  others.onmessage = ({ data }) => {
    if (data === "ended" && access) end();
    // A logged-in tab notices a new account at its next refresh.
    if (data === "began" && !access) location.reload();
  };
}

/** @param {?string} token */
function subject(token) {
  if (!token) return null;
  try {
    return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).sub;
  } catch {
    return null;
  }
}

// --- Requests ---

/** Returns a new idempotency key. The API executes all requests with the same key only once. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Sends a request and reads the reply: `{data, status, next, replayed}`, where `next` is the URL of
 * a list's next page. Throws an `ApiError`.
 * @param {string} method
 * @param {string} path
 * @param {Options} [options]
 */
export async function request(method, path, options = {}) {
  const limit = AbortSignal.timeout(PATIENCE);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  const response = await send(method, path, { ...options, signal });
  const text = await readText(response);
  return {
    data: text === "" ? null : json(text),
    status: response.status,
    next: nextPage(response),
    replayed: response.headers.get("Idempotent-Replayed") === "true",
  };
}

/** `GET`; resolves with the data. @type {Read} */
export const get = async (path, query, options) =>
  (await request("GET", path, { ...options, query })).data;
/** `POST`; resolves with the data. @type {Write} */
export const post = async (path, body, options) =>
  (await request("POST", path, { ...options, body })).data;
/** `PATCH`; resolves with the data. @type {Write} */
export const patch = async (path, body, options) =>
  (await request("PATCH", path, { ...options, body })).data;
/** `DELETE`; resolves with the data. @type {Write} */
export const del = async (path, body, options) =>
  (await request("DELETE", path, { ...options, body })).data;

/**
 * Deletes an item. Succeeds if it is already deleted, for example by another device.
 * @param {string} path
 * @param {object} [body]
 */
export async function ensureDeleted(path, body) {
  try {
    await del(path, body);
  } catch (error) {
    if (error.status !== 404) throw error;
  }
}

/**
 * Reads a page of a list: `{items, next}`, where `next` is the `path` of the next page or null.
 * @param {string} path
 * @param {Query} [query]
 * @param {Options} [options]
 */
export async function page(path, query, options) {
  const { data, next } = await request("GET", path, { ...options, query });
  return { items: data, next };
}

/**
 * Yields the server-sent events in a reply, each `{event, data, replayed}` with parsed JSON as its
 * data. Throws an `ApiError`. Its code is `interrupted` if the connection is lost during the reply.
 * @param {string} path
 * @param {object} body
 * @param {Options} [options]
 */
export async function* stream(path, body, { key, signal } = {}) {
  const response = await send("POST", path, { body, key, signal });
  const replayed = response.headers.get("Idempotent-Replayed") === "true";
  if (!response.body) throw interrupted();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw error.name === "AbortError" ? error : interrupted();
      });
      if (done) return;
      // A line break that is split between two chunks is replaced when its second half arrives.
      text = (text + value).replaceAll("\r\n", "\n");
      for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
        const event = parseEvent(text.slice(0, end));
        if (event) yield { ...event, replayed };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {string} block */
function parseEvent(block) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return data.length === 0 ? null : { event, data: json(data.join("\n")) };
}

/**
 * The failure in a problem document, or in an `error` event.
 * @param {any} data
 * @param {number} [status]
 */
export function problemOf(data, status = data.status) {
  return new ApiError({ ...data, status, retryAfter: data.retry_after });
}

/**
 * Sends a request. If the reply is 401, sends it again with a new access token. Resolves with the
 * response before its body is read. Throws an `ApiError` if the status is a failure.
 * @param {string} method
 * @param {string} path
 * @param {Options} [options]
 */
export async function send(
  method,
  path,
  { body, query, key, accept = "application/json", headers, signal, open = false } = {},
) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(query ?? {})) {
    if ((value ?? "") !== "") url.searchParams.set(name, value);
  }
  const attempt = () => {
    const head = new Headers({ Accept: accept, ...headers });
    if (body !== undefined) head.set("Content-Type", "application/json");
    if (key) head.set("Idempotency-Key", key);
    if (!open && access) head.set("Authorization", `Bearer ${access}`);
    return fetch(url, {
      method,
      headers: head,
      body: JSON.stringify(body),
      signal,
      credentials: "same-origin",
      cache: "no-store",
    });
  };
  try {
    if (!open && !access && isLikely()) await refresh();
    let response = await attempt();
    if (response.status === 401 && !open) {
      await refresh();
      response = await attempt();
    }
    if (response.ok) return response;
    throw await problem(response);
  } catch (error) {
    throw asApiError(error);
  }
}

/** @param {any} error */
function asApiError(error) {
  if (error instanceof ApiError || error.name === "AbortError") return error;
  if (error.name === "TimeoutError") {
    const detail = "The server didn't reply in time. Your request may have succeeded or failed.";
    return new ApiError({ code: "timeout", detail });
  }
  const detail = navigator.onLine
    ? "The server can't be reached. Check your connection and try again."
    : "You are offline. Try again when you are connected.";
  return new ApiError({ code: "network", detail });
}

/** The error for a connection that was lost during a reply. */
export function interrupted() {
  const detail = "The connection was lost before the end of the reply.";
  return new ApiError({ code: "interrupted", detail });
}

/** The error for a failed response. @param {Response} response */
async function problem(response) {
  const { status, headers } = response;
  const text = await response.text().catch(() => "");
  const seconds = Number.parseInt(headers.get("Retry-After") ?? "", 10);
  const retryAfter = Number.isFinite(seconds) ? seconds : null;
  try {
    const document = JSON.parse(text);
    if (document?.detail) return problemOf({ retry_after: retryAfter, ...document }, status);
  } catch {
    // The reply doesn't come from the API. It may be a proxy's HTML page.
  }
  return new ApiError({ status, code: `http_${status}`, detail: words(status), retryAfter });
}

/** @param {number} status */
function words(status) {
  if (status === 429) return "Too many requests. Try again in a moment.";
  if (status >= 500) return "The server can't answer right now. Try again in a moment.";
  return `The server refused this (${status}).`;
}

/** @param {Response} response */
async function readText(response) {
  try {
    return await response.text();
  } catch (error) {
    throw ["AbortError", "TimeoutError"].includes(error.name) ? asApiError(error) : interrupted();
  }
}

/** @param {string} text */
function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw interrupted();
  }
}

/**
 * The URL of a list's next page, or null. Only the link's query is used, because a proxy may serve
 * the API under a different origin.
 * @param {Response} response
 */
export function nextPage(response) {
  const link = /<([^>]*)>\s*;[^,]*rel="?next"?/.exec(response.headers.get("Link") ?? "")?.[1];
  return link === undefined ? null : new URL(new URL(link, response.url).search, response.url).href;
}
