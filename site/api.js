// The API as these pages speak it: one session in this tab, requests, pages of lists, streams and files.
//
// The access token lives in this module's memory alone. What outlives the tab is a cookie that no script can read; the header
// `X-Refresh-Token: cookie` asks the API for it, and keeps other sites from doing so.

/** Where the API is: this file is served as `<base>/assets/<version>/api.js`. */
export const base = new URL("../../", import.meta.url);

/** How long an ordinary request may take, in milliseconds: longer than API Gateway lets one run. */
const PATIENCE = 45_000;

/** What this site's sessions are called in the browser: two stages of one host are two sites. */
const HERE = `farebox.session${base.pathname}`;

const IN_COOKIE = { "X-Refresh-Token": "cookie" };

/** A request that failed. `status` is 0 where no reply came; `errors` holds sentences per field, `retryAfter` seconds. */
export class ApiError extends Error {
  constructor({ status = 0, code, detail, errors = {}, retryAfter = null, requestId = null }) {
    super(detail);
    Object.assign(this, { name: "ApiError", status, code, detail, errors, retryAfter, requestId });
  }

  /** Whether the very same request may be sent again, and its outcome is not known or was only put off. */
  get passing() {
    return (
      this.status === 0 ||
      [408, 429, 502, 503, 504].includes(this.status) ||
      this.code === "idempotency_key_running"
    );
  }
}

// --- The session -------------------------------------------------------------------------------------------------------------------

let access = null;
let refreshing = null;
const listeners = { ended: new Set() };
const others = typeof BroadcastChannel === "function" ? new BroadcastChannel(HERE) : null;

/** Whether this tab holds a session. */
export const isSignedIn = () => access !== null;

/** The id of the account that this tab's session belongs to. */
export const accountId = () => subject(access);

/** Calls `listener` when the session ended without this tab asking for it. */
export function onSessionEnded(listener) {
  listeners.ended.add(listener);
}

/** Goes on with the session that the browser's cookie holds, where there is one: whether there is. Throws where that can't be found out. */
export async function resume() {
  // Strangers need not ask: a failed request would only tell them what they know.
  if (remembered.get() === "no") return false;
  try {
    await refresh();
    return true;
  } catch (error) {
    if (error.status === 401) return false;
    throw error;
  }
}

/** Signs in: the account's data. */
export function signIn(username, password) {
  return begin("api/login/", { username, password });
}

/** Opens an account and signs in to it. The key makes it safe to be sent again. */
export function register({ username, email, password }, key) {
  return begin("api/register/", { username, email, password }, key);
}

/** Changes the password: every other session ends, and this tab goes on in a new one. */
export async function changePassword(currentPassword, newPassword) {
  const body = { current_password: currentPassword, new_password: newPassword };
  const { data } = await request("POST", "api/user/password/", { body, headers: IN_COOKIE });
  hold(data.access);
}

/** Ends this session, or all of the account. */
export async function signOut({ everywhere = false } = {}) {
  try {
    await request("POST", "api/logout/", { body: { all: everywhere }, headers: IN_COOKIE });
  } catch (error) {
    // What was over already is what was asked for.
    if (error.status !== 401) throw error;
  }
  leave();
}

/** Forgets the session in every tab, after the API has ended it. */
export function leave() {
  forget();
  others?.postMessage("ended");
}

function forget() {
  access = null;
  remembered.set("no");
}

async function begin(path, body, key) {
  const { data } = await request("POST", path, { body, key, headers: IN_COOKIE, open: true });
  hold(data.access);
  others?.postMessage("began");
  return data;
}

function hold(token) {
  access = token;
  remembered.set("yes");
}

/** Whether this browser has a session, as far as it knows. The session itself is the cookie. */
const remembered = {
  get() {
    try {
      return localStorage.getItem(HERE) ?? "no";
    } catch {
      return "unknown";
    }
  },
  set(value) {
    try {
      localStorage.setItem(HERE, value);
    } catch {
      // A browser that remembers nothing asks each time.
    }
  },
};

/** A new access token, asked for once however many wait for it, in this tab and in the others: they share one cookie. */
function refresh() {
  refreshing ??= alone(async () => {
    const before = subject(access);
    const { data } = await request("POST", "api/token/refresh/", {
      body: {},
      headers: IN_COOKIE,
      open: true,
    });
    if (before && subject(data.access) !== before) {
      // Another tab signed in as somebody else: nothing on this page is theirs.
      location.reload();
      return new Promise(() => {});
    }
    hold(data.access);
  })
    .catch((error) => {
      if (error.status === 401) end();
      throw error;
    })
    .finally(() => {
      refreshing = null;
    });
  return refreshing;
}

function alone(work) {
  return navigator.locks ? navigator.locks.request(HERE, work) : work();
}

function end() {
  const began = access !== null;
  forget();
  if (began) listeners.ended.forEach((listener) => listener());
}

if (others) {
  others.onmessage = ({ data }) => {
    if (data === "ended" && access) end();
    // Whose session it is shows the next refresh; who waits at the door is let in at once.
    if (data === "began" && !access) location.reload();
  };
}

function subject(token) {
  if (!token) return null;
  try {
    return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).sub;
  } catch {
    return null;
  }
}

// --- Requests ----------------------------------------------------------------------------------------------------------------------

/** A new idempotency key: a request that is sent again under its key happens once. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Sends a request and reads its JSON: `{data, status, next, replayed}`, where `next` is the address of the list's next page. Throws an
 * `ApiError`. `query` leaves out what is null or empty; `open` sends no token.
 */
export async function request(method, path, options = {}) {
  const response = await send(method, path, {
    ...options,
    signal: within(PATIENCE, options.signal),
  });
  const text = await readText(response);
  return {
    data: text === "" ? null : json(text),
    status: response.status,
    next: nextPage(response),
    replayed: response.headers.get("Idempotent-Replayed") === "true",
  };
}

/** `GET`, its data alone. */
export const get = async (path, query, options) =>
  (await request("GET", path, { ...options, query })).data;
/** `POST`, its data alone. */
export const post = async (path, body, options) =>
  (await request("POST", path, { ...options, body })).data;
/** `PATCH`, its data alone. */
export const patch = async (path, body, options) =>
  (await request("PATCH", path, { ...options, body })).data;
/** `DELETE`, its data alone. */
export const del = async (path, body, options) =>
  (await request("DELETE", path, { ...options, body })).data;

/** A page of a list: `{items, next}`. Its `next` is the `path` of the page after it, or null. */
export async function page(path, query, options) {
  const { data, next } = await request("GET", path, { ...options, query });
  return { items: data, next };
}

/**
 * The server-sent events of a reply, each `{event, data, replayed}`, where data is JSON. Throws an `ApiError` as a request does; its code is
 * `interrupted` where the connection broke after the reply had begun.
 */
export async function* stream(path, body, { key, signal } = {}) {
  const response = await send("POST", path, { body, key, signal });
  const replayed = response.headers.get("Idempotent-Replayed") === "true";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw error.name === "AbortError" ? error : interrupted();
      });
      if (done) return;
      // What holds half a line break waits for its other half.
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

function parseEvent(block) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return data.length === 0 ? null : { event, data: json(data.join("\n")) };
}

/** The problem that an `error` event tells of. */
export function problemOf(data, status = data.status) {
  return new ApiError({
    status,
    code: data.code,
    detail: data.detail,
    errors: data.errors,
    retryAfter: data.retry_after ?? null,
    requestId: data.request_id,
  });
}

/** A reply as a file's content: `{blob, name, next}`. Throws where it was cut off on the way. */
export async function file(path, { query, accept, signal } = {}) {
  const response = await send("GET", path, { query, accept, signal });
  const blob = await response.blob().catch(() => {
    throw interrupted();
  });
  const name = /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
  return { blob, name, next: nextPage(response) };
}

/** Gives a blob to the browser to be kept as a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Sends a request and reads no more than the head of a reply that is good; a 401 is answered with a new access token, once. */
async function send(
  method,
  path,
  { body, query, key, accept = "application/json", headers, signal, open = false } = {},
) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  const attempt = () => {
    const head = new Headers({ Accept: accept, ...headers });
    if (body !== undefined) head.set("Content-Type", "application/json");
    if (key) head.set("Idempotency-Key", key);
    if (!open && access) head.set("Authorization", `Bearer ${access}`);
    const content = body === undefined ? undefined : JSON.stringify(body);
    return fetch(url, {
      method,
      headers: head,
      body: content,
      signal,
      credentials: "same-origin",
      cache: "no-store",
    });
  };
  try {
    if (!open && !access && remembered.get() !== "no") await refresh();
    let response = await attempt();
    if (response.status === 401 && !open) {
      await refresh();
      response = await attempt();
    }
    if (response.ok) return response;
    throw await problem(response);
  } catch (error) {
    throw explained(error);
  }
}

function explained(error) {
  if (error instanceof ApiError || error.name === "AbortError") return error;
  if (error.name === "TimeoutError") {
    return new ApiError({
      code: "timeout",
      detail: "No answer came in time. What you asked for may have happened or not.",
    });
  }
  const detail = navigator.onLine
    ? "The server can't be reached. Check your connection and try again."
    : "You are offline. Try again when you are connected.";
  return new ApiError({ code: "network", detail });
}

function interrupted() {
  return new ApiError({
    code: "interrupted",
    detail: "The connection broke before everything had come.",
  });
}

async function problem(response) {
  const text = await response.text().catch(() => "");
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const retryAfter = Number.isFinite(seconds) ? seconds : null;
  try {
    const document = JSON.parse(text);
    if (document?.detail)
      return problemOf({ retry_after: retryAfter, ...document }, response.status);
  } catch {
    // A proxy's page in HTML says nothing that these words don't.
  }
  return new ApiError({
    status: response.status,
    code: `http_${response.status}`,
    detail: words(response.status),
    retryAfter,
  });
}

function words(status) {
  if (status === 429) return "There were too many requests. Try again in a moment.";
  if (status >= 500) return "The server can't answer right now. Try again in a moment.";
  return `The server refused this (${status}).`;
}

async function readText(response) {
  try {
    return await response.text();
  } catch (error) {
    throw error.name === "TimeoutError" ? explained(error) : interrupted();
  }
}

function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw interrupted();
  }
}

function nextPage(response) {
  const link = /<([^>]*)>\s*;[^,]*rel="?next"?/.exec(response.headers.get("Link") ?? "")?.[1];
  return link === undefined ? null : new URL(link, response.url).href;
}

function within(milliseconds, signal) {
  const limit = AbortSignal.timeout(milliseconds);
  return signal ? AbortSignal.any([signal, limit]) : limit;
}
