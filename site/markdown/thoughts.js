// Thoughts: the reasoning that some models write into the text of their answer, between two marks.
// The rules are those of shared/src/values/thoughts.rs.

// generated: marks
const MARKS = [
  ["<think>", "</think>"],
  ["<thinking>", "</thinking>"],
  ["<thought>", "</thought>"],
  ["<reasoning>", "</reasoning>"],
  ["[THINK]", "[/THINK]"],
  ["◁think▷", "◁/think▷"],
  ["<seed:think>", "</seed:think>"],
  ["<|channel|>analysis<|message|>", "<|channel|>final<|message|>"],
  ["analysis", "assistantfinal"],
];
// end of generated

/** The marks that answers don't contain by chance. Without the others' second mark, they are text. */
const SURE = MARKS.filter(([begins]) => !/^\w/.test(begins));

/** Matches a line that begins with a second mark. */
const LONE = new RegExp(
  `^[^\\S\\n]*(?:${SURE.map(([, ends]) => ends.replace(/[[\]|]/g, "\\$&")).join("|")})`,
  "gim",
);

const lower = (text) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** True if a position isn't in a code block: before it, all fences are closed. */
const isOutside = (before) => before.split(/^\s*```/m).length % 2 === 1;

/** The position of the first visible character from a position on. */
function visible(text, from) {
  const blanks = /\s*/y;
  blanks.lastIndex = from;
  blanks.exec(text);
  return blanks.lastIndex;
}

/**
 * Splits text into `{reasoning, answer}`. If the text `grows`, a partial mark at its end is left out.
 */
export function partsOf(text, grows = false) {
  const low = lower(text);
  const thoughts = [];
  let from = 0;
  for (;;) {
    const begun = visible(text, from);
    const marks = MARKS.find(([begins]) => low.startsWith(lower(begins), begun));
    if (marks) {
      const [start, mark] = [begun + marks[0].length, lower(marks[1])];
      const end = low.indexOf(mark, start);
      if (end < 0 && !SURE.includes(marks)) break;
      const last = end < 0 ? text.length - (grows ? partial(low, mark) : 0) : end;
      thoughts.push(text.slice(start, Math.max(start, last)));
      from = end < 0 ? text.length : visible(text, end + mark.length);
      if (end < 0) break;
      continue;
    }
    const rest = low.slice(begun, begun + 40);
    if (grows && rest !== "" && SURE.some(([begins]) => lower(begins).startsWith(rest))) {
      from = text.length;
      break;
    }
    LONE.lastIndex = from;
    const lone = LONE.exec(text);
    if (!lone) break;
    const before = low.slice(from, lone.index);
    const hasBegun = SURE.some(([begins]) => before.includes(lower(begins.slice(0, -1))));
    if (hasBegun || !isOutside(before)) break;
    thoughts.push(text.slice(from, lone.index));
    from = visible(text, LONE.lastIndex);
  }
  let answer = text.slice(from);
  const whole = answer.trimEnd();
  const [begins, ends] =
    MARKS.find(([, mark]) => lower(whole.slice(-mark.length)) === lower(mark)) ?? [];
  const start = begins ? lower(whole).lastIndexOf(`\n${lower(begins)}`) : -1;
  if (start >= 0 && isOutside(whole.slice(0, start))) {
    thoughts.push(whole.slice(start + 1 + begins.length, -ends.length));
    answer = whole.slice(0, start).trimEnd();
  }
  const reasoning = thoughts
    .map((thought) => thought.trim())
    .filter(Boolean)
    .join("\n\n");
  return { reasoning, answer };
}

/** The length of the part of a mark with which a text ends. */
function partial(text, mark) {
  let length = mark.length - 1;
  while (length > 0 && !text.endsWith(mark.slice(0, length))) length--;
  return length;
}

/** The text without its reasoning, or the whole text if it is only reasoning. */
export const withoutReasoning = (text) => partsOf(text).answer || text;
