// The API's OpenAPI document, as the views of this page read it.

import { base, get } from "../session/api.js";

/** The methods, in the order of a section. */
const METHODS = ["get", "post", "put", "patch", "delete"];

/** The maximum depth of an example that is put together from its fields. */
const DEPTH = 6;

let api = null;

/** Reads the document. Resolves with its sections. */
export async function readDescription() {
  api = await get("api/openapi.json", null, { open: true });
  const all = Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => operationOf(path, method, item)),
  );
  return api.tags.map(({ name, description }) => ({
    name,
    id: name.toLowerCase().replaceAll(" ", "-"),
    description,
    operations: joined(all.filter(({ tag }) => tag === name)),
  }));
}

export const info = () => api.info;

/** The price of a message without a price list, in tokens. Missing in earlier releases. */
export const messagePrice = () => api["x-price"];

function operationOf(path, method, item) {
  const {
    tags,
    operationId: id,
    summary,
    description,
    requestBody,
    responses,
    ...rest
  } = item[method];
  const { parameters = [], security = [] } = rest;
  const body = requestBody && resolved(requestBody).content["application/json"];
  const inputs = [...(item.parameters ?? []), ...parameters].map(resolved);
  const replies = Object.entries(responses).map(([status, reply]) => ({
    status,
    ...resolved(reply),
  }));
  return {
    id,
    tag: tags[0],
    method: method.toUpperCase(),
    path,
    summary,
    description,
    others: [],
    parameters: inputs,
    hasKey: inputs.some(({ name }) => name === "Idempotency-Key"),
    schemes: security.flatMap((one) => Object.keys(one)),
    isOpen: security.length === 0 || security.some((one) => Object.keys(one).length === 0),
    body: body?.schema,
    isFormed: Boolean(requestBody),
    responses: replies,
    isPaid: replies.some(isOfEmptyBalance),
  };
}

/** Returns true for a failure's reply whose examples include the one for too few tokens. */
const isOfEmptyBalance = ({ content = {} }) =>
  Object.values(content).some(({ examples = {} }) => "InsufficientTokens" in examples);

/** Joins the operations that are the same under several paths. The first one names the others. */
function joined(operations) {
  const known = new Map();
  // The shortest id belongs to the path that the documents use.
  for (const one of operations.toSorted((a, b) => a.id.length - b.id.length)) {
    const key = `${one.method} ${one.summary}`;
    const first = known.get(key);
    if (first) first.others.push(one.path);
    else known.set(key, one);
  }
  return operations.filter((one) => [...known.values()].includes(one));
}

/**
 * Resolves a `$ref`. A description beside it takes precedence. Fields beside it only narrow those of
 * the schema to which it points.
 */
export function resolved(part) {
  if (!part?.$ref) return part ?? {};
  const { $ref, ...own } = part;
  const found = $ref
    .slice(2)
    .split("/")
    .reduce((at, name) => at?.[name.replaceAll("~1", "/").replaceAll("~0", "~")], api);
  const named = resolved(found);
  const whole = { ...named, ...own };
  if (named.properties) whole.properties = { ...own.properties, ...named.properties };
  if (named.items) whole.items = named.items;
  return whole;
}

/** The name of the schema to which a `$ref` points, or an empty string. */
export const nameOf = (schema) => schema?.$ref?.split("/").pop() ?? "";

/** The schemas of which a value must match one, without null. */
export const choices = (schema) =>
  (schema.oneOf ?? schema.anyOf ?? []).filter((one) => resolved(one).type !== "null");

/** The types of a value, without null. */
export const typesOf = (schema) => [schema.type ?? []].flat().filter((type) => type !== "null");

/** An example of a value. In a request, an object contains only its required fields. */
export function exampleOf(part, inRequest = false, depth = 0) {
  const schema = resolved(part);
  if (schema.examples?.length > 0) return schema.examples[0];
  if (schema.example !== undefined) return schema.example;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.allOf)
    return Object.assign({}, ...schema.allOf.map((one) => exampleOf(one, inRequest, depth)));
  const [choice] = choices(schema);
  if (choice) return exampleOf(choice, inRequest, depth);
  if (depth > DEPTH) return null;
  const [type] = typesOf(schema);
  if (type === "array") return schema.items ? [exampleOf(schema.items, inRequest, depth + 1)] : [];
  if (schema.properties) {
    const { properties, required = [] } = schema;
    const names = Object.keys(properties).filter((name) => !inRequest || required.includes(name));
    return Object.fromEntries(
      names.map((name) => [name, exampleOf(properties[name], inRequest, depth + 1)]),
    );
  }
  return { string: "", integer: 0, number: 0, boolean: false, object: {} }[type] ?? null;
}

/** The example of a parameter, as text. */
export const exampleParameter = ({ example, schema }) => String(example ?? exampleOf(schema) ?? "");

/** The URL of an operation, with `values` in place of its parameters. Without a value, `{id}`. */
export function urlOf({ path, parameters }, values = {}) {
  const filled = path.replaceAll(/\{([^}]+)\}/g, (whole, name) =>
    values[name] ? encodeURIComponent(values[name]) : whole,
  );
  const url = new URL(filled.slice(1), base);
  for (const { name, in: place } of parameters)
    if (place === "query" && values[name]) url.searchParams.set(name, values[name]);
  return url.href.replaceAll("%7B", "{").replaceAll("%7D", "}");
}
