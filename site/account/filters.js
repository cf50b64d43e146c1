// Fields that limit a list to days, a model and an API key. The view's address contains their
// values.

import { h } from "../ui/dom.js";
import { formatDay, formatUtcDay } from "../ui/format.js";

/** A field with its label on the same line. */
export const labelled = (label, input) =>
  h("label", { class: "period-day" }, h("span", {}, label), input);

/** The field for the first or the last day. */
export const dayField = (label, name, value = "") =>
  labelled(label, h("input", { class: "input", type: "date", name, value }));

/** The options of the choice of a model, or null if there is nothing to choose. */
export function modelOptions(names, model = "") {
  // The address may contain a model that isn't in the price list any more.
  const listed = model && !names.includes(model) ? [...names, model] : names;
  if (listed.length === 0 || (listed.length === 1 && !model)) return null;
  return [["", "All models"], ...listed.map((name) => [name, name])];
}

/** The choice of a model, or null if there is nothing to choose. */
export function modelField(names, model = "") {
  const options = modelOptions(names, model);
  if (!options) return null;
  const select = h(
    "select",
    { class: "input", name: "model" },
    options.map(([value, text]) => h("option", { value }, text)),
  );
  select.value = model;
  return labelled("Model", select);
}

/**
 * Fills `select`, the choice of an API key, which is in `element`. The element is hidden while there
 * is nothing to choose. `reading` is the awaited list of keys. This list doesn't contain revoked
 * keys, so the returned function adds the key of a row in the statement.
 */
export function offerKeys(element, select, reading, chosen = "") {
  const named = new Set();
  const offer = (id, name) => {
    const option = [...select.options].find(({ value }) => value === id);
    if (option) option.textContent = name;
    else select.append(h("option", { value: id }, name));
    named.add(id);
    element.hidden = false;
  };
  select.append(h("option", { value: "" }, "All keys"));
  if (chosen) select.append(h("option", { value: chosen }, "The chosen key"));
  select.value = chosen;
  element.hidden = chosen === "";
  reading
    .then((keys) => keys.forEach((key) => offer(key.id, keyName(key, keys))))
    // Without the list, the statement is still complete.
    .catch(() => {});
  return ({ key_id: id, key_name: name, timestamp }) => {
    if (id && !named.has(id)) offer(id, name ?? `Revoked key, used on ${formatDay(timestamp)}`);
  };
}

/** A key's name. Keys with the same name also show their last characters. */
function keyName({ name, hint }, keys) {
  const isAlone = keys.filter((key) => key.name === name).length === 1;
  return isAlone ? name : `${name} (…${hint})`;
}

/** Returns true if the filter of a statement leaves out changes from the days that it shows. */
export const selects = ({ model, key }) => Boolean(model || key);

/** The part of a file's name that describes the filter of a statement. */
export function filterInName({ from, to, model, key }) {
  const parts = [from, to, model?.replace(/[^\w.]+/g, "-"), key && "key"];
  return parts
    .filter(Boolean)
    .map((part) => `-${part}`)
    .join("");
}

/** The values in the address for the parameters in `names`, without empty ones. */
export function chosenIn(query, names) {
  const chosen = names.map((name) => [name, (query[name] ?? "").trim()]);
  return Object.fromEntries(chosen.filter(([, value]) => value !== ""));
}

/** The address of `place` with a form's values for the parameters in `names`. */
export function filteredPlace(place, form, names) {
  const wanted = new FormData(form);
  const [one, other] = [wanted.get("from"), wanted.get("to")];
  // Swap two days in the wrong order.
  if (one && other && other < one) {
    wanted.set("from", other);
    wanted.set("to", one);
  }
  const query = new URLSearchParams(chosenIn(Object.fromEntries(wanted), names));
  return query.size > 0 ? `${place}?${query}` : place;
}

/** `from 1 Nov 2026 to 20 Nov 2026`. Undefined without days. */
export function daysInWords({ from, to }) {
  // The address may contain a day that doesn't exist.
  const day = (text) => (Number.isNaN(Date.parse(text)) ? text : formatUtcDay(text));
  if (from && to) return `from ${day(from)} to ${day(to)}`;
  return from ? `from ${day(from)} on` : to && `until ${day(to)}`;
}
