// The views of the links in e-mails, with or without a session: a new password, and the verification
// of an e-mail address.

import { get, inCookie, isSignedIn, post } from "../session/api.js";
import { linkButton } from "../ui/button.js";
import { h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { toast } from "../ui/message.js";
import { note } from "../ui/note.js";
import { go } from "../ui/router.js";
import { guestPage, wayBack } from "./log-in.js";

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
  const told = h(
    "div",
    {},
    note("bad", "This link is invalid, has already been used, or has expired."),
    h("p", { class: "guest-links" }, linkButton(text, href, { kind: "primary" })),
  );
  node.replaceWith(told);
  told.querySelector("a").focus();
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
