// Starts separate servers for journeys that need a price list or different settings. FAREBOX is the
// binary. With LIVE, the servers serve the current files of site/.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { ask, manageIn } from "./browser.mjs";

const { FAREBOX, LIVE, ADMIN, ADMIN_PASSWORD } = process.env;
const here = import.meta.dirname;

const started = [];
const folders = [];
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
process.on("exit", () => {
  for (const child of started) child.kill();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

/** Starts a program. Returns the process, and a function that returns the program's output so far. */
function run(command, args, env = {}) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...env } });
  let printed = "";
  child.stdout.on("data", (text) => (printed += text));
  // Don't let the program keep this script alive after its journeys.
  child.stdout.unref();
  child.unref();
  started.push(child);
  return { child, printed: () => printed };
}

/** Returns a free port below the range that the system uses for outgoing connections. */
async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = net.createServer();
    const isFree = await new Promise((done) => server.once("error", () => done(false)).listen(port, "127.0.0.1", () => done(true)));
    if (!isFree) continue;
    await new Promise((done) => server.close(done));
    return port;
  }
}

/** The AI that all servers call. */
let provider = null;

/** Resolves with the AI's port once it listens. */
async function startProvider() {
  const { child, printed } = run(process.execPath, [path.join(here, "provider.mjs"), 0]);
  await new Promise((done, failed) => child.stdout.once("data", done).once("end", () => failed(new Error("the AI ended"))));
  return Number(printed());
}

/**
 * Starts a server with this price list, this brand and the administrator ADMIN. Returns `{url, manage, admin,
 * payments}`: `manage` runs the command with the server's data, `admin(method, path, body)` sends a
 * request as the administrator, and `payments` is the URL of the page that lists all payments, if
 * the server simulates payments.
 */
export async function newServer(list = null, settings = {}, brand = null) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "farebox-site-"));
  folders.push(folder);
  const data = path.join(folder, "store");
  const manage = manageIn(data);
  await manage("create-admin", ADMIN, "--password-env", "ADMIN_PASSWORD");
  if (list) {
    const file = path.join(folder, "prices.json");
    writeFileSync(file, JSON.stringify(list));
    await manage("models", "set", file);
  }
  if (brand) {
    const file = path.join(folder, "brand.json");
    writeFileSync(file, JSON.stringify(brand));
    await manage("brand", "set", file);
  }
  provider ??= startProvider();
  const port = await freePort();
  const ai = { AI_PROVIDER: "openai", OPENAI_BASE_URL: `http://127.0.0.1:${await provider}`, OPENAI_MODEL: "parrot", RUST_LOG: "error", ADMIN_CHATS: "search" };
  const shop = { TOP_UP_TEXT: "Buy more tokens in our shop.", TOP_UP_URL: "https://shop.example.com/tokens" };
  const { child, printed } = run(FAREBOX, ["--data", data, "--port", port], { ...ai, ...shop, ...settings });
  let pages = port;
  if (LIVE) {
    pages = await freePort();
    run(process.execPath, [path.join(here, "../../../../dev/site"), pages, port]);
  }
  const url = `http://127.0.0.1:${pages}/`;
  await isUp(url, child);
  const { body } = await ask("POST", "api/login/", { username: ADMIN, password: ADMIN_PASSWORD }, null, url);
  const payments = /Payments are simulated. (\S+)/.exec(printed())?.[1];
  return { url, manage, payments, admin: (method, place, sent) => ask(method, place, sent, body.access, url) };
}

async function isUp(url, child) {
  for (let tries = 0; tries < 600; tries += 1) {
    if (child.exitCode !== null) throw new Error(`the server at ${url} ended`);
    const reply = await fetch(new URL("api/health", url)).catch(() => null);
    if (reply?.ok) return;
    await new Promise((done) => setTimeout(done, 200));
  }
  throw new Error(`no server at ${url}`);
}
