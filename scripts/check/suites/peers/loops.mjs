// loops.mjs PROGRAM [stream] - asks a question with a Node library, runs the function `f` that the
// model calls, sends the results back as the library does by default, and prints the last answer.
// `ANTHROPIC_URL`, `BASE_URL` and `KEY` contain the server's addresses and the key.

import { createRequire } from "node:module";

// The packages are in NODE_PATH, which `import` doesn't search.
const require = createRequire(import.meta.url);
const { ANTHROPIC_URL, BASE_URL: baseURL, KEY: apiKey } = process.env;
const model = "by-anthropic";
const prompt = "Call f twice.";
const about = { name: "f", description: "Returns ok." };
const parameters = { type: "object", properties: { x: { type: "integer" } } };
const f = async () => "ok";

async function aiSdk(stream, model) {
  const { generateText, stepCountIs, streamText, tool } = require("ai");
  const { z } = require("zod");
  const tools = { f: tool({ description: about.description, inputSchema: z.object({ x: z.number().optional() }), execute: f }) };
  const onError = ({ error }) => {
    throw error;
  };
  const asked = { model, prompt, tools, reasoning: "low", stopWhen: stepCountIs(5) };
  return stream ? await streamText({ ...asked, onError }).text : (await generateText(asked)).text;
}

const programs = {
  async openai(stream) {
    const OpenAI = require("openai");
    const tools = [{ type: "function", function: { ...about, parameters, function: f, parse: JSON.parse } }];
    const asked = { model, messages: [{ role: "user", content: prompt }], tools, reasoning_effort: "low", stream };
    return new OpenAI({ baseURL, apiKey }).chat.completions.runTools(asked).finalContent();
  },

  async openai_responses(stream) {
    const OpenAI = require("openai");
    const { responses } = new OpenAI({ baseURL, apiKey });
    const tools = [{ type: "function", ...about, parameters, strict: false }];
    const input = [{ role: "user", content: prompt }];
    for (;;) {
      const asked = { model, input, tools, reasoning: { effort: "low" } };
      const response = stream ? await responses.stream(asked).finalResponse() : await responses.create(asked);
      const calls = response.output.filter(({ type }) => type === "function_call");
      if (!calls.length) return response.output_text;
      input.push(...response.output);
      for (const { call_id } of calls) input.push({ type: "function_call_output", call_id, output: await f() });
    }
  },

  async anthropic(stream) {
    const Anthropic = require("@anthropic-ai/sdk");
    const { messages: api } = new Anthropic({ baseURL: ANTHROPIC_URL, apiKey });
    const tools = [{ ...about, input_schema: parameters }];
    const messages = [{ role: "user", content: prompt }];
    for (;;) {
      const asked = { model, max_tokens: 4096, messages, tools, thinking: { type: "adaptive" } };
      const { content } = stream ? await api.stream(asked).finalMessage() : await api.create(asked);
      const calls = content.filter(({ type }) => type === "tool_use");
      if (!calls.length) return content[0].text;
      messages.push({ role: "assistant", content });
      messages.push({ role: "user", content: await Promise.all(calls.map(async ({ id }) => ({ type: "tool_result", tool_use_id: id, content: await f() }))) });
    }
  },

  ai: (stream) => aiSdk(stream, require("@ai-sdk/openai-compatible").createOpenAICompatible({ name: "farebox", baseURL, apiKey })(model)),
  ai_completions: (stream) => aiSdk(stream, require("@ai-sdk/openai").createOpenAI({ baseURL, apiKey }).chat(model)),
  ai_responses: (stream) => aiSdk(stream, require("@ai-sdk/openai").createOpenAI({ baseURL, apiKey })(model)),
  ai_anthropic: (stream) => aiSdk(stream, require("@ai-sdk/anthropic").createAnthropic({ baseURL, apiKey })(model)),
};

const [program, mode] = process.argv.slice(2);
console.log(await programs[program](mode === "stream"));
