// Acts on the users that are selected in the list: grants, deactivations and reactivations, ends of
// sessions, and a file with the addresses. Each act shows a preview first, and the audit log has an
// entry for each user. The page makes one request per user, except for addresses, so an act that was
// interrupted can be continued.

import { ApiError, del, interrupted, patch } from "../session/api.js";
import { file, save } from "../session/files.js";
import { announce } from "../ui/announce.js";
import { busy, button, linkButton } from "../ui/button.js";
import { fill, focusOn, h } from "../ui/dom.js";
import { field, form, wholeNumber } from "../ui/form.js";
import { explain, formatNumber, inCurrency, plural } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { stackedTable } from "../ui/list.js";
import { attempt } from "../ui/message.js";
import { emptyState, note } from "../ui/note.js";
import { patiently, progress, showPreview } from "./grants.js";
import { emailAddress, roleBadge, standingBadge, userLink } from "./people.js";
import { reasonField } from "./reason.js";
import { selection } from "./selection.js";
import { usersPlace } from "./users.js";
import { offerToVoid } from "./vouchers.js";

const OWN = "Your own account: ask another administrator";

/**
 * The acts, by their name in the address. `skips(user, me)` returns why a user isn't changed, or
 * nothing. `after` describes a changed user, `changes` are the fields that change, and `run` sends
 * the request.
 */
const ACTS = {
  deactivate: {
    title: "Deactivate users",
    verb: "Deactivate",
    danger: true,
    about:
      "All of their sessions end at once, and their API keys stop working. Their tokens, messages and statements stay as they are, and you can reactivate the accounts.",
    skips: ({ id, active }, me) => (id === me.id ? OWN : !active && "Already deactivated"),
    after: () => standingBadge(false),
    changes: { active: false },
    run: (path, body) => patch(path, { active: false, ...body }),
    done: ({ role }) => role === "admin",
  },
  activate: {
    title: "Reactivate users",
    verb: "Reactivate",
    about: "They can log in again with their passwords, and their API keys work again.",
    skips: ({ id, active }, me) => (id === me.id ? OWN : active && "Already active"),
    after: () => standingBadge(true),
    changes: { active: true },
    run: (path, body) => patch(path, { active: true, ...body }),
  },
  sessions: {
    title: "End the sessions of users",
    verb: "End the sessions of",
    danger: true,
    about: "They are logged out everywhere and must log in again. Their API keys stay valid.",
    skips: ({ id }, me) => id === me.id && OWN,
    after: () => "Logged out everywhere",
    run: (path, body) => del(`${path}sessions/`, body),
  },
};

/** `#/users/bulk?act=grant`, or the name of another act */
export function bulkView({ query, signal }, me) {
  const users = [...selection.values()];
  const act = ACTS[query.act];
  const title = act?.title ?? TITLES[query.act] ?? "Selected users";
  const parts = { grant: granting, addresses };
  const show = act ? changing : parts[query.act];
  const content = h(
    "div",
    { class: "page page-wide" },
    h("p", { class: "admin-back" }, h("a", { href: usersPlace() }, icon("back"), "Users")),
    h("h1", {}, title),
    users.length === 0 || !show
      ? emptyState(
          "users",
          "No users are selected",
          h("p", {}, "Select users in the list, and then choose what to do."),
          linkButton("Go to the users", usersPlace()),
        )
      : show(users, { act, me, signal }),
  );
  return { title, content };
}

const TITLES = { grant: "Grant tokens to users", addresses: "Addresses of users" };

// --- Grants ---

function granting(users, { signal }) {
  const results = h("div", {});
  const amount = field(inCurrency("Tokens for each user"), "amount", {
    inputMode: "numeric",
    autocomplete: "off",
    hint: "A negative number takes tokens away.",
  });
  const reason = reasonField({ hint: "Shown in the users' statements and in the audit log." });
  const element = form([amount, reason], {
    submit: "Preview",
    // The amount is the same for each user.
    names: { "grants[0].amount": "amount" },
    onsubmit: async (values) => {
      fill(results);
      const each = signedNumber(values.amount);
      const grants = users.map((chosen) => ({ chosen, user: chosen.id, amount: each }));
      const finished = () => selection.clear();
      await showPreview({ grants, reason: values.reason.trim(), finished }, results, signal);
    },
  });
  return [
    h(
      "p",
      { class: "lead" },
      inCurrency(
        `${plural(users.length, "user")} selected. You see a preview first. No user is granted the same amount of tokens for the same reason twice.`,
      ),
    ),
    h("section", { class: "card", "aria-label": "Amount and reason" }, element),
    results,
  ];
}

/** A typed whole number other than 0, with or without a sign. */
function signedNumber(text) {
  const [, sign, digits] = /^\s*([+−-]?)(.*)$/s.exec(text);
  const number = wholeNumber(digits);
  if (!number) {
    const detail = "Enter a whole number other than 0.";
    throw new ApiError({
      status: 400,
      code: "invalid_fields",
      detail,
      errors: { amount: [detail] },
    });
  }
  return sign && sign !== "+" ? -number : number;
}

// --- Changes ---

function changing(users, { act, me, signal }) {
  const rows = users.map((user) => ({ user, skipped: act.skips(user, me) || null, result: null }));
  const ready = rows.filter(({ skipped }) => !skipped);
  const count = plural(ready.length, "user");
  const heading = h("h2", {}, `${formatNumber(ready.length)} of ${plural(rows.length, "user")}`);
  const listed = h("div", {}, tableOf(rows, act));
  const state = h("div", { class: "admin-export-state" });
  const reason = reasonField({ optional: true, hint: "Shown in the audit log for each user." });
  const submit = `${act.verb} ${count}`;
  const element = form([reason], {
    submit,
    kind: act.danger ? "danger" : "primary",
    onsubmit: ({ reason: text }) => make(text.trim()),
  });

  async function make(why) {
    const body = why ? { reason: why } : {};
    const left = ready.filter(({ result }) => result?.good !== true);
    const stopping = new AbortController();
    const stop = button("Stop", { small: true, onclick: () => stopping.abort() });
    let failure = null;
    for (const [index, one] of left.entries()) {
      if (signal.aborted || stopping.signal.aborted) break;
      fill(state, progress(act.verb, index, left.length), stop);
      try {
        const path = `api/admin/users/${encodeURIComponent(one.user.id)}/`;
        const send = () => act.run(path, body);
        await patiently(send, signal);
        one.result = { good: true, text: "Done" };
        selection.set(one.user.id, { ...one.user, ...act.changes });
      } catch (error) {
        if (signal.aborted) return;
        one.result = { good: false, text: refusal(error) };
        // Other users' requests would fail for the same reason.
        if (error.passing || [401, 403].includes(error.status)) {
          failure = error;
          break;
        }
      }
    }
    // The next view has its own focus and announcements.
    if (signal.aborted) return;
    show(failure, stopping.signal.aborted);
    const administrators = ready.filter(({ user, result }) => result?.good && act.done?.(user));
    for (const { user } of administrators) await offerToVoid(user);
  }

  function show(failure, isStopped) {
    fill(listed, tableOf(rows, act));
    const done = ready.filter(({ result }) => result?.good).length;
    const failed = ready.filter(({ result }) => result?.good === false);
    const said = `${formatNumber(done)} of ${count} done.`;
    heading.textContent = said;
    const isDone = done === ready.length;
    if (isDone) selection.clear();
    element.hidden = isDone;
    const go = element.querySelector("[type=submit] span");
    if (go) go.textContent = isDone ? submit : "Continue";
    const again = (isStopped || failed.length > 0) && "You can continue with the others.";
    fill(
      state,
      note(
        failure ? "bad" : isDone ? "good" : "warn",
        failure && h("p", {}, explain(failure)),
        h("p", {}, said, again && ` ${again}`),
        failed.length > 0 &&
          h(
            "ul",
            {},
            failed.map(({ user, result }) =>
              h("li", {}, userLink(user.id, user.username), `: ${result.text}`),
            ),
          ),
      ),
    );
    focusOn(heading);
    announce(said);
  }

  return [
    h("p", { class: "lead" }, inCurrency(act.about)),
    h(
      "section",
      { class: "card admin-grants", "aria-label": "Preview" },
      heading,
      listed,
      state,
      ready.length > 0 && element,
    ),
  ];
}

const refusal = (error) =>
  ({
    last_administrator: "This is the last active administrator.",
    own_standing: OWN,
    own_account: OWN,
  })[error.code] ?? explain(error);

function tableOf(rows, act) {
  const { element, body, row } = stackedTable("Selected users", [
    { text: "User", head: true },
    { text: "Role" },
    { text: "Now", class: "labelled" },
    { text: "After", class: "labelled" },
    { text: "Result", class: "labelled" },
  ]);
  const cells = ({ user, skipped, result }) => [
    userLink(user.id, user.username),
    roleBadge(user.role),
    standingBadge(user.active),
    skipped ? "No change" : act.after(user),
    resultOf(skipped, result),
  ];
  fill(
    body,
    rows.map((one) => row(cells(one))),
  );
  return element;
}

function resultOf(skipped, result) {
  if (skipped) return h("span", { class: "badge" }, skipped);
  if (!result) return h("span", { class: "badge" }, "Ready");
  const kind = result.good ? "badge badge-good" : "badge badge-bad";
  return h("span", { class: kind }, result.text);
}

// --- Addresses ---

const ADDRESSES = "api/admin/export/addresses.csv";

/** The maximum number of users whose addresses the API returns at once. */
const USERS_PER_REQUEST = 50;

/**
 * The addresses of these users as CSV, with one header row. The API records the export for each
 * user before it replies.
 */
async function addressFile(users, signal) {
  const parts = [];
  for (let from = 0; from < users.length; from += USERS_PER_REQUEST) {
    const some = users.slice(from, from + USERS_PER_REQUEST).map(({ id }) => id);
    const query = { users: some.join() };
    const send = () => file(ADDRESSES, { query, accept: "text/csv", signal });
    const text = await (await patiently(send, signal)).blob.text();
    // Only a complete file ends with a line break.
    if (!text.endsWith("\n")) throw interrupted();
    parts.push(from === 0 ? text : text.slice(text.indexOf("\n") + 1));
  }
  return new Blob(parts, { type: "text/csv" });
}

function addresses(users, { signal }) {
  const known = users.filter(({ email }) => email);
  const others = users.length - known.length;
  const none = `${plural(others, "user")} without an address ${others === 1 ? "isn't" : "aren't"} in the file.`;
  const { element, body, row } = stackedTable("Addresses", [
    { text: "User", head: true },
    { text: "E-mail", class: "admin-email" },
    { text: "Status" },
  ]);
  fill(
    body,
    known.map(({ id, username, email, active }) =>
      row([userLink(id, username), emailAddress(email), standingBadge(active)]),
    ),
  );
  const download = async () => {
    save(await addressFile(known, signal), "addresses.csv");
    selection.clear();
    announce("The addresses were downloaded.");
  };
  const go = button("Download CSV", {
    kind: "primary",
    icon: "download",
    onclick: () => busy(go, () => attempt(download)),
  });
  return [
    h(
      "p",
      { class: "lead" },
      "A CSV file with the username, the e-mail address and whether the account is active. Addresses may be unverified. The audit log has an entry for each user, but not for your own account.",
      others > 0 && ` ${none}`,
    ),
    h(
      "section",
      { class: "card admin-grants", "aria-label": "Preview" },
      h("h2", {}, `${formatNumber(known.length)} of ${plural(users.length, "user")}`),
      known.length > 0 && [element, h("div", { class: "form-actions" }, go)],
    ),
  ];
}
