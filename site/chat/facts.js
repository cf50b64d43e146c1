// The details of what was charged for an answer.

import { fareInWords } from "../session/fares.js";
import { isFlat } from "../session/models.js";
import { h } from "../ui/dom.js";
import { formatNumber, formatTokens, inCurrency } from "../ui/format.js";

/** The charge for an answer, the price, and the token counts if the price depends on them. */
export function details({ tokens_deducted: cost, usage, receipt }) {
  const { fare, held, prices, whole } = receipt;
  const facts = [
    ["Charged", formatTokens(cost)],
    [
      "Held",
      cost === held && usage && !whole && !isFlat(fare)
        ? `At most ${formatTokens(held)} were held and charged. Usage beyond them is free`
        : `At most ${formatTokens(held)} were held until the answer was complete`,
    ],
    ["Price", fareInWords(fare)],
    ...(usage ? counted(usage) : []),
    whole && [
      "Stopped",
      inCurrency("All held tokens were charged, because the answer wasn't shown"),
    ],
    ["Price list", h("code", {}, prices)],
  ];
  const row = ([name, value]) => [h("dt", {}, name), h("dd", {}, value)];
  return h("dl", { class: "facts" }, facts.filter(Boolean).map(row));
}

/** The model token counts of the prompt and the answer. */
function counted({ prompt_tokens: prompt, completion_tokens: answer, ...more }) {
  const { cached_tokens: cached, written_tokens: written, reasoning_tokens: reasoning } = more;
  const of = (number, ...parts) =>
    [
      `${formatNumber(number)} model tokens`,
      ...parts.map(([part, what]) => part && `${formatNumber(part)} of them ${what}`),
    ]
      .filter(Boolean)
      .join(", ");
  const inCache = [
    [cached, "from the provider's cache"],
    [written, "written to its cache"],
  ];
  return [
    ["Prompt", of(prompt, ...inCache)],
    ["Answer", of(answer, [reasoning, "for reasoning"])],
    more.estimated && ["Counted", "As an estimate, because the provider reported no counts"],
  ];
}
