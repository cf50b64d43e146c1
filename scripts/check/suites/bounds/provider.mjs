// A provider that implements OpenAI's chat completions and Anthropic's messages. It counts each request's tokens with
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

/** Answers in Anthropic's format. */
function sayAsAnthropic(response, isStream, answer, count) {
  const usage = { input_tokens: count, output_tokens: 1 };
  const message = { type: "message", role: "assistant", model: "counter", content: [{ type: "text", text: answer }], stop_reason: "end_turn", usage };
  response.writeHead(200, { "Content-Type": isStream ? "text/event-stream" : "application/json" });
  if (!isStream) return response.end(JSON.stringify(message));
  const say = (type, fields) => response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`);
  say("message_start", { message: { ...message, content: [], stop_reason: null } });
  say("content_block_start", { index: 0, content_block: { type: "text", text: "" } });
  for (const text of answer.match(/[^]{1,200}/gu)) say("content_block_delta", { index: 0, delta: { type: "text_delta", text } });
  say("content_block_stop", { index: 0 });
  say("message_delta", { delta: { stop_reason: "end_turn" }, usage });
  say("message_stop", {});
  return response.end();
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
    const isAnthropic = request.url.endsWith("/messages");
    const all = counts(body, isAnthropic);
    const [{ count }] = all;
    const hash = createHash("sha256").update(body).digest("hex").slice(0, 16);
    requests.set(hash, { body, counts: all });
    if (requests.size > KEPT) requests.delete(requests.keys().next().value);
    const usage = { prompt_tokens: count, completion_tokens: 1, total_tokens: count + 1 };
    const answer = answerTo(hash, count);
    if (isAnthropic) return sayAsAnthropic(response, JSON.parse(body).stream, answer, count);
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
