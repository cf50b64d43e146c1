// What lets a user in, and how an administrator takes it away.

import { askWhy } from "./admin-reason.js";
import { del } from "./api.js";
import { button } from "./button.js";
import { device } from "./device.js";
import { focusOn, h } from "./dom.js";
import { formatAgo, time } from "./format.js";
import { attempt, toast } from "./message.js";

/** The sessions of `user`, and the button that ends them. `again` reads the account again. */
export function sessions(user, me, path, again) {
  if (user.sessions.length === 0) return h("p", { class: "muted" }, "The account has no sessions.");
  const row = (session) =>
    h(
      "li",
      {},
      h("p", { class: "row-title", title: session.device ?? "" }, device(session.device)),
      h(
        "p",
        { class: "row-about" },
        "Last used ",
        time(session.last_used, formatAgo),
        " · started ",
        time(session.began),
        " · ends ",
        time(session.ends),
      ),
    );
  const list = h("ul", { class: "list admin-sessions" }, user.sessions.map(row));
  // Administrators sign themselves out on their account page.
  if (user.id === me.id) return list;
  const end = button("Sign out everywhere", { kind: "danger", small: true, onclick: endAll });
  return [list, h("div", { class: "form-actions" }, end)];

  async function endAll() {
    const heading = end.closest("section").querySelector("h2");
    const ended = await askWhy(
      `Sign ${user.username} out everywhere?`,
      "All of their sessions end at once, and links in e-mails to them stop working. Their API keys keep working.",
      {
        action: "Sign out everywhere",
        danger: true,
        run: (body) => del(`${path}sessions/`, body),
      },
    );
    if (!ended) return;
    toast(`${user.username} is signed out everywhere.`);
    await attempt(again);
    // The pressed button is gone.
    focusOn(heading);
  }
}
