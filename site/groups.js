// The groups of days in which conversations are listed.

const DAY = 86_400_000;

const month = new Intl.DateTimeFormat("en", { month: "long" });
const monthOfYear = new Intl.DateTimeFormat("en", { month: "long", year: "numeric" });

/** The first moment of the day of a time. */
const midnight = (time) => new Date(time.getFullYear(), time.getMonth(), time.getDate());

/**
 * The group of a conversation: its name, and its rank among the groups. A conversation without a
 * time is used right now.
 */
export function groupOf({ pinned, last_used: used }, now = new Date()) {
  if (pinned) return { name: "Pinned", rank: 0 };
  const time = used ? new Date(used) : now;
  // A day on which the clock changes has not 24 hours.
  const days = Math.round((midnight(now) - midnight(time)) / DAY);
  if (days < 1) return { name: "Today", rank: 1 };
  if (days < 2) return { name: "Yesterday", rank: 2 };
  if (days <= 7) return { name: "Previous 7 days", rank: 3 };
  if (days <= 30) return { name: "Previous 30 days", rank: 4 };
  const years = now.getFullYear() - time.getFullYear();
  const months = 12 * years + now.getMonth() - time.getMonth();
  return { name: (years === 0 ? month : monthOfYear).format(time), rank: 4 + months };
}

/** When the groups change next, in milliseconds. */
export function untilMidnight(now = new Date()) {
  return midnight(new Date(midnight(now).getTime() + 1.5 * DAY)) - now;
}
