// API keys for programs, with examples of their use.

import { readLook } from "../markdown/prose.js";
import { base, ensureDeleted, get, patch } from "../session/api.js";
import { textsInWords } from "../session/fares.js";
import { allModels, models } from "../session/models.js";
import { announce } from "../ui/announce.js";
import { button, copyButton } from "../ui/button.js";
import { confirm, dialog } from "../ui/dialog.js";
import { fill, focusOn, h } from "../ui/dom.js";
import { field, form, wholeNumber } from "../ui/form.js";
import { formatNumber, inCurrency } from "../ui/format.js";
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
    const changing = button("Change", {
      small: true,
      "aria-label": `Change ${key.name}`,
      onclick: async () => {
        const { answer, failed } = await change(key);
        if (answer) {
          const changed = row(answer);
          element.replaceWith(changed);
          changed.querySelector("button").focus();
        } else if (failed) loadAgain();
      },
    });
    const revoking = button("Revoke", {
      small: true,
      kind: "danger",
      "aria-label": `Revoke ${key.name}`,
      onclick: () => revoke(key),
    });
    const element = keyRow(key, changing, revoking);
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
  // The button that was pressed disappears, so move the focus.
  const loadAgain = () => {
    load();
    focusOn(document.getElementById("keys"));
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
    loadAgain();
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

/**
 * Asks for another name for a key and, if the key has a limit, for another number of tokens.
 * Resolves with `answer`, the changed key if the user has changed it, and with `failed`, which is
 * true if a request failed. The key may then differ from the one in the list.
 */
async function change({ id, name, limit }) {
  let failed = false;
  const answer = await dialog("Change the key", (close) => {
    const box = field("Name", "name", { value: name, maxLength: 100, autofocus: true });
    const tokens =
      limit &&
      field(inCurrency("Token limit"), "limit.tokens", {
        value: formatNumber(limit.tokens),
        inputMode: "numeric",
        autocomplete: "off",
        optional: true,
        hint: inCurrency(
          "Tokens that the key has spent still count. Without a number, the limit is removed, and can't be set again.",
        ),
      });
    const before = tokens?.input.value;
    return form([box, tokens].filter(Boolean), {
      submit: "Save",
      codes: { no_key_limit: "limit.tokens" },
      extra: button("Cancel", { onclick: () => close() }),
      onsubmit: async (values) => {
        const typed = values["limit.tokens"];
        // Another tab may have changed the rest.
        const changes = {};
        if (values.name !== name) changes.name = values.name;
        if (typed !== before) changes.limit = limitOf(typed);
        if (Object.keys(changes).length === 0) {
          close();
          return;
        }
        if (changes.limit === null && !(await mayRemoveLimit(name))) return;
        try {
          close(await patch(`api/user/api-keys/${id}/`, changes));
        } catch (error) {
          failed = true;
          throw error;
        }
        announce("Saved.");
      },
    });
  });
  return { answer, failed };
}

/** Asks before a limit is removed. Resolves with true if it may be removed. */
const mayRemoveLimit = (name) =>
  confirm(
    `Remove the limit of “${name}”?`,
    "Programs that use this key can then spend the whole balance. This can't be undone.",
    { action: "Remove", danger: true },
  );

/** The limit in a request. Without a typed number, null. */
const limitOf = (typed) => (typed.trim() === "" ? null : { tokens: wholeNumber(typed) });

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
