// The users that are selected in the list, and the bar with the acts on them.

import { page } from "../session/api.js";
import { announce } from "../ui/announce.js";
import { busy, button, linkButton } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { formatNumber, inCurrency, plural } from "../ui/format.js";
import { attempt, toast } from "../ui/message.js";

/** The maximum number of selected users. */
const MOST_USERS = 500;

/**
 * The selected users, by id. They stay selected until an act on them has finished or the
 * administrator leaves the page.
 */
export const selection = new Map();

const ACTS = [
  ["grant", "Grant tokens"],
  ["deactivate", "Deactivate"],
  ["activate", "Reactivate"],
  ["sessions", "End sessions"],
  ["addresses", "Addresses as CSV"],
];

/**
 * The bar above a list of users: `{element, box}`. `box(user)` makes the checkbox of a row, and
 * `asked` is the query of the whole list.
 */
export function selectionBar(asked, signal) {
  const boxes = new Map();
  const count = h("span", { class: "admin-selected" });
  const acts = h("div", { class: "toolbar" });
  const all = h("input", { type: "checkbox", onchange: () => chooseShown(all.checked) });
  const every = button("Select the whole list", {
    small: true,
    onclick: () => busy(every, () => attempt(chooseList)),
  });
  const element = h(
    "div",
    { class: "admin-selection", role: "group", "aria-label": "Selected users" },
    h(
      "div",
      { class: "toolbar" },
      h("label", { class: "check" }, all, h("span", {}, "Select all shown")),
      every,
      count,
    ),
    acts,
  );

  function show() {
    const chosen = selection.size;
    const shown = [...boxes.keys()].filter((id) => selection.has(id)).length;
    all.checked = boxes.size > 0 && shown === boxes.size;
    all.indeterminate = shown > 0 && shown < boxes.size;
    const elsewhere = chosen - shown;
    const others = elsewhere > 0 ? `, ${formatNumber(elsewhere)} of them not shown` : "";
    count.textContent = chosen > 0 ? `${plural(chosen, "user")} selected${others}` : "";
    const links = ACTS.map(([act, text]) =>
      linkButton(inCurrency(text), `#/users/bulk?act=${act}`, {
        small: true,
        class: "button button-secondary button-small",
      }),
    );
    const clear = button("Clear the selection", {
      small: true,
      kind: "quiet",
      onclick: () => {
        selection.clear();
        boxes.forEach((box) => (box.checked = false));
        show();
        all.focus();
        announce("No users are selected.");
      },
    });
    // Existing links stay, so that the focus isn't lost.
    if (chosen === 0) fill(acts);
    else if (!acts.hasChildNodes()) fill(acts, links, clear);
  }

  /** Selects a user, or tells the administrator that too many are selected. */
  function choose(user, isChosen) {
    if (!isChosen) selection.delete(user.id);
    else if (selection.size < MOST_USERS || selection.has(user.id)) selection.set(user.id, user);
    else return false;
    return true;
  }

  const full = () =>
    toast(`At most ${formatNumber(MOST_USERS)} users can be selected.`, { kind: "bad" });

  function chooseShown(isChosen) {
    const fits = [...boxes.values()].map((box) => choose(box.user, isChosen));
    boxes.forEach((box, id) => (box.checked = selection.has(id)));
    if (fits.includes(false)) full();
    show();
    announce(`${plural(selection.size, "user")} selected.`);
  }

  async function chooseList() {
    for (let next = "api/admin/users/", query = { ...asked, limit: 100 }; next; query = null) {
      const part = await page(next, query, { signal });
      const fits = part.items.map((user) => choose(user, true));
      next = part.next;
      if (fits.includes(false)) {
        full();
        break;
      }
    }
    boxes.forEach((box, id) => (box.checked = selection.has(id)));
    show();
    announce(`${plural(selection.size, "user")} selected.`);
  }

  function box(user) {
    // The list has newer facts about the user.
    if (selection.has(user.id)) selection.set(user.id, user);
    const input = h("input", {
      type: "checkbox",
      class: "admin-select",
      checked: selection.has(user.id),
      "aria-label": `Select ${user.username}`,
      onchange: () => {
        if (!choose(user, input.checked)) {
          input.checked = false;
          full();
        }
        show();
      },
    });
    input.user = user;
    boxes.set(user.id, input);
    // A finger can press beside the box.
    return h("label", { class: "admin-pick" }, input);
  }

  show();
  return { element, box, show };
}
