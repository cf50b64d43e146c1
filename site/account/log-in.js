// The views without a session: logging in, creating an account, and the links in e-mails.

import { get, inCookie, isSignedIn, newKey, post, register, signIn } from "../session/api.js";
import { linkButton } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import {
  explain,
  formatTokens,
  inCurrency,
  plural,
  rememberedCurrency,
  useCurrency,
} from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { toast } from "../ui/message.js";
import { note } from "../ui/note.js";
import { go } from "../ui/router.js";

const FACTS = [
  [
    "chat",
    "Answers appear as they are written",
    "Chats that remember your messages, on all of your devices.",
  ],
  [
    "coin",
    "Pay per answer",
    "You pay only for answers that you receive. If something fails, you get the tokens back.",
  ],
  [
    "receipt",
    "Every token accounted for",
    "A statement shows each grant and each answer, with the balance after it.",
  ],
];

/** Shows the list of facts again, with a different word for tokens. */
let showFacts = () => {};
let checking = null;

/** The service's state, which includes the operator's word for tokens. */
function health() {
  checking ??= get("api/health/", {}, { open: true })
    .then((reply) => {
      if (useCurrency(reply.currency ?? "tokens")) showFacts();
      return reply;
    })
    .finally(() => (checking = null));
  return checking;
}

/** The list of facts. In a new browser, requests the operator's word for tokens. */
function facts() {
  const list = h("ul", { class: "guest-facts" });
  const fact = ([name, ...texts]) => {
    const [head, text] = texts.map(inCurrency);
    return h("li", {}, icon(name), h("div", {}, h("strong", {}, head), h("p", {}, text)));
  };
  showFacts = () => fill(list, FACTS.map(fact));
  showFacts();
  if (rememberedCurrency() === null) health().catch(() => {});
  return list;
}

/** A view with a form and, beside the form, a description of the product. */
function guestPage(title, lead, ...content) {
  const about = h(
    "section",
    { class: "guest-about", "aria-label": "About Farebox" },
    h("p", { class: "guest-claim" }, "Chat with an AI. Pay for answers, and for nothing else."),
    facts(),
  );
  return h(
    "div",
    { class: "guest-page" },
    h(
      "div",
      { class: "guest-card card" },
      h("h1", {}, title),
      lead && h("p", { class: "muted" }, lead),
      content,
    ),
    about,
  );
}

/** `#/log-in`. `welcome` runs after logging in. */
export function loggingIn({ query, title }, welcome) {
  const name = field("Username or e-mail address", "username", {
    autocomplete: "username",
    autocapitalize: "none",
    spellcheck: "false",
    required: true,
  });
  const password = field("Password", "password", {
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  const content = guestPage(
    title,
    null,
    "ended" in query &&
      h(
        "div",
        { class: "guest-note" },
        note("info", "Your session has ended. Log in to continue; what you wrote is kept."),
      ),
    form([name, password], {
      submit: "Log in",
      words: refusal,
      onsubmit: async (values) => {
        await signIn(values.username.trim(), values.password);
        await welcome();
      },
    }),
    h(
      "p",
      { class: "guest-links" },
      h("a", { href: "#/forgotten-password" }, "Forgotten your password?"),
      h("span", {}, "New here? ", h("a", { href: "#/register" }, "Create an account")),
    ),
  );
  return { content, focus: name.input };
}

/**
 * The error message for a failed log-in. A wrong password and a deactivated account get the same
 * reply, so that an attacker can't find out which names exist.
 */
export function refusal(error) {
  if (error.code !== "invalid_credentials") return explain(error);
  return `${error.message} If both are correct, the account may be deactivated. Ask an administrator.`;
}

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
  const content = guestPage(
    title,
    beginning(),
    form([name, email, password], {
      submit: "Create account",
      codes: { username_taken: "username", email_taken: "email" },
      onsubmit: async (values) => {
        const written = JSON.stringify(values);
        if (sent.values !== written) sent = { values: written, key: newKey() };
        await register(values, sent.key);
        await welcome();
        toast(
          values.email || values.username.includes("@")
            ? `Welcome, ${values.username}! We've sent you a verification e-mail.`
            : `Welcome, ${values.username}!`,
        );
      },
    }),
    h(
      "p",
      { class: "guest-links" },
      h("span", {}, "Already have an account? ", h("a", { href: "#/log-in" }, "Log in")),
    ),
  );
  return { content, focus: name.input };
}

/**
 * A sentence about the tokens that a new account gets. It stays empty until the API has replied.
 */
function beginning() {
  const sentence = h("span", {}, "\u00a0");
  const say = ({ first_grant: tokens, chat_price: price }) => {
    const free = formatTokens(tokens).replace(" ", " free ");
    const answers = plural(Math.floor(tokens / price), "answer");
    if (tokens >= price) sentence.textContent = `Includes ${free}: about ${answers}.`;
  };
  health().then(say, () => {});
  return sentence;
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
