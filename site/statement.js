// The statement: all changes of the balance, in pages and as a file.

import { file, page, save } from "./api.js";
import { lowBalance } from "./balance.js";
import { busy, button } from "./button.js";
import { h } from "./dom.js";
import { formatClock, formatDay, formatNumber, formatSigned, time } from "./format.js";
import { paged, table } from "./list.js";
import { attempt, toast } from "./message.js";
import { emptyState, note } from "./note.js";

const KINDS = { grant: "Grant", chat: "Answer", adjustment: "Adjustment" };

/** `#/statement` */
export function statement({ signal }) {
  const { element: box, body } = table("Statement, newest first", [
    "When",
    "What",
    { text: "Tokens", class: "number" },
    { text: "Balance", class: "number" },
  ]);
  const row = (entry) =>
    h(
      "tr",
      {},
      h("td", {}, time(entry.timestamp, dayAndClock)),
      h("td", {}, what(entry)),
      h("td", { class: `number ${entry.amount > 0 ? "good" : ""}` }, formatSigned(entry.amount)),
      h("td", { class: "number" }, formatNumber(entry.balance)),
    );
  const list = paged({
    load: (next) => page(next ?? "api/user/ledger/", next ? undefined : { limit: 50 }, { signal }),
    row,
    list: body,
    around: () => box,
    empty: emptyState("receipt", "Your balance has not changed yet"),
  });
  const download = button("Download as CSV", {
    icon: "download",
    onclick: () => busy(download, () => attempt(() => csv(signal))),
  });
  const low = lowBalance();
  return {
    title: "Statement",
    content: h(
      "div",
      { class: "page" },
      h("div", { class: "page-head" }, h("h1", {}, "Statement"), download),
      h(
        "p",
        { class: "lead" },
        "All changes of your balance, newest first. Entries are never changed.",
      ),
      low && note("warn", low),
      list,
    ),
  };
}

/** Two elements, so that a narrow column breaks between them. */
function dayAndClock(timestamp) {
  return [
    h("span", { class: "nowrap" }, formatDay(timestamp)),
    " ",
    h("span", { class: "nowrap muted" }, formatClock(timestamp)),
  ];
}

function what({ kind, reason }) {
  const name = KINDS[kind] ?? kind;
  const plain = reason === kind || (kind === "grant" && reason === "registration");
  if (plain) return kind === "grant" ? "Grant for a new account" : name;
  return [h("span", {}, name), ": ", h("span", {}, reason)];
}

/** Reads all pages of the statement into one file with one head. */
async function csv(signal) {
  const parts = [];
  let next = "api/user/ledger/";
  while (next) {
    const part = await file(next, {
      query: parts.length === 0 ? { limit: 100 } : undefined,
      accept: "text/csv",
      signal,
    });
    const text = await part.blob.text();
    parts.push(parts.length === 0 ? text : text.slice(text.indexOf("\n") + 1));
    next = part.next;
  }
  save(new Blob(parts, { type: "text/csv" }), "farebox-statement.csv");
  toast("Your statement is downloaded.");
}
