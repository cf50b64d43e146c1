// Buttons, links that look like buttons, and the copy button.

import { announce } from "./announce.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";

/**
 * A button. A button with an `icon` but without text needs a `label`, which is also its tooltip.
 */
export function button(text, props = {}) {
  const { kind = "secondary", icon: name, label, small, ...rest } = props;
  const classes = [
    "button",
    `button-${kind}`,
    small && "button-small",
    name && !text && "button-icon",
  ];
  const named = label ? { "aria-label": label, title: label } : {};
  return h(
    "button",
    { type: "button", class: classes.filter(Boolean).join(" "), ...named, ...rest },
    name && icon(name),
    text && h("span", {}, text),
  );
}

/** A link that looks like a button. */
export function linkButton(text, href, props = {}) {
  const { kind = "secondary", icon: name, small, ...rest } = props;
  const classes = `button button-${kind}${small ? " button-small" : ""}`;
  return h("a", { href, class: classes, ...rest }, name && icon(name), h("span", {}, text));
}

/** Runs `work` and shows the button as busy. Until then, further presses do nothing. */
export async function busy(element, work) {
  if (element.getAttribute("aria-busy") === "true") return undefined;
  element.setAttribute("aria-busy", "true");
  element.setAttribute("aria-disabled", "true");
  try {
    return await work();
  } finally {
    element.removeAttribute("aria-busy");
    element.removeAttribute("aria-disabled");
  }
}

/**
 * A button that copies `text` (a string, or a function that returns one) and shows that it did. If
 * the browser refuses, the button selects the text, so that the user can copy it with the keyboard.
 */
export function copyButton(text, { label = "Copy", small = true, ...props } = {}) {
  const words = h("span", {}, label);
  const classes = `button button-secondary${small ? " button-small" : ""} copy`;
  const element = h("button", { type: "button", class: classes, ...props }, icon("copy"), words);
  element.addEventListener("click", async () => {
    const copied = await copyText(typeof text === "function" ? text() : text, element);
    words.textContent = copied ? "Copied" : "Press Ctrl+C";
    announce(copied ? "Copied." : "The text could not be copied.");
    setTimeout(() => (words.textContent = label), 2000);
  });
  return element;
}

/**
 * Copies a text. Returns true if it was copied. Otherwise the text is selected, in a box after the
 * element `beside`.
 */
export async function copyText(text, beside) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers have no clipboard API without HTTPS, and some require a permission.
    return copySelected(text, beside);
  }
}

/** Copies text by selecting it. After a failure, the text stays selected until the focus moves. */
function copySelected(text, beside) {
  const box = h("textarea", { class: "sr-only", readOnly: true, "aria-label": "Text to copy" });
  box.value = text;
  // Everything outside of an open dialog is inert.
  beside.after(box);
  box.select();
  box.addEventListener("blur", () => box.remove());
  const copied = document.execCommand("copy");
  if (copied) beside.focus();
  return copied;
}
