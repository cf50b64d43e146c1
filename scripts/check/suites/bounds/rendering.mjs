// How servers write a request's functions, calls and schemas into the prompt.

/** Parses JSON. Numbers keep their digits, as `{ raw }`, and objects become maps. */
export function parse(text) {
  JSON.parse(text);
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\]]|[^\s,:{}[\]"]+/g);
  let place = 0;
  const next = () => {
    const token = tokens[place++];
    if (token === "[") {
      const list = [];
      while (tokens[place] !== "]") list.push(next());
      place++;
      return list;
    }
    if (token === "{") {
      const map = new Map();
      while (tokens[place] !== "}") {
        const key = JSON.parse(tokens[place++]);
        map.set(key, next());
      }
      place++;
      return map;
    }
    return /^[-0-9]/.test(token) ? { raw: token } : JSON.parse(token);
  };
  return next();
}

const escape = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** Writes a number as Python does: `1e15` becomes `1000000000000000.0`. */
function pythonNumber(raw) {
  if (!/[.eE]/.test(raw)) return String(BigInt(raw));
  const number = Number(raw);
  if (!Number.isFinite(number)) return number > 0 ? "Infinity" : "-Infinity";
  const [, sign, digits, power] = /^(-?)([0-9.]+)e(.+)$/.exec(number.toExponential());
  const minus = Object.is(number, -0) ? "-" : sign;
  const plain = digits.replace(".", "");
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) return `${minus}${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  if (exponent < 0) return `${minus}0.${"0".repeat(-exponent - 1)}${plain}`;
  const whole = plain.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${minus}${whole}.${plain.slice(exponent + 1) || "0"}`;
}

/** Writes a number as Go does, always as a 64-bit float: `1e20` becomes `100000000000000000000`. */
function goNumber(raw) {
  const number = Number(raw);
  if (!Number.isFinite(number)) return raw;
  return Object.is(number, -0) ? "-0" : String(number);
}

function write(value, { number, string, indent, comma, colon }, level = 0) {
  if (typeof value === "string") return string(value.toWellFormed());
  if (value === null || typeof value === "boolean") return String(value);
  if (!Array.isArray(value) && !(value instanceof Map)) return number(value.raw);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const inside = (inner) => write(inner, { number, string, indent, comma, colon }, level + 1);
  const items = Array.isArray(value) ? value.map(inside) : [...value].map(([key, inner]) => inside(key) + colon + inside(inner));
  if (items.length === 0) return open + close;
  const line = (depth) => (indent === undefined ? "" : `\n${" ".repeat(indent * depth)}`);
  return open + line(level + 1) + items.join(comma + line(level + 1)) + line(level) + close;
}

/** Python's `json.dumps(value, ensure_ascii=ascii, indent=indent)`. */
export function python(value, { ascii = false, indent } = {}) {
  const string = ascii ? (text) => JSON.stringify(text).replace(/[\x7f-\uffff]/g, escape) : JSON.stringify;
  return write(value, { number: pythonNumber, string, indent, comma: indent === undefined ? ", " : ",", colon: ": " });
}

/** Go's `json.Marshal(value)`, which escapes HTML. */
export function go(value) {
  const string = (text) => JSON.stringify(text).replace(/[<>&\u2028\u2029]/g, escape);
  return write(value, { number: goNumber, string, comma: ",", colon: ":" });
}

/** Returns `value` if it is a string. */
const words = (value) => (typeof value === "string" ? value : undefined);
const entries = (value) => (value instanceof Map ? [...value] : []);

/** JSON without white space. */
export const compact = (value) => write(value, { number: pythonNumber, string: JSON.stringify, comma: ",", colon: ":" });

/** Writes a schema as a TypeScript type, as in OpenAI's Harmony format. */
export function typeOf(schema, indent = "") {
  const field = (name) => (schema instanceof Map ? schema.get(name) : undefined);
  const variants = field("oneOf");
  if (Array.isArray(variants)) {
    const each = variants.map((variant) => typeOf(variant, `${indent}   `) + (notes(variant) && ` // ${notes(variant)}`));
    return each.map((type) => `\n${indent} | ${type}`).join("");
  }
  const kind = field("type");
  if (Array.isArray(kind)) return kind.filter(words).join(" | ").replaceAll("integer", "number") || "any";
  if (kind === "array") return field("items") === undefined ? "Array<any>" : `${typeOf(field("items"), indent)}[]`;
  if (kind === "string") {
    const allowed = Array.isArray(field("enum")) ? field("enum").filter((one) => words(one) !== undefined) : [];
    return allowed.map((one) => `"${one}"`).join(" | ") || kind;
  }
  if (kind !== "object") return { number: "number", integer: "number", boolean: "boolean" }[kind] ?? "any";
  const required = Array.isArray(field("required")) ? field("required") : [];
  const properties = entries(field("properties")).map(([key, property]) => {
    const part = (name) => (property instanceof Map ? property.get(name) : undefined);
    const [title, about, examples] = [words(part("title")), words(part("description")), part("examples")];
    return [
      title === undefined ? "" : `${indent}// ${title}\n${indent}//\n`,
      about === undefined ? "" : `${indent}// ${about}\n`,
      Array.isArray(examples) && examples.length > 0
        ? `${indent}// Examples:\n${examples
            .filter((one) => words(one) !== undefined)
            .map((one) => `${indent}// - "${one}"\n`)
            .join("")}`
        : "",
      `${indent}${key}${required.includes(key) ? "" : "?"}: ${typeOf(property, `${indent}    `)}${part("nullable") === true ? " | null" : ""},`,
      part("default") === undefined ? "\n" : ` // default: ${compact(part("default"))}\n`,
    ].join("");
  });
  const about = words(field("description"));
  return `${about === undefined ? "" : `${indent}// ${about}\n`}{\n${properties.join("")}${indent}}`;
}

/** Returns the comment after a variant. */
function notes(variant) {
  if (!(variant instanceof Map)) return "";
  const stated = variant.has("default") ? `default: ${compact(variant.get("default"))}` : "";
  return [words(variant.get("description")) ?? "", stated].filter(Boolean).join(" ");
}

/** Writes the functions as a TypeScript namespace, as in OpenAI's Harmony format. */
export function namespace(functions) {
  const types = functions.map((each) => {
    const about = (each.get("description") ?? "").split("\n").map((line) => `// ${line}\n`);
    const parameters = each.get("parameters");
    return `${about.join("")}type ${each.get("name")} = ${parameters === undefined ? "() => any" : `(_: ${typeOf(parameters)}) => any`};\n\n`;
  });
  return `# Tools\n\n## functions\n\nnamespace functions {\n\n${types.join("")}} // namespace functions`;
}
