// The main journey in Firefox, over WebDriver BiDi. SITE is the URL of the pages, TOOLS is the
// folder with puppeteer-core, and FIREFOX is the browser.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";
import { file, give, pdf, png } from "./lib/attachments.mjs";

const { SITE, TOOLS = "target/site-tools", FIREFOX = "/usr/bin/firefox-esr", TIMEOUT = "90000" } = process.env;
const puppeteer = createRequire(path.resolve(TOOLS, "package.json"))("puppeteer-core");

const NAME = "a user creates an account, reads, stops, sends, regenerates and reloads in Firefox";
const chosen = process.argv.slice(2);
if (chosen.length > 0 && !chosen.some((part) => NAME.includes(part))) process.exit(0);

const browser = await puppeteer.launch({ browser: "firefox", executablePath: FIREFOX, headless: true, timeout: 180_000 });
const wrong = [];
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(Number(TIMEOUT));
  await page.setViewport({ width: 1280, height: 800 });
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  const find = (selector) => page.waitForSelector(`::-p-aria(${selector})`);
  const text = (words) => page.waitForFunction((words) => document.body.innerText.includes(words), {}, words);
  // Before this, what a click is aimed at may move.
  const drawn = () => page.waitForFunction(() => document.querySelector(".answer") && !document.querySelector(".as-written"));
  const settled = () => page.waitForFunction(() => !document.querySelector(".as-written, .answer[aria-busy=true]"));

  const name = `fox${Date.now().toString(36)}`;
  await page.goto(`${SITE}#/register`);
  await (await find("Username")).type(name);
  await (await find("Password")).type("correct horse battery staple");
  await page.keyboard.press("Enter");
  await text("What would you like to know?");

  const message = `Lines for ${name} with a title of gypsy jugglers`;
  // In each view, the document is as high as the window.
  const staysPut = async (view) => {
    const [document, window, top] = await page.evaluate(() => [globalThis.document.documentElement.scrollHeight, innerHeight, scrollY]);
    assert.deepEqual([document, top], [window, 0], `${view}: the document is ${document} pixels high in a window of ${window}`);
  };
  await staysPut("a new chat");
  const box = await find("Your message");
  await box.type(message);
  await page.keyboard.press("Enter");
  await text("Line 25 of");
  await drawn();
  await page.waitForFunction(() => {
    const main = document.getElementById("main");
    return main.scrollHeight - main.scrollTop - main.clientHeight < 5;
  });
  await page.mouse.move(700, 400);
  for (let turn = 0; turn < 20; turn += 1) await page.mouse.wheel({ deltaY: -30 });
  await text("Line 50 of");
  // The wheel scrolls up while the answer grows.
  await page.waitForFunction(() => {
    const main = document.getElementById("main");
    return main.scrollHeight - main.scrollTop - main.clientHeight > 150;
  });

  await page.keyboard.press("Escape");
  await text("You stopped this answer.");
  await (await find("Your message")).type("And a second one");
  await page.keyboard.press("Enter");
  await text("You said: And a second one");
  await page.reload();
  await text("You stopped this answer.");
  await text("You said: And a second one");

  // Regenerate the answer and return to the first version.
  await settled();
  const again = await page.$$("::-p-aria(Regenerate the answer)");
  await again.at(-1).click();
  await (await find("Regenerate for 100 tokens")).click();
  await text("2 / 2");
  await settled();
  const back = await page.$$("::-p-aria(Previous version)");
  await back.at(-1).click();
  await text("1 / 2");
  await text("You said: And a second one");

  // The chat is listed under its day, and the search opens a message in its chat.
  await text("Today");
  await page.keyboard.down("Control");
  await page.keyboard.press("k");
  await page.keyboard.up("Control");
  await page.keyboard.type("a second");
  await page.waitForFunction(() => document.querySelector(".found a")?.innerText.includes("And a second one"));
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector(".turn-found")?.innerText.includes("And a second one"));

  await page.mouse.move(700, 400);
  for (let notch = 0; notch < 60; notch += 1) await page.mouse.wheel({ deltaY: 120 });
  await page.waitForFunction(() => document.querySelector(".to-newest").hidden);
  await staysPut("a chat, past its end");
  for (const [place, words] of [
    ["history", "newest first"],
    ["statement", "Entries are never"],
    ["account", "E-mail address"],
    ["account/api-keys", "OpenAI's SDKs"],
  ]) {
    const chat = page.url();
    await page.goto(`${SITE}#/${place}`);
    await text(words);
    await staysPut(place);
    await page.goto(chat);
    await text("You said: And a second one");
  }

  // A title's line has space for the descenders of its letters.
  const cut = await page.$eval(".thread-title", (title) => {
    const { lineHeight, fontSize, paddingTop } = getComputedStyle(title);
    return Number.parseFloat(lineHeight) + 2 * Number.parseFloat(paddingTop) < 1.35 * Number.parseFloat(fontSize);
  });
  assert.equal(cut, false, "descenders are cut off");
  // The page reserves space for the scrollbar.
  const gutter = await page.$eval("#main", (main) => getComputedStyle(main).scrollbarGutter);
  assert.equal(gutter, "stable");

  // Firefox also reads pictures and PDFs.
  await page.goto(`${SITE}#/`);
  await text("What would you like to know?");
  await give(page, "drop", file("tower.png", png()), file("two.pdf", pdf(["Chapter 1", "The code word is heron2x."])));
  await page.waitForFunction(() => document.querySelectorAll(".tray li").length === 2 && !document.querySelector(".tray progress"));
  await (await find("Your message")).type("Find heron2x");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector(".answer .prose")?.innerText === "found");
  await page.waitForFunction(() => document.querySelector(".shelf img")?.naturalWidth === 64);

  await (await find("Colours")).click();
  await (await find("Dark")).click();
  const ground = () => page.$eval("body", (body) => getComputedStyle(body).backgroundColor);
  const dark = await ground();
  await page.reload();
  await text("found");
  assert.equal(await ground(), dark);
  assert.deepEqual(wrong, [], "what the browser complained of");
  console.log(`ok  ${NAME}`);
} finally {
  await browser.close();
}
