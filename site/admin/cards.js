// The cards of a form that edits a list. Each card is an item that can be moved and removed. Also
// the editors that are kept, the note for an editor whose list another person has changed, and the
// questions before an editor's changes are lost.

import { isSignedIn } from "../session/api.js";
import { announce } from "../ui/announce.js";
import { busy, button } from "../ui/button.js";
import { confirm } from "../ui/dialog.js";
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

/** The names and texts of a form's fields. They show whether the form was changed. */
export const typed = (fields) =>
  JSON.stringify(fields.map(({ input }) => [input.name, input.value]));

/**
 * The editors, `{from, content, isChanged}`, by the name of what they edit. An editor with unsaved changes
 * is kept when the administrator leaves its view.
 */
export const editors = new Map();

/**
 * The view with the editor of `what`: the kept one, or else the one that `make()` resolves with. If
 * the kept editor has unsaved changes and began `from` another version, asks before it is replaced.
 */
export async function keptEditor(what, make, from) {
  const kept = editors.get(what);
  if (kept?.isChanged() && (kept.from === from || !(await mayDiscard(what))))
    return { content: kept.content };
  const { content, isChanged } = await make();
  editors.set(what, { from, content, isChanged });
  return { content };
}

/**
 * The page of an editor, `{content, isChanged}`: its title, buttons, and a sentence about what is
 * stored precede the editor.
 */
export function editorPage({ title, tools, lead, isWide = false }, { element, isChanged }) {
  const content = h(
    "div",
    { class: isWide ? "page page-wide" : "page" },
    h(
      "div",
      { class: "page-head" },
      h("h1", {}, title),
      h("div", { class: "toolbar admin-head" }, tools),
    ),
    h("p", { class: "lead" }, lead),
    element,
  );
  return { content, isChanged };
}

// Asks before the page is closed or left, if unsaved changes would be lost. A page whose session has
// ended doesn't ask, because the next user may be another person.
addEventListener("beforeunload", (event) => {
  const isChanged = [...editors.values()].some((editor) => editor.isChanged());
  if (isSignedIn() && isChanged) event.preventDefault();
});

/** A sentence for the question before an act that discards unsaved changes, or "". */
export const lossOf = (what) =>
  editors.get(what)?.isChanged() ? ` Your unsaved changes to the ${what} are lost.` : "";

const listed = new Intl.ListFormat("en");

/** Asks before a log-out, if unsaved changes would be lost. Resolves with true if they may be. */
export async function mayLogOut() {
  const changed = [...editors].filter(([, { isChanged }]) => isChanged());
  const all = listed.format(changed.map(([what]) => `the ${what}`));
  const text = `Your unsaved changes to ${all} are lost when you log out.`;
  const how = { action: "Log out", danger: true };
  return changed.length === 0 || confirm("Discard the changes?", text, how);
}

/** Asks before changes, such as changed `prices`, are lost. Resolves with true if they may be. */
export const mayDiscard = (what) =>
  confirm("Discard the changes?", `The ${what} that you have changed aren't saved.`, {
    action: "Discard",
    danger: true,
  });

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
