// Days in UTC, as the API counts them: `2026-11-20`.

const DAY = 86_400_000;
const words = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: "UTC" });

/** Today, or the day this many days ago. */
export const dayBefore = (days = 0) => new Date(Date.now() - days * DAY).toISOString().slice(0, 10);

/** Whether a text is a day of the calendar. */
export const isDay = (text) =>
  /^\d{4}-\d\d-\d\d$/.test(text ?? "") &&
  !Number.isNaN(Date.parse(text)) &&
  new Date(text).toISOString().startsWith(text);

/** The number of days from `from` to `to`, both included. */
export const daysIn = (from, to) => (Date.parse(to) - Date.parse(from)) / DAY + 1;

/** `20 Nov 2026` */
export const dayInWords = (day) => words.format(new Date(day));

/** `20 Nov 2026 to 26 Nov 2026`, or one day. */
export const rangeInWords = (from, to) =>
  from === to ? dayInWords(from) : `${dayInWords(from)} to ${dayInWords(to)}`;
