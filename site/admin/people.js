// Elements for users, roles, states and amounts.

import { h } from "../ui/dom.js";
import { formatSigned, formatWord } from "../ui/format.js";

/** The address of a user's view. */
export const userPlace = (id, part) => `#/users/${encodeURIComponent(id)}${part ? `/${part}` : ""}`;

/** A username that links to the user's view. */
export const userLink = (id, name) => h("a", { class: "admin-name", href: userPlace(id) }, name);

/** An e-mail address. In a narrow column, it breaks first before its host. */
export function emailAddress(text) {
  const at = text.lastIndexOf("@");
  return [text.slice(0, at), h("wbr", {}), text.slice(at)];
}

/**
 * The author of an entry: an account, or the command `manage`, with a colon and its caller if known.
 * `me` is the logged-in account.
 */
export function actor(id, name, me) {
  const [command, ...caller] = id.split(":");
  if (command === "manage") {
    return caller.length > 0 ? `the manage command, by ${caller.join(":")}` : "the manage command";
  }
  if (id === me.id) return "you";
  return userLink(id, name ?? `account ${id.slice(0, 8)}…`);
}

/** The author of a price list. The API returns either an actor's id or a name. */
export const author = (text, me) =>
  /^([0-9a-f-]{36}|manage(:.*)?)$/.test(text) ? actor(text, null, me) : text;

const ROLES = { admin: "Administrator", user: "User" };

/** The role of an account. */
export const roleBadge = (role) =>
  h(
    "span",
    { class: role === "admin" ? "badge badge-accent" : "badge" },
    ROLES[role] ?? formatWord(role),
  );

/** The state of an account. */
export const standingBadge = (active) =>
  h(
    "span",
    { class: active ? "badge badge-good" : "badge badge-bad" },
    active ? "Active" : "Deactivated",
  );

/** `+4,000` in green, `−100` */
export const amount = (number) =>
  h(
    "span",
    { class: number > 0 ? "admin-amount admin-gain" : "admin-amount" },
    formatSigned(number),
  );
