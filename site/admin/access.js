// A user's access: password-reset links, the sessions, and the deletion of the account.

import { del, ensureDeleted, post } from "../session/api.js";
import { button } from "../ui/button.js";
import { device } from "../ui/device.js";
import { focusOn, h } from "../ui/dom.js";
import { formatAgo, inCurrency, time } from "../ui/format.js";
import { attempt, toast } from "../ui/message.js";
import { askWhy } from "./reason.js";
import { offerToVoid } from "./vouchers.js";

/** The button that sends `user` a password-reset link, or the reason why that is impossible. */
export function password(user, me, path) {
  const because = (reason) => h("p", { class: "muted" }, reason);
  if (user.id === me.id) return because("Change your own password on your account page.");
  if (!user.email) return because("The account has no e-mail address to send a reset link to.");
  if (!user.active) return because("Reactivate the account to send a reset link.");
  const send = button("Send a reset e-mail", {
    small: true,
    onclick: async () => {
      const sent = await askWhy(
        `Send ${user.username} a password reset link?`,
        `The link goes to ${user.email} and works for an hour. Until it is used, the old password stays valid.`,
        { action: "Send a reset e-mail", run: (body) => post(`${path}password-reset/`, body) },
      );
      if (sent) toast(`An e-mail to ${user.email} is on its way.`);
    },
  });
  return [
    h("p", {}, "Sends the user an e-mail with a link to choose a new password."),
    h("div", { class: "form-actions" }, send),
  ];
}

/** The button that permanently deletes `user`. `gone` then leaves the user's page. */
export function deletion(user, me, path, gone) {
  if (user.id === me.id)
    return h("p", { class: "muted" }, "Delete your own account on your account page.");
  const remove = button("Delete the account", {
    kind: "danger",
    small: true,
    onclick: async () => {
      const deleted = await askWhy(
        `Delete ${user.username}?`,
        inCurrency(
          "All of their sessions and API keys stop working at once, their messages are erased within minutes, and their remaining tokens are lost. This can't be undone.",
        ),
        {
          action: "Delete the account",
          danger: true,
          run: (body) => ensureDeleted(path, body),
        },
      );
      if (!deleted) return;
      toast(`${user.username} has been deleted.`);
      await offerToVoid(user);
      gone();
    },
  });
  return [
    h(
      "p",
      {},
      "Deletes all of the user's data except the statement, which is kept without a name. To lock the user out for a while, deactivate the account instead.",
    ),
    h("div", { class: "form-actions" }, remove),
  ];
}

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
  // Administrators log themselves out on their account page.
  if (user.id === me.id) return list;
  const end = button("Log out everywhere", { kind: "danger", small: true, onclick: endAll });
  return [list, h("div", { class: "form-actions" }, end)];

  async function endAll() {
    const heading = end.closest("section").querySelector("h2");
    const ended = await askWhy(
      `Log ${user.username} out everywhere?`,
      "All of their sessions end at once, and links in e-mails sent to them stop working. Their API keys keep working.",
      {
        action: "Log out everywhere",
        danger: true,
        run: (body) => del(`${path}sessions/`, body),
      },
    );
    if (!ended) return;
    toast(`${user.username} has been logged out everywhere.`);
    await attempt(again);
    // The button that was pressed is gone, so move the focus.
    focusOn(heading);
  }
}
