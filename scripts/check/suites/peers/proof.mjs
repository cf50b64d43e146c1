// Code shared by the tests with Node clients: users, connections that break as planned, the script
// for the model behind the API (provider.py), and the output.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const { API, API_WIRE, PROVIDER } = process.env;
export const baseURL = `${API_WIRE}/v1`;
export const [PRICE, FIRST_GRANT] = [100, 4000];

export async function call(url, method, path, body, token) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  const reply = await fetch(url + path, { method, headers, body: JSON.stringify(body) });
  assert(reply.ok, `${method} ${path}: ${reply.status}`);
  return reply.json();
}

/** Creates a user with an API key that has these `options`. */
export async function aPerson(options = {}) {
  const { access } = await call(API, "POST", "/api/register/", { username: `ben-${crypto.randomUUID()}`, password: "secret123" });
  const { key } = await call(API, "POST", "/api/user/api-keys/", { name: "proof", ...options }, access);
  const history = () => call(API, "GET", "/api/chat/?limit=100", undefined, access);
  /**
   * Asserts that the history contains this many messages, and that the statement contains one
   * charge for each.
   */
  const hasPaidFor = async (chats) => {
    const { tokens } = await call(API, "GET", "/api/user/balance/", undefined, access);
    const statement = await call(API, "GET", "/api/user/ledger?limit=100", undefined, access);
    const charges = statement.filter((row) => row.kind === "chat").map((row) => [row.chat_id, row.amount]);
    const kept = (await history()).map((chat) => [chat.id, -PRICE]);
    assert.deepEqual(Object.fromEntries(charges), Object.fromEntries(kept));
    assert.deepEqual([tokens, charges.length], [FIRST_GRANT - chats * PRICE, chats]);
  };
  /**
   * Asserts that the statement contains one charge for each of these models, and no other charge.
   */
  const hasPaid = async (charges) => {
    const { tokens } = await call(API, "GET", "/api/user/balance/", undefined, access);
    const statement = await call(API, "GET", "/api/user/ledger?limit=100", undefined, access);
    const rows = statement.filter((row) => row.kind === "chat").map((row) => [row.model, -row.amount]);
    assert.deepEqual(Object.fromEntries(rows), charges);
    const sum = Object.values(charges).reduce((all, charge) => all + charge, 0);
    assert.deepEqual([tokens, rows.length], [FIRST_GRANT - sum, Object.keys(charges).length]);
  };
  /** Returns the amounts of the statement's charges. */
  const charges = async () => {
    const statement = await call(API, "GET", "/api/user/ledger?limit=100", undefined, access);
    return statement.filter((row) => row.kind === "chat").map((row) => -row.amount);
  };
  return { key, history, hasPaidFor, hasPaid, charges };
}

/** Tells wire.py how to treat the next replies. */
export async function plan(cut, times = 1) {
  await call(API_WIRE, "POST", "/wire/plan", { cut, times });
}

/** Returns the calls since the last plan. */
export function attempted() {
  return call(API_WIRE, "GET", "/wire/calls");
}

/** Returns the statuses that the client received for the calls. A lost reply's status is null. */
export async function statuses() {
  return (await attempted()).map((attempt) => attempt.status);
}

/** Plans the model's next answers. */
export async function play(...answers) {
  await call(PROVIDER, "POST", "/script", answers);
}

/** Returns the requests that the model received. Asserts that each planned answer was requested. */
export async function played() {
  const { requests, left } = await call(PROVIDER, "GET", "/script");
  assert.equal(left, 0);
  return requests;
}

export function says(text) {
  return { text };
}

export function refuses(text) {
  return { refusal: text };
}

/** Returns an answer that calls functions. Each call is a name with arguments. */
export function calls(...named) {
  return { calls: named.map(([name, args]) => ({ name, arguments: args })) };
}

/** Returns the function results in a request that the model received. */
export function results(request) {
  return request.messages.filter((message) => message.role === "tool").map((message) => message.content);
}

export function functions(request) {
  return request.tools.map((tool) => tool.function.name);
}

/** Returns the version of a package in NODE_PATH. Some packages don't export their package.json. */
export function versionOf(name) {
  return JSON.parse(readFileSync(`${process.env.NODE_PATH}/${name}/package.json`)).version;
}

/** Runs tests. Their names are the sentences that they prove. */
export async function prove(proofs) {
  for (const [sentence, proof] of Object.entries(proofs)) {
    await proof();
    console.log(`  ${sentence}`);
  }
}

/** Runs a client's tests and prints one line. */
export async function proveOf(client, proofs) {
  const began = performance.now();
  for (const [sentence, proof] of Object.entries(proofs)) {
    await proof().catch((error) => {
      console.log(`  ${client} failed: ${sentence}`);
      throw error;
    });
  }
  console.log(`  ${client}: ${Object.keys(proofs).length} tests in ${((performance.now() - began) / 1000).toFixed(1)} s`);
}
