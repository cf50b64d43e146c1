// The form that edits the price list: its models in their order, each with its fare and limits.

import { ApiError, get, request } from "../session/api.js";
import { busy, button } from "../ui/button.js";
import { fill, focusOn, h, newId } from "../ui/dom.js";
import { field, form, wholeNumber } from "../ui/form.js";
import { explain, formatTokens, inCurrency } from "../ui/format.js";
import { attempt, toast } from "../ui/message.js";
import { go } from "../ui/router.js";
import { cards, editors, isSame, keptEditor, mayDiscard, showConflict, typed } from "./cards.js";
import { formatMargin, formatMoney } from "./money.js";
import { previewPrices } from "./preview.js";
import { EXAMPLE, PATH, example, rateInWords } from "./prices.js";

/** The model in a new row. */
const NEW = { name: "", via: [], fare: { message: "" } };

/** The fields that this form edits. Fields from a later release don't change. */
const LIST_FIELDS = ["currency", "million_tokens", "system", "models"];
const MODEL_FIELDS = [
  "name",
  "kind",
  "aliases",
  "about",
  "via",
  "fare",
  "most",
  "context",
  "picture",
  "prompt_limit",
  "answer_limit",
  "system",
  "cost",
];

/** The fields that a model for embeddings doesn't have. */
const OF_CHAT = [
  "fare.cached",
  "fare.write",
  "fare.output",
  "most",
  "picture",
  "answer_limit",
  "system",
  "cost.cached",
  "cost.write",
  "cost.output",
];

const RATES = ["fare.input", "fare.cached", "fare.write", "fare.output"];

const TEXT = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };

/** An optional text of several lines. */
const LINES = { type: "textarea", rows: 4, autocomplete: "off", optional: true };

/** `#/prices/edit`, `#/prices/edit?from=<version>` */
export function pricesEditor({ query: { from }, signal, title }, me) {
  const make = async () => {
    const [current, old] = await Promise.all([
      get(PATH, null, { signal }),
      from && get(PATH, { version: from }, { signal }),
    ]);
    return editor(title, current, (old || current).list, me);
  };
  return keptEditor("prices", make, from);
}

function leave() {
  editors.delete("prices");
  go("#/prices");
}

/**
 * The view with the rows of `list`: `{content, isChanged}`. Saving it replaces the version in
 * `current`.
 */
function editor(title, current, list, me) {
  let { version } = current;
  let more = {};
  let loaded;
  const currency = field("Currency", "list.currency", {
    ...TEXT,
    optional: true,
    maxLength: 3,
    hint: "The currency of the providers' prices: three capital letters, such as USD.",
  });
  const million = field(inCurrency("A million tokens cost"), "list.million_tokens", {
    ...TEXT,
    optional: true,
    inputMode: "decimal",
    hint: "What users pay for them in this currency, such as 20.00.",
  });
  const system = field("System prompt", "list.system", {
    ...LINES,
    hint: "The AI gets it with every message, before the user's instructions. Farebox doesn't show it to users, but the AI may repeat it, so don't include secrets.",
  });
  const money = () => ({
    currency: currency.input.value.trim(),
    million_tokens: million.input.value.trim(),
  });
  const models = cards({
    add: "Add a model",
    fresh: () => NEW,
    make: (model, tools) => modelRow(model, { isDefault, money, tools }),
  });
  const { rows } = models;
  const isDefault = (kind, heading) => rows.find((row) => row.kind() === kind)?.heading === heading;
  const conflict = h("div", { class: "admin-conflict" });
  const fields = () => [...rows.flatMap((row) => row.fields()), currency, million, system];

  function load(shown) {
    const { models: all = [NEW] } = shown ?? {};
    more = others(shown, LIST_FIELDS);
    currency.input.value = shown?.currency ?? "";
    million.input.value = shown?.million_tokens ?? "";
    system.input.value = shown?.system ?? "";
    models.load(all);
    fields().forEach((one) => one.fail(""));
    loaded = typed(fields());
  }

  const isChanged = () => typed(fields()) !== loaded;

  /** Leaves the form. Asks first if changes would be lost. */
  async function cancel() {
    if (!isChanged() || (await mayDiscard("prices"))) leave();
  }

  /** Returns the list in the form. Throws an error that names the fields without a whole number. */
  function written() {
    const errors = {};
    const all = rows.map((row) => row.written(errors));
    const prompt = { system: system.input.value.trim() };
    if (Object.keys(errors).length === 0)
      return { ...more, ...given(money()), ...given(prompt), models: all };
    const detail = "Enter whole numbers.";
    throw new ApiError({ status: 400, code: "invalid_fields", detail, errors });
  }

  /** Returns the list in the form. Throws an error if a model has no name or no price. */
  function complete() {
    const shown = written();
    const isPriced = ({ name, fare }) =>
      name && Object.values(fare).every((rate) => Number.isInteger(rate));
    if (shown.models.every(isPriced)) return shown;
    const detail = "Enter the name and the price of every model first.";
    throw new ApiError({ status: 400, code: "invalid_fields", detail, errors: {} });
  }

  async function save() {
    fill(conflict);
    try {
      const sent = written();
      await request("PUT", PATH, { body: { list: sent, version } }).catch(async (error) => {
        if (error.code !== "price_list_changed") throw error;
        const newer = await get(PATH);
        // The reply to an earlier attempt may have been lost.
        if (!isSame(newer.list, sent)) throw Object.assign(error, { newer });
      });
    } catch (error) {
      if (!error.newer) throw atFields(error, fields());
      showConflict(conflict, {
        what: `The price list was ${error.newer.list ? "changed" : "removed"}`,
        name: "newer list",
        newer: error.newer,
        load: loadNewer,
        me,
      });
      return;
    }
    leave();
    toast("The prices have been saved. They apply within a minute.");
  }

  async function loadNewer() {
    const newer = await get(PATH);
    version = newer.version;
    load(newer.list);
    fill(conflict);
    focusOn(rows[0].heading);
    toast("The newer price list has been loaded.");
  }

  const general = h(
    "section",
    { class: "card", "aria-labelledby": "money" },
    h("h2", { id: "money" }, "Money"),
    h(
      "p",
      { class: "muted" },
      inCurrency(
        "For margins and statistics. If you enter what a million tokens cost, programs also see prices in money.",
      ),
    ),
    h("div", { class: "fields" }, currency, million),
  );
  const ai = h(
    "section",
    { class: "card", "aria-labelledby": "ai" },
    h("h2", { id: "ai" }, "The AI"),
    h("div", { class: "fields" }, system),
  );
  const preview = button("Preview", {
    onclick: () => busy(preview, () => attempt(() => previewPrices(complete(), current.list))),
  });
  const element = form([models.element, h("div", {}, models.add), general, ai, conflict], {
    submit: "Save the prices",
    extra: [button("Cancel", { onclick: cancel }), preview],
    "aria-label": "Price list",
    fields,
    words: inWords,
    onsubmit: save,
  });
  element.addEventListener("input", () => rows.forEach((row) => row.show()));
  load(list);
  const lead = "Users see the models in this order. The first one is the default.";
  const content = h(
    "div",
    { class: "page page-wide" },
    h("h1", {}, title),
    h("p", { class: "lead" }, lead, ` The example is ${EXAMPLE}.`),
    element,
  );
  return { content, isChanged };
}

/**
 * The fields of a model: `{element, heading, fields, kind, number, show, written}`. `number(index)`
 * names the fields by the model's position in the list, and `written(errors)` returns the model.
 */
function modelRow(model, { isDefault, money, tools }) {
  const { fare, cost = {} } = model;
  const count = (label, value, props) =>
    field(label, "whole", { ...TEXT, inputMode: "numeric", value: value ?? "", ...props });
  const limit = (label, value, hint) => count(label, value, { optional: true, hint });
  const decimal = (label, value, needed = " Required if you set any provider's price.") =>
    field(label, "decimal", {
      ...TEXT,
      inputMode: "decimal",
      optional: true,
      value: value ?? "",
      hint: `Per million model tokens, such as 1.25.${needed}`,
    });
  const parts = {
    name: field("Name", "name", {
      ...TEXT,
      value: model.name,
      maxLength: 64,
      hint: "Letters, digits and . _ : / -",
    }),
    kind: field("Answers", "kind", {
      type: "select",
      options: [
        ["chat", "Messages"],
        ["embedding", "Texts, with embeddings"],
      ],
      value: model.kind ?? "chat",
    }),
    aliases: field("Aliases", "aliases", {
      ...TEXT,
      type: "textarea",
      rows: 2,
      optional: true,
      value: (model.aliases ?? []).join("\n"),
      hint: "Other names, one per line. A name that ends with * matches all names with this beginning.",
    }),
    about: field("Description", "about", {
      value: model.about ?? "",
      maxLength: 200,
      autocomplete: "off",
      optional: true,
      hint: "Users see it when they choose a model.",
    }),
    via: field("Answered by", "via", {
      ...TEXT,
      type: "textarea",
      rows: 2,
      value: model.via.join("\n"),
      hint: "One provider per line, such as openai:gpt-5-mini. They are tried in this order.",
    }),
    fare: field("Price", "fare", {
      type: "select",
      options: [
        ["message", "For each message"],
        ["usage", "By model tokens"],
      ],
      value: "message" in fare ? "message" : "usage",
    }),
    "fare.message": count(inCurrency("Tokens a message"), fare.message),
    "fare.input": count("Rate of the prompt", fare.input, { hint: " " }),
    "fare.cached": count("Rate of a cached prompt", fare.cached, { hint: " " }),
    "fare.write": count("Rate of a prompt written to the cache", fare.write, {
      optional: true,
      hint: " ",
    }),
    "fare.output": count("Rate of the answer", fare.output, { hint: " " }),
    most: limit("Longest answer", model.most, "In model tokens."),
    context: limit("Context", model.context, "In model tokens. Shown to programs."),
    picture: limit(
      "Picture",
      model.picture,
      "The maximum number of model tokens that one picture can use.",
    ),
    prompt_limit: limit("Prompt, at most", model.prompt_limit, "In bytes."),
    answer_limit: limit("Answer, at most", model.answer_limit, "In bytes."),
    system: field("System prompt", "system", {
      ...LINES,
      value: model.system ?? "",
      hint: "For this model, instead of the system prompt for all models.",
    }),
    "cost.input": decimal("Provider's price of the prompt", cost.input),
    "cost.cached": decimal("Provider's price, cached", cost.cached),
    "cost.write": decimal("Provider's price, written to the cache", cost.write, ""),
    "cost.output": decimal("Provider's price of the answer", cost.output),
  };
  const isByUsage = () => parts.fare.input.value === "usage";
  const kind = () => parts.kind.input.value;
  const unused = () => [
    ...(isByUsage() ? ["fare.message"] : RATES),
    ...(kind() === "embedding" ? OF_CHAT : []),
  ];

  const title = h("span", {});
  const place = h("span", { class: "badge badge-accent" }, "Default");
  const heading = h("h2", { id: newId("model") }, title, " ", place);
  const result = h("p", { class: "hint admin-example" });
  const group = (...names) =>
    h(
      "div",
      { class: "fields" },
      names.map((key) => parts[key]),
    );
  const element = h(
    "section",
    { class: "card", "aria-labelledby": heading.id },
    h("div", { class: "card-head" }, heading, tools.element),
    group("name", "kind", "aliases", "about", "via"),
    group("fare", "fare.message", ...RATES),
    result,
    group("most", "context", "picture", "prompt_limit", "answer_limit"),
    group("system"),
    group("cost.input", "cost.cached", "cost.write", "cost.output"),
  );

  function fields() {
    const hidden = unused();
    return Object.keys(parts).flatMap((key) => (hidden.includes(key) ? [] : parts[key]));
  }

  function number(index) {
    for (const [key, { input }] of Object.entries(parts))
      input.name = `list.models[${index}].${key}`;
    show();
  }

  /** Shows the fields of the chosen kind of price, and the example's price. */
  function show() {
    const name = parts.name.input.value.trim();
    title.textContent = name || "New model";
    tools.name(name || "the new model");
    place.hidden = !isDefault(kind(), heading);
    const hidden = unused();
    for (const [key, part] of Object.entries(parts)) part.hidden = hidden.includes(key);
    for (const key of RATES) {
      const rate = wholeNumber(parts[key].input.value);
      const words =
        rate === null ? "Per million model tokens." : rateInWords(rate, key !== "fare.output");
      parts[key].querySelector(".hint").textContent = inCurrency(words);
    }
    const errors = {};
    const shown = written(errors);
    const { write = 0, ...needed } = shown.fare;
    const isWhole = [write, ...Object.values(needed)].every(Number.isInteger);
    result.textContent = isWhole ? exampleInWords(shown, money()) : "";
  }

  function written(errors) {
    const hidden = unused();
    const whole = (key) => {
      const { name: at, value } = parts[key].input;
      if (hidden.includes(key) || value.trim() === "") return undefined;
      const read = wholeNumber(value);
      if (read === null) errors[at] = ["Enter a whole number, such as 50000."];
      return read ?? undefined;
    };
    const text = (key) => (hidden.includes(key) ? "" : parts[key].input.value.trim());
    const listed = (key) =>
      text(key)
        .split(/[\s,]+/)
        .filter(Boolean);
    const costs = given({
      input: text("cost.input"),
      cached: text("cost.cached"),
      write: text("cost.write"),
      output: text("cost.output"),
    });
    const aliases = listed("aliases");
    const isEmbedding = kind() === "embedding";
    const needed = isEmbedding ? ["input"] : ["input", "cached", "output"];
    const rates = Object.fromEntries(needed.map((name) => [name, whole(`fare.${name}`)]));
    return {
      ...others(model, MODEL_FIELDS),
      name: text("name"),
      ...given({ kind: isEmbedding && "embedding", aliases: aliases.length > 0 && aliases }),
      via: listed("via"),
      fare: isByUsage()
        ? { ...rates, ...given({ write: whole("fare.write") }) }
        : { message: whole("fare.message") },
      ...given({ about: text("about"), most: whole("most"), context: whole("context") }),
      ...given({ picture: whole("picture"), system: text("system") }),
      ...given({ prompt_limit: whole("prompt_limit"), answer_limit: whole("answer_limit") }),
      ...given({ cost: Object.keys(costs).length > 0 && costs }),
    };
  }

  return { element, heading, fields, kind, number, show, written };
}

/** Returns the fields of an object that have a value. */
const given = (fields) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value || value === 0));

/** Returns the fields of an object except those in `names`. */
const others = (object, names) =>
  Object.fromEntries(Object.entries(object ?? {}).filter(([name]) => !names.includes(name)));

/** The example message's price, cost and margin. */
function exampleInWords(model, { currency, million_tokens: million }) {
  const { tokens, income, cost } = example(model, million);
  const worth = income !== null && ` (${formatMoney(income, currency)})`;
  const asked = cost !== null && `, the provider asks ${formatMoney(cost, currency)}`;
  const left = worth && asked && `, and ${formatMargin(income, cost, currency)} is left`;
  const words = [`The example costs ${formatTokens(tokens)}`, worth, asked, left, "."];
  return words.filter(Boolean).join("");
}

/** Returns a refusal, with its errors renamed to the closest fields in the form. */
function atFields(error, fields) {
  const names = fields.map(({ input }) => input.name);
  const nearest = (name) => {
    for (let at = name; at.includes("."); at = at.replace(/(\.\w+|\[\d+\])$/, ""))
      if (names.includes(at)) return at;
    const isModel = /^list\.models\[\d+\]/.test(name);
    return (isModel && names.find((one) => one.startsWith(name))) || name;
  };
  const errors = {};
  for (const [name, sentences] of Object.entries(error.errors ?? {}))
    errors[nearest(name)] = [...(errors[nearest(name)] ?? []), ...sentences];
  return Object.assign(error, { errors });
}

/** A failure's message, with the errors that don't belong to a field. */
function inWords(error) {
  const general = Object.entries(error.errors ?? {}).filter(
    ([name]) => !/^list\.\w+(\[\d+\])?\./.test(name),
  );
  const sentences = general.flatMap(([, all]) => all);
  return sentences.length > 0 ? sentences.join(" ") : explain(error);
}
