// JSON that becomes longer when servers rewrite it.

import { ESCAPED, longText, name, text } from "./texts.mjs";

const NUMBERS = [
  "0",
  "-0",
  "-0.0",
  "1",
  "1.0",
  "1e9",
  "1e15",
  "1E22",
  "1e-5",
  "9e15",
  "1e20",
  "123456789012345678901234567890",
  "0.1",
  "1e300",
  "-1e-300",
  "3.141592653589793",
];
const SHORT = ["0", "7", "[]", "{}", '""', "null", "true", '"a"', "[0]", '{"":0}', "1e9", "1e15", "1e20", "9e15", "1.0"];
const CHARACTERS = [
  "<",
  "&",
  ">&<",
  "é",
  "߿",
  "\\u00e9",
  "\\u003c",
  "\\n",
  "\\u0001",
  "\\u007f",
  "\x7f",
  "👨",
  "\\ud83d\\udc68",
  "漢",
  "\ufdfa",
  "\u{1d160}",
  "\\\\",
  "\\/",
  '\\"',
  "\u2028",
  "'",
  " ",
];

/** A string in which some characters are escaped unnecessarily. */
function string(random, content) {
  const style = random.pick(["plain", "plain", "escaped", "mixed"]);
  const escaped = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  if (style === "plain") return JSON.stringify(content);
  const whole = style === "escaped";
  return `"${content.replace(/[^]/g, (unit) => (whole || random.chance(0.3) || unit < " " || unit === '"' || unit === "\\" || (unit >= "\ud800" && unit <= "\udfff") ? escaped(unit) : unit))}"`;
}

/** A value with about `size` parts, nested at most `depth` levels deep. */
export function value(random, size, depth) {
  const gap = random.pick(["", "", "", " ", "\n    ", "\t"]);
  const list = (items) => `[${items.join(`,${gap}`)}]`;
  const object = (entries) => `{${entries.map(([key, item]) => `${string(random, key)}:${gap}${item}`).join(`,${gap}`)}}`;
  const tree = (left, levels) => {
    if (levels <= 1 || left <= 1) return random.pick([random.pick(NUMBERS), random.pick(SHORT.slice(0, 6)), string(random, text(random, 30))]);
    const parts = random.from(1, Math.min(left, 6));
    const children = random.times(parts, () => tree(Math.floor(left / parts), levels - 1));
    return random.chance(0.5) ? list(children) : object(children.map((child) => [text(random, 12), child]));
  };
  const wrapped = (inner, levels) => "[".repeat(levels) + inner + "]".repeat(levels);
  return random.pick([
    // With an indent of 4, servers write four spaces per level before each item of the list.
    () => wrapped(list(Array(size).fill(random.pick(SHORT))), random.from(0, Math.min(depth - 3, Math.ceil(20_000 / size)))),
    () => list(random.times(size, () => random.pick(NUMBERS))),
    () => list(Array(Math.ceil(size / depth)).fill(wrapped("", depth - 1))),
    () => `"${random.pick(CHARACTERS).repeat(size)}"`,
    () => string(random, longText(random, size, random.chance(0.5) ? ESCAPED : undefined)),
    () => object(random.times(size, (index) => [index.toString(36), random.pick(SHORT)])),
    () => tree(size, depth),
  ])();
}

/** The maximum depth of a schema, as the API documents it. */
const LEVELS = 50;

/** A schema with about `size` parts. */
export function schema(random, size) {
  const property = (left, levels) => {
    const fields = [];
    const add = (key, content) => fields.push(`${JSON.stringify(key)}: ${content}`);
    const kind = random.pick(["string", "integer", "boolean", "array", "object", "any", "oneOf"]);
    const inner = (count) => random.times(count, () => (levels > 3 && left > 2 * count ? property(Math.floor(left / 2 / count), levels - 2) : "{}"));
    if (kind === "array") add("items", inner(1));
    if (kind === "oneOf") add("oneOf", `[${inner(random.length(left) + 1).join()}]`);
    else if (kind !== "any") add("type", random.chance(0.2) ? `["${kind}", "null"]` : `"${kind}"`);
    if (kind === "object") {
      const names = random.times(random.from(1, 4), () => (random.chance(0.7) ? name(random) : text(random, 20)));
      const children = inner(names.length);
      add("properties", `{${names.map((each, index) => `${string(random, each)}:${children[index]}`).join()}}`);
      add("required", `[${names.map((each) => string(random, each)).join()}]`);
    }
    if (random.chance(0.5)) add("description", string(random, text(random, 20 + left)));
    if (random.chance(0.1)) add("title", string(random, text(random, 20)));
    if (kind === "string" && random.chance(0.4)) add("enum", `[${random.times(random.length(left + 1), () => string(random, text(random, 8))).join()}]`);
    if (random.chance(0.2)) add("default", value(random, random.length(left), Math.min(levels - 1, 10)));
    if (random.chance(0.1)) add("examples", `[${random.times(random.length(left), () => random.pick(['""', '"<"', '"\\n"', "0"])).join()}]`);
    return `{${fields.join(random.pick([", ", ",", ",\n  "]))}}`;
  };
  if (random.chance(0.4)) return `{"type":"object","${random.pick(["enum", "const", "default", "examples", "x"])}":${value(random, size, LEVELS - 2)}}`;
  const count = random.from(0, 4);
  return `{"type": "object", "properties": {${random.times(count, () => `${string(random, name(random))}: ${property(Math.ceil(size / count), LEVELS - 4)}`).join(", ")}}}`;
}

/** The arguments of a call. A model may write any string, so they may be invalid. */
export function callArguments(random, size) {
  return random.pick([
    () => "{}",
    () => "",
    () => text(random, size),
    () => value(random, size, 60),
    () => `{"a": ${value(random, size, 60)}}`,
    () => schema(random, size),
  ])();
}
