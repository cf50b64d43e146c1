// The views of whoever is not signed in: sign in, open an account, and what mailed links lead to.

import { isSignedIn, leave, newKey, post, register, signIn } from "./api.js";
import { linkButton } from "./button.js";
import { h } from "./dom.js";
import { field, form } from "./form.js";
import { icon } from "./icons.js";
import { toast } from "./message.js";
import { note } from "./note.js";
import { profile } from "./profile.js";
import { go } from "./router.js";

/** Where somebody was on the way to before they had to sign in. */
export const wanted = (() => {
  let hash = null;
  return {
    keep(place) {
      hash =
        place && !/^#\/?(sign-in|register|reset-password|verify-email)/.test(place) ? place : null;
    },
    take() {
      const place = hash;
      hash = null;
      return place;
    },
  };
})();

const FACTS = [
  [
    "chat",
    "Answers as they are written",
    "Conversations that remember what was said, on every device of yours.",
  ],
  [
    "coin",
    "Pay per answer",
    "Nothing is charged unless an answer is stored. What breaks gives its tokens back.",
  ],
  [
    "receipt",
    "Every token accounted for",
    "A statement shows each grant and each chat, with the balance after it.",
  ],
];

/** A form in the middle, and beside it what this is. */
function door(title, lead, ...content) {
  const about = h(
    "section",
    { class: "door-about", "aria-label": "About Farebox" },
    h("p", { class: "door-claim" }, "Chat with an AI. Pay for answers, and for nothing else."),
    h(
      "ul",
      { class: "door-facts" },
      FACTS.map(([name, head, text]) =>
        h("li", {}, icon(name), h("div", {}, h("strong", {}, head), h("p", {}, text))),
      ),
    ),
  );
  return h(
    "div",
    { class: "door-page" },
    h(
      "div",
      { class: "door-card card" },
      h("h1", {}, title),
      lead && h("p", { class: "muted" }, lead),
      content,
    ),
    about,
  );
}

/** Sign in. */
export function signingIn({ query }, welcome) {
  const name = field("Name or e-mail address", "username", {
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
  const content = door(
    "Sign in",
    null,
    "ended" in query &&
      h(
        "div",
        { class: "door-note" },
        note(
          "info",
          "Your session has ended. Sign in again and go on where you were; what you had written is kept.",
        ),
      ),
    form([name, password], {
      submit: "Sign in",
      onsubmit: async (values) => {
        await signIn(values.username.trim(), values.password);
        await welcome();
      },
    }),
    h(
      "p",
      { class: "door-links" },
      h("a", { href: "#/forgotten-password" }, "Forgotten your password?"),
      h("span", {}, "New here? ", h("a", { href: "#/register" }, "Open an account")),
    ),
  );
  return { title: "Sign in", content, focus: name.input };
}

/** Open an account. */
export function registration(_place, welcome) {
  const name = field("Name", "username", {
    autocomplete: "username",
    autocapitalize: "none",
    spellcheck: "false",
    required: true,
    maxLength: 150,
    hint: "Letters, digits and . + - _, or your e-mail address. It can't be changed later.",
  });
  const email = field("E-mail address", "email", {
    type: "email",
    autocomplete: "email",
    optional: true,
    hint: "For a forgotten password.",
  });
  const password = field("Password", "password", {
    type: "password",
    autocomplete: "new-password",
    required: true,
    hint: "At least 8 characters, and none of the usual ones.",
  });
  // What is sent again as it was happens once, whatever became of its first reply.
  let sent = { values: "", key: newKey() };
  const content = door(
    "Open an account",
    "It begins with tokens to try it.",
    form([name, email, password], {
      submit: "Open account",
      codes: { username_taken: "username", email_taken: "email" },
      onsubmit: async (values) => {
        const written = JSON.stringify(values);
        if (sent.values !== written) sent = { values: written, key: newKey() };
        await register(values, sent.key);
        await welcome();
        toast(
          values.email || values.username.includes("@")
            ? `Welcome, ${values.username}! A mail to prove your address is on its way.`
            : `Welcome, ${values.username}!`,
        );
      },
    }),
    h(
      "p",
      { class: "door-links" },
      h("span", {}, "You have an account? ", h("a", { href: "#/sign-in" }, "Sign in")),
    ),
  );
  return { title: "Open an account", content, focus: name.input };
}

/** Ask for the mail that lets a password be replaced. */
export function forgotten() {
  const email = field("E-mail address", "email", {
    type: "email",
    autocomplete: "email",
    required: true,
  });
  const asking = form([email], {
    submit: "Send me a mail",
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
            "If an account has the address ",
            h("strong", {}, address.trim()),
            ", a mail is on its way. Its link is good for an hour, and once.",
          ),
          h("p", {}, "Nothing came? Look among the unwanted mail, or ask again in a minute."),
        ),
      );
      asking.replaceWith(sent);
      sent.tabIndex = -1;
      sent.focus();
    },
  });
  const content = door(
    "Forgotten password",
    "Tell us the address of your account, and choose a new password by the link that we mail to it.",
    asking,
    h(
      "p",
      { class: "door-links" },
      h(
        "a",
        { href: isSignedIn() ? "#/account" : "#/sign-in" },
        isSignedIn() ? "Back to your account" : "Back to sign in",
      ),
    ),
  );
  return { title: "Forgotten password", content, focus: email.input };
}

/** Choose a new password by the token of a mail. */
export function resetting({ query }) {
  if (!query.token)
    return halfLink("Choose a new password", "#/forgotten-password", "Ask for a new mail");
  const password = field("New password", "password", {
    type: "password",
    autocomplete: "new-password",
    required: true,
    hint: "At least 8 characters, and none of the usual ones.",
  });
  const choosing = form([password], {
    submit: "Change password",
    onsubmit: async (values) => {
      try {
        await post(
          "api/password/reset/confirm/",
          { token: query.token, password: values.password },
          { open: true, headers: { "X-Refresh-Token": "cookie" } },
        );
      } catch (error) {
        if (error.code !== "invalid_link" && !error.errors?.token) throw error;
        spent(choosing, "#/forgotten-password", "Ask for a new mail");
        return;
      }
      toast("Your password is changed. Sign in with it.");
      go("#/sign-in", { replace: true });
    },
  });
  const content = door(
    "Choose a new password",
    "Every session of your account ends with it.",
    choosing,
  );
  return { title: "Choose a new password", content, focus: password.input };
}

/** Prove an address by the token of a mail. It takes a press: programs that look through mails follow links too. A proof ends every session of its account: `left` is
 * called where this tab's was one of them. */
export function verifying({ query }, left) {
  if (!query.token) return halfLink("Verify your address", "#/account", "Go to your account");
  const proving = form([], {
    submit: "Verify my address",
    onsubmit: async () => {
      try {
        const { email } = await post(
          "api/user/email/verify/",
          { token: query.token },
          { open: true },
        );
        if (isOwn(email)) {
          leave();
          left();
        }
        const done = h(
          "div",
          {},
          note(
            "good",
            h("p", {}, h("strong", {}, email), " is verified."),
            h("p", {}, "Sign in to its account again: every session of it has ended."),
          ),
          h(
            "p",
            { class: "door-links" },
            linkButton(isSignedIn() ? "Go on" : "Sign in", "#/", { kind: "primary" }),
          ),
        );
        proving.replaceWith(done);
        done.querySelector("a").focus();
      } catch (error) {
        if (error.code !== "invalid_link" && !error.errors?.token) throw error;
        spent(
          proving,
          "#/account",
          isSignedIn() ? "Have it sent again" : "Sign in to have it sent again",
        );
      }
    },
  });
  const content = door(
    "Verify your address",
    "One press proves that this address is yours, so that a forgotten password can be replaced by it.",
    proving,
  );
  return { title: "Verify your address", content };
}

/** Whether this tab is signed in to the account that has this address, or is to have it. */
function isOwn(address) {
  const { email, pending_email: pending } = profile() ?? {};
  return [email, pending].some((own) => own?.toLowerCase() === address.toLowerCase());
}

function spent(node, href, text) {
  const told = h(
    "div",
    {},
    note("bad", "This link was used, is too old, or was never mailed."),
    h("p", { class: "door-links" }, linkButton(text, href, { kind: "primary" })),
  );
  node.replaceWith(told);
  told.querySelector("a").focus();
}

function halfLink(title, href, text) {
  const content = door(
    title,
    null,
    note(
      "bad",
      "This address lacks the end of the mailed link. Open the link from the mail once more, or copy all of it.",
    ),
    h("p", { class: "door-links" }, linkButton(text, href)),
  );
  return { title, content };
}
