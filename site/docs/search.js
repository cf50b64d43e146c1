// The search in the documentation: all endpoints that contain all words, in any order.

import { fill, h, newId } from "../ui/dom.js";
import { plural } from "../ui/format.js";
import { resolved } from "./description.js";

/** The maximum number of results that are shown. */
const MOST = 12;

/** The names of the fields in a schema, to this depth. */
function names(part, depth = 0) {
  const { properties = {}, items, oneOf = [], anyOf = [], allOf = [] } = resolved(part);
  if (depth > 2) return [];
  return [
    ...Object.keys(properties),
    ...[...Object.values(properties), items, ...oneOf, ...anyOf, ...allOf]
      .filter(Boolean)
      .flatMap((one) => names(one, depth + 1)),
  ];
}

/** The texts of an operation, the most telling first. */
function textsOf({ summary, path, others, id, description = "", parameters, body }) {
  const fields = [...parameters.map(({ name }) => name), ...(body ? names(body) : [])];
  return [summary, [path, ...others, id].join(" "), fields.join(" "), description].map((text) =>
    text.toLowerCase(),
  );
}

/** The box for searching in `sections`. `place` makes the address of a result. */
export function search(sections, place) {
  const index = sections.flatMap((section) =>
    section.operations.map((operation) => ({ section, operation, texts: textsOf(operation) })),
  );
  const id = newId("search");
  const input = h("input", {
    id,
    type: "search",
    class: "input",
    autocomplete: "off",
    placeholder: "Search the API",
  });
  const found = h("ul", { class: "docs-found" });
  const status = h("p", { class: "muted", role: "status" });
  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    // A match in an earlier text is worth more.
    const rank = ({ texts }) =>
      words.reduce((sum, word) => {
        const at = texts.findIndex((text) => text.includes(word));
        return at < 0 ? Infinity : sum + at;
      }, 0);
    const hits = index
      .map((row) => ({ ...row, rank: rank(row) }))
      .filter((row) => words.length > 0 && row.rank < Infinity)
      .sort((one, other) => one.rank - other.rank);
    fill(
      found,
      hits
        .slice(0, MOST)
        .map(({ section, operation }) =>
          h(
            "li",
            {},
            h(
              "a",
              { href: place(section, operation) },
              h("strong", {}, operation.summary),
              h("span", {}, `${operation.method} ${operation.path}`),
            ),
          ),
        ),
    );
    status.textContent =
      words.length === 0
        ? ""
        : hits.length === 0
          ? "Nothing contains these words."
          : plural(hits.length, "endpoint");
  };
  input.addEventListener("input", show);
  input.addEventListener("keydown", ({ key }) => {
    if (key === "Enter") found.querySelector("a")?.click();
    if (key === "Escape") {
      input.value = "";
      show();
    }
  });
  found.addEventListener("click", () => {
    input.value = "";
    show();
  });
  addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
  });
  return h(
    "search",
    { class: "docs-search" },
    h("label", { class: "sr-only", for: id }, "Search the API"),
    input,
    status,
    found,
  );
}
