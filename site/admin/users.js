// The list of users: all users, newest first, or the users that match a search and filters.

import { page } from "../session/api.js";
import { button, linkButton } from "../ui/button.js";
import { h } from "../ui/dom.js";
import { field } from "../ui/form.js";
import { formatAgo, formatDay, formatNumber, inCurrency, time } from "../ui/format.js";
import { paged, stackedTable } from "../ui/list.js";
import { toast } from "../ui/message.js";
import { emptyState } from "../ui/note.js";
import { go } from "../ui/router.js";
import { createUser } from "./create.js";
import { filters } from "./filters.js";
import { emailAddress, roleBadge, standingBadge, userLink, userPlace } from "./people.js";
import { selectionBar } from "./selection.js";

/** The list's state when the user left it: filters, number of rows and scroll position. */
let left = { chosen: "", rows: 1, top: 0 };

/** The address of the list with its last filters. */
export const usersPlace = () => (left.chosen ? `#/users?${left.chosen}` : "#/users");

/** `#/users?q=ann&role=admin` */
export function usersView({ query, signal, title }) {
  const search = field("Search", "q", {
    type: "search",
    autocomplete: "off",
    autocapitalize: "none",
    maxLength: 254,
    placeholder: "Username or e-mail address",
    hint: "Any part of a username or e-mail address.",
  });
  const role = field("Role", "role", {
    type: "select",
    options: [
      ["", "All"],
      ["admin", "Administrators"],
      ["user", "Users"],
    ],
  });
  const status = field("Status", "active", {
    type: "select",
    options: [
      ["", "All"],
      ["true", "Active"],
      ["false", "Deactivated"],
    ],
  });
  const order = field("Order", "sort", {
    type: "select",
    options: [
      ["", "Newest first"],
      ["-last_message", "Most recently active"],
      ["last_message", "Longest inactive"],
      ["-spent", inCurrency("Most tokens spent")],
      ["-tokens", "Highest balance"],
      ["tokens", "Lowest balance"],
    ],
    hint: "Sort orders other than newest first are updated once a day and show 1,000 users.",
  });
  const amount = (label, name) =>
    field(label, name, { type: "number", min: 0, step: 1, autocomplete: "off" });
  const show = (chosen, own) => {
    const key = new URLSearchParams(chosen).toString();
    const { rows, top } = key === left.chosen ? left : { rows: 1, top: 0 };
    left = { chosen: key, rows, top: 0 };
    const list = usersList(chosen, own, rows);
    list.ready.then(() => {
      if (!own.aborted && top > 0) scrollTo(0, top);
    });
    return list;
  };
  const { element } = filters({
    place: "#/users",
    label: "Filter users",
    fields: [search, role, status, order],
    more: [
      amount("Balance from", "tokens_from"),
      amount("Balance to", "tokens_to"),
      field("Last active from", "last_message_from", { type: "date" }),
      field("Last active to", "last_message_to", {
        type: "date",
        hint: "Also finds users who never sent a message.",
      }),
    ],
    query,
    signal,
    show,
  });
  element.addEventListener("click", () => (left.top = scrollY));
  // Search results are always ordered by name. The box keeps the order for the whole list.
  const byName = h("option", {}, "By name");
  const arrange = () => {
    const { input } = order;
    const { value } = input;
    input.disabled = search.input.value.trim() !== "";
    if (input.disabled) {
      byName.value = value;
      input.append(byName);
      byName.selected = true;
    } else {
      byName.remove();
      input.value = value;
    }
  };
  element.addEventListener("input", arrange);
  arrange();
  const content = h(
    "div",
    { class: "page page-wide" },
    h(
      "div",
      { class: "page-head" },
      h("h1", {}, title),
      h(
        "div",
        { class: "toolbar admin-head" },
        linkButton("Bulk grants", "#/users/grants", { icon: "coin" }),
        button("New user", { kind: "primary", icon: "plus", onclick: create }),
      ),
    ),
    element,
  );
  return { content };
}

/** Creates a user and shows the user's page. */
async function create() {
  const created = await createUser();
  if (!created) return;
  const { user, invited } = created;
  go(userPlace(user.id));
  toast(
    invited ? `${user.username} has been invited by e-mail.` : `${user.username} has been created.`,
  );
}

function usersList(chosen, signal, atLeast) {
  const { element, body, row } = stackedTable(caption(chosen), [
    { text: "Username", head: true },
    { text: "E-mail", class: "admin-email" },
    { text: "Role" },
    { text: "Status" },
    { text: "Balance", class: "number admin-tokens" },
    { text: "Spent", class: "number admin-tokens" },
    { text: "Last active", class: "admin-joined" },
    { text: "Member since", class: "admin-joined" },
  ]);
  const how = chosen.q ? { match: "anywhere", sort: null } : {};
  const asked = { ...chosen, ...how, details: true };
  const bar = selectionBar(asked, signal);
  bar.element.hidden = true;
  const shown = paged({
    load: (next) =>
      page(next ?? "api/admin/users/", next ? null : { ...asked, limit: 25 }, { signal }),
    row: (user) =>
      row([
        h("span", { class: "admin-selectable" }, bar.box(user), userLink(user.id, user.username)),
        user.email ? emailAddress(user.email) : h("span", { class: "muted" }, "no address"),
        roleBadge(user.role),
        standingBadge(user.active),
        formatNumber(user.tokens),
        formatNumber(user.spent),
        user.last_message ? time(user.last_message, formatAgo) : "never",
        time(user.date_joined, formatDay),
      ]),
    list: body,
    around: () => element,
    empty: nothing(chosen),
    more: "Show more users",
    atLeast,
    grown: (rows) => {
      left.rows = rows;
      bar.show();
      bar.element.hidden = rows === 0;
    },
  });
  return Object.assign(h("div", {}, bar.element, shown), { ready: shown.ready });
}

function caption({ q, ...others }) {
  if (q) return `Users whose name or address contains ${q}, by name`;
  return Object.keys(others).length > 0 ? "Users with these filters" : "Users, newest first";
}

function nothing({ q, sort, ...others }) {
  if (sort && !q && Object.keys(others).length === 0)
    return emptyState(
      "users",
      "This sort order isn't ready yet. Wait for the daily census, or run the command manage census.",
    );
  if (q && Object.keys(others).length === 0) return emptyState("search", `No results for “${q}”.`);
  return q || Object.keys(others).length > 0
    ? emptyState("search", "No user matches these filters.")
    : emptyState("users", "No users yet.");
}
