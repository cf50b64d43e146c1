// API keys for programs, with examples of their use.

import { readLook } from "../markdown/prose.js";
import { base, ensureDeleted, get, patch } from "../session/api.js";
import { allModels, models, textsInWords } from "../session/models.js";
import { announce } from "../ui/announce.js";
import { button, copyButton } from "../ui/button.js";
import { confirm, dialog } from "../ui/dialog.js";
import { fill, h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { inCurrency } from "../ui/format.js";
import { keyRow } from "../ui/key.js";
import { paged } from "../ui/list.js";
import { toast } from "../ui/message.js";
import { emptyState } from "../ui/note.js";
import { createKey } from "./new-key.js";
import { accountPage } from "./tabs.js";

/** `#/account/api-keys` */
export async function apiKeys({ signal }) {
  await readLook();
  const holder = h("div", {});
  const row = (key) => {
    const renaming = button("Rename", {
      small: true,
      "aria-label": `Rename ${key.name}`,
      onclick: async () => {
        const renamed = await rename(key);
        if (!renamed) return;
        const changed = row(renamed);
        element.replaceWith(changed);
        changed.querySelector("button").focus();
      },
    });
    const revoking = button("Revoke", {
      small: true,
      kind: "danger",
      "aria-label": `Revoke ${key.name}`,
      onclick: () => revoke(key),
    });
    const element = keyRow(key, renaming, revoking);
    return element;
  };
  const load = () => {
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
  load();
  return accountPage(
    "API keys",
    inCurrency(
      "With a key, your own programs can use the API. A key works until it expires or you revoke it, and the answers cost tokens.",
    ),
    h(
      "section",
      { class: "card", "aria-labelledby": "keys" },
      h(
        "div",
        { class: "card-head" },
        h("h2", { id: "keys" }, "Your keys"),
        button("New key", {
          kind: "primary",
          small: true,
          icon: "plus",
          onclick: () => createKey(load),
        }),
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

/** Asks for a new name for a key. Resolves with the renamed key, if the user has renamed it. */
function rename({ id, name }) {
  return dialog("Rename the key", (close) => {
    const box = field("Name", "name", { value: name, maxLength: 100, autofocus: true });
    return form([box], {
      submit: "Rename",
      extra: button("Cancel", { onclick: () => close() }),
      onsubmit: async (values) => {
        close(await patch(`api/user/api-keys/${id}/`, values));
        announce("Renamed.");
      },
    });
  });
}

/** The names of models that a program can send. */
function choice() {
  const listed = (all) => all.map((one, index) => [index > 0 && ", ", one]);
  const names = listed(models().map(({ name }) => h("code", {}, name)));
  if (names.length === 0) return "Any model name works.";
  const embedding = allModels().filter(({ kind }) => kind === "embedding");
  const price = ({ name, fare }) => [h("code", {}, name), ` (${textsInWords(fare)})`];
  return [
    ["The model is one of ", names, "."],
    embedding.length > 0 && [" For embeddings: ", listed(embedding.map(price)), "."],
  ];
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
