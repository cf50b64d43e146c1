// The preview of an edited price list, before it is saved: what users and visitors will see.

import { described } from "../account/choice.js";
import { modelList, newAccountInWords } from "../account/terms.js";
import { get } from "../session/api.js";
import { ANSWER, boundOf, highestPriceOf, isChat, isFlat, priceOf } from "../session/models.js";
import { button } from "../ui/button.js";
import { dialog } from "../ui/dialog.js";
import { h } from "../ui/dom.js";
import { inCurrency } from "../ui/format.js";

/** The message of the preview: the first one of a chat, of 1,000 bytes. */
const MESSAGE = "This message stands for many others. ".repeat(28).slice(0, 1000);

/** The estimated number of bytes of a text for each of its model tokens. */
const PER_TOKEN = 4;

const tokensOf = (text) => Math.ceil(boundOf(text) / PER_TOKEN);

/** The model tokens that are added for a prompt, its turns and its system prompt, at most. */
const OVERHEAD = 1200;

/** Shows the preview of `list`. `before` is the list that is in force, or null. */
export async function previewPrices(list, before) {
  const [served, healthy] = await Promise.all([get("api/models"), get("api/health")]);
  const edited = asListed(list, served);
  const models = edited.models.filter(isChat);
  const offer = offers(list, before, served);
  const visitors = await Promise.all([
    newAccountInWords(healthy, edited),
    modelList(() => {}, edited),
  ]);
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
            `The prices are those of a first message of ${MESSAGE.length.toLocaleString("en")} bytes. Until users have sent messages with the model, the usual price is that of an answer of ${ANSWER} model tokens.`,
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

/** The list as `GET /api/models` will return it. A model keeps the mean length of its answers. */
function asListed({ models }, served) {
  const first = (isOfChat) => models.find((model) => isChat(model) === isOfChat);
  const listed = (model) => ({
    about: "",
    ...model,
    usual_answer: served.models.find(({ name }) => name === model.name)?.usual_answer,
    default: model === first(isChat(model)),
  });
  return { version: "preview", models: models.map(listed) };
}

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
  const { prompt_overhead: bound = OVERHEAD, usual_overhead: few = 0 } = known ?? {};
  return ({ name, fare, usual_answer: answer = ANSWER }) => {
    const model = edited(name);
    const now = served.models.find((one) => one.name === name) ?? known;
    const most = model.most ?? now?.most ?? 1024;
    const [was, will] = [systemOf(before, old), systemOf(list, model)];
    const prompt = (rest, count) => rest - count(was) + count(will) + count(MESSAGE);
    const highest = highestPriceOf(fare, prompt(bound, boundOf), most);
    const usual = priceOf(fare, Math.max(0, prompt(few, tokensOf)), Math.min(answer, most));
    return { usual: Math.min(usual, highest), max_cost: highest };
  };
}
