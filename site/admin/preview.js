// The preview of an edited price list, before it is saved: what users and visitors will see.

import { described } from "../account/choice.js";
import { beginning, modelList } from "../account/door.js";
import { get } from "../session/api.js";
import { boundOf, highestPriceOf, isChat, isFlat, usualOf } from "../session/models.js";
import { button } from "../ui/button.js";
import { dialog } from "../ui/dialog.js";
import { h } from "../ui/dom.js";
import { inCurrency } from "../ui/format.js";

/** The message of the preview: the first one of a chat, of this many bytes. */
const MESSAGE = 1000;

/** The model tokens that are added for a prompt, its turns and its system prompt, at most. */
const OVERHEAD = 1200;

/** Shows the preview of `list`. `before` is the list that is in force, or null. */
export async function previewPrices(list, before) {
  const [served, healthy] = await Promise.all([get("api/models"), get("api/health")]);
  const edited = asListed(list, served);
  const models = edited.models.filter(isChat);
  const offer = offers(list, before, served);
  const visitors = await Promise.all([beginning(healthy, edited), modelList(() => {}, edited)]);
  const isChosen = models.length > 1 || models.some(({ fare }) => !isFlat(fare));
  await dialog(
    "Preview of the prices",
    (close) => [
      // The dialog scrolls to the focused element, so focus the beginning.
      h(
        "p",
        { tabIndex: -1, autofocus: true },
        "This is what users will see. Nothing is saved yet.",
      ),
      h("h3", {}, "Where users choose a model"),
      isChosen
        ? h(
            "ul",
            { class: "admin-offers" },
            models.map((model) => h("li", {}, described(model, offer(model)))),
          )
        : h("p", { class: "muted" }, "Users don't see a choice, because there is only one model."),
      models.some(({ fare }) => !isFlat(fare)) &&
        h(
          "p",
          { class: "hint" },
          inCurrency(
            `The highest prices are those of a first message of ${MESSAGE.toLocaleString("en")} bytes. The usual price is the example's, until users have sent messages with the model.`,
          ),
        ),
      h("h3", {}, "Where visitors log in or create an account"),
      visitors[0] && h("p", {}, visitors[0]),
      visitors[1],
      h(
        "div",
        { class: "dialog-actions" },
        button("Close", { kind: "primary", onclick: () => close() }),
      ),
    ],
    { wide: true },
  );
}

/** The list as `GET /api/models` will return it. What a message usually costs follows the rates. */
function asListed({ models }, served) {
  const first = (isOfChat) => models.find((model) => isChat(model) === isOfChat);
  const usualAs = ({ name, fare }) =>
    served.models.find((one) => one.name === name && isEqual(one.fare, fare))?.usual;
  const listed = (model) => ({
    about: "",
    ...model,
    usual: usualAs(model),
    default: model === first(isChat(model)),
  });
  return { version: "preview", models: models.map(listed) };
}

/** Returns true if two fares by usage have the same rates. */
const isEqual = (one, other) =>
  ["input", "cached", "write", "output"].every((rate) => one[rate] === other[rate]);

/**
 * Returns a function that makes a model's offer for the preview's message. The API knows how much a
 * prompt is longer than its texts, so the offer begins with the prices that it serves now.
 */
function offers(list, before, served) {
  const edited = (name) => list.models.find((model) => model.name === name);
  const systemOf = (from, model) => model?.system ?? from?.system ?? "";
  // Without a text in the list, the server may have a system prompt of its own.
  const known = served.models.find((model) => isChat(model));
  const old = before?.models.find(({ name }) => name === known?.name);
  const rest = known ? known.prompt_overhead - boundOf(systemOf(before, old)) : OVERHEAD;
  return ({ name, fare, usual }) => {
    const model = edited(name);
    const now = served.models.find((one) => one.name === name) ?? known;
    const most = model.most ?? now?.most ?? 1024;
    const prompt = rest + boundOf(systemOf(list, model)) + MESSAGE;
    const highest = highestPriceOf(fare, prompt, most);
    return { usual: Math.min(usualOf({ fare, usual }), highest), max_cost: highest };
  };
}
