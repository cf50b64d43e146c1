// The views without a session other than the log-in: creating an account, a forgotten password, and
// the links in e-mails, which users with a session may also open.

import { get, inCookie, isSignedIn, newKey, post, register } from "../session/api.js";
import { linkButton } from "../ui/button.js";
import { h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { toast } from "../ui/message.js";
import { note } from "../ui/note.js";
import { go } from "../ui/router.js";
import { guestPage, health, later } from "./log-in.js";

/** `#/register`. `welcome` runs after the account is created. */
export function registration({ title }, welcome) {
  const name = field("Username", "username", {
    autocomplete: "username",
    autocapitalize: "none",
    spellcheck: "false",
    required: true,
    maxLength: 150,
    hint: "Use letters, digits and . + - _, or your e-mail address. Your username can't be changed later.",
  });
  const email = field("E-mail address", "email", {
    type: "email",
    autocomplete: "email",
    optional: true,
    hint: "Used to reset a forgotten password.",
  });
  const password = field("Password", "password", {
    type: "password",
    autocomplete: "new-password",
    required: true,
    hint: "At least 8 characters, and not a common password.",
  });
  // After a lost reply, send the same values again with the same idempotency key.
  let sent = { values: "", key: newKey() };
  let isVerified = false;
  const granted = h("span", {}, "\u00a0");
  const show = async () => {
    const healthy = await health();
    isVerified = healthy.email_verification;
    granted.textContent =
      (await (await import("./terms.js")).newAccountInWords(healthy)) || "\u00a0";
  };
  show().catch(() => {});
  const content = guestPage(
    title,
    granted,
    form([name, email, password], {
      submit: "Create account",
      codes: { username_taken: "username", email_taken: "email" },
      onsubmit: async (values) => {
        const written = JSON.stringify(values);
        if (sent.values !== written) sent = { values: written, key: newKey() };
        await register(values, sent.key);
        await welcome();
        const isMailed = isVerified && (values.email || values.username.includes("@"));
        const mailed = isMailed ? " We've sent you a verification e-mail." : "";
        toast(`Welcome, ${values.username}!${mailed}`);
      },
    }),
    later((terms) => terms.consent()),
    h(
      "p",
      { class: "guest-links" },
      h("span", {}, "Already have an account? ", h("a", { href: "#/log-in" }, "Log in")),
    ),
  );
  return { content, focus: name.input };
}

/** `#/forgotten-password`: sends a password-reset e-mail. */
export function forgotten({ title }) {
  const email = field("E-mail address", "email", {
    type: "email",
    autocomplete: "email",
    required: true,
  });
  const asking = form([email], {
    submit: "Send the e-mail",
    onsubmit: async ({ email: address }) => {
      await post("api/password/reset/", { email: address.trim() }, { open: true });
      const sent = h(
        "div",
        {},
        note(
          "good",
          h(
            "p",
            {},
            "If there is an account with the address ",
            h("strong", {}, address.trim()),
            ", we've sent an e-mail to it. The link expires in an hour and works once.",
          ),
          h("p", {}, "Didn't get it? Check your spam folder, or try again in a minute."),
        ),
      );
      asking.replaceWith(sent);
      sent.tabIndex = -1;
      sent.focus();
    },
  });
  const content = guestPage(
    title,
    "Enter your account's e-mail address. We'll send you a link to choose a new password.",
    asking,
    wayBack(),
  );
  return { content, focus: email.input };
}

function wayBack() {
  const [href, text] = isSignedIn()
    ? ["#/account", "Back to your account"]
    : ["#/log-in", "Back to the log-in"];
  return h("p", { class: "guest-links" }, h("a", { href }, text));
}

// --- The links in e-mails ---

/** The field for the account's new password. */
function newPassword() {
  return field("New password", "password", {
    type: "password",
    autocomplete: "new-password",
    required: true,
    hint: "At least 8 characters, and not a common password.",
  });
}

/** `#/reset-password?token=..`, the link in the e-mail from `forgotten`. */
export function resetting({ query, title }) {
  if (!query.token) return halfLink(title, "#/forgotten-password", "Get a new link");
  const password = newPassword();
  const choosing = form([password], {
    submit: "Change password",
    onsubmit: async (values) => {
      try {
        await post(
          "api/password/reset/confirm/",
          { token: query.token, password: values.password },
          { open: true, headers: inCookie() },
        );
      } catch (error) {
        if (error.code !== "invalid_link" && !error.errors?.token) throw error;
        spent(choosing, "#/forgotten-password", "Get a new link");
        return;
      }
      toast("Your password has been changed. Log in with the new password.");
      go("#/log-in", { replace: true });
    },
  });
  const content = guestPage(
    title,
    "You will be logged out everywhere when you change your password.",
    choosing,
    wayBack(),
  );
  return { content, focus: password.input };
}

/**
 * `#/verify-email?token=..`, the link in an e-mail. The user has to press a button, because
 * programs that scan e-mails also follow links. A reader who isn't logged in to the account must
 * choose a new password for it, because a different person may have registered with this address.
 */
export function verifying({ query, title }) {
  if (!query.token)
    return halfLink(title, "#/account", isSignedIn() ? "Go to your account" : "Log in");
  const password = newPassword();
  const choosing = form([password], {
    submit: "Verify and set the password",
    onsubmit: (values) => verify(choice, values),
  });
  const choice = h(
    "div",
    {},
    h(
      "p",
      {},
      "Choose a new password for the account with this address. Or ",
      h("a", { href: "#/log-in" }, "log in to it"),
      " first, and then open the link again.",
    ),
    choosing,
  );
  const verification = form([], {
    submit: "Verify my e-mail address",
    onsubmit: () => verify(verification, {}),
  });

  const verify = async (node, values) => {
    try {
      const body = { token: query.token, ...values };
      const { email } = await post("api/user/email/verify/", body, { open: "password" in values });
      // The other sessions have ended. Reading the profile continues this one.
      if (!values.password) await refreshProfile();
      const said = values.password
        ? "Your password has been changed. Log in with the new password."
        : "You have been logged out everywhere else.";
      const done = h(
        "div",
        {},
        note("good", h("p", {}, h("strong", {}, email), " is verified."), h("p", {}, said)),
        h(
          "p",
          { class: "guest-links" },
          linkButton(isSignedIn() ? "Continue" : "Log in", "#/", { kind: "primary" }),
        ),
      );
      node.replaceWith(done);
      done.querySelector("a").focus();
    } catch (error) {
      if (error.code === "password_required") {
        node.replaceWith(choice);
        password.input.focus();
        return;
      }
      if (error.code !== "invalid_link" && !error.errors?.token) throw error;
      spent(node, "#/account", isSignedIn() ? "Get a new link" : "Log in to get a new link");
    }
  };
  const content = guestPage(
    title,
    "Confirm that this e-mail address is yours. Then you can use the address to reset a forgotten password.",
    isSignedIn() ? verification : choice,
  );
  return { content };
}

/** Reads the profile again. The module is imported here because only a session needs it. */
async function refreshProfile() {
  try {
    const { learnProfile } = await import("../session/user.js");
    await learnProfile(get("api/user/profile/"));
  } catch {
    // Ignore a failure: the next view reads the profile.
  }
}

function spent(node, href, text) {
  const notice = h(
    "div",
    {},
    note("bad", "This link is invalid, has already been used, or has expired."),
    h("p", { class: "guest-links" }, linkButton(text, href, { kind: "primary" })),
  );
  node.replaceWith(notice);
  notice.querySelector("a").focus();
}

function halfLink(title, href, text) {
  const content = guestPage(
    title,
    null,
    note(
      "bad",
      "This link is incomplete. Open the link from the e-mail again, or copy the whole link.",
    ),
    h("p", { class: "guest-links" }, linkButton(text, href)),
  );
  return { content };
}
