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
  openrouter: (stream) => aiSdk(stream, require("@openrouter/ai-sdk-provider").createOpenRouter({ baseURL, apiKey })("farebox")),

  async openrouter_sdk(stream) {
    const { OpenRouter } = require("@openrouter/sdk");
    const client = new OpenRouter({ serverURL: baseURL, apiKey });
    const reply = await client.chat.send({ chatRequest: { model: "farebox", messages, stream } });
    return stream ? joined(reply, (piece) => piece.choices[0]?.delta.content) : reply.choices[0].message.content;
  },

  async agents(stream) {
    const OpenAI = require("openai");
    const { Agent, run, setDefaultOpenAIClient, setTracingDisabled } = require("@openai/agents");
    setTracingDisabled(true);
    setDefaultOpenAIClient(new OpenAI({ baseURL, apiKey }));
    const result = await run(new Agent({ name: "Ann", model: "farebox" }), content, { stream });
    if (stream) await result.completed;
    return result.finalOutput;
  },

  async mastra(stream) {
    const { Agent } = await import(`${process.env.NODE_PATH}/@mastra/core/dist/agent/index.js`);
    const agent = new Agent({ id: "ann", name: "Ann", instructions: "Be brief.", model: { id: "farebox/farebox", url: baseURL, apiKey } });
    return stream ? (await agent.stream(content)).text : (await agent.generate(content)).text;
  },

  async instructor() {
    const Instructor = require("@instructor-ai/instructor").default;
    const OpenAI = require("openai");
    const { z } = require("zod");
    const client = Instructor({ client: new OpenAI({ baseURL, apiKey }), mode: "JSON" });
    const schema = z.object({ city: z.string(), degrees: z.number() });
    return JSON.stringify(await client.chat.completions.create({ model: "farebox", messages, response_model: { schema, name: "Weather" } }));
  },

  async genkit() {
    const { genkit } = require("genkit");
    const { openAICompatible } = require("@genkit-ai/compat-oai");
    const ai = genkit({ plugins: [openAICompatible({ name: "farebox", baseURL, apiKey })] });
    return (await ai.generate({ model: "farebox/farebox", prompt: content })).text;
  },

  async llamaindex(stream) {
    const { OpenAI } = require("@llamaindex/openai");
    const model = new OpenAI({ model: "farebox", apiKey, baseURL });
    return stream ? joined(await model.complete({ prompt: content, stream }), (piece) => piece.text) : (await model.complete({ prompt: content })).text;
  },
};

const [program, mode] = process.argv.slice(2);
console.log(await programs[program](mode === "stream"));
