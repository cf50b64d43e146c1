// Tests libraries for Node that search texts with embeddings from `/v1/embeddings`. Only their base
// URL, their key and the model's name are set.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { aPerson, baseURL, plan, proveOf, statuses, versionOf } from "./proof.mjs";

// The packages are in NODE_PATH, which `import` doesn't search.
const require = createRequire(import.meta.url);
const { cosineSimilarity, embed, embedMany } = require("ai");
const { createOpenAI } = require("@ai-sdk/openai");
const { createOpenAICompatible } = require("@ai-sdk/openai-compatible");
const { OpenAIEmbeddings } = require("@langchain/openai");

// The price of a request in the price list.
const FARE = 7;
const TEXTS = ["The cat sleeps on the sofa.", "All trains to Oslo are late.", "It is sunny in Paris today."];
const QUESTION = "Which trains are late today?";

/** Returns the text whose vector is the most similar to that of the question. */
function nearest(vectors, asked) {
  const likeness = vectors.map((vector) => cosineSimilarity(vector, asked));
  return TEXTS[likeness.indexOf(Math.max(...likeness))];
}

async function byAiSdk(model) {
  const { embeddings } = await embedMany({ model, values: TEXTS });
  return nearest(embeddings, (await embed({ model, value: QUESTION })).embedding);
}

const searches = {
  "ai, OpenAI's provider": ({ key }) => byAiSdk(createOpenAI({ baseURL, apiKey: key }).embedding("vectors")),
  "ai, the compatible provider": ({ key }) => byAiSdk(createOpenAICompatible({ name: "farebox", baseURL, apiKey: key }).embeddingModel("vectors")),
  "@langchain/openai": async ({ key }) => {
    const embeddings = new OpenAIEmbeddings({ model: "vectors", apiKey: key, configuration: { baseURL } });
    return nearest(await embeddings.embedDocuments(TEXTS), await embeddings.embedQuery(QUESTION));
  },
};

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
  });
}
