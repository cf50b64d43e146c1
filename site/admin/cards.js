// The cards of a form that edits a list. Each card is an item that can be moved and removed. Also
// the note for an editor whose list another person has changed.

import { announce } from "../ui/announce.js";
import { busy, button } from "../ui/button.js";
import { fill, focusOn, h } from "../ui/dom.js";
import { time } from "../ui/format.js";
import { attempt } from "../ui/message.js";
import { note } from "../ui/note.js";
import { author } from "./people.js";

/**
 * The cards and the button that adds a card: `{element, add, rows, load}`. `rows` are the cards'
 * parts in order, and `load(items)` replaces the cards. `make(item, tools)` makes a card's parts:
 * `{element, heading, fields, number}`. `tools.element` contains the card's buttons,
 * `tools.name(text)` names them, and `number(index)` is called when the card's position changes.
 * `fresh()` returns the item for a new card.
 */
export function cards({ add: text, fresh, make }) {
  const rows = [];
  const element = h("div", { class: "admin-cards" });
  const add = button(text, {
    icon: "plus",
    onclick: () => append(fresh()).fields()[0].input.focus(),
  });
  const number = () =>
    rows.forEach((row, index) => {
      row.tools.place(index, rows.length);
      row.number(index);
    });

  function append(item) {
    const tools = toolsOf({ move: (step) => move(row, step), remove: () => remove(row) });
    const row = { ...make(item, tools), tools };
    rows.push(row);
    element.append(row.element);
    number();
    return row;
  }

  function move(row, step) {
    const from = rows.indexOf(row);
    const other = rows[from + step];
    if (!other) return;
    const { activeElement: pressed } = document;
    [rows[from], rows[from + step]] = [other, row];
    other.element[step < 0 ? "before" : "after"](row.element);
    number();
    pressed.focus();
    announce(`Now number ${from + step + 1} of ${rows.length}.`);
  }

  function remove(row) {
    const from = rows.indexOf(row);
    rows.splice(from, 1);
    row.element.remove();
    number();
    const next = rows[Math.min(from, rows.length - 1)];
    if (next) focusOn(next.heading);
    else add.focus();
    announce("Removed.");
  }

  function load(items) {
    rows.length = 0;
    fill(element);
    items.forEach(append);
  }

  return { element, add, rows, load };
}

/** The buttons that move and remove a card. */
function toolsOf({ move, remove }) {
  const tool = (icon, run) =>
    button(null, { kind: "quiet", small: true, icon, label: icon, onclick: run });
  const up = tool("up", () => move(-1));
  const down = tool("down", () => move(1));
  const bin = tool("trash", remove);
  return {
    element: h("div", { class: "admin-tools" }, up, down, bin),
    place(index, count) {
      for (const [element, isEnd] of [
        [up, index === 0],
        [down, index === count - 1],
      ]) {
        if (isEnd) element.setAttribute("aria-disabled", "true");
        else element.removeAttribute("aria-disabled");
      }
    },
    name(text) {
      for (const [element, act] of [
        [up, "Move up"],
        [down, "Move down"],
        [bin, "Remove"],
      ]) {
        element.setAttribute("aria-label", `${act}: ${text}`);
        element.title = `${act}: ${text}`;
      }
    },
  };
}

/** Returns true if two values are the same JSON, except for the order of fields. */
export const isSame = (one, other) => sorted(one) === sorted(other);

const sorted = (value) =>
  JSON.stringify(value, (_, part) =>
    part?.constructor === Object
      ? Object.fromEntries(
          Object.entries(part).toSorted(([one], [other]) => (one < other ? -1 : 1)),
        )
      : part,
  );

/**
 * Shows in `place` that the stored list is newer than the edited one. `what` is a sentence such as
 * `The price list was changed`, and `load()` loads the `newer` list, which is called `name`.
 */
export function showConflict(place, { what, name, newer, load, me }) {
  const loading = button(`Load the ${name}`, {
    small: true,
    onclick: () => busy(loading, () => attempt(load)),
  });
  const who = newer.author && [" by ", author(newer.author, me)];
  const when = newer.time && [", ", time(newer.time), ","];
  const shown = note(
    "warn",
    h("p", {}, what, who, when, " while you were editing. Nothing was saved."),
    h("p", {}, `Your changes stay here until you load the ${name}.`),
    h("div", { class: "note-actions" }, loading),
  );
  shown.setAttribute("role", "alert");
  fill(place, shown);
  loading.focus();
}
