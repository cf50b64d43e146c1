// The row of an API key, for users and administrators: its name and state, its use and its limits.

import { h } from "./dom.js";
import {
  formatAgo,
  formatNumber,
  formatTokens,
  formatUtcDay,
  formatUtcDayAgo,
  time,
} from "./format.js";
import { icon } from "./icons.js";

/** The share of the limit at which the meter begins to warn. */
const HIGH = 0.8;

/** A row in a list of keys, with buttons at its end. */
export function keyRow(key, ...buttons) {
  const isExpired = hasExpired(key);
  return h(
    "li",
    { class: "row" },
    icon("key"),
    h(
      "div",
      { class: "row-main" },
      h(
        "p",
        { class: "row-title" },
        h("span", {}, key.name),
        isExpired && [" ", h("span", { class: "badge badge-bad" }, "Expired")],
      ),
      h(
        "p",
        { class: "row-about" },
        "Ends in ",
        h("code", {}, key.hint),
        ", created ",
        time(key.created, formatAgo),
        key.last_used ? [", last used ", day(key.last_used, formatUtcDayAgo)] : ", never used",
        key.expires && [isExpired ? ", expired on " : ", expires on ", day(key.expires)],
      ),
      key.retries === "equal_bodies" &&
        h("p", { class: "row-about" }, "Equal requests within a minute are charged once"),
      key.models && h("p", { class: "row-about" }, "Models: ", listed(key.models)),
      key.limit && h("p", { class: "row-about key-limit" }, spending(key.limit)),
    ),
    buttons,
  );
}

/** Returns true if the key's last day is over in UTC. */
const hasExpired = ({ expires }) =>
  Boolean(expires) && expires < new Date().toISOString().slice(0, 10);

const listed = (names) => names.map((name, index) => [index > 0 && ", ", h("code", {}, name)]);

/** How much of its limit a key has spent: `200 of 250 tokens this month, resets on 1 Dec 2026` */
function spending({ tokens, per, spent, resets }) {
  const meter = { min: 0, max: tokens, high: tokens * HIGH, optimum: 0, value: spent };
  const period = per === "month" ? "this month" : "in total";
  return [
    h("meter", { ...meter, "aria-label": "Spent" }),
    h(
      "span",
      {},
      `${formatNumber(spent)} of ${formatTokens(tokens)} ${period}`,
      resets && [", resets on ", day(resets)],
    ),
  ];
}

/** A `time` element for a day in UTC. */
const day = (value, form = formatUtcDay) =>
  h("time", { class: "nowrap", dateTime: value, title: formatUtcDay(value) }, form(value));
