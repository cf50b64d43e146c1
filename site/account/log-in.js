// The log-in, and what it shares with the other views without a session.

import { get, isSignedIn, signIn } from "../session/api.js";
import { fill, h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { explain, inCurrency, rememberedCurrency, useCurrency } from "../ui/format.js";
import { icon } from "../ui/icons.js";
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
export function health() {
  checking ??= get("api/health/", {}, { open: true })
    .then((reply) => {
      useWord(reply.currency);
      return reply;
    })
    .finally(() => (checking = null));
  return checking;
}

/** Fills a box with a part of `terms.js`, which loads after the form. */
export function later(make) {
  const box = h("div", {});
  const show = async () => fill(box, await make(await import("./terms.js")));
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
    { class: "guest-about", "aria-label": "About this service" },
    h("p", { class: "guest-claim" }, "Chat with an AI. Pay for answers, and for nothing else."),
    facts(),
    later((terms) => terms.modelList(useWord)),
    later((terms) => terms.legal()),
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
