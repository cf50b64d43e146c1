// asks.mjs PROGRAM [stream] - sends one message with a Node library, and prints the answer.
// `ANTHROPIC_URL`, `BASE_URL` and `KEY` contain the server's addresses and the key.

import { createRequire } from "node:module";

// The packages are in NODE_PATH, which `import` doesn't search.
const require = createRequire(import.meta.url);
const { ANTHROPIC_URL, BASE_URL: baseURL, KEY: apiKey } = process.env;
const content = "How is the weather in Paris?";
const messages = [{ role: "user", content }];

async function joined(pieces, text) {
  let whole = "";
  for await (const piece of pieces) whole += text(piece) ?? "";
  return whole;
}

async function aiSdk(stream, model) {
  const { generateText, streamText } = require("ai");
  const onError = ({ error }) => {
    throw error;
  };
  return stream ? await streamText({ model, prompt: content, onError }).text : (await generateText({ model, prompt: content })).text;
}

const langchain = async (stream, model) => (stream ? joined(await model.stream(content), (piece) => piece.text) : (await model.invoke(content)).text);

const programs = {
  async openai(stream) {
    const OpenAI = require("openai");
    const reply = await new OpenAI({ baseURL, apiKey }).chat.completions.create({ model: "farebox", messages, stream });
    return stream ? joined(reply, (piece) => piece.choices[0]?.delta.content) : reply.choices[0].message.content;
  },

  async openai_responses(stream) {
    const OpenAI = require("openai");
    const reply = await new OpenAI({ baseURL, apiKey }).responses.create({ model: "farebox", input: content, stream });
    return stream ? joined(reply, ({ type, delta }) => (type === "response.output_text.delta" ? delta : "")) : reply.output_text;
  },

  async anthropic(stream) {
    const Anthropic = require("@anthropic-ai/sdk");
    const client = new Anthropic({ baseURL: ANTHROPIC_URL, apiKey });
    const asked = { model: "farebox", max_tokens: 1024, messages };
    return stream ? client.messages.stream(asked).finalText() : (await client.messages.create(asked)).content[0].text;
  },

  langchain: (stream) => langchain(stream, new (require("@langchain/openai").ChatOpenAI)({ model: "farebox", apiKey, configuration: { baseURL } })),
  langchain_responses: (stream) =>
    langchain(stream, new (require("@langchain/openai").ChatOpenAI)({ model: "farebox", apiKey, configuration: { baseURL }, useResponsesApi: true })),
  langchain_anthropic: (stream) =>
    langchain(stream, new (require("@langchain/anthropic").ChatAnthropic)({ model: "farebox", apiKey, anthropicApiUrl: ANTHROPIC_URL })),

  ai: (stream) => aiSdk(stream, require("@ai-sdk/openai-compatible").createOpenAICompatible({ name: "farebox", baseURL, apiKey })("farebox")),
  ai_responses: (stream) => aiSdk(stream, require("@ai-sdk/openai").createOpenAI({ baseURL, apiKey })("farebox")),
  ai_anthropic: (stream) => aiSdk(stream, require("@ai-sdk/anthropic").createAnthropic({ baseURL, apiKey })("farebox")),
};

const [program, mode] = process.argv.slice(2);
console.log(await programs[program](mode === "stream"));
