// The profile: name, instructions for the AI, e-mail address and password.

import { changePassword, get, patch, post } from "../session/api.js";
import { instructionsCost } from "../session/instructions.js";
import { learnProfile, profile, watchProfile } from "../session/user.js";
import { busy, button } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { time } from "../ui/format.js";
import { toast } from "../ui/message.js";
import { note } from "../ui/note.js";
import { accountPage } from "./tabs.js";
import { legal } from "./terms.js";

/** `#/account` */
export async function profilePage({ signal }) {
  await learnProfile(get("api/user/profile/", undefined, { signal }));
  const own = profile();
  return accountPage(
    "Profile",
    null,
    h(
      "section",
      { class: "card", "aria-labelledby": "names" },
      h("h2", { id: "names" }, "Name"),
      h(
        "dl",
        { class: "facts" },
        h("dt", {}, "Username"),
        h("dd", {}, own.username),
        h("dt", {}, "Member since"),
        h("dd", {}, time(own.date_joined)),
      ),
      namesForm(own),
    ),
    h(
      "section",
      { class: "card", "aria-labelledby": "instructions" },
      h("h2", { id: "instructions" }, "Instructions for the AI"),
      instructionsForm(own),
    ),
    h(
      "section",
      { class: "card", "aria-labelledby": "address" },
      h("h2", { id: "address" }, "E-mail address"),
      addressState(),
      addressForm(),
    ),
    h(
      "section",
      { class: "card", "aria-labelledby": "password" },
      h("h2", { id: "password" }, "Password"),
      passwordForm(),
    ),
    legal(),
  );
}

function namesForm(own) {
  const first = field("First name", "first_name", {
    value: own.first_name,
    autocomplete: "given-name",
    optional: true,
  });
  const last = field("Last name", "last_name", {
    value: own.last_name,
    autocomplete: "family-name",
    optional: true,
  });
  const element = form([first, last], {
    submit: "Save",
    onsubmit: async (values) => {
      await learnProfile(patch("api/user/profile/", values));
      toast("Your name has been saved.");
    },
  });
  element.classList.add("form-pair");
  return element;
}

function instructionsForm(own) {
  const box = field("How should the AI answer?", "instructions", {
    type: "textarea",
    rows: 4,
    dir: "auto",
    value: own.instructions ?? "",
    placeholder: "For example: Answer briefly, and use metres.",
    hint: "The AI gets these instructions with each of your messages. Programs with an API key send their own instructions. ",
    optional: true,
  });
  box.hint.append(instructionsCost(box.input));
  return form([box], {
    submit: "Save instructions",
    onsubmit: async (values) => {
      await learnProfile(patch("api/user/profile/", values));
      const what = profile().instructions ? "saved" : "removed";
      toast(`Your instructions have been ${what}.`);
    },
  });
}

/** The e-mail address, its state (verified or not), and the button that sends the e-mail again. */
function addressState() {
  const element = h("div", { class: "address-state" });
  watchProfile(() => {
    const { email, email_verified: verified, pending_email: pending } = profile();
    const waits = pending ?? (verified ? null : email);
    fill(
      element,
      email
        ? h(
            "p",
            { class: "row" },
            h("strong", {}, email),
            h(
              "span",
              { class: `badge ${verified ? "badge-good" : "badge-coin"}` },
              verified ? "verified" : "not verified",
            ),
          )
        : h("p", { class: "muted" }, "Add an e-mail address to be able to reset your password."),
      pending &&
        h(
          "p",
          {},
          "Will change to ",
          h("strong", {}, pending),
          " when you open the link in the e-mail that we've sent there.",
        ),
      waits && resend(waits),
    );
  });
  return element;
}

function resend(address) {
  const outcome = h("div", {});
  const again = button("Send the e-mail again", {
    small: true,
    icon: "mail",
    onclick: () =>
      busy(again, async () => {
        try {
          await post("api/user/email/");
          fill(outcome, note("good", "We've sent an e-mail to ", h("strong", {}, address), "."));
        } catch (error) {
          if (error.code === "nothing_to_verify") await learnProfile(get("api/user/profile/"));
          else fill(outcome, note(error.code === "too_many_mails" ? "info" : "bad", error.message));
        }
      }),
  });
  return h(
    "div",
    { class: "address-mail" },
    h(
      "p",
      { class: "muted small" },
      "To verify the address, open the link in the e-mail that we've sent there.",
    ),
    again,
    outcome,
  );
}

function addressForm() {
  const email = field(profile().email ? "New address" : "Address", "email", {
    type: "email",
    autocomplete: "email",
  });
  const password = field("Current password", "current_password", {
    type: "password",
    autocomplete: "current-password",
  });
  const element = form([email, password], {
    submit: profile().email ? "Change address" : "Add address",
    kind: "secondary",
    codes: { wrong_password: "current_password", email_taken: "email" },
    onsubmit: async (values) => {
      const address = values.email.trim();
      await learnProfile(patch("api/user/profile/", { ...values, email: address }));
      element.reset();
      const service = await get("api/health/", {}, { open: true }).catch(() => ({}));
      const isMailed = address && service.email_verification;
      toast(isMailed ? "We've sent you a verification e-mail." : "Saved.");
    },
  });
  return element;
}

function passwordForm() {
  const current = field("Current password", "current_password", {
    type: "password",
    autocomplete: "current-password",
  });
  const fresh = field("New password", "new_password", {
    type: "password",
    autocomplete: "new-password",
    hint: "At least 8 characters, and not a common password. You are logged out everywhere else.",
  });
  const name = h("input", {
    class: "sr-only",
    type: "text",
    autocomplete: "username",
    value: profile().username,
    readOnly: true,
    tabIndex: -1,
    "aria-hidden": "true",
  });
  const element = form([name, current, fresh], {
    submit: "Change password",
    kind: "secondary",
    codes: { wrong_password: "current_password" },
    onsubmit: async (values) => {
      await changePassword(values.current_password, values.new_password);
      element.reset();
      toast("Your password has been changed. All other sessions have ended.");
    },
  });
  return element;
}
