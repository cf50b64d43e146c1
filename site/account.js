// The account: who somebody is, where they are signed in, keys for programs, and what is kept of them.

import {
  ApiError,
  base,
  changePassword,
  del,
  file,
  get,
  leave,
  page,
  patch,
  post,
  save,
  signOut as endSession,
} from "./api.js";
import { busy, button, copyButton } from "./button.js";
import { confirm, dialog } from "./dialog.js";
import { fill, h } from "./dom.js";
import { field, form } from "./form.js";
import { formatAgo, time } from "./format.js";
import { icon } from "./icons.js";
import { paged } from "./list.js";
import { attempt, toast } from "./message.js";
import { emptyState, note } from "./note.js";
import { learnProfile, profile, watchProfile } from "./profile.js";

const TABS = [
  ["account", "user", "Profile"],
  ["account/sessions", "device", "Sessions"],
  ["account/api-keys", "key", "API keys"],
  ["account/data", "shield", "Data"],
];

function accountPage(title, lead, ...content) {
  const tabs = h(
    "nav",
    { class: "nav tabs", "aria-label": "Account" },
    TABS.map(([path, name, text]) =>
      h("a", { href: `#/${path}` }, icon(name), h("span", {}, text)),
    ),
  );
  return {
    title,
    content: h(
      "div",
      { class: "page" },
      tabs,
      h("h1", {}, title),
      lead && h("p", { class: "lead" }, lead),
      content,
    ),
  };
}

// --- Profile -------------------------------------------------------------------------------------------------------------------------

/** Names, address and password. */
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
        h("dt", {}, "Signs in as"),
        h("dd", {}, own.username),
        h("dt", {}, "Here since"),
        h("dd", {}, time(own.date_joined)),
      ),
      namesForm(own),
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
      toast("Your name is saved.");
    },
  });
  element.classList.add("form-pair");
  return element;
}

/** The address, whether it is proved, and the mail that proves it. */
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
        : h("p", { class: "muted" }, "None. Without one a forgotten password can't be replaced."),
      pending &&
        h(
          "p",
          {},
          "Changes to ",
          h("strong", {}, pending),
          " when the mail that was sent there is read.",
        ),
      waits && resend(waits),
    );
  });
  return element;
}

function resend(address) {
  const told = h("div", {});
  const again = button("Send the mail again", {
    small: true,
    icon: "mail",
    onclick: () =>
      busy(again, async () => {
        try {
          await post("api/user/email/");
          fill(told, note("good", "A mail is on its way to ", h("strong", {}, address), "."));
        } catch (error) {
          if (error.code === "nothing_to_verify") await learnProfile(get("api/user/profile/"));
          else fill(told, note(error.code === "too_many_mails" ? "info" : "bad", error.message));
        }
      }),
  });
  return h(
    "div",
    { class: "address-mail" },
    h("p", { class: "muted small" }, "Open the link in the mail that we sent there to verify it."),
    again,
    told,
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
      await learnProfile(patch("api/user/profile/", { ...values, email: values.email.trim() }));
      element.reset();
      toast("A mail to prove the address is on its way.");
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
    hint: "At least 8 characters, and none of the usual ones. Every other session ends.",
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
      toast("Your password is changed. Every other session has ended.");
    },
  });
  return element;
}

// --- Sessions ------------------------------------------------------------------------------------------------------------------------

/** Where somebody is signed in. */
export function sessions({ signal }, signOut, goodbye) {
  const row = (session) => {
    const element = h(
      "li",
      { class: "row" },
      icon("device"),
      h(
        "div",
        { class: "row-main" },
        h(
          "p",
          { class: "row-title", title: session.device ?? "" },
          device(session.device),
          session.current && [" ", h("span", { class: "badge badge-accent" }, "this one")],
        ),
        h(
          "p",
          { class: "row-about" },
          "Began ",
          time(session.began, formatAgo),
          ", last used ",
          time(session.last_used, formatAgo),
          ", ends ",
          time(session.ends),
        ),
      ),
      session.current
        ? button("Sign out", { small: true, icon: "out", onclick: signOut })
        : button("End", {
            small: true,
            kind: "danger",
            "aria-label": `End the session of ${device(session.device)}`,
            onclick: end,
          }),
    );
    async function end() {
      const run = () =>
        del(`api/user/sessions/${session.id}/`).catch((error) => {
          if (error.status !== 404) throw error;
        });
      if (
        !(await confirm(
          "End this session?",
          `Whoever uses ${device(session.device)} has to sign in again.`,
          { action: "End session", danger: true, run },
        ))
      )
        return;
      element.remove();
      toast("The session has ended.");
    }
    return element;
  };
  const everywhere = async () => {
    const run = () => endSession({ everywhere: true });
    if (
      await confirm(
        "Sign out everywhere?",
        "Every session of your account ends, this one too. API keys go on.",
        { action: "Sign out everywhere", danger: true, run },
      )
    )
      goodbye();
  };
  const list = paged({
    load: (next) => page(next ?? "api/user/sessions/", undefined, { signal }),
    row,
    empty: emptyState("device", "No sessions"),
  });
  return accountPage(
    "Sessions",
    "Where you are signed in. A session lasts until it is ended here, or at its end.",
    h("section", { class: "card", "aria-label": "Sessions" }, list),
    h(
      "p",
      { class: "page-actions" },
      button("Sign out everywhere", { kind: "danger", icon: "out", onclick: everywhere }),
    ),
  );
}

/** What a browser says of itself, in words. */
function device(agent) {
  if (!agent) return "Unknown device";
  const browser = [
    [/Edg\//, "Edge"],
    [/OPR\//, "Opera"],
    [/Firefox\//, "Firefox"],
    [/Chrom(e|ium)\//, "Chrome"],
    [/Safari\//, "Safari"],
  ].find(([sign]) => sign.test(agent))?.[1];
  const system = [
    [/iPhone/, "iPhone"],
    [/iPad/, "iPad"],
    [/Android/, "Android"],
    [/Windows/, "Windows"],
    [/Mac OS X/, "Mac"],
    [/CrOS/, "ChromeOS"],
    [/Linux/, "Linux"],
  ].find(([sign]) => sign.test(agent))?.[1];
  if (browser && system) return `${browser} on ${system}`;
  return agent.split(" ")[0].slice(0, 60);
}

// --- API keys ------------------------------------------------------------------------------------------------------------------------

/** Keys for programs, and how programs use them. */
export function apiKeys({ signal }) {
  const holder = h("div", {});
  const load = () => {
    const row = (key) =>
      h(
        "li",
        { class: "row" },
        icon("key"),
        h(
          "div",
          { class: "row-main" },
          h("p", { class: "row-title" }, key.name),
          h(
            "p",
            { class: "row-about" },
            "Ends in ",
            h("code", {}, key.hint),
            ", made ",
            time(key.created, formatAgo),
          ),
        ),
        button("Revoke", {
          small: true,
          kind: "danger",
          "aria-label": `Revoke ${key.name}`,
          onclick: () => revoke(key),
        }),
      );
    const list = paged({
      load: async () => ({
        items: await get("api/user/api-keys/", undefined, { signal }),
        next: null,
      }),
      row,
      empty: emptyState(
        "key",
        "No API keys",
        h("p", {}, "A key lets a program of yours chat for your tokens."),
      ),
    });
    fill(holder, list);
  };
  const revoke = async (key) => {
    const run = () =>
      del(`api/user/api-keys/${key.id}/`).catch((error) => {
        if (error.status !== 404) throw error;
      });
    if (
      !(await confirm(
        `Revoke “${key.name}”?`,
        "Programs that use it are refused at once. This can't be undone.",
        { action: "Revoke", danger: true, run },
      ))
    )
      return;
    load();
    toast("The key is revoked.");
  };
  const create = () =>
    dialog("New API key", (close) => {
      const name = field("Name", "name", {
        maxLength: 100,
        autofocus: true,
        hint: "For yourself, to know it by: the program or machine that uses it.",
      });
      const making = form([name], {
        submit: "Make key",
        codes: { too_many_api_keys: "name" },
        extra: button("Cancel", { onclick: () => close() }),
        onsubmit: async (values) => {
          const key = await post("api/user/api-keys/", values);
          load();
          const shown = h("input", {
            class: "input mono",
            readOnly: true,
            value: key.key,
            "aria-label": "API key",
            onfocus: () => shown.select(),
          });
          const done = h(
            "div",
            {},
            note(
              "warn",
              h(
                "p",
                {},
                h("strong", {}, "Copy it now."),
                " It is shown this once; we keep no more than a hash of it.",
              ),
            ),
            h(
              "div",
              { class: "key-shown" },
              shown,
              copyButton(key.key, { small: false, label: "Copy" }),
            ),
            h(
              "div",
              { class: "dialog-actions" },
              button("Done", { kind: "primary", onclick: () => close() }),
            ),
          );
          making.replaceWith(done);
          done.querySelector(".copy").focus();
        },
      });
      return making;
    });
  load();
  return accountPage(
    "API keys",
    "For programs. A key lasts until you revoke it; what it is used for costs your tokens.",
    h(
      "section",
      { class: "card", "aria-labelledby": "keys" },
      h(
        "div",
        { class: "card-head" },
        h("h2", { id: "keys" }, "Your keys"),
        button("New key", { kind: "primary", small: true, icon: "plus", onclick: create }),
      ),
      holder,
    ),
    h(
      "section",
      { class: "card", "aria-labelledby": "use" },
      h("h2", { id: "use" }, "Use them with OpenAI's SDKs"),
      h(
        "p",
        {},
        "Programs that speak OpenAI's chat completions need two settings: this host, and a key of yours in place of ",
        h("code", {}, "sk-…"),
        ". Any name of a model will do.",
      ),
      examples(),
    ),
  );
}

function examples() {
  const url = new URL("v1", base).href;
  const texts = {
    Python: `from openai import OpenAI\n\nclient = OpenAI(base_url="${url}", api_key="sk-…")\nreply = client.chat.completions.create(\n    model="any",\n    messages=[{"role": "user", "content": "Hello!"}],\n)\nprint(reply.choices[0].message.content)`,
    Node: `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${url}", apiKey: "sk-…" });\nconst reply = await client.chat.completions.create({\n  model: "any",\n  messages: [{ role: "user", content: "Hello!" }],\n});\nconsole.log(reply.choices[0].message.content);`,
    curl: `curl ${url}/chat/completions \\\n  -H "Authorization: Bearer sk-…" \\\n  -H "Content-Type: application/json" \\\n  -d '{"model": "any", "messages": [{"role": "user", "content": "Hello!"}]}'`,
    Environment: `export OPENAI_BASE_URL=${url}\nexport OPENAI_API_KEY=sk-…`,
  };
  return Object.entries(texts).map(([name, text], index) =>
    h(
      "details",
      { class: "example", open: index === 0 },
      h("summary", {}, name),
      h(
        "figure",
        { class: "code" },
        h(
          "figcaption",
          {},
          h("span", {}, name === "Environment" ? "shell" : name),
          copyButton(text),
        ),
        h("pre", { tabIndex: 0 }, h("code", {}, text)),
      ),
    ),
  );
}

// --- What is kept --------------------------------------------------------------------------------------------------------------------

/** Take everything along, or have it deleted. */
export function ownData(_place, goodbye) {
  const take = button("Download everything", {
    icon: "download",
    onclick: () =>
      busy(take, () =>
        attempt(async () => {
          const { blob, name } = await file("api/user/export/");
          // A document that was cut off on the way lacks its end.
          if (!(await blob.slice(-8).text()).trimEnd().endsWith("]}")) {
            throw new ApiError({
              code: "interrupted",
              detail: "The file was cut off on its way. Try again.",
            });
          }
          save(blob, name ?? "farebox-export.json");
          toast("Your data is downloaded.");
        }),
      ),
  });
  return accountPage(
    "Your data",
    null,
    h(
      "section",
      { class: "card", "aria-labelledby": "export" },
      h("h2", { id: "export" }, "Take it along"),
      h(
        "p",
        {},
        "Everything that is kept of you as one JSON file: profile, sessions, keys (not what they are), conversations with all chats, and the statement.",
      ),
      take,
    ),
    h(
      "section",
      { class: "card card-danger", "aria-labelledby": "delete" },
      h("h2", { id: "delete" }, "Delete the account"),
      h(
        "p",
        {},
        "Every session and key ends at once, your chats are erased within minutes, and what is left of your tokens is gone. This can't be undone.",
      ),
      button("Delete my account", {
        kind: "danger",
        icon: "trash",
        onclick: () => deleteAccount(goodbye),
      }),
    ),
  );
}

function deleteAccount(goodbye) {
  return dialog("Delete the account?", (close) => {
    const password = field("Your password", "password", {
      type: "password",
      autocomplete: "current-password",
    });
    return [
      h(
        "p",
        {},
        "“",
        profile().username,
        "” and all its conversations are deleted for good. Its tokens are gone.",
      ),
      form([password], {
        submit: "Delete for good",
        kind: "danger",
        codes: { wrong_password: "password" },
        extra: button("Cancel", { onclick: () => close() }),
        onsubmit: async (values) => {
          await del("api/user/", values, { headers: { "X-Refresh-Token": "cookie" } });
          close();
          leave();
          goodbye();
          toast("Your account is deleted.");
        },
      }),
    ];
  });
}
