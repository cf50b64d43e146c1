// API keys for programs, with examples of their use.

import { readLook } from "../markdown/prose.js";
import { base, ensureDeleted, get, post } from "../session/api.js";
import { models } from "../session/models.js";
import { button, copyButton } from "../ui/button.js";
import { confirm, dialog } from "../ui/dialog.js";
import { fill, h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { formatAgo, inCurrency, time } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { paged } from "../ui/list.js";
import { toast } from "../ui/message.js";
import { emptyState, note } from "../ui/note.js";
import { accountPage } from "./tabs.js";

/** `#/account/api-keys` */
export async function apiKeys({ signal }) {
  await readLook();
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
            ", created ",
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
        h(
          "p",
          {},
          inCurrency("With a key, your own programs can send messages. The answers cost tokens."),
        ),
      ),
    });
    fill(holder, list);
  };
  const revoke = async (key) => {
    const revoked = await confirm(
      `Revoke “${key.name}”?`,
      "Programs that use this key stop working at once. This can't be undone.",
      {
        action: "Revoke",
        danger: true,
        run: () => ensureDeleted(`api/user/api-keys/${key.id}/`),
      },
    );
    if (!revoked) return;
    load();
    toast("The key has been revoked.");
  };
  const create = () =>
    dialog("New API key", (close) => {
      const name = field("Name", "name", {
        maxLength: 100,
        autofocus: true,
        hint: "For example, the name of the program that uses the key.",
      });
      const creating = form([name], {
        submit: "Create key",
        codes: { too_many_api_keys: "name" },
        extra: button("Cancel", { onclick: () => close() }),
        onsubmit: async (values) => {
          const key = await post("api/user/api-keys/", values);
          load();
          // A text area wraps a long key, so that no part of the key is hidden.
          const shown = h("textarea", {
            class: "input mono",
            rows: 4,
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
                h("strong", {}, `Copy the key “${key.name}” now.`),
                " It is shown only once and can't be recovered.",
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
          creating.replaceWith(done);
          done.querySelector(".copy").focus();
        },
      });
      return creating;
    });
  load();
  return accountPage(
    "API keys",
    inCurrency(
      "With a key, your own programs can use the API. A key works until you revoke it, and the answers cost tokens.",
    ),
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
      h("h2", { id: "use" }, "Use a key with OpenAI's SDKs"),
      h(
        "p",
        {},
        "Programs written for OpenAI's API need two settings: this address, and one of your keys in place of ",
        h("code", {}, "sk-…"),
        ". ",
        choice(),
      ),
      examples(),
    ),
  );
}

/** The names of models that a program can send. */
function choice() {
  const names = models().map(({ name }, index) => [index > 0 && ", ", h("code", {}, name)]);
  return names.length > 0 ? ["The model is one of ", names, "."] : "Any model name works.";
}

function examples() {
  const url = new URL("v1", base).href;
  const model = models()[0]?.name ?? "any";
  const texts = {
    Python: `from openai import OpenAI\n\nclient = OpenAI(base_url="${url}", api_key="sk-…")\nreply = client.chat.completions.create(\n    model="${model}",\n    messages=[{"role": "user", "content": "Hello!"}],\n)\nprint(reply.choices[0].message.content)`,
    Node: `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${url}", apiKey: "sk-…" });\nconst reply = await client.chat.completions.create({\n  model: "${model}",\n  messages: [{ role: "user", content: "Hello!" }],\n});\nconsole.log(reply.choices[0].message.content);`,
    curl: `curl ${url}/chat/completions \\\n  -H "Authorization: Bearer sk-…" \\\n  -H "Content-Type: application/json" \\\n  -d '{"model": "${model}", "messages": [{"role": "user", "content": "Hello!"}]}'`,
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
