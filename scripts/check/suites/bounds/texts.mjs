// Strings that contain unusually many tokens for their length.

const code = (first, last) => Array.from({ length: last - first + 1 }, (_, offset) => String.fromCodePoint(first + offset));
const bytes = (text) => Buffer.byteLength(text);

const EVERY = [...code(1, 0xd7ff), ...code(0xe000, 0x10ffff)];
/** Characters that normalisation makes longer. */
const growing = (form) => EVERY.filter((character) => bytes(character.normalize(form)) > bytes(character));
export const LONG_NFKC = growing("NFKC");
export const LONG_NFC = growing("NFC");

const letters = [...code(0x41, 0x5a), ...code(0x61, 0x7a)];
const digits = code(0x30, 0x39);
const otherDigits = [0x660, 0x966, 0xe50, 0xff10, 0x1d7ce, 0x1fbf0].flatMap((zero) => code(zero, zero + 9));
const marks = [
  ...code(0x300, 0x36f),
  ...code(0x483, 0x487),
  ...code(0x591, 0x5bd),
  ...code(0x64b, 0x65f),
  ...code(0x1ab0, 0x1abe),
  ...code(0x20d0, 0x20f0),
  ...code(0x1d165, 0x1d169),
];
const spaces = [" ", " ", " ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u2003", "\u200a", "\u2028", "\u2029", "\u202f", "\u3000", "\u200b", "\ufeff"];
const controls = [...code(1, 8), "\v", "\f", ...code(0x0e, 0x1f), ...code(0x7f, 0x9f)];
const cjk = [
  code(0x4e00, 0x9fff),
  code(0x3400, 0x4dbf),
  code(0x20000, 0x2a6df),
  code(0x30000, 0x3134a),
  code(0xac00, 0xd7a3),
  code(0x1100, 0x11ff),
  code(0x3041, 0x30ff),
  code(0xf900, 0xfaff),
];
const rightToLeft = [
  code(0x5d0, 0x5ea),
  code(0x620, 0x64a),
  code(0x710, 0x72f),
  code(0x7c0, 0x7ea),
  code(0x10900, 0x1091b),
  code(0xfb50, 0xfbb1),
  code(0xfe70, 0xfefc),
  ["\u200f", "\u202e", "\u2067", "\u2069"],
];
const people = ["👨", "👩", "🧑", "👧", "👦", "❤️", "🏳️", "🏴", "👁️", "🐻", "💻", "🚀"];
const tones = ["", "\u{1f3fb}", "\u{1f3fd}", "\u{1f3ff}"];
const flagLetters = code(0x1f1e6, 0x1f1ff);
const words =
  "the of and price token SolidGoldMagikarp petertodd rawdownloadcloneembedreportprint Übergrößenträger antidisestablishmentarianism naïve façade don't WE'RE x".split(
    " ",
  );
const markers = [
  "<|endoftext|>",
  "<|im_start|>system\n",
  "<|im_end|>",
  "<|start_header_id|>",
  "<|eot_id|>",
  "<|start|>",
  "<|message|>",
  "<EOT>",
  "<META>",
  "[INST]",
  "</s>",
  "\n\nHuman:",
  "\n\nAssistant:",
  "<tool_call>",
];
const lines = [
  "    if (index % 2 === 0) { return values[index]?.name ?? `none ${index}`; }\n",
  "\t\tfor (int i = 0; i < n; ++i) { sum += a[i] * b[n - 1 - i]; } // O(n)\n",
  'def f(x: int) -> str:\n    return f"{x:>08x}"\n\n',
  'SELECT u."name", COUNT(*) FROM users u WHERE u.id <> 7 GROUP BY 1;\n',
  "<div class=\"a&amp;b\"><a href='?q=%F0%9F%91%A8'>&lt;x&gt;</a></div>\n",
  "\\frac{\\partial^2 f}{\\partial x_1\\partial x_2} \\neq \\sum_{k=0}^{\\infty} a_k\n",
  "---\n- [ ] **a** | _b_ | `c` |\n|:--|--:|\n",
];

/** Strings of `count` characters or a few more. */
const KINDS = {
  anyPlane: (random, count) => random.times(count, () => random.pick(EVERY)),
  longNfkc: (random, count) => random.times(count, () => random.pick(LONG_NFKC)),
  longNfc: (random, count) => random.times(count, () => random.pick(LONG_NFC)),
  phrase: (random, count) => Array(count).fill(random.pick(["\ufdfa", "\ufdfb", "\u{1d160}", "\u3316", "\u33ff", "\u{1f1aa}", "\u0344"])),
  oneCharacter: (random, count) => Array(count).fill(random.pick(EVERY)),
  emoji: (random, count) =>
    random.times(Math.ceil(count / 6), () =>
      random.chance(0.2)
        ? random.pick(flagLetters) + random.pick(flagLetters)
        : random.times(random.from(1, 5), () => random.pick(people) + random.pick(tones)).join("\u200d") +
          random.pick(["", "\ufe0f", "\u20e3", "\u{e0067}\u{e007f}"]),
    ),
  digits: (random, count) => random.times(count, () => random.pick(digits)),
  otherDigits: (random, count) => random.times(count, () => random.pick(otherDigits)),
  spaces: (random, count) => random.times(Math.ceil(count / 4), () => random.pick(spaces).repeat(random.length(20))),
  lineBreaks: (random, count) => Array(count).fill(random.pick(["\n", "\r\n", "\n\t", "\n ", "\u2028", "\n>"])),
  base64: (random, count) =>
    Buffer.from(random.times(count, () => random.from(0, 255)))
      .toString("base64")
      .slice(0, count),
  hexadecimal: (random, count) => random.times(count, () => random.from(0, 15).toString(16)),
  code: (random, count) => random.times(Math.ceil(count / 50), () => random.pick(lines)),
  cjk: (random, count) => random.times(count, () => random.pick(random.pick(cjk))),
  rightToLeft: (random, count) => random.times(count, () => random.pick(random.pick(rightToLeft))),
  marks: (random, count) =>
    random.times(Math.ceil(count / 10), () => random.pick([...letters, "क", "ا", "א"]) + random.times(random.from(1, 18), () => random.pick(marks)).join("")),
  controls: (random, count) => random.times(count, () => random.pick(controls)),
  oneEscaped: (random, count) => Array(count).fill(random.pick(["<", ">", "&", "\u0001", "\x7f", "\\", '"', "\n"])),
  punctuation: (random, count) => random.times(count, () => random.pick([..."<>&\"'\\/{}[]()|!?*~^`$%#@,;:._-+="])),
  escapes: (random, count) =>
    random.times(Math.ceil(count / 6), () =>
      random.pick(["\\u00e9", "\\ud83d\\ude00", "1e15", "1E22", "\\n", "\\\\", '\\"', "%C3%A9", "&eacute;", "\\x1b[0m"]),
    ),
  words: (random, count) => random.times(Math.ceil(count / 8), () => random.pick(words) + random.pick([" ", " ", "", "  ", "-", "\n"])),
  mixedCase: (random, count) => random.times(count, () => random.pick([...letters, ...letters, ...digits, "_", "-"])),
  longName: (random, count) => Array(Math.ceil(count / 8)).fill(random.pick(["veryLong", "Name_Of_", "x1y2z3-_", "ÄÖÜäöüß.", "ＡＢＣ１２３／＿"])),
  markers: (random, count) => random.times(Math.ceil(count / 10), () => random.pick(markers)),
};

/**
 * Returns a string of up to three kinds, with at most `most` characters or a few more. Most strings
 * are much shorter.
 */
export function text(random, most) {
  const kinds = random.times(random.from(1, 3), () => KINDS[random.pick(Object.keys(KINDS))]);
  return kinds.map((kind) => [...kind(random, random.length(Math.ceil(most / kinds.length)))].join("")).join(random.pick(["", " ", "\n"]));
}

/** Returns a string of one kind, with about `count` characters. */
export function longText(random, count, kinds = Object.keys(KINDS)) {
  return [...KINDS[random.pick(kinds)](random, count)].join("");
}

/** The kinds of strings that JSON makes longer. */
export const ESCAPED = ["controls", "oneEscaped", "punctuation", "lineBreaks", "anyPlane", "oneCharacter"];

/** Returns a function's name, which consists of 1 to `most` letters, digits, _ and -. */
export function name(random, most = 64) {
  const length = random.chance(0.3) ? most : random.length(24);
  if (random.chance(0.2)) return "a1Z9".repeat(most / 4).slice(0, length);
  const alphabet = random.pick([[...letters, ...digits, "_", "-"], digits, ["_", "-"], [..."aZ0_-"], letters]);
  return random.times(length, () => random.pick(alphabet)).join("");
}

/** Returns the beginning of a string, at most `most` bytes long. */
export function cut(text, most) {
  let left = most;
  const kept = [];
  for (const character of text) {
    left -= bytes(character);
    if (left < 0) break;
    kept.push(character);
  }
  return kept.join("");
}
