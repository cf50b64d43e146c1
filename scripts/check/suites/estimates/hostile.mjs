// Texts that need as many tokens as possible for their estimate, as `{ kind, text }`.

import { Random } from "../bounds/random.mjs";
import { longText } from "../bounds/texts.mjs";

const code = (first, last) => Array.from({ length: last - first + 1 }, (_, offset) => String.fromCodePoint(first + offset));
const matching = (pattern) => [...code(1, 0xd7ff), ...code(0xe000, 0x3ffff)].filter((character) => pattern.test(character));
const letters = matching(/\p{L}/u);
const lower = code(0x61, 0x7a);
const upper = code(0x41, 0x5a);
const digits = code(0x30, 0x39);
const symbols = matching(/[!-~]/).filter((character) => !/[a-z0-9]/i.test(character));
const signs = matching(/[\p{S}\p{P}]/u);
const emoji = matching(/\p{Emoji_Presentation}/u);
/** The letters by Unicode block, or half a block. */
const blocks = new Map();
for (const letter of letters) {
  const block = letter.codePointAt() >> 7;
  blocks.set(block, [...(blocks.get(block) ?? []), letter]);
}

/** The kinds of texts that the bounds are checked with, except for those that NFKC makes longer. */
const LONG = [
  "anyPlane",
  "oneCharacter",
  "emoji",
  "digits",
  "otherDigits",
  "spaces",
  "lineBreaks",
  "base64",
  "hexadecimal",
  "code",
  "cjk",
  "rightToLeft",
  "marks",
  "controls",
  "punctuation",
  "escapes",
  "words",
  "mixedCase",
  "longName",
];

/** Strings of about `count` characters. */
const KINDS = {
  "small letters": (random, count) => random.times(count, () => random.pick(lower)),
  "capitals": (random, count) => random.times(count, () => random.pick(upper)),
  "any case": (random, count) => random.times(count, () => random.pick([...lower, ...upper])),
  "letters and digits": (random, count) => random.times(count, () => random.pick([...lower, ...digits])),
  "consonants": (random, count) => random.times(count, () => random.pick([..."bcdfghjklmnpqrstvwxz"])),
  "short words": (random, count) => random.times(Math.ceil(count / 4), () => `${random.times(random.from(1, 5), () => random.pick(lower)).join("")} `),
  "any letters": (random, count) => random.times(count, () => random.pick(letters)),
  "letters of a block": (random, count) => {
    const block = random.pick([...blocks.values()]);
    return random.times(count, () => random.pick(block));
  },
  "letters of two blocks": (random, count) => {
    const both = [random.pick([...blocks.values()]), random.pick([...blocks.values()])];
    return random.times(count, (index) => random.pick(both[index % 2]));
  },
  "a few characters": (random, count) => {
    const few = random.times(random.from(2, 4), () => random.pick(random.pick([letters, signs, symbols, lower, upper, emoji])));
    return random.times(count, () => random.pick(few));
  },
  "symbols": (random, count) => random.times(count, () => random.pick(symbols)),
  "signs": (random, count) => random.times(count, () => random.pick(signs)),
  "letters and symbols": (random, count) => random.times(count, () => random.pick(random.pick([lower, upper, digits, symbols]))),
  "pictures": (random, count) => random.times(count, () => random.pick(emoji)),
  "a repeated letter": (random, count) => [random.pick([...lower, ...upper]).repeat(count)],
  "a repeated symbol": (random, count) => [random.pick([...symbols, ...digits, " ", "\n", "\t", "\r\n"]).repeat(count)],
  "a repeated sign": (random, count) => [random.pick(signs).repeat(count)],
  ...Object.fromEntries(LONG.map((kind) => [kind, (random, count) => [longText(random, count, [kind])]])),
};

/**
 * Each tokenizer's longest tokens, those that another tokenizer splits into the most parts, and short
 * ones without spaces between them.
 */
function glued(random, tokenizers) {
  return Object.fromEntries(
    Object.entries(tokenizers).flatMap(([name, { tokens }]) => {
      const words = tokens().filter((token) => /\p{L}{2}/u.test(token) && !/[\0<]/.test(token));
      const longest = words.toSorted((one, other) => other.length - one.length).slice(0, 1000);
      const others = Object.entries(tokenizers)
        .filter(([other]) => other !== name)
        .map(([, other]) => other);
      const parts = (token) => Math.max(...others.map(({ count }) => count(token))) / [...token].length;
      const worst = random
        .times(500, () => random.pick(words))
        .filter((token) => token.length > 3)
        .map((token) => [parts(token), token])
        .sort(([one], [other]) => other - one)
        .slice(0, 100)
        .map(([, token]) => token);
      const short = words.filter((token) => /^[a-z]{2,5}$/i.test(token));
      const glue = (list) => (random, count) => random.times(Math.ceil(count / list[0].length), () => random.pick(list));
      return [
        [`the longest tokens of ${name}`, glue(longest)],
        [`the worst tokens of ${name}`, glue(worst)],
        [
          `a repeated token of ${name}`,
          (random, count) => {
            const token = random.pick(short);
            return random.times(Math.ceil(count / token.length), () => token);
          },
        ],
      ];
    }),
  );
}

/**
 * Returns that many texts. They are in the Unicode form NFKC, because Claude's tokenizer reads this
 * form, which may be much longer than the text.
 */
export function hostile(seed, count, tokenizers) {
  const random = new Random(seed);
  const kinds = Object.entries({ ...KINDS, ...glued(random, tokenizers) });
  return random.times(count, (index) => {
    const [kind, make] = kinds[index % kinds.length];
    return { kind, text: make(random, random.from(30, 90)).join("").normalize("NFKC") };
  });
}

/**
 * Returns texts that repeat each character of ASCII, and one or two of the characters that need the
 * most tokens. They are the worst of each 32 code points.
 */
export function rare(tokenizers) {
  const worst = new Map();
  for (const character of matching(/[^\p{C}]/u).filter((_, index) => index % 3 === 0)) {
    if (character.normalize("NFKC") !== character) continue;
    const tokens = Math.max(...Object.values(tokenizers).map(({ count }) => count(character)));
    const group = character.codePointAt() >> 5;
    worst.set(group, [...(worst.get(group) ?? []), { character, tokens }]);
  }
  const pairs = [...worst.values()].flatMap((group) => {
    const [one, other = one] = group.sort((left, right) => right.tokens - left.tokens).map(({ character }) => character);
    return [one.repeat(40), (one + other).repeat(20)];
  });
  return [...code(1, 0x7f).map((character) => character.repeat(60)), ...pairs].map((text) => ({ kind: "repeated characters", text }));
}
