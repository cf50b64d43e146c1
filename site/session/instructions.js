// What instructions add to the prices of messages.

import { formatTokens } from "../ui/format.js";
import {
  areModelsKnown,
  boundOfInstructions,
  chosenModel,
  highestPriceOf,
  isFlat,
  models,
  watchModels,
} from "./models.js";

/** The number of models up to which each one is named. */
const FEW = 4;

/**
 * A text node that says how much the instructions in `box` add to the price of each message. It
 * changes with the text and with the models.
 * @param {HTMLTextAreaElement} box
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

/** @param {string} instructions */
function addedBy(instructions) {
  const all = models();
  if (all.every(({ fare }) => isFlat(fare))) return "They don't change the price of a message.";
  const bound = boundOfInstructions(instructions);
  /** @param {Model} model */
  const addedTo = ({ fare }) => (isFlat(fare) ? 0 : highestPriceOf(fare, bound, 0));
  /** @param {number} tokens */
  const inWords = (tokens) => (tokens > 0 ? `at most ${formatTokens(tokens)}` : "nothing");
  if (all.length === 1) return `They add ${inWords(addedTo(all[0]))} to the price of each message.`;
  const named = all.length > FEW ? [chosenModel()] : all;
  const each = named.map((model) => `${inWords(addedTo(model))} with ${model.name}`);
  const highest = Math.max(...all.map(addedTo));
  if (all.length > FEW && highest > addedTo(chosenModel()))
    each.push(`${inWords(highest)} with any other model`);
  return `They add to the price of each message: ${each.join(", ")}.`;
}
