// Generates the Postman collection from an API's OpenAPI document. `node postman.mjs URL FILE`
// writes FILE; with `--check` it compares FILE. The same document always produces the same bytes.
//
// Postman's own converter doesn't order requests, sends every optional header, fills bodies with
// the names of types, adds no tests, and generates new ids each time. Here, requests and replies
// come from the document, as do the values that its links pass from replies to later requests. This
// file adds the order of the requests, and the other values that are passed from one request to the
// next. A run from top to bottom creates an account, tries all requests with it, and deletes it.

import { readFileSync, writeFileSync } from "node:fs";

const VARIABLES = [
  ["baseUrl", "http://127.0.0.1:3000", "The API's URL, without a slash at the end."],
  ["username", "", "The username to register. If it is empty, each run makes one up."],
  ["password", "a ticket to ride", "The user's password."],
  ["newPassword", "a day tripper's", "The new password. After the change, the two passwords are swapped."],
  ["token", "", "The user's access token. Every request sends it unless it specifies a different token."],
  ["refresh", "", "The user's refresh token."],
  ["verifyToken", "", "The token in the e-mail that verifies an address, if you have it."],
  ["resetToken", "", "The token in the password-reset e-mail, if you have it."],
  ["userId", "", "The id of the user's account, or of an account that an administrator creates."],
  ["otherId", "", "The id of the account that an administrator creates and deletes."],
  ["grantsId", "", "The id of a preview of grants."],
  ["sessionId", "", "The id of another session of the user."],
  ["chatId", "", "The id of the user's last chat."],
  ["conversationId", "", "The id of the last chat's conversation."],
  ["fileId", "", "The id of a file of a message."],
  ["folderId", "", "The id of a folder."],
  ["shareConversationId", "", "The id of the conversation that is shared."],
  ["shareId", "", "The id of a shared chat."],
  ["shareLink", "", "The link of that shared chat."],
  ["reportId", "", "The id of a report about a shared chat."],
  ["apiKeyId", "", "The id of one of the user's API keys."],
  ["apiKey", "", "The text of that API key, for requests by OpenAI's clients."],
  ["modelId", "", "A model that can answer."],
  ["purchasePack", "", "A pack of tokens on sale."],
  ["stripeSignature", "", "The event's signature, if Stripe sends events to this service."],
  ["adminName", "", "An administrator's username. Without it, the administration requests are skipped."],
  ["adminPassword", "", "The administrator's password."],
  ["adminToken", "", "The administrator's access token."],
];

// The values to keep from a log-in's reply: each variable, with the field of the reply's body.
const SESSION = { token: "access", refresh: "refresh" };

// Marks where a folder's list includes the requests that it doesn't name.
const OTHERS = "others";

// The folders and their requests, by `operationId`. `body`, `path`, `query` and `headers` are sent.
// Other parameters are in the request, but disabled. An id in the path is the last such id in a
// reply. `keep` lists the values to keep from the reply, in addition to the values that the
// document's links pass on. `without` is a variable and a status: if the variable is empty, the
// request must be refused with this status. `before` and `after` are lines of JavaScript that run
// before and after the request. A folder also contains all other requests with its tag, at the end
// or at OTHERS. If a link passes a value to the body of such a request, the request is in the
// folder of the reply that has the link.
const ORDER = [
  [
    "Service",
    [
      "health",
      "openapi",
      { operation: "stripe_webhook", body: {}, headers: { "Stripe-Signature": "{{stripeSignature}}" }, without: ["stripeSignature", 404] },
      "jwks",
      "discovery",
      "discovery_well_known_oauth_authorization_server",
    ],
  ],
  [
    "Accounts",
    [
      {
        operation: "register",
        before: [
          "// A name is free again a day after its account was deleted: each run has one of its own.",
          'const name = pm.variables.get("username");',
          'if (!name || name.startsWith("postman-")) pm.collectionVariables.set("username", `postman-${Date.now()}`);',
        ],
        body: { username: "{{username}}", email: "{{username}}@example.com", password: "{{password}}" },
        keep: { ...SESSION, userId: "id" },
      },
      "profile",
      { operation: "profile_change", body: { first_name: "Ann", last_name: "Smith" } },
      "email_resend",
      {
        operation: "password_change",
        body: { current_password: "{{password}}", new_password: "{{newPassword}}" },
        keep: SESSION,
        after: [
          'const [was, is] = ["password", "newPassword"].map((name) => pm.collectionVariables.get(name));',
          'pm.collectionVariables.set("password", is);',
          'pm.collectionVariables.set("newPassword", was);',
        ],
      },
      { operation: "password_reset", body: { email: "{{username}}@example.com" } },
      {
        operation: "password_reset_confirm",
        body: { token: "{{resetToken}}", password: "{{password}}" },
        without: ["resetToken", 400],
      },
      "export",
      // The first verification of an address ends the session, so the next folder logs in again.
      { operation: "email_verify", body: { token: "{{verifyToken}}", password: "{{password}}" }, without: ["verifyToken", 400] },
    ],
  ],
  [
    "Sessions",
    [
      { operation: "login", body: { username: "{{username}}", password: "{{password}}" }, keep: SESSION },
      { operation: "sessions", keep: { sessionId: "find(({ current }) => !current).id" } },
      "session_end",
      { operation: "token_refresh", body: { refresh: "{{refresh}}" }, keep: SESSION },
      { operation: "token_verify", body: { token: "{{refresh}}" } },
      { operation: "token_blacklist", body: { refresh: "{{refresh}}" } },
      {
        operation: "login_token",
        name: "Log in for a log-out",
        body: { username: "{{username}}", password: "{{password}}" },
        keep: SESSION,
      },
      { operation: "logout", body: { all: false } },
      { operation: "login_token", name: "Log in again", body: { username: "{{username}}", password: "{{password}}" }, keep: SESSION },
    ],
  ],
  [
    "Chat",
    [
      "chat",
      {
        operation: "chat_chat_msg",
        name: "Send the AI another message",
        body: { message: "And again!", conversation_id: "{{conversationId}}" },
      },
      {
        operation: "chat_stream",
        headers: { "Idempotency-Key": "{{chatId}}" },
        body: { message: "Once more!", conversation_id: "{{conversationId}}" },
      },
      { operation: "chat_stop", body: { idempotency_key: "{{chatId}}" } },
      { operation: "chat_history", query: { limit: "5" } },
      { operation: "file_read", path: { id: "{{fileId}}" }, without: ["fileId", 404] },
    ],
  ],
  ["Models", ["model_list"]],
  ["Shared chats", ["share_create", "share_report"]],
  ["Conversations", []],
  ["Folders", []],
  [
    "Tokens",
    [
      "balance",
      "purchases",
      "purchase_create",
      { operation: "balance_token_balance", name: "Read the balance, at token_balance" },
      { operation: "balance_tokenbalance", name: "Read the balance, at tokenbalance" },
      { operation: "balance_user_balance", name: "Read the balance, at user/balance" },
      "ledger",
      { operation: "ledger", name: "Read the statement as a file", headers: { Accept: "text/csv" }, type: "text/csv" },
    ],
  ],
  ["API keys", [{ operation: "api_key_create", body: { name: "Postman", limit: { tokens: 20_000, per: "month" } }, keep: { apiKey: "key" } }]],
  [
    "OpenAI",
    [
      {
        operation: "api_key_create",
        name: "Create an API key with a limit for these",
        token: "token",
        body: { name: "OpenAI's clients", expires: "2999-12-31", limit: { tokens: 2000, per: "month" } },
        keep: { apiKey: "key" },
      },
      "models",
      "model",
      { operation: "completions", body: { messages: [{ role: "user", content: "Hello!" }] } },
      {
        operation: "completions",
        name: "Send the AI a message in OpenAI's format, and read its answer piece by piece",
        body: { messages: [{ role: "user", content: "Hello!" }], stream: true },
        type: "text/event-stream",
      },
      { operation: "responses", body: { input: "Hello!" } },
      {
        operation: "responses",
        name: "Send the AI a message in the format of OpenAI's Responses API, and read its answer piece by piece",
        body: { input: "Hello!", stream: true },
        type: "text/event-stream",
      },
      { operation: "text_completions", body: { prompt: "Hello!" } },
      { operation: "embeddings", body: { model: "echo", input: "Hello!" } },
    ],
    "apiKey",
  ],
  [
    "Anthropic",
    [
      { operation: "messages", body: { max_tokens: 1024, messages: [{ role: "user", content: "Hello!" }] } },
      {
        operation: "messages",
        name: "Send the AI a message in Anthropic's format, and read its answer piece by piece",
        body: { max_tokens: 1024, messages: [{ role: "user", content: "Hello!" }], stream: true },
        type: "text/event-stream",
      },
      { operation: "count_tokens", body: { messages: [{ role: "user", content: "Hello!" }] } },
    ],
    "apiKey",
  ],
  [
    "Administration",
    [
      {
        operation: "login",
        name: "Log in as an administrator",
        body: { username: "{{adminName}}", password: "{{adminPassword}}" },
        keep: { adminToken: "access" },
      },
      { operation: "admin_users", name: "Search for a user", query: { q: "{{username}}" }, keep: { userId: "[0].id" } },
      {
        operation: "admin_adjustment",
        headers: { "Idempotency-Key": "{{$guid}}" },
        body: { amount: 50, reason: "a correction" },
      },
      {
        operation: "admin_grants",
        name: "Preview grants to many users",
        body: { reason: "a gift", grants: [{ user: "{{userId}}", amount: 5 }] },
        keep: { grantsId: "id" },
      },
      {
        operation: "admin_grants",
        name: "Make these grants",
        body: { id: "{{grantsId}}", reason: "a gift", grants: [{ user: "{{userId}}", amount: 5 }] },
      },
      { operation: "admin_chats", query: { user_id: "{{userId}}" } },
      "admin_api_key_revoke",
      // The user ends the first shared chat, and an administrator this one.
      { operation: "chat", name: "Send the AI a message that is shared", token: "token" },
      { operation: "share_create", name: "Share this chat", token: "token" },
      { operation: "share_report", name: "Report this shared chat" },
      "admin_shares",
      "admin_share_report_dismiss",
      "admin_share_end",
      OTHERS,
      { operation: "admin_export", path: { list: "users.csv" }, name: "Export all users" },
      { operation: "admin_export", path: { list: "addresses.csv" }, query: { users: "{{userId}}" }, name: "Export this user's address" },
      { operation: "admin_export", path: { list: "chats.csv" }, name: "Export all messages" },
      { operation: "admin_export", path: { list: "ledger.csv" }, name: "Export the whole ledger" },
      {
        operation: "admin_user_create",
        keep: { otherId: "id" },
        headers: { "Idempotency-Key": "{{$guid}}" },
        body: { username: "{{username}}-2", email: "{{username}}-2@example.com", role: "user", tokens: 50, invite: true, reason: "a test" },
      },
      // Only an account that this run has created is deleted.
      { operation: "admin_user_delete", path: { id: "{{otherId}}" } },
      { operation: "logout", name: "Log out as an administrator", body: { all: false } },
    ],
    "adminToken",
    ["adminName"],
  ],
  [
    "The end",
    [
      // An administrator may have ended the session.
      { operation: "login", name: "Log in for the last time", body: { username: "{{username}}", password: "{{password}}" }, keep: SESSION },
      {
        operation: "account_delete",
        body: { password: "{{password}}" },
        after: ['for (const name of ["username", "token", "refresh", "apiKey"]) pm.collectionVariables.set(name, "");'],
      },
    ],
  ],
];

// Creations come first and deletions last.
const METHODS = ["post", "get", "patch", "put", "delete"];

/** The whole collection (https://schema.getpostman.com/json/collection/v2.1.0/docs/index.html). */
function collection(document) {
  const operations = new Map();
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const method of METHODS.filter((method) => methods[method])) {
      const operation = methods[method];
      operations.set(operation.operationId, { ...operation, method, path, folder: operation.tags[0], keep: {}, needs: {} });
    }
  }
  for (const operation of operations.values()) {
    for (const { operationId, parameters = {}, "x-body": fields = {} } of Object.values(success(operation)[1].links ?? {})) {
      const target = operations.get(operationId);
      for (const [name, value] of Object.entries(parameters)) operation.keep[idOf(target.path, name)] = fieldOf(value);
      for (const [name, value] of Object.entries(fields)) {
        target.needs[name] = variableOf(target.path, name);
        target.folder = operation.folder;
        operation.keep[target.needs[name]] = `${fieldOf(value)} ?? ""`;
      }
    }
  }
  const ids = new Set([...operations.values()].flatMap(({ keep }) => Object.keys(keep)));
  const named = new Set(ORDER.flatMap(([, steps]) => steps.map((step) => step.operation ?? step)));
  // The body of a request that isn't named is the document's example. The ids in its path come from
  // earlier replies, and it has an `Idempotency-Key` if the operation accepts one.
  const isOther = ({ operationId, path, parameters = [] }) =>
    !named.has(operationId) && parameters.map((parameter) => resolved(document, parameter)).every((one) => one.in !== "path" || ids.has(idOf(path, one.name)));
  const unsent = new Set(operations.keys());
  const folders = ORDER.map(([name, steps, token, needed]) => {
    const others = [...operations.values()].filter((operation) => operation.folder === name && isOther(operation));
    // A request with a different tag needs an earlier reply in this folder. The user sends it, even
    // in a folder for administrators.
    const isOwn = ({ tags }) => tags.includes(name);
    others.sort((one, other) => METHODS.indexOf(one.method) - METHODS.indexOf(other.method) || isOwn(other) - isOwn(one));
    const stepOf = (operation) => ({
      operation: operation.operationId,
      ...(!isOwn(operation) && { token: "token" }),
      ...(operation.parameters?.some((parameter) => parameter.name === "Idempotency-Key") && { headers: { "Idempotency-Key": "{{$guid}}" } }),
    });
    const all = steps.includes(OTHERS) ? steps : [...steps, OTHERS];
    const items = all
      .flatMap((step) => (step === OTHERS ? others.map(stepOf) : [step]))
      .map((step) => {
        const asked = typeof step === "string" ? { operation: step } : step;
        const operation = operations.get(asked.operation);
        if (!operation) throw new Error(`postman.mjs sends ${asked.operation}, which the document doesn't have`);
        unsent.delete(asked.operation);
        return item(document, operation, { token, ...asked });
      });
    const about = document.tags.find((tag) => tag.name === name)?.description;
    return {
      name,
      ...(about && { description: about }),
      item: items,
      ...(needed && {
        event: [
          script(
            "prerequest",
            needed.map((name) => `if (!pm.variables.get("${name}")) pm.execution.skipRequest();`),
          ),
        ],
      }),
    };
  });
  if (unsent.size) throw new Error(`postman.mjs has no place for ${[...unsent].join(", ")}`);
  return {
    info: {
      name: document.info.title,
      description: document.info.description,
      schema: "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
    },
    auth: bearer("token"),
    variable: VARIABLES.map(([key, value, description]) => ({ key, value, type: "string", description })),
    item: folders,
  };
}

/** Returns an operation's successful reply, after its status. */
function success(operation) {
  return Object.entries(operation.responses).find(([status]) => status.startsWith("2"));
}

/** The variable for the id in a path: `apiKeyId` for `/api/user/api-keys/{id}`. */
function idOf(path, parameter) {
  const [, things] = path.match(`([^/]+)/{${parameter}}`);
  return variableOf(things, parameter === "link" ? "link" : "id");
}

/** The variable for a field of a body: `purchasePack` for `pack` and `/api/user/purchases`. */
function variableOf(path, field) {
  const things = path.split("/").at(-1).replace(/s$/, "");
  return `${things}-${field}`.replace(/[-_](.)/g, (_, letter) => letter.toUpperCase());
}

/** The JavaScript for a link's value: `data?.[0]?.id` for `$response.body#/data/0/id`. */
function fieldOf(value) {
  const [, ...names] = value.split("/");
  return names.map((name) => (/^\d+$/.test(name) ? `[${name}]` : name)).join("?.");
}

function item(document, operation, step) {
  const [status, reply] = success(operation);
  const parameters = (operation.parameters ?? []).map((parameter) => resolved(document, parameter));
  const of = (place) => parameters.filter((parameter) => parameter.in === place);
  for (const [place, sent] of [
    ["path", step.path],
    ["query", step.query],
  ]) {
    for (const name of Object.keys(sent ?? {})) {
      if (!of(place).some((parameter) => parameter.name === name)) throw new Error(`${step.operation} has no ${name} in its ${place}`);
    }
  }
  const content = operation.requestBody?.content?.["application/json"]?.schema;
  if (content) {
    step.body ??= { ...example(document, content), ...mapped(operation.needs, (variable) => `{{${variable}}}`) };
    checkBody(document, step, content);
  } else if (step.body) throw new Error(`${step.operation} takes no body`);
  for (const variable of Object.values(operation.needs)) step.without ??= [variable, 400];

  const type = step.type ?? Object.keys(reply.content)[0];
  if (!reply.content[type]) throw new Error(`${step.operation} doesn't answer with ${type}`);
  const events = [
    ...(step.before ? [script("prerequest", step.before)] : []),
    script(
      "test",
      tests(document, { ...step, keep: { ...operation.keep, ...step.keep } }, { status: Number(status), type, schema: reply.content[type].schema }),
    ),
  ];
  return {
    name: step.name ?? operation.summary,
    event: events,
    request: {
      method: operation.method.toUpperCase(),
      description: operation.description,
      ...(operation.security ? (step.token ? { auth: bearer(step.token) } : {}) : { auth: { type: "noauth" } }),
      header: [
        ...(content ? [{ key: "Content-Type", value: "application/json" }] : []),
        ...Object.entries(step.headers ?? {}).map(([key, value]) => ({ key, value })),
        ...of("header")
          .filter(({ name }) => !step.headers?.[name])
          .map(optional),
      ],
      ...(content && { body: { mode: "raw", raw: JSON.stringify(step.body, null, 2), options: { raw: { language: "json" } } } }),
      url: url(operation.path, step, of("path"), of("query")),
    },
    response: [],
  };
}

function url(path, step, inPath, inQuery) {
  const segments = path
    .slice(1)
    .split("/")
    .map((segment) => segment.replace(/^\{(.*)\}$/, ":$1"));
  const query = inQuery.map((parameter) => {
    const value = step.query?.[parameter.name];
    return value === undefined ? optional(parameter) : { key: parameter.name, value, description: parameter.description };
  });
  const sent = query
    .filter(({ disabled }) => !disabled)
    .map(({ key, value }) => `${key}=${value}`)
    .join("&");
  return {
    raw: `{{baseUrl}}/${segments.join("/")}${sent && `?${sent}`}`,
    host: ["{{baseUrl}}"],
    path: segments,
    ...(query.length && { query }),
    ...(inPath.length && {
      variable: inPath.map(({ name, description }) => {
        return { key: name, value: step.path?.[name] ?? `{{${idOf(path, name)}}}`, description };
      }),
    }),
  };
}

/** A disabled parameter, which the collection's user can enable. */
function optional({ name, description, schema = {}, example }) {
  const value = example ?? schema.examples?.[0] ?? schema.default ?? schema.enum?.[0] ?? "";
  return { key: name, value: String(value), description, disabled: true };
}

function bearer(variable) {
  return { type: "bearer", bearer: [{ key: "token", value: `{{${variable}}}`, type: "string" }] };
}

function script(listen, lines) {
  return { listen, script: { type: "text/javascript", exec: lines } };
}

/**
 * Returns the tests of a reply: its status must be the expected one, and its body must conform to
 * the document.
 */
function tests(document, step, { status, type, schema }) {
  const lines = [];
  if (step.without) {
    const [variable, refusal] = step.without;
    lines.push(`const expected = pm.variables.get("${variable}") ? ${status} : ${refusal};`);
  } else {
    lines.push(`const expected = ${status};`);
  }
  lines.push(
    "pm.test(`It answers ${expected}`, () => pm.expect(pm.response.code, pm.response.text()).to.eql(expected));",
    'pm.test("The reply names its request", () => pm.response.to.have.header("X-Request-Id"));',
    `if (pm.response.code === ${status}) {`,
    `  pm.test("The reply is ${type}", () => pm.expect(pm.response.headers.get("Content-Type")).to.match(/^${type.replace("/", "\\/")}(;|$)/));`,
  );
  if (type.endsWith("json")) {
    lines.push(
      `  const schema = ${JSON.stringify(form(document, schema))};`,
      '  pm.test("The reply has the form that the document gives it", () => pm.response.to.have.jsonSchema(schema));',
    );
    const kept = Object.entries(step.keep ?? {});
    if (kept.length) lines.push("  const reply = pm.response.json();");
    for (const [variable, place] of kept) {
      const dot = place.startsWith("[") ? "" : ".";
      lines.push(`  pm.collectionVariables.set("${variable}", reply${dot}${place});`);
    }
  }
  lines.push(...(step.after ?? []).map((line) => `  ${line}`), "}");
  if (step.without) {
    lines.push(
      `if (pm.response.code === ${step.without[1]}) {`,
      '  pm.test("A refusal is a problem document", () => {',
      '    pm.expect(pm.response.headers.get("Content-Type")).to.match(/^application\\/problem\\+json(;|$)/);',
      '    pm.expect(pm.response.json()).to.include.keys("status", "code", "detail", "request_id");',
      "  });",
      "}",
    );
  }
  return lines;
}

function resolved(document, part) {
  if (!part?.$ref) return part;
  return part.$ref
    .slice(2)
    .split("/")
    .reduce((at, name) => at[name.replaceAll("~1", "/").replaceAll("~0", "~")], document);
}

/**
 * Returns the parts of a schema that the test scripts use: types, fields and required fields.
 * Resolves all references.
 */
function form(document, part) {
  const schema = resolved(document, part) ?? {};
  const kept = {};
  for (const name of ["type", "enum", "const"]) if (schema[name] !== undefined) kept[name] = schema[name];
  if (schema.properties) kept.properties = mapped(schema.properties, (field) => form(document, field));
  if (schema.required?.length) kept.required = schema.required;
  if (schema.items) kept.items = form(document, schema.items);
  // If a body has several valid forms, the last form applies if no other form's condition is met.
  const ways = (one) => (one.if ? [one.if.not, ...ways(one.then)] : [one]);
  if (schema.if) kept.anyOf = ways(schema).map((one) => form(document, one));
  for (const name of ["anyOf", "oneOf"]) if (schema[name]) kept[name] = schema[name].map((one) => form(document, one));
  for (const one of schema.allOf ?? []) {
    const { properties, required, ...rest } = form(document, one);
    Object.assign(kept, rest);
    if (properties) kept.properties = { ...kept.properties, ...properties };
    if (required) kept.required = [...new Set([...(kept.required ?? []), ...required])];
  }
  return kept;
}

const mapped = (object, change) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));

/** A body's example in the document, or the examples of its required fields. */
function example(document, part) {
  const { examples, required = [], properties } = resolved(document, part);
  return examples?.[0] ?? Object.fromEntries(required.map((name) => [name, resolved(document, properties[name]).examples?.[0]]));
}

/** Asserts that a request's body contains only fields in the document, and all required fields. */
function checkBody(document, step, part) {
  let schema = form(document, part);
  schema = schema.oneOf?.find((one) => one.type !== "null") ?? schema;
  const unknown = Object.keys(step.body).filter((name) => !schema.properties[name]);
  if (unknown.length) throw new Error(`${step.operation} has no field ${unknown.join(", ")}`);
  const ways = (schema.anyOf ?? [{}]).map(({ required = [] }) => [...(schema.required ?? []), ...required]);
  if (!ways.some((required) => required.every((name) => name in step.body))) throw new Error(`${step.operation} lacks a field: ${JSON.stringify(ways)}`);
}

const [source, file, check] = process.argv.slice(2);
const reply = await fetch(new URL("/api/openapi.json", source));
if (!reply.ok) throw new Error(`${source} answers ${reply.status}`);
const made = `${JSON.stringify(collection(await reply.json()), null, 2)}\n`;
if (check !== "--check") {
  writeFileSync(file, made);
} else if (readFileSync(file, "utf8") !== made) {
  console.error(`${file} is not what the API's document gives: run scripts/dev/postman`);
  process.exit(1);
}
