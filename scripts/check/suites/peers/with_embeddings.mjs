// with_embeddings.mjs - tests libraries for Node that search texts with embeddings from
// `/v1/embeddings`. Only their base URL, their key and the model's name are set.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { aPerson, baseURL, plan, proveOf, statuses, versionOf } from "./proof.mjs";

// The packages are in NODE_PATH, which `import` doesn't search.
const require = createRequire(import.meta.url);

// The price of a request in the price list.
const FARE = 7;
const TEXTS = ["The cat sleeps on the sofa.", "All trains to Oslo are late.", "It is sunny in Paris today."];
const QUESTION = "Which trains are late today?";

/** Returns the text whose vector is the most similar to that of the question. All have the length 1. */
function nearest(vectors, asked) {
  const likeness = vectors.map((vector) => vector.reduce((sum, one, index) => sum + one * asked[index], 0));
  return TEXTS[likeness.indexOf(Math.max(...likeness))];
}

async function byAiSdk(model) {
  const { embed, embedMany } = require("ai");
  const { embeddings } = await embedMany({ model, values: TEXTS });
  return nearest(embeddings, (await embed({ model, value: QUESTION })).embedding);
}

const searches = {
  "ai, OpenAI's provider": ({ key }) => byAiSdk(require("@ai-sdk/openai").createOpenAI({ baseURL, apiKey: key }).embedding("vectors")),
  "ai, the compatible provider": ({ key }) =>
    byAiSdk(require("@ai-sdk/openai-compatible").createOpenAICompatible({ name: "farebox", baseURL, apiKey: key }).embeddingModel("vectors")),
  "@langchain/openai": async ({ key }) => {
    const { OpenAIEmbeddings } = require("@langchain/openai");
    const embeddings = new OpenAIEmbeddings({ model: "vectors", apiKey: key, configuration: { baseURL } });
    return nearest(await embeddings.embedDocuments(TEXTS), await embeddings.embedQuery(QUESTION));
  },
};

/** Loses a reply. Returns true if that costs a further request. */
async function costsARequest(search, cut) {
  const person = await aPerson();
  await plan(cut);
  assert.equal(await search(person), TEXTS[1]);
  const [asked, paid] = [(await statuses()).length, await person.charges()];
  // Without the loss, two requests are sent.
  assert(asked > 2 && [asked, asked - 1].includes(paid.length), `${paid} for ${asked} requests`);
  return paid.length === asked;
}

for (const [program, search] of Object.entries(searches)) {
  const version = versionOf(program.split(",")[0]);
  await proveOf(`${program} ${version}, embeddings`, {
    async "the nearest text is found and each request is charged"() {
      const person = await aPerson();
      await plan(null, 0);
      assert.equal(await search(person), TEXTS[1]);
      assert.deepEqual(await statuses(), [200, 200]);
      assert.deepEqual(await person.charges(), [FARE, FARE]);
    },

    async "a lost reply costs a further request, as clients.md says"() {
      assert(await costsARequest(search, "before"));
      assert(await costsARequest(search, "middle"));
    },
  });
}
