// Shows below an answer what was charged for it.

import { fareInWords, isFlat, usageInWords } from "../session/models.js";
import { h } from "../ui/dom.js";
import { formatNumber, formatTokens, inCurrency, time } from "../ui/format.js";

/**
 * An answer's model, price and time, and the token counts if the price depends on them. With a
 * price list, also details.
 */
export function charged(chat) {
  const { model, tokens_deducted: cost, timestamp, usage, receipt } = chat;
  // A flat price doesn't depend on the counts.
  const isByUsage = receipt && usage && !isFlat(receipt.fare);
  const words = [model, formatTokens(cost), isByUsage && usageInWords(usage)];
  const about = [words.filter(Boolean).join(" · "), " · ", time(timestamp)];
  if (!receipt) return h("span", { class: "turn-about" }, about);
  return h("details", { class: "turn-about turn-receipt" }, h("summary", {}, about), details(chat));
}

function details({ tokens_deducted: cost, usage, receipt }) {
  const { fare, held, prices, whole } = receipt;
  const facts = [
    ["Charged", formatTokens(cost)],
    ["Held", `At most ${formatTokens(held)} were held until the answer was complete`],
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
