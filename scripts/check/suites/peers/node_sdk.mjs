// Tests the endpoints under /v1 with OpenAI's client for Node. Only its base URL and its key are
// set.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { FIRST_GRANT, PRICE, aPerson, attempted, baseURL, plan, prove } from "./proof.mjs";

// The package is in NODE_PATH, which `import` doesn't search.
const OpenAI = createRequire(import.meta.url)("openai");

const HELLO = [{ role: "user", content: "Hello!" }];
const SLOW = [{ role: "user", content: "!slow Hello!" }];
const CONVERSATION = [
  { role: "system", content: "You recite." },
  { role: "user", content: "My cat is called Tom." },
  { role: "assistant", content: "A good name." },
  { role: "user", content: "What is it called?" },
];

const proofs = {
  async "the models are listed"() {
    const { client } = await aCaller();
    const { data } = await client.models.list();
    assert(data.some((model) => model.id === "reciter"));
  },

  async "a completion is answered, paid and kept"() {
    const { person, client } = await aCaller();
    const completion = await client.chat.completions.create({ model: "gpt-4o", messages: HELLO });
    const [{ message, finish_reason }] = completion.choices;
    assert.deepEqual([message.role, message.content, finish_reason], ["assistant", recited(HELLO), "stop"]);
    assert.deepEqual(counts(completion.usage), [1, 2, 3]);
    await person.hasPaidFor(1);
    assert.equal((await person.history())[0].response, recited(HELLO));
  },

  async "a streamed completion comes word by word, with its usage at the end"() {
    const { person, client } = await aCaller();
    const messages = [{ role: "user", content: "one two three four" }];
    const chunks = [];
    for await (const chunk of await client.chat.completions.create({ model: "gpt-4o", messages, stream: true, stream_options: { include_usage: true } })) {
      chunks.push(chunk);
    }
    const last = chunks.pop();
    const pieces = chunks.map((chunk) => chunk.choices[0].delta.content).filter(Boolean);
    assert.deepEqual(pieces, ["user:", " one", " two", " three", " four"]);
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
    assert.deepEqual([last.choices, counts(last.usage)], [[], [4, 5, 9]]);
    await person.hasPaidFor(1);
    assert.equal((await person.history())[0].response, recited(messages));
  },

  async "a response is answered, paid and kept"() {
    const { person, client } = await aCaller();
    const response = await client.responses.create({ model: "gpt-4o", input: "Hello!" });
    assert.deepEqual([response.status, response.output_text], ["completed", recited(HELLO)]);
    const { input_tokens, output_tokens, total_tokens } = response.usage;
    assert.deepEqual([input_tokens, output_tokens, total_tokens], [1, 2, 3]);
    await person.hasPaidFor(1);
    assert.equal((await person.history())[0].response, recited(HELLO));
  },

  async "a streamed response comes in typed events that make the response"() {
    const { person, client } = await aCaller();
    const stream = client.responses.stream({ model: "gpt-4o", input: "one two three four" });
    const pieces = [];
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") pieces.push(event.delta);
    }
    assert.deepEqual(pieces, ["user:", " one", " two", " three", " four"]);
    const { output } = await stream.finalResponse();
    assert.equal(output[0].content[0].text, pieces.join(""));
    await person.hasPaidFor(1);
  },

  async "a conversation with its system message reaches the provider whole"() {
    const { person, client } = await aCaller();
    assert.equal(await answer(client, CONVERSATION), recited(CONVERSATION));
    assert.equal(await streamedAnswer(client, CONVERSATION), recited(CONVERSATION));
    await person.hasPaidFor(2);
  },

  async "the same words said twice cost twice"() {
    const { person, client } = await aCaller();
    assert.deepEqual([await answer(client, HELLO), await answer(client, HELLO)], [recited(HELLO), recited(HELLO)]);
    await person.hasPaidFor(2);
  },

  async "a wrong key is an authentication error"() {
    const client = new OpenAI({ baseURL, apiKey: "sk-another" });
    await plan(null);
    await assert.rejects(answer(client, HELLO), (error) => {
      return error instanceof OpenAI.AuthenticationError && error.status === 401 && error.code === "invalid_api_key";
    });
    await attempts(401);
  },

  async "a balance is spent by calls at once, and then refused without a retry"() {
    const { person, client } = await aCaller();
    const chats = FIRST_GRANT / PRICE;
    const answers = await Promise.all(Array.from({ length: chats }, () => answer(client, HELLO)));
    assert.deepEqual(new Set(answers), new Set([recited(HELLO)]));
    for (const ask of [answer, streamedAnswer]) {
      await plan(null);
      await assert.rejects(ask(client, HELLO), (error) => {
        return error instanceof OpenAI.APIError && error.type === "insufficient_quota" && error.code === "insufficient_quota";
      });
      await attempts(402);
    }
    await person.hasPaidFor(chats);
  },

  async "a provider that fails costs nothing, however often it is tried"() {
    const { person, client } = await aCaller();
    await plan(null);
    await assert.rejects(answer(client, [{ role: "user", content: "!fail" }]), OpenAI.InternalServerError);
    await attempts(502, 502, 502);
    await person.hasPaidFor(0);
  },

  async "lost replies are replayed and paid once"() {
    for (const ask of [answer, streamedAnswer]) {
      for (const lost of [1, 2]) {
        const { person, client } = await aCaller();
        await plan("before", lost);
        assert.equal(await ask(client, CONVERSATION), recited(CONVERSATION));
        await attempts(...Array(lost).fill(null), 200);
        await person.hasPaidFor(1);
      }
    }
  },

  async "a reply cut in the middle is the caller's to ask for again, under its own key for the same price"() {
    for (const ask of [answer, streamedAnswer]) {
      const { person, client } = await aCaller();
      const once = { headers: { "Idempotency-Key": "order 7" } };
      await plan("middle");
      await assert.rejects(ask(client, CONVERSATION, once), { message: "terminated" });
      await attempts(200);
      assert.equal(await ask(client, CONVERSATION, once), recited(CONVERSATION));
      await person.hasPaidFor(1);
    }
  },

  async "a call that still runs is waited for and paid once"() {
    for (const ask of [answer, streamedAnswer]) {
      const { person, client } = await aCaller();
      await plan("early");
      assert.equal(await ask(client, SLOW), recited(SLOW));
      const [, refused, replayed] = await attempts(null, 409, 200);
      assert(replayed.began - refused.began >= Number(refused.retry_after), "it waits as long as it was told to");
      await person.hasPaidFor(1);
    }
  },
};

async function answer(client, messages, options) {
  const completion = await client.chat.completions.create({ model: "gpt-4o", messages }, options);
  return completion.choices[0].message.content;
}

async function streamedAnswer(client, messages, options) {
  let text = "";
  for await (const chunk of await client.chat.completions.create({ model: "gpt-4o", messages, stream: true }, options)) {
    text += chunk.choices[0]?.delta.content ?? "";
  }
  return text;
}

/** Returns the answer that the provider's model gives to these messages. */
function recited(messages) {
  return messages.map(({ role, content }) => `${role}: ${content}`).join("\n");
}

function counts(usage) {
  return [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens];
}

/** Creates a user, and a client with the user's API key. */
async function aCaller() {
  const person = await aPerson();
  return { person, client: new OpenAI({ baseURL, apiKey: person.key }) };
}

/**
 * Asserts that the calls since the last plan were attempts at one request, with these statuses. A
 * lost reply's status is null.
 */
async function attempts(...statuses) {
  const calls = await attempted();
  assert.deepEqual(
    calls.map((call) => call.status),
    statuses,
  );
  assert.deepEqual(
    calls.map((call) => call.retry),
    statuses.map((_, number) => String(number)),
  );
  assert.equal(new Set(calls.map((call) => call.body)).size, 1);
  return calls;
}

await prove(proofs);
