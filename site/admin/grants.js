// Grants to many users: the file, a preview of its effects, and the grants.
//
// The server makes a grant with the same user, amount and reason only once, even if another browser
// sends the file. For each preview's id, it makes only one grant per user. After a failure, the
// administrator can therefore choose the same file again, and the server makes only the remaining
// grants.

import { ApiError, post } from "../session/api.js";
import { announce } from "../ui/announce.js";
import { busy, button } from "../ui/button.js";
import { fill, focusOn, h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { explain, formatNumber, formatSigned, inCurrency, plural, time } from "../ui/format.js";
import { stackedTable } from "../ui/list.js";
import { note } from "../ui/note.js";
import { emailAddress, standingBadge, userLink } from "./people.js";
import { reasonField } from "./reason.js";
import { grantsOf } from "./sheet.js";

/** The maximum number of rows in a request and in a file. */
const ROWS_PER_REQUEST = 50;
const ROWS_PER_FILE = 2000;

/** How many times a request is sent before the administrator is asked. */
const MOST_TRIES = 3;

const OUTCOMES = {
  ready: ["Ready", "badge"],
  made: ["Done", "badge badge-good"],
  made_before: ["Already done", "badge badge-good"],
  granted_before: ["Already granted", "badge badge-good"],
  own_account: ["Your own account: ask another administrator", "badge badge-bad"],
  other_made: ["Already got a different grant from this preview", "badge badge-bad"],
  no_such_user: ["No such user", "badge badge-bad"],
  ambiguous: ["Two users have this name or address", "badge badge-bad"],
  repeated: ["Listed more than once", "badge badge-bad"],
  balance_too_low: ["The balance is too low", "badge badge-bad"],
  grant_too_large: ["Too many tokens", "badge badge-bad"],
};
const DONE = ["made", "made_before"];

/** `#/users/grants` */
export function grantsView({ signal, title }) {
  const file = field("File", "file", {
    type: "file",
    accept: ".csv,text/csv",
    hint: inCurrency(
      "A CSV file with one user per line: the username, e-mail address or ID, then the number of tokens, and optionally a reason. A negative number takes tokens away.",
    ),
  });
  const reason = reasonField({
    hint: "For lines without a reason. Shown in the users' statements and in the audit log.",
  });
  const results = h("div", {});
  const element = form([file, reason], {
    submit: "Preview",
    onsubmit: async (values) => {
      fill(results);
      const sheet = await read(file.input.files[0], values.reason.trim());
      await showPreview(sheet, results, signal);
    },
  });
  const content = h(
    "div",
    { class: "page page-wide" },
    h("h1", {}, title),
    h(
      "p",
      { class: "lead" },
      inCurrency(
        "Grant tokens to the users in a file. You see a preview first. No user is granted the same amount for the same reason twice.",
      ),
    ),
    h("section", { class: "card", "aria-label": "File and reason" }, element),
    results,
  );
  return { content };
}

/**
 * Shows the preview of a sheet in `results`, and focuses it. Leaves `results` empty if it fails. The
 * sheet's `grants` have the `line` of a file, or `chosen`, a user from the list of users.
 */
export async function showPreview(sheet, results, signal) {
  try {
    fill(results, await previewOf(sheet, results, signal));
  } catch (error) {
    fill(results);
    throw error;
  }
  const heading = results.querySelector("h2");
  focusOn(heading);
  announce(heading.textContent);
}

/** The grants in a file, with their reason. */
async function read(file, reason) {
  const text = await file.text();
  const { grants, wrong } = grantsOf(text);
  if (grants.length === 0) wrong.push("This file has no rows.");
  if (grants.length > ROWS_PER_FILE)
    wrong.push(`A file can have at most ${formatNumber(ROWS_PER_FILE)} rows.`);
  if (wrong.length > 0)
    throw new ApiError({
      status: 400,
      code: "invalid_fields",
      detail: wrong.join(" "),
      errors: { file: wrong },
    });
  return { grants, reason };
}

/**
 * The preview of the grants, with the button that makes them. `finished` is called when all ready
 * grants have been made.
 */
async function previewOf({ grants, reason, finished }, results, signal) {
  const rows = [];
  const noun = grants[0].chosen ? "user" : "row";
  const users = new Set();
  let id;
  for (const part of parts(grants)) {
    fill(results, progress("Checking the grants", rows.length, grants.length));
    const body = { reason, grants: part.map(({ line, chosen, ...grant }) => grant) };
    const reply = await sent(body, signal);
    id ??= reply.id;
    for (const [index, row] of reply.grants.entries()) {
      // The server finds repeated users only within a request, so the page finds the others.
      const isRepeated = row.user_id && users.has(row.user_id);
      users.add(row.user_id);
      const { line, chosen } = part[index];
      rows.push({ ...row, line, chosen, outcome: isRepeated ? "repeated" : row.outcome });
    }
  }

  const ready = rows.filter(({ outcome }) => outcome === "ready");
  const before = rows.filter(({ outcome }) => outcome === "granted_before").length;
  const sum = ready.reduce((sum, { amount }) => sum + amount, 0);
  const count = formatNumber(ready.length);
  const heading = h("h2", {}, `${count} of ${plural(rows.length, noun)} ready`);
  const listed = h("div", {}, tableOf(rows));
  const state = h("div", { class: "admin-export-state" });
  const granted = inCurrency(`${formatSigned(sum)} tokens`);
  const go = button(`Grant ${granted} to ${plural(ready.length, "user")}`, {
    kind: "primary",
    onclick: () => busy(go, make),
  });

  async function make() {
    const left = ready.filter(({ outcome }) => outcome === "ready");
    let failure = null;
    try {
      for (const part of parts(left)) {
        fill(state, progress("Granting", left.indexOf(part[0]), left.length));
        const body = part.map(({ user_id: user, amount, reason }) => ({ user, amount, reason }));
        const reply = await sent({ id, reason, grants: body }, signal);
        part.forEach((row, index) => Object.assign(row, sentOutcome(reply.grants[index])));
      }
    } catch (error) {
      if (signal.aborted) return;
      failure = error;
    }
    fill(listed, tableOf(rows));
    const done = rows.filter(({ outcome }) => DONE.includes(outcome)).length;
    const said = `${formatNumber(done)} of ${plural(rows.length, noun)} done.`;
    heading.textContent = said;
    if (failure) {
      const again = inCurrency("You can safely continue: no user is granted tokens twice.");
      fill(go, h("span", {}, "Continue"));
      fill(state, note("bad", h("p", {}, explain(failure)), h("p", {}, `${said} ${again}`)));
      return;
    }
    finished?.();
    // The next view has its own focus and announcements.
    if (signal.aborted) return;
    go.remove();
    fill(state, note(done === rows.length ? "good" : "warn", h("p", {}, said)));
    focusOn(heading);
    announce(said);
  }

  return h(
    "section",
    { class: "card admin-grants", "aria-label": "Preview" },
    heading,
    before > 0 && note("info", h("p", {}, grantedBefore(before, noun))),
    listed,
    state,
    ready.length > 0 && h("div", { class: "form-actions" }, go),
  );
}

/** `2 rows were granted before, with the same reason, and aren't granted again. ..` */
function grantedBefore(count, noun) {
  const isOne = count === 1;
  const said =
    noun === "row"
      ? `${isOne ? "was" : "were"} granted before, with the same reason, and ${isOne ? "isn't" : "aren't"} granted again`
      : `got this grant before, with the same reason, and ${isOne ? "doesn't" : "don't"} get it again`;
  return `${plural(count, noun)} ${said}. To grant the same again, enter another reason.`;
}

function tableOf(rows) {
  const isFile = !rows[0].chosen;
  const { element, body, row } = stackedTable("Preview of the grants", [
    ...(isFile ? [{ text: "Line", class: "number" }] : []),
    { text: "User", head: true },
    { text: inCurrency("Tokens"), class: "number" },
    { text: "Balance before", class: "number" },
    { text: "Reason" },
    { text: "Result" },
  ]);
  fill(
    body,
    rows.map((grant) =>
      row([
        ...(isFile ? [formatNumber(grant.line)] : []),
        userOf(grant),
        formatSigned(grant.amount),
        grant.tokens === null ? "" : formatNumber(grant.tokens),
        grant.reason,
        resultOf(grant),
      ]),
    ),
  );
  return element;
}

/** The account in a row, with its address if it is known, and notes about its state. */
function userOf({ chosen, user, user_id: id, username, active, email_verified: isVerified }) {
  if (!id) return h("span", {}, chosen?.username ?? user);
  const isByAddress = user.includes("@") && user !== username;
  const address = isByAddress ? user : chosen?.email;
  return [
    userLink(id, username),
    address && address !== username && h("span", { class: "muted" }, " ", emailAddress(address)),
    isByAddress && !isVerified && h("span", { class: "badge badge-bad" }, "Unverified address"),
    !active && standingBadge(false),
  ];
}

/** The outcome of a grant, from a reply. */
const sentOutcome = ({ outcome, earlier }) => ({ outcome, earlier });

function resultOf({ outcome, earlier }) {
  const [text, kind] = OUTCOMES[outcome] ?? [outcome, "badge"];
  const badge = h("span", { class: kind }, inCurrency(text));
  if (!earlier) return badge;
  const by = earlier.actor_name ? ` by ${earlier.actor_name}` : "";
  return [badge, " ", h("span", { class: "muted" }, "on ", time(earlier.timestamp), by)];
}

export function progress(what, value, max) {
  const text = `${what}: ${formatNumber(value)} of ${formatNumber(max)}`;
  return h(
    "div",
    { class: "admin-progress" },
    h("progress", { "aria-label": what, value, max }),
    h("p", {}, text),
  );
}

function parts(rows) {
  const count = Math.ceil(rows.length / ROWS_PER_REQUEST);
  const part = (_, index) => rows.slice(index * ROWS_PER_REQUEST, (index + 1) * ROWS_PER_REQUEST);
  return Array.from({ length: count }, part);
}

/** Sends some rows. Idempotent, so rows with an unknown outcome are sent again. */
const sent = (body, signal) => patiently(() => post("api/admin/grants/", body, { signal }), signal);

/** Sends an idempotent request, and sends it again if it fails for a reason that passes. */
export async function patiently(send, signal) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await send();
    } catch (error) {
      if (!error.passing || tries === MOST_TRIES) throw error;
      await new Promise((done) => setTimeout(done, 1000 * Math.min(error.retryAfter ?? 2, 10)));
      signal.throwIfAborted();
    }
  }
}
