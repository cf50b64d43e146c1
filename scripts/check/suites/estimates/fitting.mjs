// Fits the high costs in shared/src/values/model_tokens.rs to counted texts.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createRequire } from "node:module";
import { here } from "./samples.mjs";

const require = createRequire(import.meta.url);

/** The weight of the groups in the sum that becomes as low as possible. */
const WEIGHTS = { English: 4, code: 4, schemas: 2, languages: 8, data: 0.3 };
/** A natural text's estimate is at least this multiple of its highest count. */
const MARGIN = 1.005;
/** A hostile text's highest count is at most this multiple of its estimate. */
const HOSTILE = 2.1;

/** A cost is at most this number of tokens: a character has at most four bytes. */
const MOST = 4;

const EDGE = 0;
const OUTSIDE = 27;
const SIZE = 28;
/** The step of a pair that no text has, in tenths of a token. */
const UNSEEN = 5;
/** How many words with a pair outweigh `UNSEEN`. */
const FEW = 4;
/** The weight of a word in English, in code and in schemas. */
const COMMON = 2;

const letter = (character) => (/[a-z]/i.test(character) ? character.toLowerCase().codePointAt() - 0x60 : OUTSIDE);

/**
 * Fits the steps of `PAIRS` to the words of Latin texts, by least squares: the sum of a word's steps
 * is the number of tokens after the first, in tenths. The tokens are those of the tokenizer that needs
 * the most for this word.
 */
export function pairs(texts, count) {
  const often = new Map();
  for (const { group, text } of texts) {
    for (const [word] of text.matchAll(/(?<!\p{L})\p{Script=Latin}[\p{Script=Latin}&&\p{Ll}]*(?!\p{L})/gv))
      often.set(word, (often.get(word) ?? 0) + (group === "languages" ? 1 : COMMON));
  }
  const words = [...often].map(([word, weight]) => {
    const letters = [EDGE, ...[...word].map(letter), EDGE];
    const steps = letters.slice(1).map((second, index) => letters[index] * SIZE + second);
    return { weight, steps, left: 10 * (count(` ${word}`) - 1) };
  });
  const having = Array.from({ length: SIZE * SIZE }, () => []);
  for (const word of words) for (const step of new Set(word.steps)) having[step].push({ word, times: word.steps.filter((other) => other === step).length });
  const values = Array(SIZE * SIZE).fill(0);
  for (let round = 0; round < 60; round += 1) {
    having.forEach((list, step) => {
      let above = FEW * (UNSEEN - values[step]);
      let below = FEW;
      for (const { word, times } of list) {
        above += word.weight * times * word.left;
        below += word.weight * times * times;
      }
      const value = Math.max(values[step] + above / below, 0);
      for (const { word, times } of list) word.left -= (value - values[step]) * times;
      values[step] = value;
    });
  }
  return Array.from({ length: SIZE }, (_, row) =>
    values
      .slice(row * SIZE, (row + 1) * SIZE)
      .map((value) => Math.min(Math.round(value), 9))
      .join(""),
  );
}

const TABLE = /(?<=const TABLE: Table = Table \{\n)[^]*?(?=\n\};)/;
const PAIRS = /(?<=const PAIRS: [^=]*= \[\n)[^]*?(?=\n\];)/;

export const withPairs = (source, rows) => source.replace(PAIRS, rows.map((row) => `    b"${row}",`).join("\n"));

/** Changes each high cost in the table. */
function withCosts(source, change) {
  return source.replace(TABLE, (table) =>
    table.replace(/^ {4}(\w+): .*/gm, (line, name) => {
      const parts = line.includes("letters(") ? ["word", "letter"] : ["cost"];
      return line.replace(/cost\((\w+), (\w+)\)/g, (_, low, high) => `cost(${change(`${name}_${parts.shift()}`, low, high)})`);
    }),
  );
}

/**
 * Counts how often each high cost is charged for each text. Also lists the writing systems in which
 * the cost of a word includes letters.
 */
export function features(source, texts, folder) {
  const names = [];
  const meter = withCosts(source, (name) => {
    names.push(name);
    return `0, unit("${name}")`;
  })
    .replace("const TABLE: Table = Table {", "static TABLE: std::sync::LazyLock<Table> = std::sync::LazyLock::new(|| Table {")
    .replace(/(?<=LazyLock::new[^]*?\n\})(?=;)/, ")")
    .replace(".min(self.bytes)", "");
  const unit = 'fn unit(name: &str) -> u64 { if std::env::var("UNIT").unwrap() == name { 1000 } else { 0 } }';
  writeFileSync(join(folder, "model_tokens.rs"), `${meter}\n${unit}\n`);
  writeFileSync(join(folder, "meter.rs"), readFileSync(join(here, "estimate.rs"), "utf8").replace(/"[^"]*model_tokens.rs"/, '"model_tokens.rs"'));
  execFileSync("rustc", ["--edition", "2024", "-O", "-A", "warnings", "-o", join(folder, "meter"), join(folder, "meter.rs")]);
  const input = texts.map(({ text }) => `${text}\0`).join("");
  const columns = names.map((name) =>
    execFileSync(join(folder, "meter"), { input, env: { UNIT: name }, maxBuffer: 2 ** 28 })
      .toString()
      .trim()
      .split("\n")
      .map((line) => Number(line.split(" ")[1])),
  );
  const words = [...source.matchAll(/^ {4}(\w+): letters\(cost\(\w+, \w+\), [1-9]/gm)].map(([, name]) => name);
  return { names, words, rows: texts.map((_, index) => columns.map((column) => column[index])) };
}

/** Finds the lowest costs that keep the estimates high enough. */
export async function solve(texts, { names, words, rows }) {
  const objective = names.map(() => 0);
  // A word costs at least as much as a letter. Otherwise, an odd mix of writing systems is free.
  const conditions = words.map((name) => `${name}_word - ${name}_letter >= 0`);
  const sizes = new Map();
  for (const { group } of texts) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  texts.forEach(({ group, highest }, index) => {
    const terms = rows[index].flatMap((count, column) => (count > 0 ? [`+ ${count / highest} ${names[column]}`] : []));
    const weight = (WEIGHTS[group] ?? 0) / sizes.get(group);
    rows[index].forEach((count, column) => {
      objective[column] += (weight * count) / highest;
    });
    // A text whose limit can't be met makes the sum much higher.
    conditions.push(`${terms.join(" ")} + missing${index} >= ${group === "hostile" ? 1 / HOSTILE : MARGIN}`);
  });
  const missing = texts.map((_, index) => `+ 100 missing${index}`);
  const program = `Minimize\n ${[...objective.map((weight, column) => `+ ${weight + 1e-6} ${names[column]}`), ...missing].join("\n ")}
Subject To\n ${conditions.join("\n ")}\nBounds\n ${names.map((name) => `0 <= ${name} <= ${MOST}`).join("\n ")}\nEnd`;
  const highs = await require("highs")();
  const { Status, Columns } = highs.solve(program);
  if (Status !== "Optimal") throw new Error(`the linear program is ${Status}`);
  return Object.fromEntries(names.map((name) => [name, Math.ceil(Columns[name].Primal * 100) * 10]));
}

export const withSolution = (source, costs) => withCosts(source, (name, low) => `${low}, ${costs[name]}`);
