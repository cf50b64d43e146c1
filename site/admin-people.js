// How the views name people, amounts and standing.

import { h } from "./dom.js";
import { formatSigned } from "./format.js";

/** The place of a user's page. */
export const userPlace = (id, part) => `#/users/${encodeURIComponent(id)}${part ? `/${part}` : ""}`;

/** A user's name that leads to the page about them. */
export const userLink = (id, name) => h("a", { class: "admin-name", href: userPlace(id) }, name);

/** Who did something: an account, or a command in the operator's terminal. */
export function actor(id, name, me) {
  if (id === "manage") return "manage, in a terminal";
  if (id === me.id) return "you";
  return userLink(id, name ?? `account ${id.slice(0, 8)}…`);
}

/** The role as a word: administrators stand out. */
export const roleBadge = (role) =>
  h(
    "span",
    { class: role === "admin" ? "badge badge-accent" : "badge" },
    role === "admin" ? "Administrator" : "User",
  );

/** Whether an account is open as a word. */
export const standingBadge = (active) =>
  h(
    "span",
    { class: active ? "badge badge-good" : "badge badge-bad" },
    active ? "Active" : "Deactivated",
  );

/** `+4,000`, `−100`, the gains in green. */
export const amount = (number) =>
  h(
    "span",
    { class: number > 0 ? "admin-amount admin-gain" : "admin-amount" },
    formatSigned(number),
  );
