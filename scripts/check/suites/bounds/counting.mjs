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
    schema: ({ name, description, schema }) => [
      `# Response Formats\n\n## ${name}\n\n${description === undefined ? "" : `// ${description}\n`}`,
      schema === undefined ? "" : compact(schema),
    ],
    turn: (role, text) => [role === "assistant" ? 5 : 3, role, text],
    thought: (text) => [5, "assistant", "analysis", text],
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
    thought: (text) => ["<think>\n", text, "\n</think>\n\n"],
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
    thought: (text) => ["<think>\n", text, "\n</think>\n\n"],
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
    thought: (text) => [4, text],
    call: ({ id, name, text }) => [5, "assistant", id, name, text],
    result: ({ id, text }) => [4, "tool", id, text],
    end: () => [3, "assistant"],
  },
};

const ofType = (each) =>
  new Map([
    ["type", "function"],
    ["function", each],
  ]);

function parsed(text) {
  try {
    return parse(text);
  } catch {
    return text;
  }
}

/** The model tokens of a picture. */
const PICTURE = Number(process.env.PICTURE);

/** Returns the text and the pictures in a message's content: nothing, a string, or a list. */
function contentOf(content) {
  if (!Array.isArray(content)) return { text: content ?? "", pictures: [] };
  const texts = content.filter((part) => part.get("type") === "text").map((part) => part.get("text"));
  const count = content.filter((part) => ["image_url", "image"].includes(part.get("type"))).length;
  return { text: texts.join("\n"), pictures: count > 0 ? [count * PICTURE] : [] };
}

/** Converts a request in Anthropic's format into OpenAI's. The signatures count as text. */
function ofAnthropic(body) {
  const map = (fields) => new Map(Object.entries(fields).filter(([, value]) => value !== undefined));
  const messages = body.has("system") ? [map({ role: "system", content: body.get("system") })] : [];
  for (const message of body.get("messages")) {
    const blocks = message.get("content");
    const of = (...kinds) => blocks.filter((block) => kinds.includes(block.get("type")));
    for (const result of of("tool_result")) messages.push(map({ role: "tool", tool_call_id: result.get("tool_use_id"), content: result.get("content") }));
    const thoughts = of("thinking", "redacted_thinking").map((block) =>
      [block.get("thinking"), block.get("signature"), block.get("data")].filter(Boolean).join("\n"),
    );
    const tool_calls = of("tool_use").map((block) => map({ id: block.get("id"), function: map({ name: block.get("name"), value: block.get("input") }) }));
    const content = of("text", "image");
    if (content.length + thoughts.length + tool_calls.length > 0) messages.push(map({ role: message.get("role"), content, thoughts, tool_calls }));
  }
  const tools = body
    .get("tools")
    ?.map((tool) => map({ function: new Map([...tool].map(([key, value]) => [key === "input_schema" ? "parameters" : key, value])) }));
  const schema = body.get("output_config")?.get("format")?.get("schema");
  return map({ messages, tools, response_format: schema && map({ json_schema: map({ name: "answer", schema }) }) });
}

/** Returns the parts of the whole prompt. A number means that many special tokens. */
function partsOf(template, body) {
  const functions = body.get("tools")?.map((tool) => tool.get("function"));
  const parts = [...template.begin(), ...(functions ? template.tools(functions) : [])];
  const format = body.get("response_format")?.get("json_schema");
  if (format) parts.push(...template.schema(Object.fromEntries(format)));
  const names = new Map();
  for (const message of body.get("messages")) {
    const { text, pictures } = contentOf(message.get("content"));
    parts.push(...pictures);
    const thoughts = message.get("thoughts") ?? [message.get("reasoning_content")].filter(Boolean);
    parts.push(...thoughts.flatMap((thought) => template.thought(thought)));
    const [role, answered] = [message.get("role"), message.get("tool_call_id")];
    if (role === "tool") {
      parts.push(...template.result({ id: answered, name: names.get(answered), text }));
      continue;
    }
    const calls = message.get("tool_calls") ?? [];
    if (text !== "" || calls.length === 0) parts.push(...template.turn(role, text));
    for (const call of calls) {
      const called = call.get("function");
      const [id, name, value] = [call.get("id"), called.get("name"), called.get("value") ?? parsed(called.get("arguments"))];
      names.set(id, name);
      parts.push(...template.call({ id, name, text: called.get("arguments") ?? compact(value), value }));
    }
  }
  return [...parts, ...template.end()];
}

const none = () => new Map(Object.keys(TOKENIZERS).map((name) => [name, new Map()]));
/** Caches the counts of short strings, because requests in one conversation share them. */
const known = none();
/** Caches the counts of long strings in one request, because all templates contain them. */
let long = none();
const [SHORT, REMEMBERED] = [2000, 10_000];

function countText(tokenizer, text) {
  const counts = (text.length > SHORT ? long : known).get(tokenizer);
  if (counts.size > REMEMBERED) counts.clear();
  if (!counts.has(text)) counts.set(text, TOKENIZERS[tokenizer](text));
  return counts.get(text);
}

/**
 * Counts the tokens in the JSON of a request in OpenAI's or Anthropic's format. Returns a list of
 * tokenizers, templates and counts, with the largest count first.
 */
export function counts(json, isAnthropic) {
  const body = isAnthropic ? ofAnthropic(parse(json)) : parse(json);
  long = none();
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
