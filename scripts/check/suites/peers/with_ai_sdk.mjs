// Tests Vercel's AI SDK. Only the base URL and the key of its provider are set.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { aPerson, baseURL, calls, functions, plan, play, played, proveOf, results, says, statuses, versionOf } from "./proof.mjs";

// The packages are in NODE_PATH, which `import` doesn't search.
const require = createRequire(import.meta.url);
const { Output, generateText, stepCountIs, streamText, tool } = require("ai");
const { createAnthropic } = require("@ai-sdk/anthropic");
const { createOpenAICompatible } = require("@ai-sdk/openai-compatible");
const { createOpenAI } = require("@ai-sdk/openai");
const { z } = require("zod");

const prompt = "How is the weather?";
const CITIES = calls(["getWeather", { city: "Paris" }], ["getWeather", { city: "Oslo" }]);
const REPORT = { city: "Paris", degrees: 21 };
const Weather = z.object({ city: z.string(), degrees: z.number().int() });

/**
 * The models of the SDK's three providers. The second provider has a model for each of OpenAI's
 * APIs.
 */
const PROVIDERS = ["model", "completions", "responses", "messages"];

/** Creates a user, and the model for each provider. `options` are those of the API key. */
async function aCaller(settings = {}, options = {}) {
  const person = await aPerson(options);
  const compatible = createOpenAICompatible({ name: "farebox", baseURL, apiKey: person.key, supportsStructuredOutputs: true, ...settings });
  const openai = createOpenAI({ baseURL, apiKey: person.key, ...settings });
  const anthropic = createAnthropic({ baseURL, apiKey: person.key, ...settings });
  const models = { completions: openai.chat("gpt-4o"), responses: openai.responses("gpt-4o"), messages: anthropic("claude-sonnet-5-5") };
  return { person, model: compatible("farebox"), ...models };
}

/** Returns the `getWeather` function, which runs `beside` before it returns. */
function tools(beside = async () => {}) {
  const execute = async ({ city }) => {
    await beside();
    return `Sunny in ${city}.`;
  };
  return { getWeather: tool({ description: "The weather of a city.", inputSchema: z.object({ city: z.string() }), execute }) };
}

const proofs = {
  async "functions are run until there is an answer, whole and in pieces"() {
    for (const provider of PROVIDERS) {
      for (const ask of [generateText, streamText]) {
        const caller = await aCaller();
        await play(CITIES, says("Sunny everywhere."));
        const { text } = await ask({ model: caller[provider], prompt, tools: tools(), stopWhen: stepCountIs(5) });
        assert.equal(await text, "Sunny everywhere.");
        const [first, last] = await played();
        assert.deepEqual([functions(first), results(last)], [["getWeather"], ["Sunny in Paris.", "Sunny in Oslo."]]);
        await caller.person.hasPaidFor(2);
      }
    }
  },

  async "an answer is an object of the schema"() {
    for (const provider of PROVIDERS) {
      const caller = await aCaller();
      await play(says(JSON.stringify(REPORT)), says(JSON.stringify(REPORT)));
      const asked = { model: caller[provider], prompt, output: Output.object({ schema: Weather }) };
      assert.deepEqual((await generateText(asked)).output, REPORT);
      assert.deepEqual(await streamText(asked).output, REPORT);
      for (const request of await played()) assert.equal(request.response_format.type, "json_schema");
      await caller.person.hasPaidFor(2);
    }
  },

  // The SDK sends neither a key nor a retry count.
  async "a lost reply is asked for again as another message"() {
    const { person, model } = await aCaller();
    await play(says("Sunny."), says("Sunny."));
    await plan("before");
    assert.equal((await generateText({ model, prompt })).text, "Sunny.");
    assert.deepEqual([await statuses(), (await played()).length], [[null, 200], 2]);
    await person.hasPaidFor(2);
  },

  async "a lost reply is paid once, if equal bodies are retries for the API key"() {
    const caller = await aCaller({}, { retries: "equal_bodies" });
    for (const [paid, provider] of PROVIDERS.entries()) {
      await play(says("Sunny."));
      await plan("before");
      assert.equal((await generateText({ model: caller[provider], prompt: `${prompt} ${provider}` })).text, "Sunny.");
      assert.deepEqual([await statuses(), (await played()).length], [[null, 200], 1]);
      await caller.person.hasPaidFor(paid + 1);
    }
  },

  async "a lost reply under a key of its caller is paid once"() {
    const { person, model } = await aCaller();
    await play(says("Sunny."));
    await plan("before");
    assert.equal((await generateText({ model, prompt, headers: { "Idempotency-Key": crypto.randomUUID() } })).text, "Sunny.");
    assert.deepEqual([await statuses(), (await played()).length], [[null, 200], 1]);
    await person.hasPaidFor(1);
  },

  // Each request in a loop contains more messages than the previous one.
  async "a reply that is lost in the middle of a loop is paid once, if its body is its key"() {
    for (const ask of [generateText, streamText]) {
      const run = crypto.randomUUID();
      const keyed = (url, init) => {
        const key = createHash("sha256")
          .update(run + init.body)
          .digest("hex");
        return fetch(url, { ...init, headers: { ...init.headers, "Idempotency-Key": key } });
      };
      const { person, model } = await aCaller({ fetch: keyed });
      await play(calls(["getWeather", { city: "Paris" }]), says("Sunny everywhere."));
      const { text } = await ask({ model, prompt, tools: tools(() => plan("before")), stopWhen: stepCountIs(5) });
      assert.equal(await text, "Sunny everywhere.");
      assert.deepEqual([await statuses(), (await played()).length], [[null, 200], 2]);
      await person.hasPaidFor(2);
    }
  },
};

await proveOf(`ai ${versionOf("ai")}`, proofs);
