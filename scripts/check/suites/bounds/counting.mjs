// Counts a request's model tokens as providers do. The tokenizers are in NODE_PATH, which `import`
// doesn't search.

import { createRequire } from "node:module";
import { compact, go, namespace, parse, python } from "./rendering.mjs";

const require = createRequire(import.meta.url);
const claude = require("@anthropic-ai/tokenizer").getTokenizer();
// Text that looks like a special token counts as ordinary text.
const ordinary = { disallowedSpecial: new Set() };
const ofOpenAi = (name) => {
  const { countTokens } = require(`gpt-tokenizer/encoding/${name}`);
  return (text) => countTokens(text, ordinary);
};

const TOKENIZERS = {
  o200k_base: ofOpenAi("o200k_base"),
  cl100k_base: ofOpenAi("cl100k_base"),
  claude: (text) => claude.encode(text.normalize("NFKC"), [], []).length,
};

/** The tokens that Claude 3 Opus adds to a request with functions. */
const CLAUDE_TOOLS = 530;

const LLAMA_TOOLS = `Given the following functions, please respond with a JSON for a function call with its proper arguments that best answers the given prompt.

Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.Do not use variables.

`;
const QWEN_TOOLS = `

# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>`;
const HARMONY_SYSTEM = `You are ChatGPT, a large language model trained by OpenAI.
Knowledge cutoff: 2024-06
Current date: 2026-11-25

Reasoning: medium

# Valid channels: analysis, commentary, final. Channel must be included for every message.
Calls to these tools must go to the commentary channel: 'functions'.`;

/**
 * Describes how servers write a whole prompt. A number means that many special tokens, and each
 * string is tokenized separately. `call` and `result` get the parsed arguments if they are JSON,
 * and otherwise their text.
 */
const TEMPLATES = {
  // OpenAI's Harmony format. https://github.com/openai/harmony
  harmony: {
    begin: () => [4, "system", HARMONY_SYSTEM, 4, "developer", "# Instructions\n\n"],
    tools: (functions) => [namespace(functions)],
    schema: ({ name, description, schema }) => [`# Response Formats\n\n## ${name}\n\n${description === undefined ? "" : `// ${description}\n`}`, schema === undefined ? "" : compact(schema)],
    turn: (role, text) => [role === "assistant" ? 5 : 3, role, text],
    call: ({ name, text }) => [6, `assistant to=functions.${name}`, "commentary json", text],
    result: ({ name, text }) => [4, `functions.${name} to=assistant`, "commentary", text],
    end: () => [1, "assistant"],
  },
  // Llama 3.1. Its template writes the functions with an indent of 4, and writes results as JSON,
  // even if they are plain text.
  llama: {
    begin: () => [6, "system", "Environment: ipython\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"],
    tools: (functions) => [LLAMA_TOOLS, ...functions.map((each) => `${python(ofType(each), { indent: 4 })}\n\n`)],
    schema: ({ name, description, schema }) => [name, description ?? "", schema === undefined ? "" : python(schema, { indent: 4 })],
    turn: (role, text) => [4, role, text],
    call: ({ name, value }) => [5, "assistant", `{"name": "${name}", "parameters": `, python(value), "}"],
    result: ({ text }) => [4, "ipython", python(text)],
    end: () => [3, "assistant"],
  },
  // Qwen's and Kimi's ChatML in Ollama, whose programming language (Go) escapes HTML in JSON. Kimi
  // reads the calls' ids.
  chatml: {
    begin: () => [4, "system", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."],
    tools: (functions) => [QWEN_TOOLS, ...functions.map((each) => `${go(ofType(each))}\n`)],
    schema: ({ name, description, schema }) => [name, description ?? "", schema === undefined ? "" : go(schema)],
    turn: (role, text) => [4, role, text],
    call: ({ id, name, value }) => [6, "assistant", id, `\n<tool_call>\n{"name": "${name}", "arguments": `, go(value), "}\n</tool_call>"],
    result: ({ id, text }) => [4, "user", `## Return of ${id}\n`, "\n<tool_response>\n", text, "\n</tool_response>"],
    end: () => [3, "assistant"],
  },
  // Python servers that write JSON with `json.dumps`, its defaults and an indent of 4.
  ascii: {
    begin: () => [1],
    tools: (functions) => [python(functions.map(ofType), { ascii: true, indent: 4 })],
    schema: (named) => [python(new Map(Object.entries(named).filter(([, value]) => value !== undefined)), { ascii: true, indent: 4 })],
    turn: (role, text) => [4, role, text],
    call: ({ id, name, text }) => [5, "assistant", id, name, text],
    result: ({ id, text }) => [4, "tool", id, text],
    end: () => [3, "assistant"],
  },
};

const ofType = (each) => new Map([["type", "function"], ["function", each]]);

function parsed(text) {
  try {
    return parse(text);
  } catch {
    return text;
  }
}

/** Returns the parts of the whole prompt. A number means that many special tokens. */
function partsOf(template, body) {
  const functions = body.get("tools")?.map((tool) => tool.get("function"));
  const parts = [...template.begin(), ...(functions ? template.tools(functions) : [])];
  const format = body.get("response_format")?.get("json_schema");
  if (format) parts.push(...template.schema(Object.fromEntries(format)));
  const names = new Map();
  for (const message of body.get("messages")) {
    const text = message.get("content") ?? "";
    const [role, answered] = [message.get("role"), message.get("tool_call_id")];
    if (role === "tool") {
      parts.push(...template.result({ id: answered, name: names.get(answered), text }));
      continue;
    }
    const calls = message.get("tool_calls") ?? [];
    if (text !== "" || calls.length === 0) parts.push(...template.turn(role, text));
    for (const call of calls) {
      const [id, name, written] = [call.get("id"), call.get("function").get("name"), call.get("function").get("arguments")];
      names.set(id, name);
      parts.push(...template.call({ id, name, text: written, value: parsed(written) }));
    }
  }
  return [...parts, ...template.end()];
}

/** Caches the counts of short strings, because requests in one conversation share them. */
const known = new Map(Object.keys(TOKENIZERS).map((name) => [name, new Map()]));
const [SHORT, REMEMBERED] = [2000, 10_000];

function countText(tokenizer, text) {
  if (text.length > SHORT) return TOKENIZERS[tokenizer](text);
  const counts = known.get(tokenizer);
  if (counts.size > REMEMBERED) counts.clear();
  if (!counts.has(text)) counts.set(text, TOKENIZERS[tokenizer](text));
  return counts.get(text);
}

/**
 * Counts the tokens in a request's JSON. Returns a list of tokenizers, templates and counts, with
 * the largest count first.
 */
export function counts(json) {
  const body = parse(json);
  const all = Object.entries(TEMPLATES).flatMap(([template, written]) => {
    const parts = partsOf(written, body);
    return Object.keys(TOKENIZERS).map((tokenizer) => {
      const extra = tokenizer === "claude" && body.has("tools") ? CLAUDE_TOOLS : 0;
      const count = parts.reduce((sum, part) => sum + (typeof part === "number" ? part : countText(tokenizer, part)), extra);
      return { tokenizer, template, count };
    });
  });
  return all.sort((one, other) => other.count - one.count);
}
