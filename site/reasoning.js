// The reasoning that some models write before their answer, between two marks.

const [BEGINS, ENDS] = ["<think>", "</think>"];

/**
 * A text as `{reasoning, answer}`. The reasoning is "" if the text doesn't begin with one. If the
 * text `grows`, a mark that has arrived in part is left out.
 */
export function partsOf(text, grows = false) {
  const begun = text.trimStart();
  if (!begun.startsWith(BEGINS)) {
    const isMark = grows && begun !== "" && BEGINS.startsWith(begun);
    return { reasoning: "", answer: isMark ? "" : text };
  }
  const rest = begun.slice(BEGINS.length);
  const end = rest.indexOf(ENDS);
  if (end >= 0)
    return {
      reasoning: rest.slice(0, end).trim(),
      answer: rest.slice(end + ENDS.length).trimStart(),
    };
  const mark = grows ? rest.lastIndexOf("<") : -1;
  const isMark = mark >= 0 && ENDS.startsWith(rest.slice(mark));
  return { reasoning: (isMark ? rest.slice(0, mark) : rest).trimStart(), answer: "" };
}

/** A text without its reasoning; the whole text if there is nothing else. */
export const withoutReasoning = (text) => partsOf(text).answer || text;
