// The views without a session: logging in, creating an account, and a forgotten password.

import { get, isSignedIn, newKey, post, register, signIn } from "../session/api.js";
import { fill, h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { explain, inCurrency, rememberedCurrency, useCurrency } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { toast } from "../ui/message.js";
import { note } from "../ui/note.js";

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

function useWord(word = "tokens") {
  if (useCurrency(word)) showFacts();
}

/** The service's state, which includes the operator's word for tokens. */
function health() {
  checking ??= get("api/health/", {}, { open: true })
    .then((reply) => {
      useWord(reply.currency);
      return reply;
    })
    .finally(() => (checking = null));
  return checking;
}

/** The models and their prices. They follow the form, which doesn't need them. */
function prices() {
  const box = h("div", {});
  const show = async () => fill(box, await (await import("./door.js")).modelList(useWord));
  if (!isSignedIn()) show().catch(() => {});
  return box;
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
export function guestPage(title, lead, ...content) {
  const about = h(
    "section",
    { class: "guest-about", "aria-label": "About Farebox" },
    h("p", { class: "guest-claim" }, "Chat with an AI. Pay for answers, and for nothing else."),
    facts(),
    prices(),
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
  let isVerified = false;
  const granted = h("span", {}, "\u00a0");
  const show = async () => {
    const healthy = await health();
    isVerified = healthy.email_verification;
    granted.textContent = (await (await import("./door.js")).beginning(healthy)) || "\u00a0";
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

export function wayBack() {
  const [href, text] = isSignedIn()
    ? ["#/account", "Back to your account"]
    : ["#/log-in", "Back to the log-in"];
  return h("p", { class: "guest-links" }, h("a", { href }, text));
}
