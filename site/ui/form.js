// Forms: labelled fields, with the errors of a request beside the fields that caused them.

import { announce } from "./announce.js";
import { busy } from "./button.js";
import { fill, h, newId } from "./dom.js";
import { explain } from "./format.js";
import { icon } from "./icons.js";
import { note } from "./note.js";

/**
 * A labelled input. `type` is an input's type, `textarea`, or `select` with `options`, each
 * `[value, text]`. Other props are set on the input. The element has the properties `input`, `hint`
 * (the element with the hint) and `fail(sentence)`, which shows an error; `fail("")` removes the
 * error.
 */
export function field(label, name, props = {}) {
  const { type = "text", hint, options, optional = false, ...rest } = props;
  const id = newId(name);
  const tag = type === "textarea" || type === "select" ? type : "input";
  const { about, below, error, help } = explained(id, hint);
  const kind = tag === "input" ? { type } : {};
  const input = h(
    tag,
    { id, name, class: "input", ...kind, "aria-describedby": about, ...rest },
    options?.map(([value, text]) => h("option", { value }, text)),
  );
  if (rest.value !== undefined) input.value = rest.value;
  input.dataset.optional = optional;
  const element = h(
    "div",
    { class: "field" },
    h("label", { for: id }, label, optional && h("span", { class: "optional" }, " optional")),
    type === "password" ? password(input) : input,
    below,
  );
  element.hint = help;
  return asField(element, input, error);
}

/**
 * A field of checkboxes, one for each of `options`, each `[value, text]`. The property `chosen()`
 * returns the values that are checked, which may be none. `input` is the first checkbox.
 */
export function checkboxes(legend, name, options, { hint } = {}) {
  const { about, below, error } = explained(newId(name), hint);
  const boxes = options.map(([value]) => h("input", { type: "checkbox", name, value }));
  const texts = options.map(([, text]) => h("span", {}, text));
  const element = h(
    "fieldset",
    { class: "field", "aria-describedby": about },
    h("legend", {}, legend, h("span", { class: "optional" }, " optional")),
    h(
      "div",
      { class: "checks" },
      boxes.map((box, index) => h("label", { class: "check" }, box, texts[index])),
    ),
    below,
  );
  element.chosen = () => boxes.filter(({ checked }) => checked).map(({ value }) => value);
  return asField(element, boxes[0], error);
}

/** The hint and the error below an input. `about` contains their ids. */
function explained(id, hint) {
  const error = h("p", { class: "field-error", id: `${id}-error`, hidden: true });
  const help = hint && h("p", { class: "hint", id: `${id}-hint` }, hint);
  const about = [help?.id, error.id].filter(Boolean).join(" ");
  return { about, error, help, below: [help, error] };
}

/** Adds the properties of a field to an element. */
function asField(element, input, error) {
  Object.assign(element, { input, error });
  element.fail = (sentence) => {
    error.hidden = !sentence;
    fill(error, sentence && icon("alert"), sentence && h("span", {}, sentence));
    if (sentence) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  element.addEventListener("input", () => element.fail(""));
  return element;
}

/** A password input with a button that shows the password. */
function password(input) {
  const props = { class: "password-show", "aria-pressed": "false", "aria-label": "Show password" };
  const show = h("button", { type: "button", ...props }, "Show");
  show.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    show.setAttribute("aria-pressed", String(shown));
    show.textContent = shown ? "Hide" : "Show";
  });
  return h("div", { class: "password" }, input, show);
}

/**
 * A form of fields and other nodes. `onsubmit(values)` may throw an `ApiError`. Its `errors` are
 * shown beside their fields, and other failures above the button. `names` maps an error's name to
 * the name of the field that shows it, and `codes` maps a failure's code to such a name. The form
 * keeps the values that the user has typed. `fields()` returns the fields if they aren't direct
 * nodes of the form.
 */
export function form(nodes, props) {
  const { submit, kind = "primary", onsubmit, names = {}, codes = {}, ...others } = props;
  const direct = () => nodes.filter((node) => node.input);
  const { extra = [], words = explain, fields: all = direct, ...attributes } = others;
  const fieldOf = (name) => all().find(({ input }) => input.name === (names[name] ?? name));
  const failure = h("div", { class: "form-failure" });
  const go = h("button", { type: "submit", class: `button button-${kind}` }, h("span", {}, submit));

  /** Shows the errors beside the fields, or the message if no field shows an error. */
  const show = (errors, sentence) => {
    for (const field of all()) field.fail("");
    let rest = sentence;
    for (const [name, sentences] of Object.entries(errors)) {
      fieldOf(name)?.fail(sentences.join(" "));
      if (fieldOf(name)) rest = "";
    }
    fill(failure, rest && note("bad", rest));
    const wrong = all().find(({ input }) => input.hasAttribute("aria-invalid"));
    const closed = wrong?.input.closest("details:not([open])");
    if (closed) closed.open = true;
    // Screen readers read an error only when its field gets the focus.
    if (wrong?.input === document.activeElement) announce(wrong.error.textContent);
    wrong?.input.focus();
  };
  const valueOf = ({ input, chosen }) => {
    if (chosen) return chosen();
    return input.type === "checkbox" ? input.checked : input.value;
  };
  const isMissing = ({ input }) => input.dataset.optional === "false" && input.value === "";

  const element = h(
    "form",
    { class: "form", noValidate: true, ...attributes },
    nodes,
    failure,
    h("div", { class: "form-actions" }, extra, go),
  );
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = all();
    const errors = {};
    for (const field of fields) {
      const { name, validity } = field.input;
      // A half-entered date has the same empty value as no date.
      if (validity.badInput) errors[name] = ["Please complete this."];
      else if (isMissing(field)) errors[name] = ["Please fill this in."];
    }
    if (Object.keys(errors).length > 0) {
      show(errors, "");
      return;
    }
    const values = Object.fromEntries(fields.map((field) => [field.input.name, valueOf(field)]));
    busy(go, async () => {
      show({}, "");
      try {
        await onsubmit(values, element);
      } catch (error) {
        if (error?.name === "AbortError") return;
        const about = codes[error?.code];
        show(about ? { [about]: [words(error)] } : (error.errors ?? {}), words(error));
      }
    });
  });
  return element;
}

/** A typed whole number, or null. Thousands may be separated. */
export function wholeNumber(text) {
  const isGrouped = /^[1-9]\d{0,2}([\s,_']\d{3})*$/.test(text.trim());
  const digits = isGrouped ? text.replace(/\D/g, "") : text.trim();
  return /^\d{1,15}$/.test(digits) ? Number(digits) : null;
}
