// The dialog that creates an API key, with free retries and limits if the user wants them, and shows
// the key once.

import { post } from "../session/api.js";
import { allModels } from "../session/models.js";
import { button, copyButton } from "../ui/button.js";
import { dialog } from "../ui/dialog.js";
import { h } from "../ui/dom.js";
import { checkboxes, field, form, wholeNumber } from "../ui/form.js";
import { inCurrency } from "../ui/format.js";
import { note } from "../ui/note.js";

/** The failures that are shown in a field. */
const CODES = { too_many_api_keys: "name", too_many_limited_keys: "limit.tokens" };

/** Asks for a new key. `created()` runs after the key is created. */
export function createKey(created) {
  return dialog("New API key", (close) => {
    const name = field("Name", "name", {
      maxLength: 100,
      autofocus: true,
      hint: "For example, the name of the program that uses the key.",
    });
    const retries = checkboxes(
      "Retries",
      "retries",
      [["equal_bodies", "Charge equal requests within a minute once"]],
      {
        hint: "For programs that send a request again when its reply is lost, such as opencode, Cline or Vercel's AI SDK, but not for programs that repeat a prompt on purpose.",
      },
    );
    const limits = limitFields();
    const creating = form([name, retries, limits.element], {
      submit: "Create key",
      codes: CODES,
      fields: () => [name, retries, ...limits.fields],
      extra: button("Cancel", { onclick: () => close() }),
      onsubmit: async (values) => {
        const key = await post("api/user/api-keys/", bodyOf(values));
        created();
        const shown = shownOnce(key, close);
        creating.replaceWith(shown);
        shown.querySelector(".copy").focus();
      },
    });
    return creating;
  });
}

/**
 * The collapsed fields for limits: `{element, fields}`. Without a price list, models can't be
 * chosen.
 */
function limitFields() {
  const expires = field("Last day", "expires", {
    type: "date",
    optional: true,
    hint: "The key works until the end of this day in UTC.",
  });
  const names = allModels().map(({ name }) => [name, name]);
  const choice =
    names.length > 0 &&
    checkboxes("Models", "models", names, {
      hint: "The key works for these models only. If none is checked, it works for all.",
    });
  const tokens = field(inCurrency("Token limit"), "limit.tokens", {
    inputMode: "numeric",
    autocomplete: "off",
    optional: true,
    hint: inCurrency("The maximum number of tokens that the key can spend."),
  });
  const per = field("Period", "limit.per", {
    type: "select",
    options: [
      ["total", "In total"],
      ["month", "Each month"],
    ],
    hint: "Months are in UTC.",
  });
  const element = h(
    "details",
    { class: "key-limits" },
    h("summary", {}, "Limits, which can't be added later"),
    h(
      "div",
      { class: "key-limits-fields" },
      h(
        "p",
        { class: "hint" },
        inCurrency(
          "Of these limits, only the token limit can be changed or removed later. A key without a token limit can't get one later.",
        ),
      ),
      expires,
      choice,
      h("div", { class: "fields" }, tokens, per),
    ),
  );
  return { element, fields: [expires, choice, tokens, per].filter(Boolean) };
}

/** The request for a key, from the values of the fields. */
function bodyOf({ name, retries, expires, models: names = [], ...limit }) {
  const tokens = limit["limit.tokens"].trim();
  return {
    name,
    ...(retries.length > 0 && { retries: retries[0] }),
    ...(expires && { expires }),
    ...(names.length > 0 && { models: names }),
    ...(tokens && { limit: { tokens: wholeNumber(tokens), per: limit["limit.per"] } }),
  };
}

/** The new key, which is shown only once. */
function shownOnce({ name, key }, close) {
  // A text area wraps a long key, so that no part of the key is hidden.
  const shown = h("textarea", {
    class: "input mono",
    rows: 4,
    readOnly: true,
    value: key,
    "aria-label": "API key",
    dataset: { once: "" },
    onfocus: () => shown.select(),
  });
  const saved = () => delete shown.dataset.once;
  return h(
    "div",
    {},
    note(
      "warn",
      h(
        "p",
        {},
        h("strong", {}, `Copy the key “${name}” now.`),
        " It is shown only once and can't be recovered.",
      ),
    ),
    h(
      "div",
      { class: "key-shown" },
      shown,
      copyButton(key, { small: false, label: "Copy", onclick: saved }),
    ),
    h(
      "div",
      { class: "dialog-actions" },
      button("Done", { kind: "primary", onclick: () => close() }),
    ),
  );
}
