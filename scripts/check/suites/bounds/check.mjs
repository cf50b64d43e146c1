// Sends hostile prompts, and compares each charge with the provider's count of the prompt's tokens.
//
//     COUNT=10000 SEED=1 node check.mjs
//
// In the price list, a model token costs one token. Each user's first prompt costs more than was held
// for it, so the bounds of all further prompts are held. A charge is then below the count only if the
// bound is too low. Runs scripts until COUNT prompts are answered. With ONLY, runs a single script.

import { writeFileSync } from "node:fs";
import { scriptOf } from "./prompts.mjs";

const { API, PROVIDER, FAILED, ADMIN, ADMIN_PASSWORD, ONLY } = process.env;
const [COUNT, SEED] = [Number(process.env.COUNT || 10_000), process.env.SEED || String(Date.now() % 1_000_000)];

/** The number of users. Each sends one prompt at a time. */
const USERS = 16;

/** How many tokens each user gets. */
const BALANCE = 1_000_000_000;

/** The maximum number of failures to print. */
const SHOWN = 20;

/**
 * How many prompts were invalid for each reason, and for how many prompts each tokenizer and
 * template had the largest count.
 */
const [refusals, largest] = [new Map(), new Map()];
const note = (table, key) => table.set(key, (table.get(key) ?? 0) + 1);

const failures = [];
let answered = 0;
let closest = { share: 0 };

function fail(place, sent, what, facts) {
  failures.push({ seed: SEED, index: place, what, ...facts, sent });
  if (failures.length <= SHOWN) console.log(`  ${place}: ${what}; the request has ${Buffer.byteLength(sent)} bytes`);
}

async function call(token, method, path, body, credential = { Authorization: `Bearer ${token}` }) {
  const headers = { "Content-Type": "application/json", ...(token && credential) };
  const reply = await fetch(API + path, { method, headers, body: typeof body === "string" ? body : JSON.stringify(body) });
  return { status: reply.status, text: await reply.text() };
}

const read = async (...request) => {
  const { status, text } = await call(...request);
  if (status >= 300) throw new Error(`${request[1]} ${request[2]}: ${status} ${text.slice(0, 1000)}`);
  return JSON.parse(text);
};

/**
 * Returns the body of the reply to a prompt or to new instructions, or `undefined` if they are
 * refused as invalid. Every user has enough tokens.
 */
function accepted({ status, text }, place, sent) {
  if (status < 300) return text;
  if (status === 400) {
    const { errors, error } = JSON.parse(text);
    const [sentence] = /^.{0,100}/.exec(error?.message ?? Object.values(errors).flat()[0]);
    note(refusals, sentence.replaceAll(/[0-9]+/g, "N"));
    return undefined;
  }
  if (status !== 402) throw new Error(`${place}: ${status} ${text.slice(0, 1000)}`);
  const { detail, error } = JSON.parse(text);
  fail(place, sent, `402 ${detail ?? error.message}`);
  return undefined;
}

/** Returns the data in an event stream, without the last `[DONE]`. */
function events(stream) {
  const data = stream
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => line.slice("data: ".length));
  return data.filter((text) => text !== "[DONE]").map((text) => JSON.parse(text));
}

/**
 * Compares the charge for a prompt with the count in its answer. `sent` is the JSON of the request.
 */
async function compare(place, sent, answer, { tokens_deducted: charged, receipt: { held: bound }, usage }) {
  const [, hash, digits] = /^([0-9a-f]{16}) (\d+)/.exec(answer) ?? [];
  if (!hash) throw new Error(`${place}: an answer without a count: ${answer.slice(0, 200)}`);
  const count = Number(digits);
  const received = await (await fetch(`${PROVIDER}/requests/${hash}`)).json();
  const { tokenizer, template } = received.counts[0];
  answered++;
  note(largest, `${tokenizer}, ${template}`);
  if (count / bound > closest.share) closest = { share: count / bound, place, count, bound, tokenizer, template };
  if (bound < count) fail(place, sent, `bound ${bound}, but ${count} tokens (${tokenizer}, ${template})`, { count, bound, received });
  else if (charged !== count || usage.prompt_tokens !== count) fail(place, sent, `charge ${charged} for ${count} tokens`, { count, bound, received });
}

/** Sends a request to OpenAI's API, for a chat completion or a text completion. */
async function complete(user, place, path, body) {
  const reply = accepted(await call(user.key, "POST", path, body), place, body);
  if (reply === undefined) return;
  // A stream may begin with a comment, which keeps the connection open until the first event.
  const chunks = reply.startsWith("{") ? [JSON.parse(reply)] : events(reply);
  if (!chunks.at(-1).usage) throw new Error(`${place}: ${reply.slice(-1000)}`);
  const answer = chunks.map(({ choices: [choice] }) => choice?.text ?? (choice?.message ?? choice?.delta)?.content ?? "").join("");
  const chat = await read(user.access, "GET", `/api/chat/${chunks[0].id.replace(/^(chat)?cmpl-/, "")}`);
  await compare(place, body, answer, { ...chat, usage: chunks.at(-1).usage });
}

/** Sends a request to Anthropic's API. */
async function sendMessage(user, place, body) {
  const credential = { "x-api-key": user.key, "anthropic-version": "2023-06-01" };
  const reply = accepted(await call(user.key, "POST", "/v1/messages", body, credential), place, body);
  if (reply === undefined) return;
  let message;
  if (reply.startsWith("{")) message = JSON.parse(reply);
  else {
    const sent = events(reply);
    const text = sent.map(({ delta }) => delta?.text ?? "").join("");
    message = { ...sent[0].message, content: [{ type: "text", text }], usage: sent.find(({ type }) => type === "message_delta")?.usage };
  }
  if (!message.usage) throw new Error(`${place}: ${reply.slice(-1000)}`);
  const answer = message.content.map(({ text }) => text ?? "").join("");
  const { input_tokens, cache_read_input_tokens, cache_creation_input_tokens } = message.usage;
  const usage = { prompt_tokens: input_tokens + (cache_read_input_tokens ?? 0) + (cache_creation_input_tokens ?? 0) };
  const chat = await read(user.access, "GET", `/api/chat/${message.id.replace("msg_", "")}`);
  await compare(place, body, answer, { ...chat, usage });
}

/** Sends a message in a conversation. Returns the chat. */
async function send(user, place, { message, stream, exact, after }, { chats, instructions }) {
  const body = { message, ...(chats.length > 0 && { conversation_id: chats[0].conversation_id, after: chats[after]?.id }), ...(exact && { max_cost: 0 }) };
  const ask = () => call(user.access, "POST", stream ? "/api/chat/stream/" : "/api/chat/", body);
  let reply = await ask();
  if (exact && reply.status === 409) {
    body.max_cost = JSON.parse(reply.text).cost;
    reply = await ask();
  }
  const sent = JSON.stringify({ ...body, instructions });
  const text = accepted(reply, place, sent);
  if (text === undefined) return undefined;
  const chat = stream ? events(text).at(-1) : JSON.parse(text);
  if (!chat.receipt) throw new Error(`${place}: ${text.slice(-1000)}`);
  await compare(place, sent, chat.response, chat);
  return chat;
}

async function play(user, number) {
  const conversation = { chats: [], instructions: [] };
  for (const [index, step] of scriptOf(SEED, number).entries()) {
    const place = `${number}.${index}`;
    const [first] = conversation.chats;
    if (step.kind === "completion") await complete(user, place, "/v1/chat/completions", step.body);
    if (step.kind === "text completion") await complete(user, place, "/v1/completions", step.body);
    if (step.kind === "anthropic message") await sendMessage(user, place, step.body);
    if (step.kind === "message") conversation.chats.push(...[await send(user, place, step, conversation)].filter(Boolean));
    if (step.kind === "own instructions" || (step.kind === "instructions" && first)) {
      const path = step.kind === "instructions" ? `/api/conversations/${first.conversation_id}/` : "/api/user/profile/";
      const reply = await call(user.access, "PATCH", path, { instructions: step.text });
      // A script's prompts don't depend on earlier scripts.
      if (accepted(reply, place) === undefined) await read(user.access, "PATCH", path, { instructions: "" });
      else conversation.instructions.push({ of: step.kind, text: step.text });
    }
  }
}

const administrator = (await read(undefined, "POST", "/api/login/", { username: ADMIN, password: ADMIN_PASSWORD })).access;
const began = Date.now();
const seconds = () => Math.round((Date.now() - began) / 1000);
let [next, told] = [0, 0];

/** Runs the scripts one after the other, each as a new user. */
async function lane() {
  const { access, id } = await read(undefined, "POST", "/api/register/", { username: `user-${crypto.randomUUID()}`, password: "secret123" });
  await read(administrator, "POST", `/api/admin/users/${id}/adjustments/`, { amount: BALANCE, reason: "hostile prompts" });
  const { key } = await read(access, "POST", "/api/user/api-keys/", { name: "bounds" });
  // In NFKC, which one of the tokenizers reads, each character of this text has 33 bytes instead of 3.
  const first = { model: "bounded", messages: [{ role: "user", content: "\ufdfa".repeat(100) }] };
  await read(key, "POST", "/v1/chat/completions", first);
  if (ONLY) return play({ access, key }, Number(ONLY));
  while (answered < COUNT) {
    await play({ access, key }, next++);
    if (answered >= told + 1000) {
      told = answered - (answered % 1000);
      console.log(`  ${told} prompts after ${seconds()} s`);
    }
  }
}

console.log(`Seed ${SEED}`);
await Promise.all(Array.from({ length: ONLY ? 1 : USERS }, lane));

const table = (counts) =>
  [...counts]
    .sort(([, one], [, other]) => other - one)
    .map(([key, count]) => `    ${count} ${key}`)
    .join("\n");
const refused = [...refusals.values()].reduce((sum, count) => sum + count, 0);
console.log(`${answered} prompts in ${seconds()} s. Prompts by the tokenizer and template with the largest count:\n${table(largest)}`);
console.log(`${refused} refused as invalid${refused > 0 ? `:\n${table(refusals)}` : ""}`);
if (answered > 0)
  console.log(`closest to its bound: ${closest.place} with ${closest.count} of ${closest.bound} tokens (${closest.tokenizer}, ${closest.template})`);
if (failures.length > 0) {
  const isOfCount = ({ count }) => count !== undefined;
  const [shortest] = failures.sort((one, other) => isOfCount(other) - isOfCount(one) || one.sent.length - other.sent.length);
  writeFileSync(FAILED, JSON.stringify(shortest, null, 2));
  console.log(
    `${failures.length} prompts failed, ${failures.filter(isOfCount).length} of them by their counts. The shortest, ${shortest.index} of seed ${SEED}, is in ${FAILED}: ${shortest.what}`,
  );
  process.exit(1);
}
if (refused > (answered + refused) / 3) {
  console.log("More than a third of the prompts were refused");
  process.exit(1);
}
