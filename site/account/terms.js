// The terms that visitors read beside the log-in and the registration: what a new account's tokens
// buy, the models with their prices, and the operator's legal texts. Loaded after the form, which
// doesn't wait for them.

import { get } from "../session/api.js";
import { answersInWords, fareInWords } from "../session/fares.js";
import { isChat, isFlat, usualOf } from "../session/models.js";
import { branded, currentBrand, useBrand } from "../ui/brand.js";
import { h } from "../ui/dom.js";
import { formatTokens, plural } from "../ui/format.js";

/** The number of models from which the list begins collapsed. */
const MANY = 6;

let reading = null;

/** The price list without an account, or null if it is unknown. */
function readPrices() {
  // Previous releases don't answer visitors.
  reading ??= get("api/models", {}, { open: true })
    .then((list) => {
      useBrand(list.brand);
      return list;
    })
    .catch(() => (reading = null));
  return reading;
}

/**
 * What a new account gets, in a sentence: `healthy` is the reply of `GET /api/health`. `known` is a
 * price list to use instead of the current one.
 */
export async function newAccountInWords({ first_grant: grant, allowance }, known) {
  const list = known ?? (await readPrices());
  const model = list?.models.find((model) => isChat(model) && model.default);
  const free = `Includes ${formatTokens(grant).replace(" ", " free ")}`;
  const sentences = [
    grant > 0 && `${free}${buys(grant, model)}.`,
    allowance && allowanceInWords(allowance, grant > 0 ? "" : buys(allowance.tokens, model)),
  ];
  return sentences.filter(Boolean).join(" ");
}

const allowanceInWords = ({ tokens, per }, buying) =>
  `Your balance is filled up to ${formatTokens(tokens)} each ${per}${buying}.`;

/** `: about 40 answers`, or nothing if that is unknown. */
function buys(tokens, model) {
  const answers = model && answersInWords(tokens, model.fare, usualOf(model));
  return answers ? `: ${answers}` : "";
}

/**
 * The models of the price list, or null without a list. First passes the operator's word for tokens
 * to `useWord`. `known` is a price list to use instead of the current one.
 */
export async function modelList(useWord, known) {
  const list = known ?? (await readPrices());
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

/** A model with its price. By usage, the usual price of an answer comes before the rates. */
function row(model) {
  const { name, about, fare } = model;
  const usual = !isFlat(fare) && `Usually about ${formatTokens(usualOf(model))} an answer`;
  const lines = [about, usual, fareInWords(fare)].filter(Boolean);
  return h(
    "li",
    {},
    h(
      "div",
      {},
      h("strong", {}, name),
      lines.map((line) => h("p", {}, line)),
    ),
  );
}

/** The operator's address, and links to the terms, the privacy policy and the legal details. */
export function legal() {
  return branded(h("div", { class: "legal muted" }), () => {
    const { address, imprint_url: imprint, ...brand } = currentBrand();
    const links = [
      [brand.terms_url, "Terms"],
      [brand.privacy_url, "Privacy"],
      [imprint, "Legal notice"],
    ].filter(([url]) => url);
    return [
      links.length > 0 &&
        h(
          "p",
          { class: "guest-links", style: { justifyContent: "start" } },
          links.map(([href, text]) => h("a", { href, rel: "noopener" }, text)),
        ),
      address && h("address", { style: { fontStyle: "normal", whiteSpace: "pre-line" } }, address),
    ];
  });
}

/** What a new user agrees to. Empty without terms. */
export function consent() {
  return branded(h("p", { class: "muted" }), () => {
    const { terms_url: terms, privacy_url: privacy } = currentBrand();
    const link = (href, text) => h("a", { href, target: "_blank", rel: "noopener" }, text);
    return [
      terms && ["By creating an account, you agree to the ", link(terms, "terms"), ". "],
      privacy && ["The ", link(privacy, "privacy policy"), " says how your data is used."],
    ];
  });
}
