// Counts the texts, fits the high costs, and writes them into the source file.

import { readFileSync, writeFileSync } from "node:fs";
import { features, pairs, solve, withPairs, withSolution } from "./fitting.mjs";
import { hostile, rare } from "./hostile.mjs";
import { natural } from "./natural.mjs";
import { TOKENIZERS } from "./tokenizers.mjs";

const { SEED = "1", SOURCE, TOOLS } = process.env;

/** How many hostile texts there are. */
const PROMPTS = 10_000;

const highest = (text) => Math.max(...Object.values(TOKENIZERS).map(({ count }) => count(text)));

const counted = (texts) => texts.map((text) => ({ ...text, highest: highest(text.text) }));

const likely = counted(natural(SEED));
const texts = [...likely, ...counted([...rare(TOKENIZERS), ...hostile(SEED, PROMPTS, TOKENIZERS)]).map((text) => ({ ...text, group: "hostile" }))];
const source = withPairs(readFileSync(SOURCE, "utf8"), pairs(likely, highest));
const costs = await solve(texts, features(source, texts, TOOLS));
writeFileSync(SOURCE, withSolution(source, costs));
console.log(`fitted ${Object.keys(costs).length} costs to ${texts.length} texts`);
