// Buttons, links that look like them, and the button that copies a text.

import { announce } from "./announce.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";

/** A button. With an `icon` and no text it needs a `label`, which is its tooltip too. */
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

/** Runs `work` while the button shows that it is busy. Presses in the meantime do nothing. */
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
 * A button that copies `text`, which is a string or a function, and says so. If the browser doesn't
 * copy, the text is selected for the keys that do.
 */
export function copyButton(text, { label = "Copy", small = true, ...props } = {}) {
  const words = h("span", {}, label);
  const classes = `button button-secondary${small ? " button-small" : ""} copy`;
  const element = h("button", { type: "button", class: classes, ...props }, icon("copy"), words);
  element.addEventListener("click", async () => {
    const copied = await copy(typeof text === "function" ? text() : text, element);
    words.textContent = copied ? "Copied" : "Press Ctrl+C";
    announce(copied ? "Copied." : "It could not be copied.");
    setTimeout(() => (words.textContent = label), 2000);
  });
  return element;
}

async function copy(text, beside) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // There is no clipboard without HTTPS, and some browsers ask for a permission.
    return copySelected(text, beside);
  }
}

/** Copies a text by selecting it. It stays selected, until the focus moves, if that fails. */
function copySelected(text, beside) {
  const box = h("textarea", { class: "sr-only", readOnly: true, "aria-label": "Text to copy" });
  box.value = text;
  // In a dialog, everything outside of it is inert.
  beside.after(box);
  box.select();
  box.addEventListener("blur", () => box.remove());
  const copied = document.execCommand("copy");
  if (copied) beside.focus();
  return copied;
}

/** Disables a button for some seconds, and shows how many are left. */
export function countDown(element, text, seconds) {
  const words = element.querySelector("span");
  const ends = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((ends - Date.now()) / 1000);
    words.textContent = left > 0 ? `${text} in ${left} s` : text;
    if (left > 0) {
      element.setAttribute("aria-disabled", "true");
      setTimeout(tick, 250);
    } else element.removeAttribute("aria-disabled");
  };
  tick();
}
