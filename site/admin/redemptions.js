// The users who redeemed vouchers of a batch.

import { page } from "../session/api.js";
import { h } from "../ui/dom.js";
import { formatNumber, formatTokens, plural, time } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { paged, stackedTable } from "../ui/list.js";
import { emptyState } from "../ui/note.js";
import { csvButton } from "./csv.js";
import { userLink } from "./people.js";

const BATCHES = "api/admin/vouchers/";

/** `#/vouchers/<id>` */
export async function redemptionsView({ params: { id }, signal }) {
  const path = `${BATCHES}${encodeURIComponent(id)}/redemptions/`;
  const [batch, first] = await Promise.all([
    batchWithId(id, signal),
    page(path, { limit: 50 }, { signal }),
  ]);
  const name = batch?.name ?? "vouchers";
  const title = `Redemptions of ${name}`;
  const content = h(
    "div",
    { class: "page page-wide" },
    h("p", { class: "admin-back" }, h("a", { href: "#/vouchers" }, icon("back"), "Vouchers")),
    h("h1", {}, title),
    batch &&
      h(
        "p",
        { class: "lead" },
        `Used ${plural(batch.redeemed, "time")}, of at most ${formatNumber(batch.count * batch.uses)}. Each use grants ${formatTokens(batch.tokens)}.`,
      ),
    list(title, first, batch, signal),
    csvButton({
      path,
      list: "list",
      name: () => `vouchers-${name.replace(/[^\w-]+/g, "-")}`,
      signal,
    }),
  );
  return { title, content };
}

/** The batch with this id, or null. */
async function batchWithId(id, signal) {
  for (let next = BATCHES, query = { limit: 100 }; next; query = undefined) {
    const part = await page(next, query, { signal });
    const found = part.items.find((batch) => batch.id === id);
    if (found) return found;
    next = part.next;
  }
  return null;
}

function list(title, first, batch, signal) {
  const { element, body, row } = stackedTable(`${title}, newest first`, [
    { text: "User", head: true },
    { text: "Redeemed", class: "labelled" },
  ]);
  const missing = h("p", { class: "hint", hidden: true });
  let ended = false;
  const load = async (next) => {
    const part = next ? await page(next, null, { signal }) : first;
    ended = part.next === null;
    return part;
  };
  const grown = (rows) => {
    const others = (batch?.redeemed ?? 0) - rows;
    missing.hidden = !ended || others <= 0;
    missing.textContent = `${plural(others, "redemption")} made by an earlier release of Farebox can't be listed.`;
  };
  return h(
    "div",
    {},
    paged({
      load,
      row: (one) =>
        row([userLink(one.user_id, one.username ?? "deleted account"), time(one.timestamp)]),
      list: body,
      around: () => element,
      empty: emptyState("tag", "No redemptions are listed."),
      more: "Show more redemptions",
      grown,
    }),
    missing,
  );
}
