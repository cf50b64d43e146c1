// Tables of lists: rows and columns where there is room, else each row a block of its own.

import { h } from "./dom.js";
import { table } from "./list.js";

/**
 * A table whose rows become blocks on narrow screens. `columns`: `{text, class?, head?}` each, where `head` is the cell that names its row.
 * `row(cells, props)` makes a row of one content per column. The roles are spelled out: browsers forget those of cells that are laid out
 * otherwise.
 */
export function stackedTable(caption, columns) {
  const { element, body } = table(caption, columns);
  element.classList.add("admin-stacked");
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
