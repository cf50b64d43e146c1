// What a visitor learns about prices beside the log-in and the registration: what a new account's
// tokens buy, and the models. Loaded after the form, which doesn't wait for it.

import { get } from "../session/api.js";
import { examplePrice, fareInWords, isChat, isFlat } from "../session/models.js";
import { h } from "../ui/dom.js";
import { formatTokens, plural } from "../ui/format.js";

/** The number of models from which the list begins collapsed. */
const MANY = 6;

let reading = null;

/** The price list without an account, or null if it is unknown. */
function readPrices() {
  // Previous releases don't answer visitors.
  reading ??= get("api/models", {}, { open: true }).catch(() => (reading = null));
  return reading;
}

/** What a new account gets, in a sentence. `healthy` is the reply of `GET /api/health`. */
export async function beginning({ first_grant: grant, allowance }) {
  const list = await readPrices();
  const fare = list?.models.find((model) => isChat(model) && model.default)?.fare;
  const free = `Includes ${formatTokens(grant).replace(" ", " free ")}`;
  const sentences = [
    grant > 0 && `${free}${buys(grant, fare)}.`,
    allowance && filling(allowance, grant > 0 ? "" : buys(allowance.tokens, fare)),
  ];
  return sentences.filter(Boolean).join(" ");
}

const filling = ({ tokens, per }, buying) =>
  `Your balance is filled up to ${formatTokens(tokens)} each ${per}${buying}.`;

/** `: about 40 answers`, or nothing if that is unknown. */
function buys(tokens, fare) {
  const price = fare ? examplePrice(fare) : 0;
  if (price === 0 || tokens < price) return "";
  const answers = plural(Math.floor(tokens / price), "answer");
  return `: about ${answers}${isFlat(fare) ? "" : " of a usual length"}`;
}

/**
 * The models of the price list, or null without a list. First passes the operator's word for tokens
 * to `useWord`.
 */
export async function modelList(useWord) {
  const list = await readPrices();
  if (list) useWord(list.currency);
  const models = list?.models.filter(isChat) ?? [];
  if (!list?.version || models.length === 0) return null;
  return h(
    "details",
    { class: "guest-models", open: models.length < MANY },
    h(
      "summary",
      {},
      `${plural(models.length, "model")} and ${models.length === 1 ? "its price" : "their prices"}`,
    ),
    h("ul", { class: "guest-facts" }, models.map(row)),
  );
}

const row = ({ name, about, fare }) =>
  h(
    "li",
    {},
    h("div", {}, h("strong", {}, name), about && h("p", {}, about), h("p", {}, fareInWords(fare))),
  );
