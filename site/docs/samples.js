// Requests as code, in the language that the reader has chosen in this browser.

import { base } from "../session/api.js";
import { coloured } from "../markdown/code.js";
import { copyButton } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";

/** The languages: id, name, and the name that highlight.js uses. */
const LANGUAGES = [
  ["curl", "curl", "bash"],
  ["python", "Python", "python"],
  ["javascript", "JavaScript", "javascript"],
];

const KEY = "farebox.docs.language";

let language = remembered();
const watchers = new Map();

function remembered() {
  try {
    const known = localStorage.getItem(KEY);
    return LANGUAGES.some(([id]) => id === known) ? known : "curl";
  } catch {
    return "curl";
  }
}

function choose(id) {
  language = id;
  try {
    localStorage.setItem(KEY, id);
  } catch {
    // Without storage, the choice applies only to this page.
  }
  for (const [element, show] of watchers) {
    if (element.isConnected) show();
    else watchers.delete(element);
  }
}

/** Code with a button that copies it. */
export function code(text, named, label) {
  const inside = h("code", {});
  const show = () => {
    const lacking = new Set();
    fill(inside, coloured(text, named, { lacking, budget: { code: 24_000 } }));
    for (const library of lacking) library.read().then(show, () => {});
  };
  show();
  // A wide block scrolls, so the keyboard must reach it.
  const block = h("pre", { tabIndex: 0, role: "region", "aria-label": label }, inside);
  return h(
    "div",
    { class: "docs-code" },
    block,
    copyButton(text, { class: "button button-secondary button-small copy" }),
  );
}

/**
 * Code in the chosen language, below buttons that choose another one. `texts` contains the code by
 * the language's id, and `label` says what the code does. Empty for a language without code.
 */
export function sample(texts, label) {
  const box = h("div", { class: "docs-sample" });
  const listed = LANGUAGES.filter(([id]) => texts[id]);
  const show = () => {
    const chosen = listed.find(([one]) => one === language);
    if (!chosen) {
      fill(box);
      return;
    }
    const [id, name, named] = chosen;
    const buttons = listed.map(([one, text]) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(one === id),
          onclick: () => {
            choose(one);
            box.querySelector("[aria-pressed='true']").focus();
          },
        },
        text,
      ),
    );
    const group = h(
      "div",
      { class: "docs-languages", role: "group", "aria-label": "Language" },
      buttons,
    );
    fill(box, group, code(texts[id], named, `${label}, ${name}`));
  };
  watchers.set(box, show);
  show();
  return box;
}

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const pretty = (value) => JSON.stringify(value, null, 2);

/** JSON as Python writes it. */
const python = (value) =>
  pretty(value).replaceAll(
    /("(?:[^"\\]|\\.)*")|\b(true|false|null)\b/g,
    (whole, string, word) => string ?? { true: "True", false: "False", null: "None" }[word],
  );

/** The variable that contains the credential of an operation. Empty if none is needed. */
function credential({ schemes }) {
  if (schemes.includes("api_key")) return "API_KEY";
  return schemes.includes("access_token") ? "ACCESS_TOKEN" : "";
}

/** An operation as code. `body` is undefined for a request without a body. */
export function samplesOf(operation, url, body) {
  const { method } = operation;
  const token = credential(operation);
  const indent = (text, by = "  ") => text.replaceAll("\n", `\n${by}`);
  const curl = [
    `curl ${method === "GET" ? "" : `-X ${method} `}${shell(url)}`,
    token && `-H "Authorization: Bearer $${token}"`,
    body !== undefined && `-H 'Content-Type: application/json'`,
    body !== undefined && `-d ${shell(pretty(body))}`,
  ];
  const inPython = [
    `    ${JSON.stringify(url)},`,
    token && `    headers={"Authorization": f"Bearer {os.environ['${token}']}"},`,
    body !== undefined && `    json=${indent(python(body), "    ")},`,
  ];
  const headers = [
    token && `Authorization: \`Bearer \${process.env.${token}}\``,
    body !== undefined && `"Content-Type": "application/json"`,
  ].filter(Boolean);
  const inScript = [
    method !== "GET" && `  method: "${method}",`,
    headers.length > 0 && `  headers: { ${headers.join(", ")} },`,
    body !== undefined && `  body: JSON.stringify(${indent(pretty(body))}),`,
  ].filter(Boolean);
  const options = inScript.length > 0 ? `, {\n${inScript.join("\n")}\n}` : "";
  return {
    curl: curl.filter(Boolean).join(" \\\n  "),
    python: [
      token && "import os",
      "import requests",
      `\nreply = requests.${method.toLowerCase()}(`,
      ...inPython,
      ")",
      "print(reply.status_code, reply.text)",
    ]
      .filter(Boolean)
      .join("\n"),
    javascript: `const reply = await fetch(${JSON.stringify(url)}${options});\nconsole.log(reply.status, await reply.text());`,
  };
}

/** The first requests with OpenAI's and Anthropic's SDKs, and without an SDK. */
export function firstRequests(model) {
  const [openai, anthropic] = [`${base.href}v1`, base.href.replace(/\/$/, "")];
  const messages = `[{"role": "user", "content": "Hello!"}]`;
  const inScript = `[{ role: "user", content: "Hello!" }]`;
  return {
    openai: {
      install: { python: "pip install openai", javascript: "npm install openai" },
      whole: {
        curl: `curl ${shell(`${openai}/chat/completions`)} \\\n  -H "Authorization: Bearer $API_KEY" \\\n  -H 'Content-Type: application/json' \\\n  -d '{"model": "${model}", "messages": ${messages}}'`,
        python: `import os\nfrom openai import OpenAI\n\nclient = OpenAI(\n    base_url="${openai}",\n    api_key=os.environ["API_KEY"],\n)\ncompletion = client.chat.completions.create(\n    model="${model}",\n    messages=${messages},\n)\nprint(completion.choices[0].message.content)`,
        javascript: `import OpenAI from "openai";\n\nconst client = new OpenAI({\n  baseURL: "${openai}",\n  apiKey: process.env.API_KEY,\n});\nconst completion = await client.chat.completions.create({\n  model: "${model}",\n  messages: ${inScript},\n});\nconsole.log(completion.choices[0].message.content);`,
      },
      streamed: {
        curl: `curl -N ${shell(`${openai}/chat/completions`)} \\\n  -H "Authorization: Bearer $API_KEY" \\\n  -H 'Content-Type: application/json' \\\n  -d '{"model": "${model}", "stream": true, "messages": ${messages}}'`,
        python: `stream = client.chat.completions.create(\n    model="${model}",\n    messages=${messages},\n    stream=True,\n)\nfor chunk in stream:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or "", end="", flush=True)`,
        javascript: `const stream = await client.chat.completions.create({\n  model: "${model}",\n  messages: ${inScript},\n  stream: true,\n});\nfor await (const chunk of stream) {\n  process.stdout.write(chunk.choices[0]?.delta.content ?? "");\n}`,
      },
    },
    anthropic: {
      install: { python: "pip install anthropic", javascript: "npm install @anthropic-ai/sdk" },
      whole: {
        curl: `curl ${shell(`${anthropic}/v1/messages`)} \\\n  -H "x-api-key: $API_KEY" \\\n  -H 'anthropic-version: 2023-06-01' \\\n  -H 'Content-Type: application/json' \\\n  -d '{"model": "${model}", "max_tokens": 1024, "messages": ${messages}}'`,
        python: `import os\nfrom anthropic import Anthropic\n\nclient = Anthropic(\n    base_url="${anthropic}",\n    api_key=os.environ["API_KEY"],\n)\nmessage = client.messages.create(\n    model="${model}",\n    max_tokens=1024,\n    messages=${messages},\n)\nprint(message.content[0].text)`,
        javascript: `import Anthropic from "@anthropic-ai/sdk";\n\nconst client = new Anthropic({\n  baseURL: "${anthropic}",\n  apiKey: process.env.API_KEY,\n});\nconst message = await client.messages.create({\n  model: "${model}",\n  max_tokens: 1024,\n  messages: ${inScript},\n});\nconsole.log(message.content[0].text);`,
      },
      streamed: {
        curl: `curl -N ${shell(`${anthropic}/v1/messages`)} \\\n  -H "x-api-key: $API_KEY" \\\n  -H 'anthropic-version: 2023-06-01' \\\n  -H 'Content-Type: application/json' \\\n  -d '{"model": "${model}", "max_tokens": 1024, "stream": true, "messages": ${messages}}'`,
        python: `with client.messages.stream(\n    model="${model}",\n    max_tokens=1024,\n    messages=${messages},\n) as stream:\n    for text in stream.text_stream:\n        print(text, end="", flush=True)`,
        javascript: `const stream = client.messages.stream({\n  model: "${model}",\n  max_tokens: 1024,\n  messages: ${inScript},\n});\nstream.on("text", (text) => process.stdout.write(text));\nawait stream.finalMessage();`,
      },
    },
  };
}
