// The price list: the current or an earlier version, and its removal.

import { get, request } from "../session/api.js";
import { ANSWER, PROMPT, examplePrice, isFlat } from "../session/models.js";
import { button, linkButton } from "../ui/button.js";
import { confirm } from "../ui/dialog.js";
import { h } from "../ui/dom.js";
import { explain, formatNumber, formatTokens, inCurrency, time } from "../ui/format.js";
import { stackedTable } from "../ui/list.js";
import { attempt, toast } from "../ui/message.js";
import { emptyState, note } from "../ui/note.js";
import { editors } from "./cards.js";
import { changes } from "./changes.js";
import { forAll, formatMargin, formatMoney, moneyOf } from "./money.js";
import { author } from "./people.js";

export const PATH = "api/admin/models";

export const EXAMPLE = `a prompt of ${formatNumber(PROMPT)} and an answer of ${formatNumber(ANSWER)} model tokens`;

const rate = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });

/** The audit log's entries about price lists. */
const HISTORY = "#/trail?act=prices";

/** The address of the view of a version, or of the current list. */
export const pricesPlace = (version) =>
  version ? `#/prices?version=${encodeURIComponent(version)}` : "#/prices";

/** `#/prices`, `#/prices?version=<version>` */
export async function pricesView({ query, signal, title }, me, reload) {
  const [current, asked] = await Promise.all([
    get(PATH, null, { signal }),
    query.version && get(PATH, { version: query.version }, { signal }),
  ]);
  const read = asked || current;
  const isOld = read.version !== current.version;
  const name = isOld ? "Earlier price list" : title;
  const changed = h("div", {});
  if (read.list)
    // The view doesn't wait for the audit log.
    changes(read, { path: PATH, isOpen: Boolean(asked), signal })
      .then((found) => found && changed.append(found))
      .catch(() => {});
  const content = h(
    "div",
    { class: "page page-wide" },
    h(
      "div",
      { class: "page-head" },
      h("h1", {}, name),
      h("div", { class: "toolbar admin-head" }, isOld ? oldTools(read) : tools(read, reload)),
    ),
    isOld && note("info", "This version isn't in force. It can't be changed."),
    asked && !isOld && note("info", "This version is in force."),
    unsaved(),
    read.list
      ? [
          about(read, me),
          pricesTable(read.list),
          explanation(read.list),
          changed,
          prompts(read.list),
        ]
      : await noList(signal),
  );
  return { title: name, content };
}

function tools({ list, version }, reload) {
  return [
    linkButton("History", HISTORY, { kind: "quiet", icon: "history" }),
    list &&
      button("Remove the list", {
        kind: "danger",
        icon: "trash",
        onclick: () => remove(version, reload),
      }),
    list && linkButton("Edit", "#/prices/edit", { kind: "primary", icon: "pencil" }),
  ];
}

/** A way back to unsaved changes. */
function unsaved() {
  const kept = editors.get("prices");
  if (!kept?.isChanged()) return null;
  const place = `#/prices/edit${kept.from ? `?from=${encodeURIComponent(kept.from)}` : ""}`;
  const back = linkButton("Go on editing", place, { small: true, icon: "pencil" });
  return note("warn", "Your changes to the prices aren't saved. ", back);
}

function oldTools({ version }) {
  const copy = `#/prices/edit?from=${encodeURIComponent(version)}`;
  return [
    linkButton("History", HISTORY, { kind: "quiet", icon: "history" }),
    linkButton("Edit a copy", copy, { icon: "pencil" }),
    linkButton("Show the current prices", "#/prices", { kind: "primary" }),
  ];
}

/** The page without a price list. */
async function noList(signal) {
  const { models } = await get("api/models", null, { signal });
  const price = models[0]?.fare.message;
  const cost = Number.isInteger(price) && `Every message costs ${formatTokens(price)}.`;
  const begin = linkButton("Create a price list", "#/prices/edit", {
    kind: "primary",
    icon: "plus",
  });
  const what = "With a price list, users choose between models, each with its own price.";
  return h(
    "div",
    { class: "card" },
    emptyState("tag", "No price list", h("p", {}, cost, " ", what), begin),
  );
}

/** Who stored a version, and when. */
function about({ version, author: by, time: stored }, me) {
  return h(
    "p",
    { class: "lead" },
    "Version ",
    h("code", {}, version),
    by && [", by ", author(by, me)],
    stored && [", ", time(stored)],
    ".",
  );
}

async function remove(version, reload) {
  const removed = await confirm(
    "Remove the price list?",
    "Users can't choose a model any more, all messages have the same price again, and the list's system prompts no longer apply. The list stays in the history.",
    {
      action: "Remove the list",
      danger: true,
      run: () => request("PUT", PATH, { body: { list: null, version } }),
      words: refusal,
    },
  );
  if (!removed) return;
  await attempt(reload);
  toast("The price list has been removed.");
}

/** The error message for a list that couldn't be saved. */
export function refusal(error) {
  if (error.code !== "price_list_changed") return explain(error);
  return "The price list has been changed in the meantime. Reload the page to see the newer one.";
}

/** A table of the models in a list. */
function pricesTable({ models, currency, million_tokens: million }) {
  const each = moneyOf(million);
  const hasCosts = models.some(({ cost }) => cost);
  const hasMargins = hasCosts && each !== null;
  const money = (amount) => (amount === null ? "unknown" : formatMoney(amount, currency));
  const columns = [
    { text: "Model", head: true },
    { text: "Answered by", class: "labelled" },
    { text: "Price", class: "labelled" },
    { text: "Example", class: "number labelled" },
    hasCosts && { text: "Cost", class: "number labelled" },
    hasMargins && { text: "Margin", class: "number labelled" },
    { text: "Limits", class: "labelled" },
  ].filter(Boolean);
  const { element, body, row } = stackedTable("Models and their prices", columns);
  element.classList.add("admin-prices");
  const cells = (model) => {
    const { tokens, income, cost } = example(model, million);
    return [
      [
        h("strong", {}, model.name),
        isDefault(models, model) && [" ", h("span", { class: "badge badge-accent" }, "Default")],
        isEmbedding(model) && [" ", h("span", { class: "badge" }, "Embeddings")],
        model.aliases && h("p", { class: "row-about" }, "Also ", model.aliases.join(", ")),
        model.about && h("p", { class: "row-about" }, model.about),
      ],
      lines(model.via.map((via) => h("code", {}, via))),
      price(model),
      lines([formatTokens(tokens), income !== null && formatMoney(income, currency)]),
      ...(hasCosts ? [money(cost)] : []),
      ...(hasMargins ? [cost === null ? "unknown" : formatMargin(income, cost, currency)] : []),
      lines(limits(model)),
    ];
  };
  body.append(...models.map((model) => row(cells(model))));
  return element;
}

/** Lines of a cell, or nothing. */
function lines(all) {
  const shown = all.filter(Boolean);
  const line = (content) => h("div", {}, content);
  return shown.length > 0 && h("div", { class: "admin-lines" }, shown.map(line));
}

/** Explains the numbers in the table. */
function explanation({ currency, million_tokens: million, models }) {
  const each = moneyOf(million);
  const worth = each !== null && ` A million tokens cost users ${formatMoney(each, currency)}.`;
  const embeddings = models.some(isEmbedding) ? " Models for embeddings get only the prompt." : "";
  return h(
    "p",
    { class: "hint admin-example" },
    inCurrency(
      `The example is ${EXAMPLE}, of which nothing is cached.${embeddings} Rates are in tokens per million model tokens.${worth || ""}`,
    ),
  );
}

/** The system prompts, for all models and for individual models. */
function prompts({ system, models }) {
  const ofModels = models.filter((model) => model.system);
  const all = [
    ...(system ? [["All models", system]] : []),
    ...ofModels.map((model) => [`Only ${model.name}`, model.system]),
  ];
  const prompt = ([whose, text]) => [h("dt", {}, whose), h("dd", { class: "admin-text" }, text)];
  return (
    all.length > 0 &&
    h(
      "section",
      { class: "card", "aria-labelledby": "prompts" },
      h("h2", { id: "prompts" }, "System prompts"),
      h("dl", { class: "admin-said" }, all.map(prompt)),
    )
  );
}

/** Returns true for a model that returns vectors for texts, and doesn't answer messages. */
const isEmbedding = ({ kind }) => kind === "embedding";

/** Returns true for the first model of its kind. */
const isDefault = (models, model) =>
  models.find((other) => isEmbedding(other) === isEmbedding(model)) === model;

/** A model's fare: its price, or its rates, each with its share of the example's price. */
function price(model) {
  const { fare } = model;
  if (isFlat(fare))
    return `${formatTokens(fare.message)} a ${isEmbedding(model) ? "request" : "message"}`;
  const ofAnswer = [
    ["Cached", fare.cached, PROMPT],
    ["Written", fare.write, PROMPT],
    ["Answer", fare.output, ANSWER],
  ];
  const rates = [["Prompt", fare.input, PROMPT], ...(isEmbedding(model) ? [] : ofAnswer)];
  const isSet = ([, each]) => each !== undefined;
  const rows = rates
    .filter(isSet)
    .map(([name, each, count]) => [
      h("dt", {}, name),
      h("dd", { class: "number" }, formatNumber(each)),
      " ",
      h(
        "dd",
        { class: "muted" },
        `${rate.format((each * count) / 1e6)} for ${formatNumber(count)}`,
      ),
    ]);
  return h("dl", { class: "admin-rates" }, rows);
}

function limits(model) {
  const { fare, most, context, picture, prompt_limit: prompt, answer_limit: answer } = model;
  const pictures = picture ? `At most ${formatNumber(picture)} for a picture` : "No pictures";
  return [
    most && `At most ${formatNumber(most)} for an answer`,
    context && `Context of ${formatNumber(context)}`,
    !isEmbedding(model) && (picture || !isFlat(fare)) && pictures,
    prompt && `Prompts of at most ${formatNumber(prompt)} bytes`,
    answer && `Answers of at most ${formatNumber(answer)} bytes`,
  ];
}

/**
 * The example message's price in tokens, what users pay for these tokens, and what the provider
 * charges. Unknown amounts of money are null.
 */
export function example(model, million) {
  const { fare, cost } = model;
  const tokens = examplePrice(fare);
  const each = moneyOf(million);
  // A model for embeddings doesn't have an answer.
  const ofAnswer = isEmbedding(model) ? "0" : cost?.output;
  const [input, output] = [moneyOf(cost?.input), moneyOf(ofAnswer)];
  return {
    tokens,
    income: each === null ? null : forAll(tokens, each),
    cost: input === null || output === null ? null : forAll(PROMPT, input) + forAll(ANSWER, output),
  };
}

/** A rate's share of the example's price: `1,000 model tokens cost 50 tokens` */
export function rateInWords(price, isPrompt) {
  const count = isPrompt ? PROMPT : ANSWER;
  const tokens = inCurrency(`${rate.format((price * count) / 1e6)} tokens`);
  return `${formatNumber(count)} model tokens cost ${tokens}.`;
}
