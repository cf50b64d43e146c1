// Exports of all users, messages or ledger rows as one CSV file, with their progress.

import { ApiError, base, get, inCookie, problemOf, request } from "../session/api.js";
import { save } from "../session/files.js";
import { announce } from "../ui/announce.js";
import { button } from "../ui/button.js";
import { fill, focusOn, h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { explain, formatNumber } from "../ui/format.js";
import { note } from "../ui/note.js";
import { isDay } from "./filters.js";

const LISTS = [
  ["users", "Users"],
  ["chats", "Messages and answers"],
  ["ledger", "Ledger (the statements of all users)"],
];

/** The minimum time between two progress updates, in milliseconds. */
const PACE = 120;

/** `#/export` */
export function exportView({ signal, title }) {
  const list = field("List", "list", { type: "select", options: LISTS });
  const from = field("From", "from", { type: "date", optional: true });
  const to = field("To", "to", { type: "date", optional: true });
  const state = h("div", { class: "admin-export-state" });

  const element = form(
    [
      list,
      h("div", { class: "fields" }, from, to),
      h(
        "p",
        { class: "hint" },
        "The days are in UTC, and both are included. Leave the days empty to export everything.",
      ),
    ],
    {
      submit: "Download CSV",
      onsubmit: async () => {
        const chosen = { list: list.input.value, from: from.input.value, to: to.input.value };
        from.fail("");
        to.fail("");
        if (isDay(chosen.from) && isDay(chosen.to) && chosen.from > chosen.to) {
          to.fail("The last day can't be before the first.");
          to.input.focus();
          return;
        }
        await run(chosen, state, signal);
      },
    },
  );
  const content = h(
    "div",
    { class: "page" },
    h("h1", {}, title),
    h("p", { class: "lead" }, "Download a list as a CSV file, for spreadsheets and scripts."),
    h("section", { class: "card", "aria-label": "Export" }, element, state),
  );
  return { content };
}

async function run(chosen, state, signal) {
  const stopping = new AbortController();
  const name = [chosen.list, chosen.from && `from-${chosen.from}`, chosen.to && `to-${chosen.to}`]
    .filter(Boolean)
    .join("-");
  const show = (...nodes) => {
    // If the focused button is replaced, its replacement gets the focus.
    const held = state.contains(document.activeElement);
    fill(state, nodes);
    if (held) focusOn(state);
  };
  const amount = h("p", {}, "Requesting the file…");
  show(
    h(
      "div",
      { class: "admin-progress" },
      h("progress", { "aria-label": `Exporting ${chosen.list}` }),
      amount,
      button("Cancel", { small: true, onclick: () => stopping.abort() }),
    ),
  );
  announce("The export has started.");

  const parts = [];
  const count = counter();
  const began = performance.now();
  let shownAt = 0;
  const keep = (end = "") => save(new Blob(parts, { type: "text/csv" }), `${name}${end}.csv`);
  const sum = () => `${inBytes(count.bytes)}, ${formatNumber(Math.max(count.rows - 1, 0))} rows`;
  try {
    for await (const part of pieces(chosen, AbortSignal.any([signal, stopping.signal]))) {
      parts.push(part);
      count.add(part);
      if (performance.now() - shownAt < PACE) continue;
      shownAt = performance.now();
      amount.textContent = sum();
    }
    // Only a complete file ends with a line break. The browser doesn't always report a lost
    // connection.
    if (!count.whole) throw cutOff();
    keep();
    const done = `${name}.csv: ${sum()} in ${Math.max(1, Math.round((performance.now() - began) / 1000))} s.`;
    show(note("good", h("p", {}, done)));
    announce(`Done. ${done}`);
  } catch (error) {
    if (signal.aborted) return;
    if (error.name === "AbortError") {
      show(note("info", h("p", {}, `Cancelled after ${inBytes(count.bytes)}. Nothing was saved.`)));
      announce("Cancelled.");
      return;
    }
    // The session has ended. Send a request through api.js, which notices that and shows the log-in
    // form.
    if (error.status === 401) await get("api/user/profile/").catch(() => {});
    const again = button("Try again", { small: true, onclick: () => run(chosen, state, signal) });
    const some =
      parts.length > 0 &&
      button("Save the incomplete file", { small: true, onclick: () => keep("-cut-off") });
    show(note("bad", h("p", {}, explain(error)), h("div", { class: "note-actions" }, again, some)));
  }
}

/** Counts the bytes and rows of a CSV file. A line break in quotes is part of a cell. */
function counter() {
  const [QUOTE, BREAK] = [0x22, 0x0a];
  let quoted = false;
  return {
    bytes: 0,
    rows: 0,
    whole: false,
    add(part) {
      this.bytes += part.length;
      for (const byte of part) {
        if (byte === QUOTE) quoted = !quoted;
        else if (byte === BREAK && !quoted) this.rows += 1;
      }
      this.whole = !quoted && part.at(-1) === BREAK;
    },
  };
}

/**
 * The bytes of the file. Requests a new access token first, so that it doesn't expire during the
 * export.
 */
async function* pieces({ list, from, to }, signal) {
  const { data } = await request("POST", "api/token/refresh/", {
    body: {},
    headers: inCookie(),
    open: true,
    signal,
  });
  const url = new URL(`api/admin/export/${list}.csv`, base);
  if (from) url.searchParams.set("from", from);
  if (to) url.searchParams.set("to", to);
  if (list === "ledger") url.searchParams.set("names", "true");
  const headers = { Accept: "text/csv", Authorization: `Bearer ${data.access}` };
  let response;
  try {
    response = await fetch(url, { headers, signal, cache: "no-store" });
  } catch (error) {
    throw error.name === "AbortError"
      ? error
      : new ApiError({
          code: "network",
          detail: "The server can't be reached. Check your connection and try again.",
        });
  }
  if (!response.ok) {
    const problem = await response
      .json()
      .catch(() => ({ code: "refused", detail: `The server refused this (${response.status}).` }));
    throw problemOf(problem, response.status);
  }
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : cutOff();
    });
    if (done) return;
    yield value;
  }
}

function cutOff() {
  return new ApiError({
    code: "interrupted",
    detail: "The export was cut off before its end: rows are missing.",
  });
}

function inBytes(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(1)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
