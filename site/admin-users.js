// The users, newest first, and the search by the beginning of a name or an e-mail address.

import { createUser } from "./admin-create.js";
import { roleBadge, standingBadge, userLink, userPlace } from "./admin-people.js";
import { stackedTable } from "./admin-table.js";
import { announce } from "./announce.js";
import { page } from "./api.js";
import { button } from "./button.js";
import { fill, h, newId } from "./dom.js";
import { formatDay, plural, time } from "./format.js";
import { icon } from "./icons.js";
import { paged } from "./list.js";
import { toast } from "./message.js";
import { emptyState } from "./note.js";
import { go } from "./router.js";

/** How long after the last typed letter the search begins, in milliseconds. */
const REST = 250;

/** The list as it was left: its search, the number of its rows, and how far it was scrolled. */
let left = { q: "", rows: 1, top: 0 };

/** The address of the list as it was left. */
export const usersPlace = () =>
  left.q ? `#/users?${new URLSearchParams({ q: left.q })}` : "#/users";

/** `#/users?q=ann` */
export function usersView({ query, signal }) {
  const id = newId("search");
  const input = h("input", {
    id,
    class: "input",
    type: "search",
    value: query.q ?? "",
    autocomplete: "off",
    autocapitalize: "none",
    maxLength: 254,
    placeholder: "Username or e-mail address",
    "aria-describedby": `${id}-hint`,
  });
  const results = h("div", {});
  let searching = new AbortController();
  let resting;

  const search = async (q, said = true) => {
    const isSame = q === left.q && !said;
    const { rows, top } = isSame ? left : { rows: 1, top: 0 };
    left = { q, rows, top: 0 };
    searching.abort();
    searching = new AbortController();
    const own = AbortSignal.any([signal, searching.signal]);
    const list = usersList(q, own, rows);
    fill(results, list);
    await list.ready;
    if (!own.aborted && top > 0) scrollTo(0, top);
    if (said && !own.aborted) announce(found(list, q));
  };

  const changed = () => {
    clearTimeout(resting);
    const q = input.value.trim();
    if (q === (query.q ?? "")) return;
    query = { q };
    // Replaced, so that not every letter becomes an entry of the browser's history.
    history.replaceState(null, "", q ? `#/users?${new URLSearchParams({ q })}` : "#/users");
    search(q);
  };
  input.addEventListener("input", () => {
    clearTimeout(resting);
    resting = setTimeout(changed, REST);
  });
  signal.addEventListener("abort", () => clearTimeout(resting));

  const content = h(
    "div",
    { class: "page page-wide" },
    h(
      "div",
      { class: "page-head" },
      h("h1", {}, "Users"),
      button("New user", { kind: "primary", icon: "plus", onclick: create }),
    ),
    h(
      "search",
      {},
      h(
        "form",
        { class: "toolbar", onsubmit: (event) => (event.preventDefault(), changed()) },
        h(
          "div",
          { class: "admin-search" },
          h("label", { for: id }, "Search"),
          h("div", { class: "search" }, icon("search"), input),
          h(
            "p",
            { class: "hint", id: `${id}-hint` },
            "Search by the beginning of a username or an e-mail address.",
          ),
        ),
      ),
    ),
    results,
  );
  results.addEventListener("click", () => (left.top = scrollY));
  search(input.value.trim(), false);
  return { title: "Users", content };
}

/** Shows the user whom the administrator creates. */
async function create() {
  const created = await createUser();
  if (!created) return;
  const { user, invited } = created;
  go(userPlace(user.id));
  toast(invited ? `${user.username} is invited by e-mail.` : `${user.username} is created.`);
}

function usersList(q, signal, atLeast) {
  const { element, body, row } = stackedTable(
    q ? `Users that begin with ${q}` : "Users, newest first",
    [
      { text: "Username", head: true },
      { text: "E-mail", class: "admin-email" },
      { text: "Role" },
      { text: "Status" },
      { text: "Member since", class: "admin-joined" },
    ],
  );
  return paged({
    load: (next) => page(next ?? "api/admin/users/", next ? null : { q, limit: 25 }, { signal }),
    row: (user) =>
      row([
        userLink(user.id, user.username),
        user.email ?? h("span", { class: "muted" }, "no address"),
        roleBadge(user.role),
        standingBadge(user.active),
        time(user.date_joined, formatDay),
      ]),
    list: body,
    around: () => element,
    empty: q
      ? emptyState(
          "search",
          `No user begins with “${q}”.`,
          h("p", {}, "The search compares the first letters of usernames and e-mail addresses."),
        )
      : emptyState("users", "No users yet."),
    more: "Show more users",
    atLeast,
    grown: (rows) => (left.rows = rows),
  });
}

function found(list, q) {
  const count = list.querySelectorAll("tbody tr").length;
  const more = list.querySelector(".paged-foot button") ? "at least " : "";
  return count === 0
    ? q
      ? `No user begins with ${q}.`
      : "No users."
    : `${more}${plural(count, "user")} found.`;
}
