// A button that opens a list of choices.

import { fill, h, newId } from "./dom.js";
import { icon } from "./icons.js";

/**
 * A button that opens a list of `choices`, each `{text, icon, run, href, danger, checked}`. Escape,
 * a press elsewhere and a choice close the list, and arrow keys move in it. The button shows `face`
 * or, without `face`, an icon. The list is aligned with the button's left edge if `isLeft`,
 * otherwise with its right edge.
 */
export function menuButton(label, choices, options = {}) {
  const { icon: name = "more", face = null, isLeft = false, ...props } = options;
  const list = h("div", { class: "menu", popover: "auto", id: newId("menu") });
  const opener = h(
    "button",
    {
      type: "button",
      class: `button button-quiet ${face ? "" : "button-icon button-small"}`,
      "aria-label": label,
      title: label,
      "aria-expanded": "false",
      "aria-controls": list.id,
      ...props,
    },
    face ?? icon(name),
  );
  let wasOpen = false;
  opener.addEventListener("pointerdown", () => (wasOpen = list.matches(":popover-open")));
  opener.addEventListener("click", ({ detail: presses }) => {
    // A press on the button while the list is open has already closed the list, because the button
    // is outside of the list.
    const hasClosedIt = presses > 0 && wasOpen;
    if (list.matches(":popover-open") || hasClosedIt) return;
    const chosen = typeof choices === "function" ? choices() : choices;
    fill(
      list,
      chosen.filter(Boolean).map((choice) => item(choice, list)),
    );
    if (!list.isConnected) opener.after(list);
    list.showPopover();
    place(list, opener, isLeft);
    opener.setAttribute("aria-expanded", "true");
    list.firstElementChild?.focus();
  });
  list.addEventListener("beforetoggle", ({ newState }) => {
    if (newState === "closed") opener.setAttribute("aria-expanded", "false");
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const items = [...list.children];
    items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
  });
  return opener;
}

function item({ text, icon: name, run, href, danger, checked }, list) {
  const mark = checked && [icon("check"), h("span", { class: "sr-only" }, "chosen")];
  const inside = [name && icon(name), h("span", {}, text), mark];
  const props = {
    class: `menu-item${danger ? " menu-danger" : ""}`,
    onclick: () => {
      list.hidePopover();
      run?.();
    },
  };
  return href
    ? h("a", { href, ...props }, inside)
    : h("button", { type: "button", ...props }, inside);
}

/** Places the list below its button, or above it if there is no space below. */
function place(list, opener, isLeft) {
  const box = opener.getBoundingClientRect();
  const isBelow = box.bottom + list.offsetHeight + 8 < innerHeight;
  const top = isBelow ? box.bottom + 4 : Math.max(8, box.top - list.offsetHeight - 4);
  const rightmost = innerWidth - list.offsetWidth - 8;
  const wanted = isLeft ? box.left : box.right - list.offsetWidth;
  const left = Math.min(Math.max(8, wanted), rightmost);
  Object.assign(list.style, { left: `${Math.max(8, left)}px`, top: `${top}px` });
}
