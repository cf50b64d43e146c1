// The changes that a version of the price list made to the version before it.

import { get } from "../session/api.js";
import { h } from "../ui/dom.js";
import { formatNumber } from "../ui/format.js";
import { stackedTable } from "../ui/list.js";

/** The maximum number of entries of the audit log that are searched for the version before. */
const SEARCHED = 100;

/** The maximum length of a shown text, in characters. */
const LONGEST = 200;

/** Returns true for the id of a version of the price list or of the packs. */
export const isVersion = (text) => /^[0-9a-f]{16}$/.test(text ?? "");

/**
 * The changes of a version, `{version, list}`, as a part of a page that can be opened. Null for the
 * first version, for the first one after the list was removed, and if nothing has changed. `path` is
 * the path of the price list.
 */
export async function changes({ version, list }, { path, isOpen, signal }) {
  const earlier = await versionBefore(version, signal);
  if (!earlier) return null;
  const was = await get(path, { version: earlier }, { signal });
  const found = differences(was.list, list);
  if (found.length === 0) return null;
  const { element, body, row } = stackedTable("What this version changed", [
    { text: "Model", head: true },
    { text: "Field", class: "labelled" },
    { text: "Before", class: "labelled" },
    { text: "Now", class: "labelled" },
  ]);
  for (const [model, field, before, now] of found)
    body.append(row([model, field && h("code", {}, field), short(before), short(now)]));
  const title = h("h2", {}, `What this version changed (${formatNumber(found.length)})`);
  const details = h("details", { open: isOpen }, h("summary", {}, title), element);
  return h("section", { class: "card admin-changes", "aria-label": "Changes" }, details);
}

/** The version that was in force before this one, or null. */
async function versionBefore(version, signal) {
  const acts = await get("api/admin/trail/", { act: "prices", limit: SEARCHED }, { signal });
  const at = acts.findIndex(({ reason }) => reason === version);
  const earlier = acts.slice(at + 1).find(({ reason }) => reason !== version)?.reason;
  return at >= 0 && isVersion(earlier) ? earlier : null;
}

/** The differences of two price lists, as `[model, field, before, now]`. */
export function differences(before, now) {
  const models = [before, now].map((list) => new Map(list.models.map((one) => [one.name, one])));
  const [old, fresh] = models;
  const both = [...fresh.keys()].filter((name) => old.has(name));
  const order = ({ models: all }) =>
    all.map(({ name }) => name).filter((name) => both.includes(name));
  const rest = (list) => ({ ...list, models: undefined, order: order(list) });
  return [
    ...changed("All models", rest(before), rest(now)),
    ...[...old.keys()]
      .filter((name) => !fresh.has(name))
      .map((name) => [name, "", "offered", "removed"]),
    ...[...fresh.keys()].filter((name) => !old.has(name)).map((name) => [name, "", "", "added"]),
    ...both.flatMap((name) => changed(name, old.get(name), fresh.get(name))),
  ];
}

/** The fields that differ, with their paths, such as `fare.output`. */
function changed(model, before, now) {
  const [old, fresh] = [before, now].map((fields) => new Map(flat(fields)));
  const paths = new Set([...old.keys(), ...fresh.keys()]);
  return [...paths]
    .sort()
    .filter((path) => old.get(path) !== fresh.get(path))
    .map((path) => [model, path, old.get(path) ?? "none", fresh.get(path) ?? "none"]);
}

/** The fields of an object and of the objects in it, as `[path, text]`. */
function flat(fields, path = "") {
  return Object.entries(fields).flatMap(([name, value]) => {
    if (value === undefined || value === null) return [];
    const isNested = typeof value === "object" && !Array.isArray(value);
    return isNested ? flat(value, `${path}${name}.`) : [[path + name, inWords(value)]];
  });
}

function inWords(value) {
  if (typeof value === "number") return formatNumber(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return Array.isArray(value) ? value.join(", ") : value;
}

const short = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
