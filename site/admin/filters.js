// Fields that filter the list below them. The view's address contains the fields' values. Days are
// in UTC, as in the API: `2026-11-20`.

import { announce } from "../ui/announce.js";
import { fill, h } from "../ui/dom.js";
import { field } from "../ui/form.js";
import { formatUtcDay, plural } from "../ui/format.js";

/** The time between the last typed character and the request for the list, in milliseconds. */
const REST = 250;

/** The fields for the first and the last day. `filters` checks them. */
export const dayFields = () => [
  field("From", "from", { type: "date" }),
  field("To", "to", { type: "date" }),
];

/**
 * The fields and the list below them: `{element, values}`. The fields in `more` are collapsed while
 * they are empty. `place` is the view's address without its query, `query` the current query, and
 * `kept` the other parameters that stay in the address. `show(values, signal)` makes the list
 * whenever a value changes. Its element may have the property `ready`, a promise of the first rows.
 */
export function filters({ place, label, fields, more = [], kept = {}, query, signal, show }) {
  const results = h("div", {});
  let reading = new AbortController();
  let resting;
  let asked;
  const all = [...fields, ...more];
  for (const { input } of all) input.value = query[input.name] ?? "";
  // Hints are below the row, and as wide as the row.
  const hints = fields.map((field) => field.querySelector(".hint"));

  const values = () =>
    Object.fromEntries(
      all.map(({ input }) => [input.name, input.value.trim()]).filter(([, value]) => value !== ""),
    );
  const addressed = () => new URLSearchParams({ ...kept, ...values() }).toString();
  const list = () => {
    reading.abort();
    reading = new AbortController();
    asked = addressed();
    const own = AbortSignal.any([signal, reading.signal]);
    const shown = show(values(), own);
    fill(results, shown);
    return { shown, own };
  };
  let here = pathInAddress();
  const refresh = async () => {
    clearTimeout(resting);
    // A link has changed the address, and its view isn't shown yet.
    if (pathInAddress() !== here) return;
    if (reversed(all, values())) return;
    const search = addressed();
    if (search === asked) return;
    // Replace the address, because not every change should become an entry in the browser's
    // history.
    history.replaceState(null, "", search ? `${place}?${search}` : place);
    here = pathInAddress();
    const { shown, own } = list();
    await shown.ready;
    if (!own.aborted) announce(`${plural(rowsOf(shown), "row")} found.`);
  };
  const form = h(
    "form",
    {
      class: "toolbar admin-filters",
      "aria-label": label,
      onsubmit: (event) => (event.preventDefault(), refresh()),
    },
    fields,
    hints,
    more.length > 0 &&
      h(
        "details",
        { open: more.some(({ input }) => input.value !== "") },
        h("summary", {}, "More filters"),
        h("div", { class: "toolbar" }, more),
      ),
  );
  form.addEventListener("change", refresh);
  form.addEventListener("input", ({ target }) => {
    // A number applies while it is typed. If it applied when the focus leaves, the press on a button
    // of the list would replace the list with its button.
    if (!["search", "text", "number"].includes(target.type)) return;
    clearTimeout(resting);
    resting = setTimeout(refresh, REST);
  });
  signal.addEventListener("abort", () => clearTimeout(resting));
  list();
  return { element: h("div", {}, h("search", {}, form), results), values };
}

const pathInAddress = () => location.hash.split("?")[0];

/** Returns true if the last day is before the first day, and shows an error in the field. */
function reversed(fields, chosen) {
  const wrong = fields.filter(({ input }) => {
    const first = chosen[input.name.replace(/to$/, "from")];
    const last = chosen[input.name];
    return input.type === "date" && input.name.endsWith("to") && first && last && first > last;
  });
  for (const field of fields) {
    field.fail(wrong.includes(field) ? "The last day can't be before the first." : "");
  }
  return wrong.length > 0;
}

const rowsOf = (list) => list.querySelectorAll("tbody tr, .list > li").length;

// --- Days ---

const DAY = 86_400_000;

/** Returns today's date, or the date this many days ago. */
export const dayBefore = (days = 0) => new Date(Date.now() - days * DAY).toISOString().slice(0, 10);

/** Returns true if the string is a day in the calendar. */
export const isDay = (text) =>
  /^\d{4}-\d\d-\d\d$/.test(text ?? "") &&
  !Number.isNaN(Date.parse(text)) &&
  new Date(text).toISOString().startsWith(text);

/** The number of days from `from` to `to`, both included. */
export const daysIn = (from, to) => (Date.parse(to) - Date.parse(from)) / DAY + 1;

/** `20 Nov 2026 to 26 Nov 2026`, or one day. */
export const rangeInWords = (from, to) =>
  from === to ? formatUtcDay(from) : `${formatUtcDay(from)} to ${formatUtcDay(to)}`;
