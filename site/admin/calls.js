// How the calls to an AI model went on each day: their number, how many failed, and how long answers
// took.

import { announce } from "../ui/announce.js";
import { fill, h } from "../ui/dom.js";
import { field } from "../ui/form.js";
import { formatNumber, formatUtcDay } from "../ui/format.js";
import { stackedTable } from "../ui/list.js";
import { plotCard } from "./plot.js";

const shares = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });
const seconds = new Intl.NumberFormat("en", {
  style: "unit",
  unit: "second",
  maximumFractionDigits: 2,
});

/** `1.3 sec`, of milliseconds, or `no data` */
const formatSeconds = (ms) => (ms === null ? "no data" : seconds.format(ms / 1000));
const formatShare = (share) => (share === null ? "no data" : shares.format(share));

const ofHalf = "half of the answers";
const ofMost = "95% of the answers";

/** The model that is shown. It stays chosen when the days change. */
let chosen = null;

/** The models that were called, starting with the one that was called most often. */
function modelsOf(days) {
  const sums = new Map();
  for (const { model, calls } of days.flatMap((day) => day.calls ?? []))
    sums.set(model, (sums.get(model) ?? 0) + calls);
  return [...sums.keys()].toSorted((one, other) => sums.get(other) - sums.get(one));
}

/** The days with the numbers of a model. Times and shares are null on days without a call. */
const daysOf = (days, model) =>
  days.map(({ day, closed, calls = [] }) => {
    const own = calls.find((one) => one.model === model);
    return {
      day,
      closed,
      calls: own?.calls ?? 0,
      failed: own?.failed ?? 0,
      share: own ? own.failed / own.calls : null,
      first_token_p50: own?.first_token_p50 ?? null,
      first_token_p95: own?.first_token_p95 ?? null,
      answer_p50: own?.answer_p50 ?? null,
      answer_p95: own?.answer_p95 ?? null,
    };
  });

/** The plots of a model. If no answer was streamed, no time until answers begin is known. */
function plotsOf(days) {
  const times = (title, key) => ({
    title,
    // A tenth of a second, and marks in seconds.
    step: 100,
    mark: (ms) => seconds.format(ms / 1000),
    series: [
      { key: `${key}_p50`, name: `For ${ofHalf}`, shape: "line", format: formatSeconds },
      { key: `${key}_p95`, name: `For ${ofMost}`, shape: "line", format: formatSeconds },
    ],
  });
  const isStreamed = days.some((day) => day.first_token_p50 !== null);
  return [
    { title: "Calls", series: [{ key: "calls", name: "Calls", shape: "bars" }] },
    {
      title: "Failed calls",
      step: 0.01,
      mark: formatShare,
      series: [{ key: "share", name: "Failed", shape: "bars", format: formatShare }],
    },
    ...(isStreamed ? [times("Time until answers begin", "first_token")] : []),
    times("Time until answers are complete", "answer"),
  ];
}

/** The numbers of a model as a table, newest day first. Days without a call are left out. */
function callTable(days, model) {
  const number = "number labelled";
  const { element, body, row } = stackedTable(`Calls to ${model} day by day`, [
    { text: "Day", class: "nowrap", head: true },
    { text: "Calls", class: number },
    { text: "Failed", class: number },
    { text: "Half begin within", class: number },
    { text: "95% begin within", class: number },
    { text: "Half are complete within", class: number },
    { text: "95% are complete within", class: number },
  ]);
  const cells = (day) => [
    formatUtcDay(day.day),
    formatNumber(day.calls),
    `${formatNumber(day.failed)} (${formatShare(day.share)})`,
    formatSeconds(day.first_token_p50),
    formatSeconds(day.first_token_p95),
    formatSeconds(day.answer_p50),
    formatSeconds(day.answer_p95),
  ];
  const called = days.filter(({ calls }) => calls > 0).toReversed();
  fill(
    body,
    called.map((day) => row(cells(day))),
  );
  return element;
}

/** The calls to each model: a card with the choice of the model, and the model's plots. */
export function callsToModels(days, from, to) {
  const models = modelsOf(days);
  const card = (...children) =>
    h("section", { class: "card admin-calls", "aria-label": "Calls to models" }, children);
  const heading = h("h2", {}, "Calls to models");
  if (models.length === 0)
    return card(
      heading,
      h(
        "p",
        { class: "muted" },
        "No calls are recorded for these days. Each day's calls are stored after its end.",
      ),
    );

  const picker = field("Model", "model", {
    type: "select",
    options: models.map((model) => [model, model]),
    value: models.includes(chosen) ? chosen : models[0],
  });
  const plots = h("div", { class: "admin-plots" });
  const table = h("div", {});
  const show = () => {
    const model = picker.input.value;
    const own = daysOf(days, model);
    fill(
      plots,
      plotsOf(own).map((one) => plotCard(one, own, from, to)),
    );
    fill(table, callTable(own, model));
  };
  picker.input.addEventListener("change", () => {
    chosen = picker.input.value;
    show();
    announce(`Calls to ${chosen}.`);
  });
  show();
  return [
    card(
      h("div", { class: "card-head" }, heading, picker),
      h(
        "p",
        { class: "muted" },
        "A message causes several calls if a provider fails and the next one is called. Times begin with the call, and leave out failed and stopped answers.",
      ),
      h("details", {}, h("summary", {}, h("h3", {}, "The calls as a table")), table),
    ),
    plots,
  ];
}
