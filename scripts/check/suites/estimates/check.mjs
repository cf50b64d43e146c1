// Estimates the tokens in the texts, counts them, and prints tables.

import { execFileSync } from "node:child_process";
import { hostile, rare } from "./hostile.mjs";
import { natural } from "./natural.mjs";
import { samples } from "./samples.mjs";
import { CHEAP, TOKENIZERS } from "./tokenizers.mjs";

const { ESTIMATE, SEED = "1" } = process.env;

/** The low estimates for each kind of text must be at least this share of the lowest counts. */
const FLOOR = 0.6;
/** The median and the 95th percentile of the high estimates' ratio to a tokenizer's counts. */
const CEILINGS = { English: [1.4, 1.8], code: [1.4, 1.8], schemas: [1.4, 1.8], languages: [1.6, Infinity], data: [Infinity, Infinity] };
/**
 * The highest count of a natural text may be this multiple of its high estimate. The costs were
 * fitted to the texts of seed 1. Other seeds choose other files and other parts, and a page of
 * regular expressions can have a tenth more tokens than its estimate.
 */
const NATURAL = 1.15;
const HOSTILE = 2.5;
const PROMPTS = 10_000;
const ALL = Object.keys(TOKENIZERS);

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const percent = (share) => `${Math.round(share * 100)} %`;
const quantile = (numbers, share) => numbers.toSorted((one, other) => one - other)[Math.floor((numbers.length - 1) * share)];
const failures = [];

/** Adds to texts their estimates, the counts of these tokenizers, and the lowest and highest count. */
function measured(texts, tokenizers) {
  const input = texts.map(({ text }) => `${text}\0`).join("");
  const estimates = execFileSync(ESTIMATE, { input, maxBuffer: 2 ** 26 })
    .toString()
    .trim()
    .split("\n");
  return texts.map((text, index) => {
    const [low, high] = estimates[index].split(" ").map(Number);
    const counts = tokenizers.map((name) => TOKENIZERS[name].count(text.text));
    return { ...text, low, high, counts, lowest: Math.min(...counts), highest: Math.max(...counts) };
  });
}

function table(title, head, rows, named) {
  console.log(`\n${title}\n`);
  for (const row of [head, head.map((_, index) => (index < named ? "---" : "--:")), ...rows])
    console.log(`| ${row.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ")} |`);
}

function checkLow() {
  const rows = samples(SEED).map(({ group, kind, floor, texts }) => {
    if (texts.length === 0) throw new Error(`${kind}: no text has 500 characters`);
    const counted = measured(
      texts.map((text) => ({ text, characters: [...text].length })),
      CHEAP,
    );
    const total = (key) => sum(counted.map((text) => text[key]));
    const share = total("low") / total("lowest");
    const closest = Math.max(...counted.map(({ low, lowest }) => low / lowest));
    const perThousand = (tokens) => Math.round((tokens / total("characters")) * 1000);
    const above = counted.filter(({ low, lowest }) => low > lowest);
    if (above.length > 0)
      failures.push(`${group}, ${kind}: ${above.length} of ${texts.length} low estimates are above the lowest count, up to ${percent(closest)} of it`);
    if (floor && share < FLOOR) failures.push(`${group}, ${kind}: the low estimates are ${percent(share)} of the lowest counts`);
    return [
      group,
      kind,
      ...CHEAP.map((_, index) => perThousand(sum(counted.map(({ counts }) => counts[index])))),
      perThousand(total("lowest")),
      perThousand(total("low")),
      percent(share),
      percent(closest),
    ];
  });
  table(
    `Tokens per 1000 characters; the low estimate's ratio to the lowest count, and its highest in one text; seed ${SEED}`,
    ["Script", "Kind", ...CHEAP, "lowest", "low", "to the lowest", "at most"],
    rows,
    2,
  );
}

function checkHigh() {
  const texts = measured(natural(SEED), ALL);
  const rows = Object.entries(CEILINGS).map(([group, ceilings]) => {
    const own = texts.filter((text) => text.group === group);
    const ratios = ALL.map((_, index) => own.map(({ high, counts }) => high / counts[index]));
    // A language's tokenizers differ too much for a limit of each.
    const limited = group === "languages" ? [["all tokenizers", ratios.flat()]] : ALL.map((name, index) => [name, ratios[index]]);
    for (const [name, list] of limited) {
      const [median, most] = [0.5, 0.95].map((share) => quantile(list, share));
      if (median > ceilings[0] || most > ceilings[1])
        failures.push(`${group}: the high estimates are ${median.toFixed(2)} of the counts of ${name}, ${most.toFixed(2)} in 5 % of the texts`);
    }
    const worst = Math.max(...own.map(({ high, highest }) => highest / high));
    for (const { kind, high, highest } of own)
      if (highest > NATURAL * high) failures.push(`${group}, ${kind}: the highest count is ${(highest / high).toFixed(2)} of the high estimate`);
    const cells = [...ratios, ratios.flat()].map((list) => [0.5, 0.95].map((share) => quantile(list, share).toFixed(2)).join(" "));
    return [group, own.length, ...cells, worst.toFixed(3)];
  });
  table(
    `The high estimate's ratio to the counts: the median, and the 95th percentile; the highest count's ratio to it`,
    ["Group", "Texts", ...ALL, "all", "at most"],
    rows,
    1,
  );
}

function checkHostile() {
  const texts = measured([...hostile(SEED, PROMPTS, TOKENIZERS), ...rare(TOKENIZERS)], ALL);
  const kinds = [...new Set(texts.map(({ kind }) => kind))];
  const rows = kinds.map((kind) => {
    const ratios = texts.filter((text) => text.kind === kind).map(({ high, highest }) => highest / high);
    const worst = Math.max(...ratios);
    if (worst > HOSTILE) failures.push(`hostile, ${kind}: the highest count is ${worst.toFixed(2)} of the high estimate`);
    return [kind, ratios.length, quantile(ratios, 0.5).toFixed(2), worst.toFixed(2)];
  });
  table("Hostile texts: the highest count's ratio to the high estimate", ["Kind", "Texts", "median", "at most"], rows, 1);
}

checkLow();
checkHigh();
checkHostile();
if (failures.length > 0) {
  console.log(`\n${failures.map((failure) => `  ${failure}`).join("\n")}`);
  process.exit(1);
}
