// Tests functions, custom tools, schemas and streams with OpenAI's client for Node. Only its base URL
// and its key are set.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { aPerson, baseURL, calls, functions, plan, play, played, proveOf, refuses, results, says, statuses } from "./proof.mjs";

// The package is in NODE_PATH, which `import` doesn't search.
const require = createRequire(import.meta.url);
const OpenAI = require("openai");
const { zodResponseFormat } = require("openai/helpers/zod");
const { z } = require("zod");

const ASKED = [{ role: "user", content: "How is the weather?" }];
const CITIES = calls(["get_weather", { city: "Paris" }], ["get_weather", { city: "Oslo" }]);
const REPORT = { city: "Paris", degrees: 21 };
const REFUSAL = "I can't help with that.";
const GRAMMAR = 'start: "add" NUMBER';
const TEXTS = [
  [null, { type: "text" }],
  [GRAMMAR, { type: "grammar", grammar: { syntax: "lark", definition: GRAMMAR } }],
];
const Weather = z.object({ city: z.string(), degrees: z.number().int() });

async function aCaller() {
  const person = await aPerson();
  return { person, client: new OpenAI({ baseURL, apiKey: person.key }) };
}

/** Returns the `get_weather` function, which runs `beside` before it returns. */
function weather(beside = async () => {}) {
  return {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather of a city.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
      parse: JSON.parse,
      async function({ city }) {
        await beside();
        return `Sunny in ${city}.`;
      },
    },
  };
}

/**
 * Asserts that the model received the custom tool as a function with one text, and the tool's grammar.
 */
function offersCustomTool(request, grammar) {
  const [{ name, description, parameters }] = request.tools.map((tool) => tool.function);
  assert.deepEqual([name, Object.keys(parameters.properties)], ["calculate", ["input"]]);
  assert(!grammar || description.includes(grammar));
}

const proofs = {
  async "functions are run until there is an answer, whole and in pieces"() {
    for (const stream of [false, true]) {
      const { person, client } = await aCaller();
      await play(CITIES, says("Sunny everywhere."));
      const runner = client.chat.completions.runTools({ model: "gpt-4o", messages: ASKED, tools: [weather()], stream });
      assert.equal(await runner.finalContent(), "Sunny everywhere.");
      const [first, last] = await played();
      assert.deepEqual([functions(first), results(last)], [["get_weather"], ["Sunny in Paris.", "Sunny in Oslo."]]);
      await person.hasPaidFor(2);
    }
  },

  async "an answer is parsed by its schema"() {
    const { person, client } = await aCaller();
    await play(says(JSON.stringify(REPORT)), says(JSON.stringify(REPORT)));
    const asked = { model: "gpt-4o", messages: ASKED, response_format: zodResponseFormat(Weather, "report") };
    const completion = await client.chat.completions.parse(asked);
    assert.deepEqual(completion.choices[0].message.parsed, REPORT);
    const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
    assert.deepEqual(streamed.choices[0].message.parsed, REPORT);
    for (const request of await played()) assert.equal(request.response_format.json_schema.name, "report");
    await person.hasPaidFor(2);
  },

  async "a refusal is parsed by no schema"() {
    const { person, client } = await aCaller();
    await play(refuses(REFUSAL), refuses(REFUSAL));
    const asked = { model: "gpt-4o", messages: ASKED, response_format: zodResponseFormat(Weather, "report") };
    const [whole] = (await client.chat.completions.parse(asked)).choices;
    const [streamed] = (await client.chat.completions.stream(asked).finalChatCompletion()).choices;
    for (const { message } of [whole, streamed]) assert.deepEqual([message.parsed, message.content, message.refusal], [null, null, REFUSAL]);
    await person.hasPaidFor(2);
  },

  async "a custom tool is called with a text"() {
    for (const [grammar, format] of TEXTS) {
      const { person, client } = await aCaller();
      const tools = [{ type: "custom", custom: { name: "calculate", description: "Adds numbers.", format } }];
      await play(calls(["calculate", { input: "add 7" }]), says("Seven."));
      const { message } = (await client.chat.completions.create({ model: "gpt-4o", messages: ASKED, tools })).choices[0];
      const [{ id, type, custom }] = message.tool_calls;
      assert.deepEqual([type, custom], ["custom", { name: "calculate", input: "add 7" }]);
      const messages = [...ASKED, message, { role: "tool", tool_call_id: id, content: "7" }];
      assert.equal((await client.chat.completions.create({ model: "gpt-4o", messages, tools })).choices[0].message.content, "Seven.");
      const [one, other] = await played();
      offersCustomTool(one, grammar);
      assert.deepEqual(results(other), ["7"]);
      await person.hasPaidFor(2);
    }
  },

  async "a custom tool of a response is called with a text"() {
    const { person, client } = await aCaller();
    const tools = [{ type: "custom", name: "calculate", description: "Adds numbers.", format: { type: "grammar", syntax: "lark", definition: GRAMMAR } }];
    await play(calls(["calculate", { input: "add 7" }]), says("Seven."));
    const [call] = (await client.responses.stream({ model: "gpt-4o", input: ASKED, tools }).finalResponse()).output;
    assert.deepEqual([call.type, call.name, call.input], ["custom_tool_call", "calculate", "add 7"]);
    const input = [...ASKED, call, { type: "custom_tool_call_output", call_id: call.call_id, output: "7" }];
    assert.equal((await client.responses.create({ model: "gpt-4o", input, tools })).output_text, "Seven.");
    const [one, other] = await played();
    offersCustomTool(one, GRAMMAR);
    assert.deepEqual(results(other), ["7"]);
    await person.hasPaidFor(2);
  },

  async "a reply that is lost in the middle of the loop is paid once"() {
    for (const stream of [false, true]) {
      const { person, client } = await aCaller();
      await play(calls(["get_weather", { city: "Paris" }]), says("Sunny everywhere."));
      const tools = [weather(() => plan("before"))];
      const runner = client.chat.completions.runTools({ model: "gpt-4o", messages: ASKED, tools, stream });
      assert.equal(await runner.finalContent(), "Sunny everywhere.");
      assert.deepEqual([await statuses(), (await played()).length], [[null, 200], 2]);
      await person.hasPaidFor(2);
    }
  },

  async "the named model answers at its price"() {
    const { person, client } = await aCaller();
    for (const model of ["quick", "deep"]) {
      await play(says("Sunny."));
      const completion = await client.chat.completions.create({ model, messages: ASKED });
      assert.deepEqual([completion.model, completion.choices[0].message.content], [model, "Sunny."]);
    }
    await person.hasPaid({ quick: 100, deep: 8 });
  },
};

await proveOf(`openai (Node) ${require("openai/version.js").VERSION}`, proofs);
