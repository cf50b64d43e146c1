// The fields of a request or a reply, as nested lists.

import { h } from "../ui/dom.js";
import { choices, nameOf, resolved, typesOf } from "./description.js";
import { described } from "./words.js";

/** The depth from which fields are shown only when the reader opens them. */
const OPEN = 1;

/** The fields of a schema, or its alternatives. */
export function fieldsOf(part, depth = 0, above = []) {
  const schema = resolved(part);
  const name = nameOf(part);
  if (name && above.includes(name)) return h("p", { class: "muted" }, `See ${name} above.`);
  const inside = name ? [...above, name] : above;
  const { properties = {}, required = [] } = schema;
  const names = Object.keys(properties);
  if (names.length > 0) {
    const rows = names.map((one) =>
      row(one, properties[one], required.includes(one), depth, inside),
    );
    return h("ul", { class: "docs-fields" }, rows);
  }
  if (schema.items) return fieldsOf(schema.items, depth, inside);
  const several = choices(schema).filter((one) => hasFields(one));
  if (several.length === 1) return fieldsOf(several[0], depth, inside);
  return several.map((one, index) =>
    h(
      "details",
      { class: "docs-choice" },
      h("summary", {}, nameOf(one) || `Form ${index + 1}`),
      lazily(() => fieldsOf(one, depth + 1, inside)),
    ),
  );
}

/** Returns true if a schema contains fields, directly or in its parts. */
export function hasFields(part, depth = 0) {
  const schema = resolved(part);
  if (Object.keys(schema.properties ?? {}).length > 0) return true;
  if (depth > 3) return false;
  if (schema.items) return hasFields(schema.items, depth + 1);
  return choices(schema).some((one) => hasFields(one, depth + 1));
}

/** A box that is filled when its `<details>` is opened first. */
function lazily(make) {
  const box = h("div", {});
  queueMicrotask(() =>
    box.closest("details")?.addEventListener("toggle", () => box.append(...[make()].flat()), {
      once: true,
    }),
  );
  return box;
}

function row(name, part, isRequired, depth, above) {
  const schema = resolved(part);
  const isNested = hasFields(part);
  const nested =
    isNested &&
    (depth < OPEN && !resolved(part).items && choices(schema).length === 0
      ? fieldsOf(part, depth + 1, above)
      : h(
          "details",
          {},
          h("summary", {}, "Fields of ", h("code", {}, name)),
          lazily(() => fieldsOf(part, depth + 1, above)),
        ));
  return h(
    "li",
    {},
    h(
      "p",
      { class: "docs-field" },
      h("code", { class: "docs-field-name" }, name),
      " ",
      h("span", { class: "docs-type" }, typeIn(part)),
      isRequired && h("span", { class: "badge badge-accent" }, "required"),
      schema.deprecated && h("span", { class: "badge" }, "deprecated"),
    ),
    described(schema.description),
    h("p", { class: "docs-limits" }, limitsOf(schema)),
    nested,
  );
}

/** `text`, `list of Model`, `whole number or text` */
export function typeIn(part) {
  const schema = resolved(part);
  const words = {
    integer: "whole number",
    string: "text",
    boolean: "true or false",
    array: "list",
  };
  if (schema.type === "array" || typesOf(schema)[0] === "array")
    return schema.items ? `list of ${typeIn(schema.items)}` : "list";
  const several = choices(schema);
  if (several.length > 0) return [...new Set(several.map(typeIn))].join(" or ");
  const types = typesOf(schema).map((type) => words[type] ?? type);
  const isNull = [schema.type ?? []].flat().includes("null");
  return [...types, isNull && "null"].filter(Boolean).join(" or ") || "any value";
}

/** The limits on a value, as sentences. */
function limitsOf(schema) {
  const { minimum, maximum, minLength, maxLength, minItems, maxItems, pattern, format } = schema;
  const range = (least, most, unit) =>
    least === undefined && most === undefined
      ? null
      : [least !== undefined && `at least ${least}`, most !== undefined && `at most ${most}`]
          .filter(Boolean)
          .join(", ") + unit;
  const values = schema.enum?.filter((one) => one !== null);
  return [
    values?.length > 0 && [
      "One of ",
      values.flatMap((one, index) => [index > 0 && ", ", h("code", {}, JSON.stringify(one))]),
      ". ",
    ],
    schema.default !== undefined && [
      "Default: ",
      h("code", {}, JSON.stringify(schema.default)),
      ". ",
    ],
    format && `Format: ${format}. `,
    range(minimum, maximum, ". "),
    range(minLength, maxLength, " characters. "),
    range(minItems, maxItems, " items. "),
    pattern && ["Matches ", h("code", {}, pattern), "."],
  ]
    .filter(Boolean)
    .map((one) => (typeof one === "string" ? one[0].toUpperCase() + one.slice(1) : one));
}
