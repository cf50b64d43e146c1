// Lists that grow page by page, and tables.

import { announce } from "./announce.js";
import { busy, button } from "./button.js";
import { fill, focusOn, h, whenSeen } from "./dom.js";
import { explain } from "./format.js";
import { note, skeleton } from "./note.js";

/** The maximum number of pages that are read at a time. A page of a search may be empty. */
const MOST_PAGES = 10;

/**
 * A list that grows page by page.
 *
 * `load(next)` resolves with `{items, next}`. `next` is null for the first page and after the last
 * page. `row(item)` makes a node, and `empty` is shown if there are no items. `list` is the element
 * with the rows, and `around(list)` may wrap it. If a page can't be loaded, the list doesn't
 * change. With `atLeast`, the first load reads at least this many rows. The element's `ready`
 * resolves after the first load, and `grown` gets the number of rows whenever it changes. An
 * `endless` list loads the next page when its end comes into view.
 */
export function paged({
  load,
  row,
  empty,
  list = h("ul", { class: "list" }),
  around = (element) => element,
  more = "Show more",
  atLeast = 1,
  grown = () => {},
  endless = false,
}) {
  const foot = h("div", { class: "paged-foot" });
  const wrapped = around(list);
  const element = h("div", { class: "paged" }, wrapped, foot);
  let next = null;
  let shown = 0;
  let isLoading = false;
  const go = button(more, { onclick: () => busy(go, () => add(true)) });

  const add = async (pressed = false) => {
    if (isLoading) return;
    isLoading = true;
    fill(foot, shown === 0 ? skeleton(4) : go);
    const before = shown;
    try {
      const wanted = before === 0 ? atLeast : before + 1;
      for (let pages = 0; pages < MOST_PAGES && shown < wanted; pages += 1) {
        const page = await load(next);
        next = page.next;
        const rows = page.items.map(row);
        list.append(...rows);
        shown += rows.length;
        // Move the focus to the first new row, so that the user continues there.
        if (pressed && before > 0 && rows[0]) focusOn(rows[0]);
        if (!next) break;
      }
      grown(shown);
      wrapped.hidden = shown === 0;
      const soFar = shown === 0 && next && h("p", { class: "muted" }, "Nothing found so far.");
      fill(foot, shown === 0 && !next && empty, soFar, next && go);
      if (pressed && before > 0) announce(`${shown - before} more`);
      // A search that finds no new results continues only if the user asks for more.
      if (next && shown > before) end?.again();
    } catch (error) {
      if (error?.name === "AbortError") return;
      const again = button("Try again", { small: true, onclick: () => add(true) });
      fill(foot, note("bad", h("p", {}, explain(error)), again));
    } finally {
      isLoading = false;
    }
  };
  const end = endless ? whenSeen(foot, () => next && shown > 0 && add()) : null;
  wrapped.hidden = true;
  element.ready = add();
  return element;
}

/**
 * A table that scrolls within its box if it is too wide: `{element, body}`, where `body` contains
 * the rows. Each of `columns` is a string or `{text, class}`.
 */
export function table(caption, columns) {
  const heads = columns.map((column) =>
    h("th", { scope: "col", class: column.class }, column.text ?? column),
  );
  const body = h("tbody", {});
  const element = h(
    "div",
    { class: "table-box", tabIndex: 0, role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", { class: "sr-only" }, caption),
      h("thead", {}, h("tr", {}, heads)),
      body,
    ),
  );
  return { element, body };
}

/**
 * A table whose rows become blocks on narrow screens: `{element, body, row}`, where
 * `row(cells, props)` makes a row from the contents of its cells. Each of `columns` is
 * `{text, class?, head?}`; `head` marks the column that names the row.
 *
 * The roles are explicit because browsers drop a table's implicit roles if its `display` changes.
 */
export function stackedTable(caption, columns) {
  const { element, body } = table(caption, columns);
  element.classList.add("stacked");
  element.querySelector("table").role = "table";
  element.querySelectorAll("thead, tbody").forEach((group) => (group.role = "rowgroup"));
  element.querySelectorAll("tr").forEach((row) => (row.role = "row"));
  element.querySelectorAll("thead th").forEach((head) => (head.role = "columnheader"));

  const cell = ({ text, class: name, head }, content) =>
    h(
      head ? "th" : "td",
      {
        class: name,
        role: head ? "rowheader" : "cell",
        scope: head && "row",
        dataset: { label: text },
      },
      content,
    );
  const row = (cells, props) =>
    h(
      "tr",
      { role: "row", ...props },
      cells.map((content, index) => cell(columns[index], content)),
    );
  return { element, body, row };
}
