// Attacks by pages from other origins in Chromium. They try to read and change the data of the
// local server and its embedded DynamoDB. SITE is the URL of the server and DATA its data folder.
// If a page's host name resolves to this machine (DNS rebinding), the browser considers the page
// and the server to be the same origin.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const { SITE, DATA, TOOLS = "target/site-tools", CHROMIUM = "/usr/bin/chromium" } = process.env;
const { chromium } = createRequire(path.resolve(TOOLS, "package.json"))("playwright-core");

const server = new URL(SITE);
const store = new URL((await readFile(path.join(DATA, "dynamodb-url"), "utf8")).trim());
const targets = { server: server.port, store: store.port };

// The attacker's server, which serves only a page.
const seen = [];
let stolen = "";
const attacker = http.createServer((request, response) => {
  seen.push(request.url);
  stolen = request.headers.cookie ?? stolen;
  response.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html><title>attacker</title><iframe name=sink></iframe>");
});
await new Promise((listening) => attacker.listen(0, "127.0.0.1", listening));
const { port } = attacker.address();

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP evil.example 127.0.0.1",
    // Switch these protections off, because not every browser protects local servers from public
    // pages.
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessSendPreflights",
  ],
});

let victims = 0;
const name = () => `intruder${process.pid}-${++victims}`;
const registration = (username) => JSON.stringify({ username, password: "secret123" });

/** Sends requests in every way that a page can, and returns everything that the page could read. */
function attack({ url, body, types, headers }) {
  const read = [];
  const send = async (how, options) => {
    try {
      const reply = await fetch(url, { method: "POST", ...options });
      read.push(`${how}: ${reply.type === "opaque" ? "" : `${reply.status} ${await reply.text()}`}`);
    } catch {
      read.push(`${how}: `);
    }
  };
  const post = async () => {
    for (const mode of ["no-cors", "cors"]) {
      await send(`${mode}, no type`, { mode, body: new Blob([body]) });
      for (const type of types) await send(`${mode}, ${type}`, { mode, body: new Blob([body], { type }), headers: mode === "cors" ? headers : {} });
    }
    await send("GET", { method: "GET", mode: "cors" });
    navigator.sendBeacon(url, new Blob([body]));
    // A form can send JSON as text if its only field contains the JSON.
    const form = Object.assign(document.createElement("form"), { method: "post", action: url, enctype: "text/plain", target: "sink" });
    const [field, value] = [body.slice(0, -1) + ',"x":"', '"}'];
    form.append(Object.assign(document.createElement("input"), { name: field, value }));
    document.body.append(form);
    form.submit();
    await new Promise((later) => setTimeout(later, 500));
    return read;
  };
  return post();
}

/** Returns true if a log-in shows that this user has registered. */
async function registered(username) {
  const reply = await fetch(`${server.origin}/api/login`, { method: "POST", headers: { "Content-Type": "application/json" }, body: registration(username) });
  assert.ok([200, 401].includes(reply.status), `${reply.status}`);
  return reply.status === 200;
}

async function page(url) {
  const opened = await (await browser.newContext()).newPage();
  await opened.goto(url, { waitUntil: "domcontentloaded" });
  return opened;
}

const TYPES = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json", "application/x-amz-json-1.0"];
const DYNAMODB = {
  "X-Amz-Target": "DynamoDB_20120810.Scan",
  "X-Amz-Date": "20260101T000000Z",
  Authorization: "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
};

async function proves(what, work) {
  const began = performance.now();
  await work();
  console.log(`ok  ${what} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
}

try {
  const victim = name();
  const made = await fetch(`${server.origin}/api/register`, { method: "POST", headers: { "Content-Type": "application/json" }, body: registration(victim) });
  assert.equal(made.status, 201);

  await proves("pages of other local origins read and change nothing", async () => {
    for (const host of ["127.0.0.1", "localhost"]) {
      const attacking = await page(`http://${host}:${port}/`);
      for (const target of Object.values(targets)) {
        const newcomer = name();
        const body = target === targets.server ? registration(newcomer) : JSON.stringify({ TableName: "UsersTable" });
        const url = `http://127.0.0.1:${target}/${target === targets.server ? "api/register" : ""}`;
        const read = await attacking.evaluate(attack, { url, body, types: TYPES, headers: target === targets.store ? DYNAMODB : {} });
        assert.deepEqual(
          read.filter((line) => !line.endsWith(": ")),
          [],
          "what the page could read",
        );
        assert.equal(await registered(newcomer), false);
      }
      await attacking.context().close();
    }
  });

  await proves("a page at another name isn't served as this server's", async () => {
    for (const target of Object.values(targets)) {
      const attacking = await page(`http://evil.example:${port}/`);
      // The attacker's page was loaded under this host name and port before the name resolved
      // to this machine.
      const own = { contentType: "text/html", body: "<!doctype html><iframe name=sink></iframe>" };
      await attacking.route("**/attack", (route) => route.fulfill(own));
      await attacking.goto(`http://evil.example:${target}/attack`);
      const newcomer = name();
      const body = target === targets.server ? registration(newcomer) : JSON.stringify({ TableName: "UsersTable" });
      const url = `http://evil.example:${target}/${target === targets.server ? "api/register" : ""}`;
      const read = await attacking.evaluate(attack, { url, body, types: TYPES, headers: target === targets.store ? DYNAMODB : {} });
      // The page can read only refusals.
      assert.ok(
        read.every((line) => / 4\d\d /.test(line) || line.endsWith(": ")),
        read.join("\n"),
      );
      assert.ok(
        read.some((line) => / 4\d\d /.test(line)),
        "the name leads here",
      );
      assert.ok(!read.join().includes(victim) && !read.join().includes("argon2"));
      assert.equal(await registered(newcomer), false);
      await attacking.context().close();
    }
  });

  await proves("cookies that another port receives are useless there", async () => {
    const own = await page(`${SITE}#/log-in`);
    await own.getByLabel("Username or e-mail address").fill(victim);
    await own.getByLabel("Password", { exact: true }).fill("secret123");
    await own.keyboard.press("Enter");
    await own.getByRole("heading", { name: "What would you like to know?" }).waitFor();

    const beside = await own.context().newPage();
    await beside.goto(`http://${server.hostname}:${port}/`);
    const token = /farebox_refresh=([^;]+)/.exec(stolen)?.[1];
    const device = /farebox_device=([^;]+)/.exec(stolen)?.[1];
    assert.ok(token && device, "browsers send cookies to every port");
    assert.deepEqual(await beside.evaluate(() => ({ ...localStorage })), {}, "what another origin stores");

    const use = (path, body, headers) =>
      fetch(`${server.origin}/api/token/${path}`, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });
    for (const key of [{}, { "X-Page-Key": "0".repeat(32) }]) {
      const headers = { Cookie: stolen, "X-Refresh-Token": "cookie", ...key };
      assert.ok([400, 401].includes((await use("refresh", {}, headers)).status));
      for (const path of ["refresh", "verify", "blacklist"]) assert.equal((await use(path, { refresh: token, token }, headers)).status, 401, path);
    }
    assert.equal((await use("refresh", { refresh: token })).status, 401);

    // The victim's page and a second page from its origin still work.
    await own.reload();
    await own.getByRole("heading", { name: "What would you like to know?" }).waitFor();
    await beside.goto(SITE);
    await beside.getByRole("heading", { name: "What would you like to know?" }).waitFor();
    await own.context().close();
  });

  assert.ok(await registered(victim));
  assert.ok(seen.length > 0);
} finally {
  await browser.close();
  attacker.close();
}
