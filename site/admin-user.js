// One user: what is known of them, their balance and standing, and what administrators do about both.

import { chats } from "./admin-chats.js";
import { actor, amount, roleBadge, standingBadge, userPlace } from "./admin-people.js";
import { stackedTable } from "./admin-table.js";
import { announce } from "./announce.js";
import { ApiError, file, get, newKey, page, patch, post, save } from "./api.js";
import { busy, button, copyButton } from "./button.js";
import { dialog } from "./dialog.js";
import { fill, h, newId } from "./dom.js";
import { field, form } from "./form.js";
import {
  explain,
  formatAgo,
  formatNumber,
  formatSigned,
  formatTokens,
  plural,
  time,
} from "./format.js";
import { icon } from "./icons.js";
import { paged } from "./list.js";
import { attempt, toast } from "./message.js";
import { emptyState, note } from "./note.js";

/** The most tokens that an account can be given at a time. */
const MOST = 1_000_000_000_000;
const REASON_LENGTH = 200;

const PARTS = [
  ["overview", "Overview", null],
  ["statement", "Statement", "statement"],
  ["chats", "Chats", "chats"],
];

/** `#/users/<id>`, `#/users/<id>/statement`, `#/users/<id>/chats` */
export async function userView({ params, signal }, me, part) {
  const path = `api/admin/users/${encodeURIComponent(params.id)}/`;
  const user = await get(path, null, { signal });
  const badges = h("span", { class: "admin-badges" });
  const showBadges = (now) =>
    fill(
      badges,
      roleBadge(now.role),
      standingBadge(now.active),
      now.id === me.id && h("span", { class: "badge badge-coin" }, "You"),
    );
  showBadges(user);

  const body = {
    overview: () => overview(user, path, me, showBadges),
    statement: () => statement(user, path, me, signal),
    chats: () =>
      h(
        "section",
        { "aria-label": `Chats of ${user.username}` },
        chats({ userId: user.id, signal }),
      ),
  }[part]();
  const tabs = PARTS.map(([name, text, place]) =>
    h("a", { href: userPlace(user.id, place), "aria-current": name === part && "page" }, text),
  );
  const content = h(
    "div",
    { class: "page page-wide" },
    h("p", { class: "admin-back" }, h("a", { href: "#/users" }, icon("back"), "Users")),
    h("div", { class: "page-head admin-user-head" }, h("h1", {}, user.username), badges),
    h("nav", { class: "nav admin-tabs", "aria-label": `About ${user.username}` }, tabs),
    body,
  );
  const title =
    part === "overview"
      ? user.username
      : `${PARTS.find(([name]) => name === part)[1]} of ${user.username}`;
  return { title, content };
}

// --- Overview ------------------------------------------------------------------------------------------------------------------------

function overview(first, path, me, showBadges) {
  let user = first;
  const [balanceBox, standingBox, profileBox, sessionsBox] = [
    "Balance",
    "Standing",
    "Profile",
    "Sessions",
  ].map(card);
  const giver = adjustment(
    path,
    () => user,
    async () => show(await get(path)),
  );

  function show(now) {
    user = now;
    showBadges(user);
    balanceBox.show(balance(user));
    standingBox.show(standing(user, me, path, show));
    profileBox.show(profile(user));
    sessionsBox.show(sessions(user));
  }
  show(first);
  const givingBox = card("Adjust the balance");
  givingBox.show(giver);
  return h(
    "div",
    { class: "admin-columns" },
    h("div", {}, balanceBox.element, givingBox.element),
    h("div", {}, standingBox.element, profileBox.element, sessionsBox.element),
  );
}

/** A box under a heading, whose content can change. */
function card(title) {
  const heading = h("h2", { id: newId("card") }, title);
  const body = h("div", {});
  const element = h("section", { class: "card", "aria-labelledby": heading.id }, heading, body);
  return { element, show: (...content) => fill(body, content) };
}

function balance({ tokens, granted, spent, reservations }) {
  const held = reservations.filter(({ expired }) => !expired);
  const sum = held.reduce((total, { cost }) => total + cost, 0);
  const row = ({ cost, expires, expired }) =>
    h(
      "li",
      {},
      h("strong", {}, formatTokens(cost)),
      expired
        ? " of a chat that never ended: they count as free again"
        : [", at most until ", time(expires)],
    );
  return [
    h("p", { class: "admin-balance" }, h("strong", {}, formatNumber(tokens)), " tokens left"),
    h(
      "dl",
      { class: "facts admin-sums" },
      h("dt", {}, "Granted"),
      h("dd", {}, formatNumber(granted)),
      h("dt", {}, "Spent"),
      h("dd", {}, formatNumber(spent)),
      h("dt", {}, "Held"),
      h("dd", {}, formatNumber(sum)),
    ),
    reservations.length > 0 && [
      h("h3", { class: "admin-held" }, "Held for chats"),
      h("ul", { class: "admin-reservations" }, reservations.map(row)),
    ],
  ];
}

/**
 * Gives or takes tokens. What was sent without a certain outcome keeps its key while it stays the same, so that sending it again can't
 * do it twice.
 */
function adjustment(path, user, changed) {
  const name = newId("direction");
  const choice = (value, text, checked) =>
    h(
      "label",
      { class: "admin-choice" },
      h("input", { type: "radio", name, value, checked, onchange: preview }),
      h("span", {}, text),
    );
  const give = choice("give", "Give", true);
  const take = choice("take", "Take away", false);
  const tokens = field("Tokens", "amount", {
    inputMode: "numeric",
    autocomplete: "off",
    oninput: preview,
  });
  const reason = field("Reason", "reason", {
    maxLength: REASON_LENGTH,
    hint: "Stands in the user's statement and in the trail.",
    autocomplete: "off",
  });
  const outlook = h("p", { class: "hint admin-outlook", "aria-live": "polite" });
  let sent = null;

  function preview() {
    const change = read(tokens.input.value, take.querySelector("input").checked);
    const after = user().tokens + change;
    outlook.textContent = !change
      ? ""
      : after < 0
        ? `The balance is ${formatTokens(user().tokens)}: that much can't be taken.`
        : `${formatNumber(user().tokens)} → ${formatTokens(after)}`;
  }

  const element = form(
    [
      h("fieldset", { class: "admin-choices" }, h("legend", {}, "What to do"), give, take),
      tokens,
      outlook,
      reason,
    ],
    {
      submit: "Adjust the balance",
      codes: { balance_too_low: "amount", grant_too_large: "amount" },
      onsubmit: async (values) => {
        const change = read(values.amount, take.querySelector("input").checked);
        if (!change) throw invalid("amount", `A whole number from 1 to ${formatNumber(MOST)}.`);
        const body = { amount: change, reason: values.reason.trim() };
        const text = JSON.stringify(body);
        if (sent?.text !== text) sent = { text, key: newKey() };
        try {
          const done = await post(`${path}adjustments`, body, { key: sent.key });
          sent = null;
          tokens.input.value = "";
          reason.input.value = "";
          toast(
            `${formatSigned(done.amount)} tokens. ${user().username} has ${formatTokens(done.tokens)} now.`,
          );
          tokens.input.focus();
        } catch (error) {
          if (!error.passing) sent = null;
          throw error;
        }
        await attempt(changed);
        preview();
      },
      words: (error) => {
        if (error.code === "balance_too_low")
          return "The balance is lower than that, and never goes below zero. Nothing was changed.";
        if (error.code === "grant_too_large")
          return "No account can be granted that much. Nothing was changed.";
        if (error.passing)
          return `${explain(error)} Press the button again: however often this is sent, it happens once.`;
        return explain(error);
      },
    },
  );
  return element;
}

/** The signed amount that was typed, or null where it is none. Thousands may be set apart. */
function read(text, taken) {
  const digits = text.replace(/[\s,.'_]/g, "");
  const number = /^\d{1,13}$/.test(digits) ? Number(digits) : 0;
  if (number < 1 || number > MOST) return null;
  return taken ? -number : number;
}

function invalid(name, sentence) {
  return new ApiError({
    status: 400,
    code: "invalid_fields",
    detail: sentence,
    errors: { [name]: [sentence] },
  });
}

function standing(user, me, path, show) {
  const admin = user.role === "admin";
  const facts = [
    h(
      "p",
      {},
      user.active
        ? "The account is active."
        : "The account is deactivated: nobody can sign in or chat with it, and its API keys don't work.",
    ),
    h(
      "p",
      {},
      admin ? "It is an administrator, who sees everything here." : "It is an ordinary user.",
    ),
  ];
  if (user.id === me.id)
    return [
      facts,
      note(
        "info",
        "This is your own account. Only another administrator can change its role or deactivate it.",
      ),
    ];

  const ask = (question) => changeStanding({ ...question, path, show });
  const activation = user.active
    ? button("Deactivate", {
        kind: "danger",
        onclick: () =>
          ask({
            title: `Deactivate ${user.username}?`,
            text: "All of their sessions end at once. Their tokens, chats and statement stay as they are, and you can reactivate the account.",
            action: "Deactivate",
            danger: true,
            change: { active: false },
            done: `${user.username} is deactivated.`,
          }),
      })
    : button("Reactivate", {
        kind: "primary",
        onclick: () =>
          ask({
            title: `Reactivate ${user.username}?`,
            text: "They can sign in again with their password, and their API keys work again.",
            action: "Reactivate",
            change: { active: true },
            done: `${user.username} is active again.`,
          }),
      });
  const role = button(admin ? "Make an ordinary user" : "Make an administrator", {
    onclick: () =>
      ask({
        title: admin
          ? `Make ${user.username} an ordinary user?`
          : `Make ${user.username} an administrator?`,
        text: admin
          ? "They lose this administration at once. All of their sessions end."
          : "They can see every user and chat, and change every balance and role but their own. All of their sessions end, and they sign in anew.",
        action: admin ? "Make an ordinary user" : "Make an administrator",
        danger: admin,
        change: { role: admin ? "user" : "admin" },
        done: admin
          ? `${user.username} is an ordinary user now.`
          : `${user.username} is an administrator now.`,
      }),
  });
  return [facts, h("div", { class: "form-actions admin-standing" }, activation, role)];
}

/** Asks, with room for a reason; then changes the standing, shows it, and puts the focus on the button that undoes it. */
async function changeStanding({ title, text, action, danger = false, change, done, path, show }) {
  const changed = await dialog(title, (close) => {
    const reason = field("Reason", "reason", {
      optional: true,
      maxLength: REASON_LENGTH,
      autocomplete: "off",
      hint: "Stands in the trail.",
    });
    const cancel = button("Cancel", { onclick: () => close() });
    return [
      h("p", {}, text),
      form([reason], {
        submit: action,
        kind: danger ? "danger" : "primary",
        extra: [cancel],
        onsubmit: async (values) =>
          close(
            await patch(path, {
              ...change,
              ...(values.reason.trim() && { reason: values.reason.trim() }),
            }),
          ),
        words: (error) =>
          ({
            last_administrator:
              "This is the last active administrator. Make another account an administrator first.",
            own_standing: "You can't change your own standing. Another administrator can.",
          })[error.code] ?? explain(error),
      }),
    ];
  });
  if (!changed) return;
  show(changed);
  toast(done);
  document
    .querySelector(`.admin-standing .button:nth-child(${"active" in change ? 1 : 2})`)
    ?.focus();
}

function profile(user) {
  const none = h("span", { class: "muted" }, "none");
  const name = [user.first_name, user.last_name].filter(Boolean).join(" ");
  const verified = h(
    "span",
    { class: user.email_verified ? "badge badge-good" : "badge" },
    user.email_verified ? "verified" : "not verified",
  );
  return h(
    "dl",
    { class: "facts" },
    h("dt", {}, "Name"),
    h("dd", {}, name || none),
    h("dt", {}, "E-mail"),
    h("dd", {}, user.email ? [user.email, " ", verified] : none.cloneNode(true)),
    user.pending_email && [h("dt", {}, "To be verified"), h("dd", {}, user.pending_email)],
    h("dt", {}, "Joined"),
    h("dd", {}, time(user.date_joined)),
    h("dt", {}, "API keys"),
    h("dd", {}, formatNumber(user.api_keys)),
    h("dt", {}, "Id"),
    h("dd", { class: "admin-id" }, h("code", {}, user.id), copyButton(user.id, { label: "Copy" })),
  );
}

function sessions({ sessions: list }) {
  if (list.length === 0)
    return h("p", { class: "muted" }, "Nobody is signed in with this account.");
  const row = (session) =>
    h(
      "li",
      {},
      h("p", { class: "row-title" }, session.device || "Unknown device"),
      h(
        "p",
        { class: "row-about" },
        "Last used ",
        time(session.last_used, formatAgo),
        " · began ",
        time(session.began),
        " · ends ",
        time(session.ends),
      ),
    );
  return h("ul", { class: "list admin-sessions" }, list.map(row));
}

// --- Statement -----------------------------------------------------------------------------------------------------------------------

const KINDS = { grant: "Grant", adjustment: "Adjustment", chat: "Chat" };

function statement(user, path, me, signal) {
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
          // A chat's row says no more than its kind does.
          entry.kind === "chat" ? "" : entry.reason,
          entry.actor === user.id ? user.username : actor(entry.actor, null, me),
        ]),
      list: body,
      around: () => element,
      empty: emptyState("receipt", "Nothing has moved this balance."),
      more: "Show more rows",
    }),
  );
}

/** The whole statement as one file: page after page, under the heading of the first. */
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
