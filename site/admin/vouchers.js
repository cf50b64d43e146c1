// Vouchers: the list of batches, the dialog that creates a batch and shows its codes, and the end
// of a batch.

import { del, newKey, page, post } from "../session/api.js";
import { save } from "../session/files.js";
import { busy, button, copyButton } from "../ui/button.js";
import { confirm, dialog } from "../ui/dialog.js";
import { fill, focusOn, h } from "../ui/dom.js";
import { field, form, wholeNumber } from "../ui/form.js";
import { formatNumber, formatTokens, inCurrency, plural, time } from "../ui/format.js";
import { paged, stackedTable } from "../ui/list.js";
import { attempt, toast } from "../ui/message.js";
import { emptyState, note } from "../ui/note.js";
import { actor } from "./people.js";

const PATH = "api/admin/vouchers/";

/** The address of the view of a batch's redemptions. */
const redemptionsPlace = ({ id }) => `#/vouchers/${encodeURIComponent(id)}`;

/** `#/vouchers` */
export function vouchersView({ signal, title }, me) {
  const holder = h("div", {});
  const show = () => fill(holder, batches(me, signal));
  const add = button("New vouchers", {
    kind: "primary",
    icon: "plus",
    onclick: async () => (await create()) && show(),
  });
  show();
  return {
    content: h(
      "div",
      { class: "page page-wide" },
      h(
        "div",
        { class: "page-head" },
        h("h1", {}, title),
        h("div", { class: "toolbar admin-head" }, add),
      ),
      h(
        "p",
        { class: "lead" },
        inCurrency("On their statement page, users can exchange a voucher's code for tokens."),
      ),
      holder,
    ),
  };
}

/** The list of all batches, newest first. */
function batches(me, signal) {
  const table = stackedTable("Vouchers, newest first", [
    { text: "Name", head: true },
    { text: inCurrency("Tokens"), class: "number labelled" },
    { text: "Codes", class: "number labelled" },
    { text: "Redeemed", class: "number labelled" },
    { text: "State", class: "labelled" },
    { text: "Created", class: "labelled" },
    { text: "Actions", class: "labelled" },
  ]);
  const row = (batch) =>
    table.row([
      batch.name,
      formatNumber(batch.tokens),
      batch.uses === 1
        ? formatNumber(batch.count)
        : `${formatNumber(batch.count)} × ${plural(batch.uses, "use")}`,
      redeemed(batch),
      state(batch),
      h("span", {}, time(batch.created), ", by ", actor(batch.creator, null, me)),
      hasEnded(batch)
        ? ""
        : button("Void", {
            small: true,
            kind: "danger",
            "aria-label": `Void ${batch.name}`,
            onclick: async ({ currentTarget }) => {
              const old = currentTarget.closest("tr");
              if (!(await end(batch))) return;
              const voided = row({ ...batch, voided: true });
              old.replaceWith(voided);
              focusOn(voided);
            },
          }),
    ]);
  return paged({
    load: (next) => page(next ?? PATH, next ? undefined : { limit: 50 }, { signal }),
    row,
    list: table.body,
    around: () => table.element,
    empty: emptyState("tag", "No vouchers yet"),
  });
}

/** How often a batch's codes were used, linked to the users. */
function redeemed(batch) {
  const count = formatNumber(batch.redeemed);
  if (batch.redeemed === 0) return count;
  const label = `${count}: show who redeemed ${batch.name}`;
  return h("a", { href: redemptionsPlace(batch), "aria-label": label }, count);
}

const hasEnded = ({ voided, ends }) => Boolean(voided) || (ends && new Date(ends) <= new Date());

function state(batch) {
  if (batch.voided) return voidedBadge();
  if (hasEnded(batch)) return h("span", { class: "badge" }, "Ended");
  const valid = h("span", { class: "badge badge-good" }, "Valid");
  return batch.ends ? [valid, " until ", time(batch.ends)] : valid;
}

const voidedBadge = () => h("span", { class: "badge badge-bad" }, "Voided");

/**
 * Lists the valid batches that a user has created, and offers to void them. Shows nothing if there
 * are no such batches. Vouchers stay valid when their creator loses the role or the account, even
 * if the creator was a thief.
 */
export async function offerToVoid({ id, username }) {
  const open = [];
  await attempt(async () => {
    for (let next = PATH, query = { limit: 100 }; next; query = undefined) {
      const part = await page(next, query);
      open.push(...part.items.filter((batch) => batch.creator === id && !hasEnded(batch)));
      next = part.next;
    }
  });
  if (open.length === 0) return;
  const table = stackedTable(`Vouchers by ${username}, newest first`, [
    { text: "Name", head: true },
    { text: inCurrency("Tokens"), class: "number labelled" },
    { text: "Redeemed", class: "number labelled" },
    { text: "Actions", class: "labelled" },
  ]);
  const row = (batch) => {
    const state = h("span", {});
    const ending = button("Void", {
      small: true,
      kind: "danger",
      "aria-label": `Void ${batch.name}`,
      onclick: () =>
        busy(ending, () =>
          attempt(async () => {
            await del(`${PATH}${batch.id}/`);
            focusOn(fill(state, voidedBadge()));
          }),
        ),
    });
    state.append(ending);
    const redeemed = `${formatNumber(batch.redeemed)} of ${formatNumber(batch.count * batch.uses)}`;
    return table.row([batch.name, formatNumber(batch.tokens), redeemed, state]);
  };
  table.body.append(...open.map(row));
  const text = `${username} has created vouchers that are still valid. Users can exchange their codes for tokens until you void them.`;
  await dialog(
    "Void these vouchers?",
    (close) => [
      h("p", {}, inCurrency(text)),
      table.element,
      h(
        "div",
        { class: "dialog-actions" },
        button("Done", { kind: "primary", autofocus: true, onclick: () => close() }),
      ),
    ],
    { wide: true },
  );
}

/** Ends a batch. Resolves with true if it has ended. */
async function end({ id, name }) {
  const ended = await confirm(
    `Void “${name}”?`,
    inCurrency("Its codes are no longer accepted. Users keep the tokens already granted."),
    { action: "Void", danger: true, run: () => del(`${PATH}${id}/`) },
  );
  if (ended) toast("The vouchers have been voided.");
  return ended;
}

/** Asks for new vouchers and shows their codes. Resolves with true if vouchers were created. */
function create() {
  let created = false;
  let sent = null;
  const asked = dialog("New vouchers", (close) => {
    const number = (label, name, props) =>
      field(label, name, { inputMode: "numeric", autocomplete: "off", ...props });
    const fields = [
      field("Name", "name", {
        maxLength: 200,
        autofocus: true,
        hint: "Users see it in their statement.",
      }),
      number(inCurrency("Tokens"), "tokens", { hint: "What each use of a code grants." }),
      number("Codes", "count", {
        value: "1",
        hint: "1,000 at most. About 50 can be redeemed a second.",
      }),
      number("Uses of each code", "uses", {
        value: "1",
        hint: "By different users.",
      }),
      field("Last day", "ends", { type: "date", optional: true, hint: "In UTC." }),
    ];
    const creating = form(fields, {
      submit: "Create vouchers",
      extra: button("Cancel", { onclick: () => close() }),
      onsubmit: async ({ name, tokens, count, uses, ends }) => {
        const body = {
          name: name.trim(),
          tokens: wholeNumber(tokens),
          count: wholeNumber(count),
          uses: wholeNumber(uses),
          ...(ends && { ends }),
        };
        const text = JSON.stringify(body);
        if (sent?.text !== text) sent = { text, key: newKey() };
        const batch = await post(PATH, body, { key: sent.key });
        created = true;
        const shown = codes(batch, close);
        creating.replaceWith(shown);
        // Screen readers read the warning, which precedes the codes.
        focusOn(shown.querySelector(".note"));
      },
    });
    return creating;
  });
  return asked.then(() => created);
}

/** The codes of a new batch, which are shown only once. */
function codes({ name, tokens, codes: all }, close) {
  const text = all.join("\n");
  const shown = h("textarea", {
    class: "input mono",
    rows: Math.min(all.length, 8),
    readOnly: true,
    value: text,
    "aria-label": "Codes",
    dataset: { once: "" },
    onfocus: () => shown.select(),
  });
  const saved = () => delete shown.dataset.once;
  const csv = () => {
    save(new Blob([`code\r\n${all.join("\r\n")}\r\n`], { type: "text/csv" }), "vouchers.csv");
    saved();
  };
  return h(
    "div",
    {},
    note(
      "warn",
      h(
        "p",
        {},
        h("strong", {}, `Save the ${plural(all.length, "code")} of “${name}” now.`),
        ` Each use grants ${formatTokens(tokens)}. They are shown only once and can't be recovered.`,
      ),
    ),
    h(
      "div",
      { class: "key-shown" },
      shown,
      h(
        "div",
        { class: "toolbar" },
        copyButton(text, { small: false, label: "Copy", onclick: saved }),
        button("Download CSV", { icon: "download", onclick: csv }),
      ),
    ),
    h(
      "div",
      { class: "dialog-actions" },
      button("Done", { kind: "primary", onclick: () => close() }),
    ),
  );
}
