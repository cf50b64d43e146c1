// The choice of a model: its button, and a model as users see it where they choose one, with its
// name, its description, and its price in words.

import { chooseModel, chosenModel, isFlat, messageInWords, models } from "../session/models.js";
import { h } from "../ui/dom.js";
import { formatNumber, formatTokens } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { menuButton } from "../ui/menu.js";

/**
 * The button that opens the list of models: `{element, show}`, where `show()` shows the chosen
 * model. `offer(model)` returns a model's offer for the text in the box.
 */
export function picker(offer) {
  const name = h("span", { class: "clip" });
  const choice = (model) => ({
    text: described(model, offer(model)),
    checked: model === chosenModel(),
    run: () => chooseModel(model.name),
  });
  const element = menuButton("Model", () => models().map(choice), {
    face: [name, icon("down")],
    isLeft: true,
    class: "button button-quiet button-small picker",
  });
  const show = () => {
    const label = `Model: ${chosenModel().name}`;
    // Laying the button out again would take time at each letter.
    if (element.title === label) return;
    name.textContent = chosenModel().name;
    element.setAttribute("aria-label", label);
    element.title = label;
  };
  return { element, show };
}

/**
 * The price of a message by usage, in two parts: `Usually about 88,` and `at most 1,692 tokens`.
 * Empty while it is unknown.
 */
export const usualAndMost = (offer) =>
  offer
    ? [`Usually about ${formatNumber(offer.usual)},`, `at most ${formatTokens(offer.max_cost)}`]
    : [];

/** A model's name, its description, and its price in words. `offer` is the offer for a message. */
export function described({ name, about, fare }, offer) {
  const price = isFlat(fare) ? messageInWords(fare) : usualAndMost(offer).join(" ");
  return h(
    "span",
    { class: "picker-model" },
    h("span", { class: "picker-name" }, name),
    about && [" ", h("span", { class: "picker-about" }, about)],
    " ",
    h("span", { class: "picker-price" }, price),
  );
}
