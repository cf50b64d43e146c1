// Shows below an answer what was charged for it.

import { isFlat, usageInWords } from "../session/models.js";
import { h } from "../ui/dom.js";
import { formatTokens, time } from "../ui/format.js";
import { lazy } from "../ui/lazy.js";

const facts = lazy(() => import("./facts.js"));

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
  const whole = h("details", { class: "turn-about turn-receipt" }, h("summary", {}, about));
  whole.addEventListener("toggle", async () => {
    const module = await facts.read();
    if (module && !whole.querySelector(".facts")) whole.append(module.details(chat));
  });
  return whole;
}
