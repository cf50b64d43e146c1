// The statement: all changes to the balance, or those in a range of days, for a model or by an API
// key, and the monthly totals.

import { get, page } from "../session/api.js";
import { paidFor } from "../session/fares.js";
import { file, fileName, save } from "../session/files.js";
import { allModels } from "../session/models.js";
import { readShop, sells } from "../session/shop.js";
import { allowanceInWords, heldTokens, lowBalance, watchBalance } from "../session/user.js";
import { usualPrice } from "../session/usual.js";
import { busy, button, linkButton } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import {
  formatClock,
  formatDay,
  formatMonth,
  formatNumber,
  formatSigned,
  formatTokens,
  formatUtcDay,
  formatWord,
  inCurrency,
  time,
} from "../ui/format.js";
import { paged, stackedTable } from "../ui/list.js";
import { attempt, toast } from "../ui/message.js";
import { emptyState, note } from "../ui/note.js";
import { purchaseMoney, purchaseName } from "../ui/purchase.js";
import { go } from "../ui/router.js";
import {
  chosenIn,
  dayField,
  daysInWords,
  filteredPlace,
  filterInName,
  labelled,
  modelField,
  offerKeys,
  selects,
} from "./filters.js";
import { redeemVoucher } from "./voucher.js";

const KINDS = { grant: "Grant", adjustment: "Adjustment" };

/**
 * Matches the reason of an allowance, with its period: a day, a week (by its Monday), or a month.
 */
const ALLOWANCE = /^allowance for (the week of )?(\d{4}-\d\d)(-\d\d)?$/;

/** The parameters in the address that select rows. */
const FILTERS = ["from", "to", "model", "key"];

/**
 * `#/statement?from=2026-11-01&to=2026-11-20&model=..&key=..`: all changes to the balance, or those
 * from these days, for this model and by the API key with this id.
 */
export function statement({ query, signal }) {
  const given = chosenIn(query, FILTERS);
  const keys = keyField(given.key, signal);
  const changes = stackedTable("Statement, newest first", [
    { text: "When", class: "when" },
    { text: "What" },
    { text: inCurrency("Tokens"), class: "number" },
    { text: "Balance", class: "number after" },
  ]);
  changes.element.classList.add("statement");
  const row = (entry) => {
    keys.notice(entry);
    return changes.row([
      time(entry.timestamp, dayAndClock),
      what(entry),
      gain(entry.amount),
      formatNumber(entry.balance),
    ]);
  };
  const first = { limit: 50, ...given };
  const lead = h("p", { class: "lead" });
  const warning = h("div", {});
  const holder = h("div", {});
  const totals = months(given, signal);
  const show = () => {
    const low = lowBalance({ usual: usualPrice() });
    // The note about a low balance already says when the balance is filled up.
    const filling = !low && allowanceInWords();
    fill(lead, leadOf(given), filling && ` ${filling}`);
    fill(warning, low && note("warn", low));
    totals.renew();
    fill(changes.body);
    const list = paged({
      load: (next) => page(next ?? "api/user/ledger/", next ? undefined : first, { signal }),
      row,
      list: changes.body,
      around: () => changes.element,
      endless: true,
      empty: emptyState("receipt", emptyInWords(given)),
    });
    fill(holder, list);
  };
  show();
  const buy = linkButton(inCurrency("Buy tokens"), "#/buy", {
    kind: "primary",
    icon: "coin",
    hidden: true,
  });
  readShop().then(() => (buy.hidden = !sells()));
  const redeem = button("Redeem a voucher", {
    icon: "plus",
    onclick: async () => (await redeemVoucher()) && show(),
  });
  const download = button("Download CSV", {
    icon: "download",
    onclick: () => busy(download, () => attempt(() => csv(given, signal))),
  });
  return {
    title: "Statement",
    content: h(
      "div",
      { class: "page" },
      h(
        "div",
        { class: "page-head" },
        h("h1", {}, "Statement"),
        h("div", { class: "toolbar" }, buy, redeem, download),
      ),
      lead,
      warning,
      heldLine(signal),
      filterForm(given, keys),
      totals.element,
      holder,
    ),
  };
}

/** A line about held tokens. It is hidden if no tokens are held. */
function heldLine(signal) {
  const line = h("p", { class: "hint" });
  const unwatch = watchBalance(() => {
    line.hidden = heldTokens() === 0;
    line.textContent = `${formatTokens(heldTokens())} held for an unfinished message. They are part of the balances in this list until they are spent or return, which takes a few minutes at most.`;
  });
  signal.addEventListener("abort", unwatch);
  return line;
}

/** `Charges for the model quick by one API key, from 1 Nov 2026 on, newest first.` */
function leadOf(given) {
  if (!selects(given))
    return "All changes to your balance, newest first. Entries are never edited or removed.";
  const { model, key, ...period } = given;
  const what = ["Charges", model && `for the model ${model}`, key && "by one API key"];
  const parts = [what.filter(Boolean).join(" "), daysInWords(period), "newest first."];
  return `${parts.filter(Boolean).join(", ")} The balances also count all other changes.`;
}

function emptyInWords(given) {
  if (selects(given)) return "No charges match";
  return Object.keys(given).length > 0
    ? "Your balance did not change on these days"
    : "Your balance has not changed yet";
}

/** The form that limits the statement to days, a model and an API key. */
function filterForm(given, keys) {
  const form = h(
    "form",
    { class: "toolbar period", "aria-label": "Filter the statement" },
    dayField("From", "from", given.from),
    dayField("To", "to", given.to),
    modelField(
      allModels().map(({ name }) => name),
      given.model,
    ),
    keys.element,
    h("button", { type: "submit", class: "button button-secondary" }, "Show"),
    Object.keys(given).length > 0 &&
      linkButton("Show all changes", "#/statement", { kind: "quiet" }),
    h("p", { class: "hint" }, "Dates are in UTC."),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go(filteredPlace("#/statement", form, FILTERS));
  });
  return form;
}

/** The choice of an API key: `{element, notice}`, where `notice` offers the key of a row. */
function keyField(chosen, signal) {
  const select = h("select", { class: "input", name: "key" });
  const element = labelled("Key", select);
  const keys = get("api/user/api-keys/", undefined, { signal });
  return { element, notice: offerKeys(element, select, keys, chosen) };
}

/**
 * The totals of each month: `{element, renew}`. The page reads them when the user opens this part,
 * and again with `renew()`.
 */
function months(given, signal) {
  const read = () => {
    const totals = stackedTable("Totals by month, newest first", [
      { text: "Month", class: "whole" },
      { text: "Answers", class: "number labelled" },
      { text: "Spent", class: "number labelled" },
      { text: "Granted and adjusted", class: "number labelled" },
      { text: "Balance", class: "number labelled" },
    ]);
    const row = (month) => totals.row(monthCells(month));
    const load = (next) => page(next ?? "api/user/ledger/months/", undefined, { signal });
    const empty = emptyState("receipt", "No months yet");
    return paged({ load, row, list: totals.body, around: () => totals.element, empty });
  };
  const place = h("div", {});
  const title = selects(given) ? "Totals by month, for all models and keys" : "Totals by month";
  const element = h("details", { class: "months" }, h("summary", {}, title), place);
  const show = () => fill(place, element.open && read());
  element.addEventListener("toggle", show);
  return { element, renew: show };
}

/** The cells of a month's row. The month's name links to the statement of its days. */
function monthCells({ month, chats, spent, granted, balance }) {
  const [year, number] = month.split("-").map(Number);
  const last = new Date(Date.UTC(year, number, 0)).getUTCDate();
  const days = new URLSearchParams({ from: `${month}-01`, to: `${month}-${last}` });
  return [
    h("a", { href: `#/statement?${days}` }, formatMonth(`${month}-15`)),
    formatNumber(chats),
    formatNumber(spent),
    gain(granted),
    formatNumber(balance),
  ];
}

const gain = (amount) => h("span", { class: amount > 0 && "good" }, formatSigned(amount));

/** A row's day and time as two elements, so that a narrow column breaks between them. */
function dayAndClock(timestamp) {
  return [
    h("span", { class: "nowrap" }, formatDay(timestamp)),
    " ",
    h("span", { class: "nowrap muted" }, formatClock(timestamp)),
  ];
}

/** The description of a row. An answer's row links to its message in the conversation. */
function what(entry) {
  const { kind, reason, chat_id: chat, excerpt } = entry;
  const link = (text) => h("a", { href: `#/m/${chat}`, dir: "auto" }, text);
  if (kind === "chat") {
    if (reason === "embeddings") {
      return [
        "Embeddings",
        entry.model && h("span", { class: "muted" }, ` · ${paidFor(entry)}`),
        sender(entry),
      ];
    }
    const state = reason === kind ? "answer" : reason;
    return [
      link(excerpt ? `“${excerpt}”` : "Answer"),
      h(
        "span",
        { class: "muted" },
        excerpt ? ` · ${state}` : " · its message was deleted or is temporary",
      ),
      entry.model && h("span", { class: "muted" }, ` · ${paidFor(entry)}`),
      sender(entry),
    ];
  }
  if (entry.purchase) {
    const money = purchaseMoney(entry);
    return [
      h("a", { href: "#/buy" }, purchaseName(entry)),
      ": ",
      h("span", {}, reason),
      money && h("span", { class: "muted" }, ` · ${money}`),
    ];
  }
  if (entry.voucher) return ["Voucher: ", h("span", {}, reason)];
  const name = chat && kind === "adjustment" ? "Refund" : (KINDS[kind] ?? formatWord(kind));
  const about = chat ? link(name) : h("span", {}, name);
  const plain = kind === "grant" && reason === "registration";
  if (plain) return "Grant for a new account";
  return ofAllowance(entry) ?? [about, ": ", h("span", {}, reason)];
}

/** The API key that sent a row's message, if any. */
function sender({ key_id: id, key_name: name }) {
  if (name) return h("span", { class: "muted" }, " · API key ", h("bdi", {}, name));
  return id && h("span", { class: "muted" }, " · revoked API key");
}

/** The description of an allowance's row, with its period. Null for other rows. */
function ofAllowance({ kind, reason, chat_id: chat }) {
  const [, week = "", month = "", day = ""] = ALLOWANCE.exec(reason) ?? [];
  // Administrators may write any reason, even one with a day that doesn't exist.
  if (kind !== "adjustment" || chat || Number.isNaN(Date.parse(month + day))) return null;
  const period = day ? formatUtcDay(month + day) : formatMonth(`${month}-15`);
  return `Allowance for ${week}${period}`;
}

/** Reads all pages of the statement with these filters into one CSV file with one header row. */
async function csv(given, signal) {
  const texts = [];
  let next = "api/user/ledger/";
  while (next) {
    const part = await file(next, {
      query: texts.length === 0 ? { limit: 100, ...given } : undefined,
      accept: "text/csv",
      signal,
    });
    const text = await part.blob.text();
    texts.push(texts.length === 0 ? text : text.slice(text.indexOf("\n") + 1));
    next = part.next;
  }
  const name = fileName(`statement${filterInName(given)}.csv`);
  save(new Blob(texts, { type: "text/csv" }), name);
  toast("Your statement has been downloaded.");
}
