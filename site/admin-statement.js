// The statement of one user, in pages and as a file.

import { actor, amount } from "./admin-people.js";
import { stackedTable } from "./admin-table.js";
import { announce } from "./announce.js";
import { page } from "./api.js";
import { busy, button } from "./button.js";
import { fill, h } from "./dom.js";
import { file, save } from "./files.js";
import { formatNumber, plural, time } from "./format.js";
import { paged } from "./list.js";
import { attempt } from "./message.js";
import { emptyState } from "./note.js";

const KINDS = { grant: "Grant", adjustment: "Adjustment", chat: "Answer" };

/** `#/users/<id>/statement` */
export function statement(user, path, me, signal) {
  const { element, body, row } = stackedTable(`Statement of ${user.username}, newest first`, [
    { text: "When", class: "admin-when" },
    { text: "Kind", class: "admin-kind" },
    { text: "Amount", class: "number" },
    { text: "Balance after", class: "number admin-after" },
    { text: "Reason", class: "admin-reason" },
    { text: "By", class: "admin-by" },
  ]);
  element.classList.add("admin-statement");
  return h(
    "section",
    { "aria-label": `Statement of ${user.username}` },
    download(user, path, signal),
    paged({
      load: (next) => page(next ?? `${path}ledger`, next ? null : { limit: 25 }, { signal }),
      row: (entry) =>
        row([
          time(entry.timestamp),
          KINDS[entry.kind] ?? entry.kind,
          amount(entry.amount),
          formatNumber(entry.balance),
          // The reason of most answers only repeats their kind.
          entry.reason === entry.kind ? "" : entry.reason,
          entry.actor === user.id ? user.username : actor(entry.actor, null, me),
        ]),
      list: body,
      around: () => element,
      empty: emptyState("receipt", "The balance has not changed yet."),
      more: "Show more rows",
    }),
  );
}

/** The button that reads all pages of the statement into one file with one head. */
function download(user, path, signal) {
  const state = h("div", { class: "admin-progress" });
  const go = button("Download CSV", {
    icon: "download",
    onclick: () => busy(go, () => attempt(run)),
  });

  async function run() {
    const stopping = new AbortController();
    const stop = button("Cancel", { small: true, onclick: () => stopping.abort() });
    const parts = [];
    const count = h("span", {}, "Reading the statement…");
    fill(state, h("progress", { "aria-label": "Reading the statement" }), count, stop);
    try {
      let next = `${path}ledger`;
      while (next) {
        const part = await file(next, {
          query: parts.length === 0 ? { limit: 100 } : {},
          accept: "text/csv",
          signal: AbortSignal.any([signal, stopping.signal]),
        });
        const text = await part.blob.text();
        parts.push(parts.length === 0 ? text : text.slice(text.indexOf("\n") + 1));
        count.textContent = `${plural(parts.length, "page")} read…`;
        next = part.next;
      }
      save(new Blob(parts, { type: "text/csv" }), `statement-${user.username}.csv`);
      announce("The statement was downloaded.");
    } catch (error) {
      if (!stopping.signal.aborted) throw error;
    } finally {
      fill(state);
      go.focus();
    }
  }
  return h("div", { class: "toolbar" }, go, state);
}
