// The role and state of a user, and the buttons that change them.

import { patch } from "../session/api.js";
import { button } from "../ui/button.js";
import { h } from "../ui/dom.js";
import { explain, inCurrency } from "../ui/format.js";
import { toast } from "../ui/message.js";
import { note } from "../ui/note.js";
import { askWhy } from "./reason.js";
import { offerToVoid } from "./vouchers.js";

/** The role and state of `user`, with buttons. `show` gets the account after a change. */
export function standing(user, me, path, show) {
  const admin = user.role === "admin";
  const facts = [
    h(
      "p",
      {},
      user.active
        ? "The account is active."
        : "The account is deactivated: the user can't log in or send messages, and their API keys don't work.",
    ),
    h(
      "p",
      {},
      admin
        ? "The user is an administrator and can see everything here."
        : "The user is not an administrator.",
    ),
  ];
  if (user.id === me.id)
    return [
      facts,
      note(
        "info",
        "This is your own account. Only another administrator can change its role or deactivate it.",
      ),
    ];

  const ask = (question) => changeStanding({ ...question, path, show });
  const activation = user.active
    ? button("Deactivate", {
        kind: "danger",
        onclick: () =>
          ask({
            title: `Deactivate ${user.username}?`,
            text: inCurrency(
              "All of their sessions end at once, and their API keys stop working. Their tokens, messages and statement stay as they are, and you can reactivate the account.",
            ),
            action: "Deactivate",
            danger: true,
            change: { active: false },
            done: `${user.username} has been deactivated.`,
          }),
      })
    : button("Reactivate", {
        kind: "primary",
        onclick: () =>
          ask({
            title: `Reactivate ${user.username}?`,
            text: "They can log in again with their password, and their API keys work again.",
            action: "Reactivate",
            change: { active: true },
            done: `${user.username} is active again.`,
          }),
      });
  const role = button(admin ? "Make an ordinary user" : "Make an administrator", {
    onclick: () =>
      ask({
        title: admin
          ? `Make ${user.username} an ordinary user?`
          : `Make ${user.username} an administrator?`,
        text: admin
          ? "They lose access to the admin pages at once. All of their sessions end."
          : "They can see all users and messages, and change the balance and role of every other account. All of their sessions end, and they have to log in again.",
        action: admin ? "Make an ordinary user" : "Make an administrator",
        danger: admin,
        change: { role: admin ? "user" : "admin" },
        done: admin
          ? `${user.username} is an ordinary user now.`
          : `${user.username} is an administrator now.`,
      }),
  });
  return [facts, h("div", { class: "form-actions admin-standing" }, activation, role)];
}

/**
 * Asks for confirmation and a reason, and changes the role or state. The focus moves to the button
 * that undoes the change.
 */
async function changeStanding({ title, text, action, danger = false, change, done, path, show }) {
  let changed;
  const confirmed = await askWhy(title, text, {
    action,
    danger,
    run: async (body) => {
      changed = await patch(path, { ...change, ...body });
    },
    words: (error) =>
      ({
        last_administrator:
          "This is the last active administrator. Make another account an administrator first.",
        own_standing: "You can't change your own role or status. Another administrator can.",
      })[error.code] ?? explain(error),
  });
  if (!confirmed) return;
  show(changed);
  toast(done);
  document
    .querySelector(`.admin-standing .button:nth-child(${"active" in change ? 1 : 2})`)
    ?.focus();
  if (change.active === false || change.role === "user") await offerToVoid(changed);
}
