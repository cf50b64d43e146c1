// A provider that implements OpenAI's chat completions. It counts each request's tokens with
// several tokenizers and templates, and reports the largest count as the request's usage. An answer
// begins with the request's hash and the count. `GET /requests/HASH` returns one of the last
// requests, with all its counts.
//
//     node provider.mjs PORT

import { createHash } from "node:crypto";
import http from "node:http";
import { counts } from "./counting.mjs";
import { Random } from "./random.mjs";
import { text } from "./texts.mjs";

/** How many requests are kept. */
const KEPT = 500;

const requests = new Map();

/**
 * Returns the answer to a request. Some answers continue with a hostile string, which becomes part
 * of the conversation's next prompts.
 */
function answerTo(hash, count) {
  const random = new Random(hash);
  return `${hash} ${count}${random.chance(0.4) ? `\n${text(random, 800)}` : ""}`;
}

// Don't limit idle connections, because all of them are idle while a count takes seconds.
http
  .createServer({ keepAliveTimeout: 0 }, async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.method !== "POST") {
      response.end(JSON.stringify(requests.get(request.url.split("/").at(-1)) ?? {}));
      return;
    }
    const body = Buffer.concat(chunks).toString();
    const all = counts(body);
    const [{ count }] = all;
    const hash = createHash("sha256").update(body).digest("hex").slice(0, 16);
    requests.set(hash, { body, counts: all });
    if (requests.size > KEPT) requests.delete(requests.keys().next().value);
    const usage = { prompt_tokens: count, completion_tokens: 1, total_tokens: count + 1 };
    const answer = answerTo(hash, count);
    if (!JSON.parse(body).stream) {
      response.writeHead(200, { "Content-Type": "application/json" });
      response.end(JSON.stringify({ model: "counter", choices: [{ message: { content: answer }, finish_reason: "stop" }], usage }));
      return;
    }
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const say = (fields) => response.write(`data: ${JSON.stringify({ model: "counter", ...fields })}\n\n`);
    for (const piece of answer.match(/[^]{1,200}/gu)) say({ choices: [{ delta: { content: piece } }] });
    say({ choices: [{ delta: {}, finish_reason: "stop" }] });
    say({ choices: [], usage });
    response.end("data: [DONE]\n\n");
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
