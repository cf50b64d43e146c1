// A button that reads all pages of a list into one CSV file with one header row.

import { file, save } from "../session/files.js";
import { announce } from "../ui/announce.js";
import { busy, button } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { plural } from "../ui/format.js";
import { attempt } from "../ui/message.js";

/**
 * The button and its progress. `path` is the list's path, and `query()` returns the query. `list`
 * is the list's name in sentences, such as `statement`, and `name()` returns the file's name.
 */
export function csvButton({ path, query = () => ({}), list, name, signal }) {
  const state = h("div", { class: "admin-progress" });
  const go = button("Download CSV", {
    icon: "download",
    onclick: () => busy(go, () => attempt(run)),
  });

  async function run() {
    const stopping = new AbortController();
    const stop = button("Cancel", { small: true, onclick: () => stopping.abort() });
    const parts = [];
    const count = h("span", {}, `Reading the ${list}…`);
    fill(state, h("progress", { "aria-label": `Reading the ${list}` }), count, stop);
    try {
      for (let next = path; next;) {
        const part = await file(next, {
          query: parts.length === 0 ? { ...query(), limit: 100 } : {},
          accept: "text/csv",
          signal: AbortSignal.any([signal, stopping.signal]),
        });
        const text = await part.blob.text();
        parts.push(parts.length === 0 ? text : text.slice(text.indexOf("\n") + 1));
        count.textContent = `${plural(parts.length, "page")} read…`;
        next = part.next;
      }
      save(new Blob(parts, { type: "text/csv" }), `${name()}.csv`);
      announce(`The ${list} was downloaded.`);
    } catch (error) {
      if (!stopping.signal.aborted) throw error;
    } finally {
      fill(state);
      go.focus();
    }
  }
  return h("div", { class: "toolbar" }, go, state);
}
