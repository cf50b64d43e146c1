// Tests LangChain for JavaScript with OpenAI's and Anthropic's APIs. Only the base URL and the key of
// its models are set.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { API_WIRE, aPerson, baseURL, calls, functions, plan, play, played, proveOf, results, says, statuses, versionOf } from "./proof.mjs";

// The packages are in NODE_PATH, which `import` doesn't search.
const require = createRequire(import.meta.url);
const { createAgent, tool } = require("langchain");
const { ChatAnthropic } = require("@langchain/anthropic");
const { ChatOpenAI } = require("@langchain/openai");
const { z } = require("zod");

const QUESTION = "How is the weather in Paris?";
const MODELS = {
  completions: (apiKey) => new ChatOpenAI({ model: "farebox", apiKey, configuration: { baseURL } }),
  responses: (apiKey) => new ChatOpenAI({ model: "farebox", apiKey, configuration: { baseURL }, useResponsesApi: true }),
  messages: (apiKey) => new ChatAnthropic({ model: "farebox", apiKey, anthropicApiUrl: API_WIRE }),
};
const getWeather = tool(({ city }) => `Sunny in ${city}.`, {
  name: "get_weather",
  description: "The weather of a city.",
  schema: z.object({ city: z.string() }),
});

const proofs = {
  async "a question is answered whole and in pieces"() {
    for (const model of Object.values(MODELS)) {
      const person = await aPerson();
      await play(says("Sunny everywhere."), says("Sunny everywhere."));
      assert.equal((await model(person.key).invoke(QUESTION)).text, "Sunny everywhere.");
      let text = "";
      for await (const piece of await model(person.key).stream(QUESTION)) text += piece.text;
      assert.equal(text, "Sunny everywhere.");
      await played();
      await person.hasPaidFor(2);
    }
  },

  async "an agent runs its functions"() {
    for (const model of Object.values(MODELS)) {
      const person = await aPerson();
      await play(calls(["get_weather", { city: "Paris" }], ["get_weather", { city: "Oslo" }]), says("Sunny everywhere."));
      const agent = createAgent({ model: model(person.key), tools: [getWeather] });
      const { messages } = await agent.invoke({ messages: [{ role: "user", content: QUESTION }] });
      assert.equal(messages.at(-1).text, "Sunny everywhere.");
      const [first, last] = await played();
      assert.deepEqual([functions(first), results(last)], [["get_weather"], ["Sunny in Paris.", "Sunny in Oslo."]]);
      await person.hasPaidFor(2);
    }
  },

  // LangChain always sends the retry count 0.
  async "a lost reply under a key of its caller is paid once"() {
    const person = await aPerson();
    await play(says("Sunny everywhere."));
    await plan("before");
    const { text } = await MODELS.completions(person.key).invoke(QUESTION, { options: { headers: { "Idempotency-Key": crypto.randomUUID() } } });
    assert.deepEqual([text, await statuses(), (await played()).length], ["Sunny everywhere.", [null, 200], 1]);
    await person.hasPaidFor(1);
  },
};

await proveOf(`@langchain/core ${versionOf("@langchain/core")}`, proofs);
