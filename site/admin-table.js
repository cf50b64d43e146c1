// Tables whose rows become blocks on narrow screens.

import { h } from "./dom.js";
import { table } from "./list.js";

/**
 * A table: `{element, body, row}`, where `row(cells, props)` makes a row from one content per
 * column. Each of `columns` is `{text, class?, head?}`; `head` marks the cell that names its row.
 *
 * The roles are explicit because browsers drop them from tables with another `display`.
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
