// Daily figures: new users, messages, tokens granted and spent, money, and calls to AI models. Also
// the most active users.

import { ApiError, get } from "../session/api.js";
import { announce } from "../ui/announce.js";
import { button } from "../ui/button.js";
import { fill, focusOn, h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { explain, formatNumber, formatUtcDay, inCurrency, time } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { stackedTable, table } from "../ui/list.js";
import { emptyState, note, skeleton } from "../ui/note.js";
import { formatPrice, formatUnits, inUnits } from "../ui/purchase.js";
import { go } from "../ui/router.js";
import { callsToModels } from "./calls.js";
import { dayBefore, daysIn, isDay, rangeInWords } from "./filters.js";
import { currenciesOf, marginNumbers, marginPlots, withMargins } from "./margins.js";
import { forAll, formatMargin, formatMoney, moneyMark, moneyOf } from "./money.js";
import { userLink } from "./people.js";
import { plotCard } from "./plot.js";
import { PATH as PRICES } from "./prices.js";

const RANGES = [7, 30, 90];
const MOST_DAYS = 366;
/** The maximum number of requests while the API is still counting the figures. */
const MOST_REQUESTS = 20;

const PLOTS = [
  { title: "New users", series: [{ key: "users", name: "Users", shape: "bars" }] },
  { title: "Messages", series: [{ key: "chats", name: "Messages", shape: "bars" }] },
  {
    title: "Tokens",
    series: [
      { key: "granted", name: "Granted and adjusted", shape: "line" },
      { key: "spent", name: "Spent", shape: "line" },
    ],
  },
];
const SUMS = [
  ["users", "Accounts"],
  ["administrators", "Administrators"],
  ["deactivated", "Deactivated"],
  ["silent", "Never sent a message"],
  ["tokens", "Tokens in all balances"],
  ["granted", "Tokens granted and adjusted in total"],
  ["spent", "Tokens spent in total"],
];
const TOPS = [
  ["spent", "By tokens"],
  ["chats", "By messages"],
];
const TOTALS = [
  ["users", "New users"],
  ["chats", "Messages"],
  ["granted", "Tokens granted and adjusted"],
  ["spent", "Tokens spent"],
];

/**
 * The numbers in a view, each `[name, read, format]`. They include one for each currency in which
 * purchases were made.
 */
function numbersOf(totals) {
  const all = TOTALS.map(([key, name]) => [inCurrency(name), (one) => one[key], formatNumber]);
  const money = revenuesOf(totals).map(([currency, name]) => [
    name,
    (one) => one.revenue?.[currency] ?? 0,
    (sum) => formatPrice(sum, currency),
  ]);
  return [...all, ...money];
}

/** The currencies in which purchases were made, each with a name for its revenue. */
function revenuesOf({ revenue = {} }) {
  const currencies = Object.keys(revenue).toSorted();
  const name = (currency) => (currencies.length > 1 ? `Revenue in ${currency}` : "Revenue");
  return currencies.map((currency) => [currency, name(currency)]);
}

/**
 * The plots of a view: one for each currency in which purchases were made, and two for each currency
 * in which models are priced.
 */
function plotsOf(totals, currencies) {
  const money = revenuesOf(totals).map(([currency, title]) => ({
    title,
    mark: moneyMark(currency),
    series: [
      {
        key: `revenue in ${currency}`,
        name: "Revenue",
        shape: "bars",
        format: (units) => formatUnits(units, currency),
      },
    ],
  }));
  const tokens = PLOTS.at(-1);
  return [...PLOTS.slice(0, -1), ...money, ...marginPlots(currencies), tokens];
}

/** The days with the revenue in each currency's unit, for plots. */
const withRevenue = (days, totals) =>
  days.map((day) => ({
    ...day,
    ...Object.fromEntries(
      revenuesOf(totals).map(([currency]) => [
        `revenue in ${currency}`,
        inUnits(day.revenue?.[currency] ?? 0, currency),
      ]),
    ),
  }));

/** The view that is shown. A new range changes the view in place, so that the focus is kept. */
let open = null;

/** `#/figures?days=30`, `#/figures?from=2026-11-01&to=2026-11-20` */
export function figuresView({ query, signal, title }) {
  const range = read(query);
  if (!open?.content.isConnected) open = build(title);
  open.show(range, signal);
  const { activeElement } = document;
  return {
    title: `${title}, ${rangeInWords(range.from, range.to)}`,
    content: open.content,
    focus: open.content.contains(activeElement) ? activeElement : undefined,
  };
}

function read({ days, from, to, top }) {
  const by = TOPS.some(([key]) => key === top) ? top : TOPS[0][0];
  if (isDay(from) && isDay(to) && from <= to && daysIn(from, to) <= MOST_DAYS)
    return { from, to, days: null, by };
  const known = RANGES.includes(Number(days)) ? Number(days) : 30;
  return { from: dayBefore(known - 1), to: dayBefore(), days: known, by };
}

/** The address of the view with this range. */
function place({ from, to, days, by }) {
  const query = new URLSearchParams(days ? { days } : { from, to });
  if (by !== TOPS[0][0]) query.set("top", by);
  return `#/figures?${query}`;
}

function build(title) {
  let by = TOPS[0][0];
  const preset = (dataset, text) => h("a", { class: "button button-secondary", dataset }, text);
  const presets = RANGES.map((days) => preset({ days }, `${days} days`));
  const tops = TOPS.map(([key, name]) => preset({ by: key }, inCurrency(name)));
  const current = (link, is) => {
    if (is) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  };
  const from = field("From", "from", { type: "date", max: dayBefore() });
  const to = field("To", "to", { type: "date", max: dayBefore() });
  const custom = form([from, to], {
    submit: "Show",
    kind: "secondary",
    class: "admin-range",
    "aria-label": "Other days",
    onsubmit: (values) => {
      const wrong = faulty(values);
      if (wrong) throw new ApiError({ code: "invalid_fields", ...wrong });
      go(place({ ...values, by }));
    },
  });
  const body = h("div", {});
  const users = h("div", {});
  const top = h(
    "section",
    { class: "card", "aria-label": "Top users", hidden: true },
    h(
      "div",
      { class: "card-head" },
      h("h2", {}, "Top users"),
      h("nav", { class: "admin-presets", "aria-label": "Order" }, tops),
    ),
    users,
  );
  const content = h(
    "div",
    { class: "page page-wide" },
    h("div", { class: "page-head" }, h("h1", {}, title)),
    h(
      "div",
      { class: "admin-ranges" },
      h("nav", { class: "admin-presets", "aria-label": "Range" }, presets),
      custom,
    ),
    body,
    top,
  );

  async function show(range, signal) {
    by = range.by;
    for (const link of presets) {
      link.href = place({ days: link.dataset.days, by });
      current(link, Number(link.dataset.days) === range.days);
    }
    for (const link of tops) {
      link.href = place({ ...range, by: link.dataset.by });
      current(link, link.dataset.by === by);
    }
    from.input.value = range.from;
    to.input.value = range.to;
    body.setAttribute("aria-busy", "true");
    if (!body.hasChildNodes()) fill(body, skeleton(6));
    try {
      const figures = await counted(range, signal, () =>
        fill(body, h("p", { class: "lead" }, "Counting. This may take a while…"), skeleton(6)),
      );
      const held = body.contains(document.activeElement);
      fill(body, shown(figures, range));
      fill(users, topUsers(figures.top));
      top.hidden = false;
      if (held) focusOn(content.querySelector("h1"));
      announce(
        `Statistics of ${rangeInWords(range.from, range.to)}: ${numbersOf(figures.totals)
          .map(([name, read, format]) => `${name} ${format(read(figures.totals))}`)
          .join(", ")}.`,
      );
    } catch (error) {
      if (signal.aborted) return;
      top.hidden = true;
      fill(
        body,
        note(
          "bad",
          h("p", {}, explain(error)),
          button("Try again", { small: true, onclick: () => show(range, signal) }),
        ),
      );
    } finally {
      if (!signal.aborted) body.removeAttribute("aria-busy");
    }
  }
  return { content, show };
}

/**
 * Reads the figures. When the API counts many days for the first time, a request may fail with 503.
 * The next request continues the count.
 */
async function counted({ from, to, by }, signal, waiting) {
  for (let requests = 1; ; requests += 1) {
    try {
      const asked = { from, to, accounts: true, top: by, models: true, calls: true };
      const [figures, prices] = await Promise.all([
        get("api/admin/figures/", asked, { signal }),
        get(PRICES, null, { signal }),
      ]);
      return { ...figures, prices: prices.list };
    } catch (error) {
      if (error.status !== 503 || requests === MOST_REQUESTS) throw error;
      waiting();
      await new Promise((done) => setTimeout(done, 1000 * Math.min(error.retryAfter ?? 2, 10)));
      signal.throwIfAborted();
    }
  }
}

/** The error for an invalid range, or null. */
function faulty({ from, to }) {
  const say = (name, detail) => ({ detail, errors: { [name]: [detail] } });
  if (!isDay(from)) return say("from", "Enter a date.");
  if (!isDay(to)) return say("to", "Enter a date.");
  if (from > to) return say("to", "The last day can't be before the first.");
  if (daysIn(from, to) > MOST_DAYS) return say("from", `At most ${MOST_DAYS} days at a time.`);
  return null;
}

function shown({ days: counted, totals, accounts, costs, prices }, { from, to }) {
  const counting = counted.some(({ closed }) => closed === false);
  const currencies = currenciesOf(counted);
  const days = withMargins(withRevenue(counted, totals), currencies);
  return [
    h(
      "p",
      { class: "lead" },
      rangeInWords(from, to),
      ", in UTC",
      counting ? ". Today is still being counted." : ".",
    ),
    h(
      "dl",
      { class: "stats" },
      numbersOf(totals).map(([name, read, format]) =>
        h(
          "div",
          { class: "stat" },
          h("dt", { class: "stat-name" }, name),
          h("dd", { class: "stat-value" }, format(read(totals))),
        ),
      ),
    ),
    sums(accounts, prices),
    costs?.models.length > 0 && byModel(costs.models),
    costs?.users.length > 0 && byUser(costs.users),
    days.length === 0
      ? emptyState("chart", "No statistics for these days.")
      : h(
          "div",
          { class: "admin-plots" },
          plotsOf(totals, currencies).map((one) =>
            plotCard({ ...one, title: inCurrency(one.title) }, days, from, to),
          ),
        ),
    h(
      "section",
      { class: "card admin-days", "aria-label": "Day by day" },
      h(
        "details",
        {},
        h("summary", {}, h("h2", {}, "The same numbers as a table")),
        dayTable(days, [...numbersOf(totals), ...marginNumbers(currencies)]),
      ),
    ),
    callsToModels(days, from, to),
  ];
}

/**
 * The tokens that users can still spend, including those that are held for unfinished messages, and
 * their value at the price that users pay for them now.
 */
function outstanding({ granted, spent }, prices) {
  const tokens = granted - spent;
  const each = moneyOf(prices?.million_tokens);
  const worth =
    each !== null && `, worth ${formatMoney(forAll(tokens, each), prices.currency)} at list price`;
  return h(
    "p",
    {},
    h("strong", {}, inCurrency(`${formatNumber(tokens)} tokens outstanding`)),
    worth,
    inCurrency(". Users can still spend them, whether they bought or were given these tokens."),
  );
}

/** The totals of all accounts, or a note that they haven't been counted yet. */
function sums(accounts, prices) {
  const heading = h("h2", {}, "All accounts");
  if (!accounts)
    return h(
      "section",
      { class: "card", "aria-label": "All accounts" },
      heading,
      h(
        "p",
        { class: "muted" },
        "Not counted yet. Wait for the daily census, or run the command manage census.",
      ),
    );
  return h(
    "section",
    { class: "card", "aria-label": "All accounts" },
    heading,
    h("p", { class: "muted" }, "As of ", time(accounts.counted), "."),
    outstanding(accounts, prices),
    h(
      "dl",
      { class: "facts admin-accounts" },
      SUMS.map(([key, name]) => [
        h("dt", {}, inCurrency(name)),
        h("dd", {}, formatNumber(accounts[key])),
      ]),
    ),
  );
}

/** The messages to each model in the price list, and what they cost. */
function byModel(models) {
  const number = "number labelled";
  const { element, body, row } = stackedTable("Use of each model", [
    { text: "Model", head: true },
    { text: "Messages", class: number },
    { text: inCurrency("Tokens"), class: number },
    { text: "Prompt", class: number },
    { text: "Cached", class: number },
    { text: "Written", class: number },
    { text: "Answer", class: number },
    { text: "Cost", class: number },
    { text: "Value at list price", class: number },
    { text: "Margin", class: number },
  ]);
  const cells = (one) => [
    one.model,
    formatNumber(one.chats),
    formatNumber(one.tokens),
    formatNumber(one.prompt_tokens),
    formatNumber(one.cached_tokens),
    formatNumber(one.written_tokens ?? 0),
    formatNumber(one.completion_tokens),
    ...moneyCells(one),
  ];
  fill(
    body,
    models.map((one) => row(cells(one))),
  );
  return h(
    "section",
    { class: "card admin-by-model", "aria-label": "Models" },
    h("h2", {}, "Models"),
    h(
      "p",
      { class: "muted" },
      "The Prompt, Cached, Written and Answer columns count model tokens.",
    ),
    element,
  );
}

/** What the users who spent the most cost and were worth. */
function byUser(users) {
  const number = "number labelled";
  const { element, body, row } = stackedTable("Cost and value of each user", [
    { text: "User", head: true },
    { text: "Messages", class: number },
    { text: inCurrency("Tokens"), class: number },
    { text: "Cost", class: number },
    { text: "Value at list price", class: number },
    { text: "Margin", class: number },
  ]);
  fill(
    body,
    users.map((one) =>
      row([
        userLink(one.user_id, one.username ?? "deleted account"),
        formatNumber(one.chats),
        formatNumber(one.tokens),
        ...moneyCells(one),
      ]),
    ),
  );
  return h(
    "section",
    { class: "card admin-by-model", "aria-label": "Users by cost" },
    h("h2", {}, "Users by cost"),
    h(
      "p",
      { class: "muted" },
      inCurrency(
        "The users who spent the most tokens on models of the price list, at most 20. For each day, only the 250 users who spent the most are stored.",
      ),
    ),
    element,
  );
}

/** The cost, the value at list price, and the margin. */
function moneyCells({ cost, income, currency }) {
  const money = (amount) => (amount === null ? "unknown" : formatMoney(amount, currency));
  const [spent, worth] = [moneyOf(cost), moneyOf(income)];
  const isKnown = spent !== null && worth !== null;
  return [money(spent), money(worth), isKnown ? formatMargin(worth, spent, currency) : "unknown"];
}

/** The most active users, or a note that no messages were sent. */
function topUsers({ users, complete }) {
  if (users.length === 0) return h("p", { class: "muted" }, "No messages were sent on these days.");
  const { element, body } = table(
    inCurrency("Users who spent the most tokens or sent the most messages"),
    [
      "User",
      { text: "Messages", class: "number" },
      { text: inCurrency("Tokens spent"), class: "number" },
    ],
  );
  const name = ({ user_id: id, username }) => userLink(id, username ?? "deleted account");
  fill(
    body,
    users.map((user) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, name(user)),
        h("td", { class: "number" }, formatNumber(user.chats)),
        h("td", { class: "number" }, formatNumber(user.spent)),
      ),
    ),
  );
  const partly = "Only the 250 users who spent the most on each day are compared.";
  return [element, !complete && h("p", { class: "muted" }, partly)];
}

/** A table of these numbers, with headings that sort it. */
function dayTable(days, numbers) {
  const columns = [["Day", ({ day }) => day], ...numbers];
  const { element, body, row } = stackedTable("Statistics day by day", [
    { text: "Day", class: "nowrap", head: true },
    ...numbers.map(([text]) => ({ text, class: "number labelled" })),
  ]);
  const heads = [...element.querySelectorAll("thead th")];
  const buttons = columns.map(([name], index) => {
    const sorter = h(
      "button",
      { type: "button", class: "admin-sort", onclick: () => sort(index) },
      h("span", {}, name),
      icon("down"),
    );
    fill(heads[index], sorter);
    return sorter;
  });
  let order = { by: null, down: false };

  function sort(by) {
    order = { by, down: order.by === by ? !order.down : true };
    const sign = order.down ? -1 : 1;
    // Unknown amounts are the lowest.
    const read = (day) => columns[by][1](day) ?? -Infinity;
    const compare = (one, other) => (one < other ? -1 : Number(one > other));
    const rows = days.toSorted(
      (a, b) => sign * compare(read(a), read(b)) || (a.day < b.day ? 1 : -1),
    );
    fill(
      body,
      rows.map((day) => row(cells(day))),
    );
    columns.forEach((_, index) => {
      if (index === by)
        heads[index].setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else heads[index].removeAttribute("aria-sort");
      buttons[index].classList.toggle("admin-sorted-up", index === by && !order.down);
    });
  }
  const cells = (day) => [
    [formatUtcDay(day.day), day.closed === false && [" ", h("span", { class: "badge" }, "so far")]],
    ...numbers.map(([, read, format]) => format(read(day))),
  ];
  sort(0);
  return element;
}
