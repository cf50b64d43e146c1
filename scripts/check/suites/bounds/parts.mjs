// The parts that requests to OpenAI's and Anthropic's APIs have in common.

import { schema } from "./json.mjs";
import { ESCAPED, longText, name, text } from "./texts.mjs";

/** Returns a model: `bounded` is called through OpenAI's API, and `claude` through Anthropic's. */
export const model = (random) => random.pick(["bounded", "bounded", "claude"]);

/**
 * Returns a random string. Most strings are much shorter than `most` characters. A `share` of the
 * strings is longer and consists of these kinds.
 */
export function some(random, most, share = 0.04, kinds = undefined) {
  return random.chance(share) ? longText(random, random.from(most, 3 * most), kinds) : text(random, most);
}

/** Returns a function or a response format, whose schema is in this field. */
export function named(random, field, isLong, nameLength) {
  const size = isLong ? random.pick([random.length(2000), random.from(400, 2000)]) : random.length(40);
  const parts = [`"name":${JSON.stringify(name(random, nameLength))}`];
  if (random.chance(0.7)) parts.push(`"description":${JSON.stringify(isLong ? some(random, 500, 0.2, ESCAPED) : some(random, 100, 0.02))}`);
  if (random.chance(0.85)) parts.push(`"${field}":${schema(random, size)}`);
  return `{${parts.join()}}`;
}
