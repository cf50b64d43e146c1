// The choice of the model for the next messages.

import { chooseModel, chosenModel, fareInWords, isFlat, models } from "../session/models.js";
import { h } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { menuButton } from "../ui/menu.js";
import { usualAndMost } from "./offer.js";

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
    name.textContent = chosenModel().name;
    element.setAttribute("aria-label", label);
    element.title = label;
  };
  return { element, show };
}

/** A model's name, its description, and its price in words. */
function described({ name, about, fare }, offer) {
  const price = isFlat(fare) ? fareInWords(fare) : usualAndMost(offer).join(" ");
  return h(
    "span",
    { class: "picker-model" },
    h("span", { class: "picker-name" }, name),
    about && [" ", h("span", { class: "picker-about" }, about)],
    " ",
    h("span", { class: "picker-price" }, price),
  );
}
