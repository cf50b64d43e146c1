// Uses the clients that Hey API and openapi-typescript (with openapi-fetch) generate for
// TypeScript.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import { createClient as createHeyApi } from "./hey-api/client";
import * as heyApi from "./hey-api/sdk.gen";
import type { paths } from "./openapi-typescript";

const { API = "" } = process.env;
const password = "secret123";

/**
 * The steps of the journey, which each client implements. A page contains the ids of its messages
 * and the cursor of the next page.
 */
interface Journey {
  register(username: string): Promise<string>;
  /** Returns the status of the refusal. */
  logInWrongly(username: string): Promise<number>;
  logIn(username: string): Promise<{ id: string; access: string }>;
  chat(access: string, message: string): Promise<{ id: string; response: string }>;
  page(access: string, cursor?: string): Promise<{ ids: string[]; next?: string }>;
}

async function travel(generator: string, { register, logInWrongly, logIn, chat, page }: Journey) {
  const username = `carl-${crypto.randomUUID()}`;
  const id = await register(username);
  assert.equal(await logInWrongly(username), 401);
  const session = await logIn(username);
  assert.equal(session.id, id);
  const ids = [];
  for (const message of ["one", "two", "three"]) {
    const answered = await chat(session.access, message);
    assert.equal(answered.response, `You said: ${message}`);
    ids.unshift(answered.id);
  }
  const first = await page(session.access);
  assert(first.next);
  const second = await page(session.access, first.next);
  assert.equal(second.next, undefined);
  assert.deepEqual([...first.ids, ...second.ids], ids);
  console.log(`  ${generator}`);
}

/** Returns the cursor in the header `Link`. */
function next(headers: Headers) {
  return headers.get("link")?.match(/[?&]cursor=([^&>]+)/)?.[1];
}

/** Returns the data of a successful reply. */
function got<T>({ data, error }: { data?: T; error?: unknown }): T {
  assert(data, JSON.stringify(error));
  return data;
}

const hey = createHeyApi({ baseUrl: API });
const typed = createClient<paths>({ baseUrl: API });
const bearer = (access: string) => ({ headers: { Authorization: `Bearer ${access}` } });

const journeys: Record<string, Journey> = {
  "Hey API": {
    async register(username) {
      return got(await heyApi.register({ client: hey, body: { username, password } })).user.id;
    },
    async logInWrongly(username) {
      const { error, response } = await heyApi.login({ client: hey, body: { username, password: "another" } });
      assert.equal(error?.status, response?.status);
      return response?.status ?? 0;
    },
    async logIn(username) {
      const { user, access } = got(await heyApi.login({ client: hey, body: { username, password } }));
      return { id: user.id, access: access };
    },
    async chat(access, message) {
      return got(await heyApi.chat({ client: hey, auth: access, body: { message } }));
    },
    async page(access, cursor) {
      const { data, response } = await heyApi.chatHistory({ client: hey, auth: access, query: { limit: 2, cursor } });
      return { ids: (data ?? []).map((chat) => chat.id), next: response && next(response.headers) };
    },
  },

  "openapi-typescript": {
    async register(username) {
      return got(await typed.POST("/api/register", { body: { username, password } })).user.id;
    },
    async logInWrongly(username) {
      const { error, response } = await typed.POST("/api/login", { body: { username, password: "another" } });
      assert.equal(error?.status, response.status);
      return response.status;
    },
    async logIn(username) {
      const { user, access } = got(await typed.POST("/api/login", { body: { username, password } }));
      return { id: user.id, access };
    },
    async chat(access, message) {
      return got(await typed.POST("/api/chat", { ...bearer(access), body: { message } }));
    },
    async page(access, cursor) {
      const { data, response } = await typed.GET("/api/chat", { ...bearer(access), params: { query: { limit: 2, cursor } } });
      return { ids: (data ?? []).map((chat) => chat.id), next: next(response.headers) };
    },
  },
};

async function main() {
  for (const [generator, journey] of Object.entries(journeys)) await travel(generator, journey);
}

void main();
