// with_anthropic.mjs [MODEL..] - tests Anthropic's client for Node, or what it gets from these models,
// whose providers have Anthropic's and Bedrock's APIs. Only its base URL and its key are set.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { API_WIRE, FIRST_GRANT, PRICE, aPerson, calls, functions, plan, play, played, proveOf, refuses, results, says, statuses, versionOf } from "./proof.mjs";

// The package is in NODE_PATH, which `import` doesn't search.
const require = createRequire(import.meta.url);
const Anthropic = require("@anthropic-ai/sdk");
const { zodOutputFormat } = require("@anthropic-ai/sdk/helpers/zod");
const { betaTool } = require("@anthropic-ai/sdk/helpers/beta/json-schema");
const { z } = require("zod");

const ASKED = { role: "user", content: "How is the weather?" };
const CITIES = calls(["get_weather", { city: "Paris" }], ["get_weather", { city: "Oslo" }]);
const PARAMETERS = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOL = { name: "get_weather", description: "The weather of a city.", input_schema: PARAMETERS };
const REPORT = { city: "Paris", degrees: 21 };
// A red pixel.
const PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

const clientOf = (key) => new Anthropic({ baseURL: API_WIRE, apiKey: key });

async function aCaller() {
  const person = await aPerson();
  return { person, client: clientOf(person.key) };
}

const asked = (client, messages, more) => client.messages.create({ model: "claude-sonnet-5-5", max_tokens: 1024, messages, ...more });
const streamed = (client, messages, more) => client.messages.stream({ model: "claude-sonnet-5-5", max_tokens: 1024, messages, ...more }).finalMessage();
const text = ({ content }) => content.map((block) => block.text ?? "").join("");

/** Returns the user's next message: the results of the calls in a message. */
function weather({ content }) {
  const uses = content.filter((block) => block.type === "tool_use");
  return { role: "user", content: uses.map(({ id, input }) => ({ type: "tool_result", tool_use_id: id, content: `Sunny in ${input.city}.` })) };
}

const proofs = {
  async "a message is answered whole and in pieces"() {
    for (const ask of [asked, streamed]) {
      const { person, client } = await aCaller();
      await play(says("Sunny everywhere."));
      const message = await ask(client, [ASKED], { system: "You know the weather." });
      assert.deepEqual([text(message), message.stop_reason], ["Sunny everywhere.", "end_turn"]);
      assert.deepEqual([message.usage.input_tokens, message.usage.output_tokens], [5, 7]);
      const [request] = await played();
      assert.deepEqual(request.messages[0], { role: "system", content: "You know the weather." });
      await person.hasPaidFor(1);
    }
  },

  async "functions are called whole and in pieces"() {
    for (const ask of [asked, streamed]) {
      const { person, client } = await aCaller();
      await play(CITIES, says("Sunny everywhere."));
      const first = await ask(client, [ASKED], { tools: [TOOL] });
      assert.equal(first.stop_reason, "tool_use");
      const last = await ask(client, [ASKED, { role: "assistant", content: first.content }, weather(first)], { tools: [TOOL] });
      assert.equal(text(last), "Sunny everywhere.");
      const [one, other] = await played();
      assert.deepEqual([functions(one), results(other)], [["get_weather"], ["Sunny in Paris.", "Sunny in Oslo."]]);
      await person.hasPaidFor(2);
    }
  },

  async "the client's own loop runs its functions"() {
    const tool = betaTool({ name: "get_weather", description: "The weather of a city.", inputSchema: PARAMETERS, run: ({ city }) => `Sunny in ${city}.` });
    const { person, client } = await aCaller();
    await play(CITIES, says("Sunny everywhere."));
    await plan(null, 0);
    const asked = { model: "claude-sonnet-5-5", max_tokens: 1024, messages: [ASKED], tools: [tool] };
    assert.equal(text(await client.beta.messages.toolRunner(asked)), "Sunny everywhere.");
    assert.deepEqual(results((await played())[1]), ["Sunny in Paris.", "Sunny in Oslo."]);
    // At first, the client asks the server to keep the conversation.
    assert.deepEqual(await statuses(), [400, 200, 200]);
    await person.hasPaidFor(2);
  },

  async "an answer is parsed by its schema"() {
    const { person, client } = await aCaller();
    await play(says(JSON.stringify(REPORT)));
    const format = zodOutputFormat(z.object({ city: z.string(), degrees: z.number().int() }));
    const message = await client.messages.parse({ model: "claude-sonnet-5-5", max_tokens: 1024, messages: [ASKED], output_config: { format } });
    assert.deepEqual(message.parsed_output, REPORT);
    assert.equal((await played())[0].response_format.type, "json_schema");
    await person.hasPaidFor(1);
  },

  async "a picture reaches the model"() {
    const { person, client } = await aCaller();
    await play(says("It is red."));
    const source = { type: "base64", media_type: "image/png", data: PICTURE };
    const content = [
      { type: "image", source },
      { type: "text", text: "Which colour?" },
    ];
    assert.equal(text(await asked(client, [{ role: "user", content }])), "It is red.");
    assert(JSON.stringify(await played()).includes(`data:image/png;base64,${PICTURE}`));
    await person.hasPaidFor(1);
  },

  async "thinking is answered and accepted again"() {
    for (const ask of [asked, streamed]) {
      const { person, client } = await aCaller();
      await play({ ...says("Sunny."), reasoning: "Paris is sunny." }, says("Yes."));
      const thinking = { type: "adaptive" };
      const first = await ask(client, [ASKED], { thinking });
      assert.deepEqual(
        first.content.map((block) => block.thinking ?? block.text),
        ["Paris is sunny.", "Sunny."],
      );
      const messages = [ASKED, { role: "assistant", content: first.content }, { role: "user", content: "Really?" }];
      assert.equal(text(await ask(client, messages, { thinking })), "Yes.");
      await played();
      await person.hasPaidFor(2);
    }
  },

  async "tokens are counted for nothing"() {
    const { person, client } = await aCaller();
    const { input_tokens } = await client.messages.countTokens({ model: "claude-sonnet-5-5", messages: [ASKED], tools: [TOOL] });
    assert(input_tokens > 10);
    await person.hasPaidFor(0);
  },

  async "a wrong key is an authentication error"() {
    await plan(null, 0);
    await assert.rejects(
      asked(clientOf("sk-another"), [ASKED]),
      (error) => error instanceof Anthropic.AuthenticationError && error.error.error.type === "authentication_error",
    );
    assert.deepEqual(await statuses(), [401]);
  },

  async "an empty balance is a billing error after one request"() {
    const { person, client } = await aCaller();
    await play(...Array(FIRST_GRANT / PRICE).fill(says("Sunny.")));
    for (let paid = 0; paid < FIRST_GRANT; paid += PRICE) await asked(client, [ASKED]);
    for (const ask of [asked, streamed]) {
      await plan(null, 0);
      await assert.rejects(ask(client, [ASKED]), (error) => error.status === 402 && error.error.error.type === "billing_error");
      assert.deepEqual(await statuses(), [402]);
    }
    await person.hasPaidFor(FIRST_GRANT / PRICE);
  },

  // The client counts its retries.
  async "a lost reply is paid once"() {
    for (const ask of [asked, streamed]) {
      const { person, client } = await aCaller();
      await play(says("Sunny everywhere."));
      await plan("before");
      assert.equal(text(await ask(client, [ASKED])), "Sunny everywhere.");
      assert.deepEqual([await statuses(), (await played()).length], [[null, 200], 1]);
      await person.hasPaidFor(1);
    }
  },
};

// The names of blocks in Bedrock's API, in Anthropic's words.
const BLOCKS = { reasoningContent: "thinking", text: "text", toolUse: "tool_use", toolResult: "tool_result" };

/** Returns the kinds of the blocks in a message that a provider received. */
const kinds = ({ content }) => content.map((block) => block.type ?? BLOCKS[Object.keys(block).find((name) => name in BLOCKS)]);

function proofsOf(model) {
  const thinking = { model, thinking: { type: "adaptive" }, tools: [TOOL] };
  const answer = { ...CITIES, ...says("I look it up."), reasoning: "The user asks about two cities." };
  const order = ["thinking", "text", "tool_use", "tool_use"];
  return {
    async "blocks come signed and in order, and go back unchanged"() {
      for (const ask of [asked, streamed]) {
        const { person, client } = await aCaller();
        await play(answer, says("Sunny everywhere."));
        const first = await ask(client, [ASKED], thinking);
        assert.deepEqual(
          first.content.map((block) => block.type),
          order,
        );
        const [thought, told, ...uses] = first.content;
        assert.deepEqual([thought.thinking, thought.signature, told.text], [answer.reasoning, "signed", "I look it up."]);
        assert.deepEqual(
          uses.map((use) => use.input.city),
          ["Paris", "Oslo"],
        );
        const last = await ask(client, [ASKED, { role: "assistant", content: first.content }, weather(first)], thinking);
        assert.equal(text(last), "Sunny everywhere.");
        const [, assistant, user] = (await played())[1].messages;
        assert.deepEqual([kinds(assistant), kinds(user)], [order, ["tool_result", "tool_result"]]);
        assert(JSON.stringify(assistant.content[0]).includes('"signature":"signed"'));
        await person.hasPaidFor(2);
      }
    },

    async "a lost reply is repeated with its signature"() {
      for (const ask of [asked, streamed]) {
        const { person, client } = await aCaller();
        await play(answer);
        await plan("before");
        const first = await ask(client, [ASKED], thinking);
        assert.deepEqual([first.content.map((block) => block.type), first.content[0].signature], [order, "signed"]);
        assert.deepEqual([await statuses(), (await played()).length], [[null, 200], 1]);
        await person.hasPaidFor(1);
      }
    },

    async "a refusal has its stop reason"() {
      for (const ask of [asked, streamed]) {
        const { person, client } = await aCaller();
        await play(refuses("I can't help with that."));
        const message = await ask(client, [ASKED], { model });
        assert.deepEqual([message.stop_reason, text(message)], ["refusal", "I can't help with that."]);
        await person.hasPaidFor(1);
      }
    },
  };
}

const client = `@anthropic-ai/sdk ${versionOf("@anthropic-ai/sdk")}`;
const models = process.argv.slice(2);
for (const model of models) await proveOf(`${client}, ${model}`, proofsOf(model));
if (!models.length) await proveOf(client, proofs);
