// The statement: all changes to the balance or those in a range of days, and the monthly totals.

import { page } from "../session/api.js";
import { file, save } from "../session/files.js";
import { paidFor } from "../session/models.js";
import { readShop, sells } from "../session/shop.js";
import { allowanceInWords, heldLine, lowBalance } from "../session/user.js";
import { usualPrice } from "../session/usual.js";
import { busy, button, linkButton } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import {
  formatClock,
  formatDay,
  formatMonth,
  formatNumber,
  formatSigned,
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
import { redeemVoucher } from "./voucher.js";

const KINDS = { grant: "Grant", adjustment: "Adjustment" };

/**
 * Matches the reason of an allowance, with its period: a day, a week (by its Monday), or a month.
 */
const ALLOWANCE = /^allowance for (the week of )?(\d{4}-\d\d)(-\d\d)?$/;

/** `#/statement?from=..&to=..`: all changes to the balance, or those in a range of days. */
export function statement({ query: { from = "", to = "" }, signal }) {
  const days = { from, to };
  const isLimited = from !== "" || to !== "";
  const changes = stackedTable("Statement, newest first", [
    { text: "When", class: "when" },
    { text: "What" },
    { text: inCurrency("Tokens"), class: "number" },
    { text: "Balance", class: "number after" },
  ]);
  changes.element.classList.add("statement");
  const row = (entry) =>
    changes.row([
      time(entry.timestamp, dayAndClock),
      what(entry),
      gain(entry.amount),
      formatNumber(entry.balance),
    ]);
  const first = { limit: 50, ...days };
  const holder = h("div", {});
  const show = () => {
    fill(changes.body);
    const list = paged({
      load: (next) => page(next ?? "api/user/ledger/", next ? undefined : first, { signal }),
      row,
      list: changes.body,
      around: () => changes.element,
      endless: true,
      empty: isLimited
        ? emptyState("receipt", "Your balance did not change on these days")
        : emptyState("receipt", "Your balance has not changed yet"),
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
    onclick: () => busy(download, () => attempt(() => csv(days, signal))),
  });
  const low = lowBalance({ usual: usualPrice() });
  const filling = allowanceInWords();
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
      h(
        "p",
        { class: "lead" },
        "All changes to your balance, newest first. Entries are never edited or removed.",
        // The note about a low balance already contains this sentence.
        !low && filling && ` ${filling}`,
      ),
      low && note("warn", low),
      heldLine(signal),
      period(days, isLimited),
      months(signal),
      holder,
    ),
  };
}

/** The form that limits the statement to a range of days. */
function period({ from, to }, isLimited) {
  const day = (label, name, value) => {
    const input = h("input", { class: "input", type: "date", name, value });
    return h("label", { class: "period-day" }, h("span", {}, label), input);
  };
  const form = h(
    "form",
    { class: "toolbar period", "aria-label": "Days" },
    day("From", "from", from),
    day("To", "to", to),
    h("button", { type: "submit", class: "button button-secondary" }, "Show"),
    isLimited && linkButton("Show all days", "#/statement", { kind: "quiet" }),
    h("p", { class: "hint" }, "Dates are in UTC."),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = new FormData(form);
    const [one, other] = [chosen.get("from"), chosen.get("to")];
    // Swap two days in the wrong order.
    const [first, last] = one && other && other < one ? [other, one] : [one, other];
    const wanted = Object.entries({ from: first, to: last });
    const query = new URLSearchParams(wanted.filter(([, value]) => value));
    go(`#/statement${query.size > 0 ? `?${query}` : ""}`);
  });
  return form;
}

/** The totals of each month. The page reads them when the user opens this part. */
function months(signal) {
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
  const details = h("details", { class: "months" }, h("summary", {}, "Totals by month"), place);
  details.addEventListener("toggle", () => fill(place, read()), { once: true });
  return details;
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
  const { kind, reason, chat_id: chat, excerpt, key_name: key } = entry;
  const link = (text) => h("a", { href: `#/m/${chat}`, dir: "auto" }, text);
  if (kind === "chat") {
    if (reason === "embeddings") {
      return [
        "Embeddings",
        entry.model && h("span", { class: "muted" }, ` · ${paidFor(entry)}`),
        key && h("span", { class: "muted" }, " · API key ", h("bdi", {}, key)),
      ];
    }
    const state = reason === kind ? "answer" : reason;
    return [
      link(excerpt ? `“${excerpt}”` : "Answer"),
      h("span", { class: "muted" }, excerpt ? ` · ${state}` : " · its message was deleted"),
      entry.model && h("span", { class: "muted" }, ` · ${paidFor(entry)}`),
      key && h("span", { class: "muted" }, " · API key ", h("bdi", {}, key)),
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
  const name = chat && kind === "adjustment" ? "Refund" : (KINDS[kind] ?? formatWord(kind));
  const about = chat ? link(name) : h("span", {}, name);
  const plain = kind === "grant" && reason === "registration";
  if (plain) return "Grant for a new account";
  return ofAllowance(entry) ?? [about, ": ", h("span", {}, reason)];
}

/** The description of an allowance's row, with its period. Null for other rows. */
function ofAllowance({ kind, reason, chat_id: chat }) {
  const [, week = "", month = "", day = ""] = ALLOWANCE.exec(reason) ?? [];
  // Administrators may write any reason, even one with a day that doesn't exist.
  if (kind !== "adjustment" || chat || Number.isNaN(Date.parse(month + day))) return null;
  const period = day ? formatUtcDay(month + day) : formatMonth(`${month}-15`);
  return `Allowance for ${week}${period}`;
}

/** Reads all pages of the statement for these days into one CSV file with one header row. */
async function csv(days, signal) {
  const parts = [];
  let next = "api/user/ledger/";
  while (next) {
    const part = await file(next, {
      query: parts.length === 0 ? { limit: 100, ...days } : undefined,
      accept: "text/csv",
      signal,
    });
    const text = await part.blob.text();
    parts.push(parts.length === 0 ? text : text.slice(text.indexOf("\n") + 1));
    next = part.next;
  }
  const name = ["farebox-statement", days.from, days.to].filter(Boolean).join("-");
  save(new Blob(parts, { type: "text/csv" }), `${name}.csv`);
  toast("Your statement has been downloaded.");
}
