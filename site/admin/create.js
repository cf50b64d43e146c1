// The dialog in which an administrator creates or invites a user.

import { ApiError, newKey, post } from "../session/api.js";
import { button } from "../ui/button.js";
import { dialog } from "../ui/dialog.js";
import { h, newId } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { explain } from "../ui/format.js";
import { reasonField } from "./reason.js";

/**
 * Asks for a new user. While the outcome of a request is unknown, the same user is sent with the
 * same idempotency key, so the user is created only once. Resolves with `{user, invited}`, or with
 * nothing if the dialog was closed.
 */
export function createUser() {
  const name = newId("way");
  const way = (value, text, checked) =>
    h(
      "label",
      { class: "admin-choice" },
      h("input", { type: "radio", name, value, checked, onchange: arrange }),
      h("span", {}, text),
    );
  const inviting = way("invite", "Invite by e-mail", true);
  const setting = way("password", "Set a password", false);
  const invites = () => inviting.querySelector("input").checked;

  const off = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
  const username = field("Username", "username", { maxLength: 150, autofocus: true, ...off });
  const email = field("E-mail address", "email", { type: "email", maxLength: 254, ...off });
  const password = field("Password", "password", {
    type: "password",
    autocomplete: "new-password",
    hint: "At least 8 characters, and not a common password. The user can change the password.",
  });
  const about = h("p", { class: "hint", "aria-live": "polite" });
  const role = field("Role", "role", {
    type: "select",
    options: [
      ["user", "User"],
      ["admin", "Administrator"],
    ],
  });
  const tokens = field("Starting balance", "tokens", {
    inputMode: "numeric",
    autocomplete: "off",
    optional: true,
    hint: "Leave empty to grant the usual amount for a new account.",
  });
  const reason = reasonField({ optional: true, hint: "Shown in the audit log." });

  /** Asks for a password, or for the e-mail address that gets an invitation. */
  function arrange() {
    password.hidden = invites();
    password.input.dataset.optional = invites();
    email.input.dataset.optional = !invites();
    about.textContent = invites()
      ? "The user gets an e-mail with a link to choose a password. The link works for a week."
      : "No e-mail is sent. Tell the user the username and password yourself.";
  }
  arrange();

  let sent = null;
  const create = async (values) => {
    const body = {
      username: values.username.trim(),
      email: values.email.trim() || null,
      role: values.role,
      ...(values.tokens.trim() && { tokens: amount(values.tokens) }),
      ...(invites() ? { invite: true } : { password: values.password }),
      ...(values.reason.trim() && { reason: values.reason.trim() }),
    };
    const text = JSON.stringify(body);
    if (sent?.text !== text) sent = { text, key: newKey() };
    return post("api/admin/users/", body, { key: sent.key });
  };
  const choices = h(
    "fieldset",
    { class: "admin-choices" },
    h("legend", {}, "First log-in"),
    inviting,
    setting,
  );
  return dialog("New user", (close) =>
    form([username, choices, about, email, password, role, tokens, reason], {
      submit: "Create user",
      extra: [button("Cancel", { onclick: () => close() })],
      codes: { username_taken: "username", email_taken: "email" },
      words: (error) =>
        error.passing
          ? `${explain(error)} You can safely press the button again: the user is created only once.`
          : explain(error),
      onsubmit: async (values) => close({ user: await create(values), invited: invites() }),
    }),
  );
}

/** The typed amount of tokens. Thousands may be separated. */
function amount(text) {
  const digits = text.replace(/[\s,.'_]/g, "");
  if (/^\d{1,13}$/.test(digits)) return Number(digits);
  const sentence = "Enter a whole number, such as 4000.";
  throw new ApiError({
    status: 400,
    code: "invalid_fields",
    detail: sentence,
    errors: { tokens: [sentence] },
  });
}
