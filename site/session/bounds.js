// The maximum number of model tokens in texts, which determines the highest price of a message.

import { formatTokens } from "../ui/format.js";
import { areModelsKnown, chosenModel, highestPriceOf, isFlat, watchModels } from "./models.js";

/**
 * The length, in bytes, of the sentence before the user's instructions. The instructions are quoted
 * line by line.
 */
const PER_INSTRUCTIONS = 160;

const encoder = new TextEncoder();
const bytes = (text) => encoder.encode(text).length;

/** The maximum number of model tokens in a string. Tokenizers may normalize the string first. */
export const boundOf = (text) =>
  Math.max(bytes(text), bytes(text.normalize("NFC")), bytes(text.normalize("NFKC")));

/** The maximum number of model tokens in instructions. */
export const boundOfInstructions = (text) =>
  text ? boundOf(text.replaceAll(/^|[\n\r\v\f\x85\u2028\u2029]/g, "$&> ")) + PER_INSTRUCTIONS : 0;

/**
 * A text node that says how much the instructions in `box` add to the price of each message. It
 * changes with the text and with the chosen model.
 */
export function instructionsCost(box) {
  const shown = document.createTextNode("");
  const show = () => {
    shown.textContent = areModelsKnown() ? addedBy(box.value) : "";
  };
  const unwatch = watchModels(() => (box.isConnected ? show() : unwatch()));
  box.addEventListener("input", show);
  show();
  return shown;
}

function addedBy(instructions) {
  const model = chosenModel();
  if (!model || isFlat(model.fare)) return "They don't change the price of a message.";
  const most = highestPriceOf(model.fare, boundOfInstructions(instructions), 0);
  return `With ${model.name}, they add at most ${formatTokens(most)} to the price of each message.`;
}
