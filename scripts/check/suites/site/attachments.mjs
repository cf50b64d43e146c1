// Journeys with files: pictures, texts and PDFs, from the box to the model and back in the history.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { SITE, eventually, journeys, looksRight, newUser, replyTo } from "./lib/browser.mjs";
import { choose, file, give, headers, jpegSize, pdf, png, tray, withPlace } from "./lib/attachments.mjs";
import { answer, answered, balance, chatPage, emptyBalance, focused, heading, newChat, say, stayLost } from "./lib/chatting.mjs";
import { newServer } from "./lib/server.mjs";
import { book } from "./lib/views.mjs";

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

const LIST = {
  currency: "USD",
  million_tokens: "20.00",
  models: [
    { name: "quick", via: ["openai"], fare: { message: 100 } },
    {
      name: "deep",
      via: ["openai"],
      fare: { input: 50_000, cached: 5000, output: 400_000 },
      most: 1500,
      picture: 1000,
      cost: { input: "1.25", cached: "0.125", output: "10.00" },
    },
    { name: "blind", via: ["openai"], fare: { input: 50_000, cached: 5000, output: 400_000 }, most: 500 },
  ],
};

/** The server with the price list, which several journeys share. */
let priced = null;
const server = () => (priced ??= newServer(LIST));

const number = (text) => Number(/[\d,]+/.exec(text)[0].replaceAll(",", ""));
const cost = (page) => page.locator(".composer-cost");
const box = (page) => page.getByLabel("Your message");
const inChat = (page) => page.getByRole("list", { name: "Files in this chat" });
const shelf = (page) => page.getByRole("list", { name: "Files of this message" });

async function chooseModel(page, name) {
  await page.getByRole("button", { name: /^Model: / }).click();
  await page.locator(".menu:popover-open .menu-item").filter({ hasText: name }).first().click();
  await page.getByRole("button", { name: `Model: ${name}`, exact: true }).waitFor();
}

/** Waits until a file is read and shown above the box. */
async function added(page, name) {
  await tray(page)
    .getByRole("button", { name: `Remove ${name}`, exact: true })
    .waitFor();
  await page.waitForFunction(() => !document.querySelector(".tray progress"));
}

/** Collects the bodies of the messages that the page sends from now on. */
function sent(page) {
  const all = [];
  page.on("request", (request) => {
    if (request.url().endsWith("/api/chat/stream/")) all.push(request.postDataJSON());
  });
  return all;
}

/** Waits until an image is drawn. Returns its width. */
async function drawn(image) {
  await image.waitFor();
  return image.evaluate(async (element) => {
    while (!element.naturalWidth) await new Promise((done) => setTimeout(done, 20));
    return element.naturalWidth;
  });
}

await journeys({
  async "a picture reaches the model and returns in the history"() {
    const { url } = await server();
    const ann = await newUser("ann", { site: url });
    const page = await chatPage(ann, { url });
    await chooseModel(page, "deep");
    const bodies = sent(page);
    await box(page).fill("Pictures please");
    // The price is shown in the next frame, once its code is loaded.
    await cost(page)
      .getByText(/at most/)
      .first()
      .waitFor();
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const before = number(/at most .*/.exec(await cost(page).innerText())[0]);
    await choose(page, file("tower.png", png(2000, 1000)));
    await added(page, "tower.png");
    assert.equal(await drawn(tray(page).getByRole("img", { name: "tower.png" })), 1568);
    // A picture is at most 1,000 model tokens of 0.05 tokens.
    await page.waitForFunction((most) => document.querySelector(".composer-cost").textContent.includes(`at most ${most.toLocaleString("en")} `), before + 50);
    await looksRight(page, "files-tray");
    await box(page).press("Enter");
    await answered(page);
    const [{ attachments, max_cost: most }] = bodies;
    assert.equal(most, before + 50);
    assert.deepEqual(
      attachments.map(({ name, type }) => [name, type]),
      [["tower.png", "image/png"]],
    );
    const picture = Buffer.from(attachments[0].data, "base64");
    assert.deepEqual([picture.readUInt32BE(16), picture.readUInt32BE(20)], [1568, 784]);
    await answer(page)
      .getByText(/^image\/png \d+$/)
      .waitFor();
    assert.equal(await drawn(shelf(page).getByRole("img", { name: "tower.png" })), 1568);
    await inChat(page).getByText("tower.png").waitFor();
    assert.equal(await tray(page).count(), 0);
    await looksRight(page, "files-sent");

    await page.reload();
    assert.equal(await drawn(shelf(page).getByRole("img", { name: "tower.png" })), 1568);
    await page.getByRole("button", { name: "More about this message" }).click();
    await page.getByRole("button", { name: "Delete this message" }).click();
    await page.getByText("Your message, its files and its answer are deleted for good.").waitFor();
    await page.keyboard.press("Escape");
    const coming = page.waitForEvent("download");
    await shelf(page).getByRole("button", { name: "Download tower.png" }).click();
    const saved = await coming;
    assert.equal(saved.suggestedFilename(), "tower.png");
    assert.deepEqual(await readFile(await saved.path()), picture);
    await page.goto(`${url}#/history`);
    await heading(page, "History");
    assert.equal(await drawn(shelf(page).getByRole("img", { name: "tower.png" })), 1568);
    await looksRight(page, "files-history");
    await page.setViewportSize({ width: 390, height: 640 });
    await page.goBack();
    await page.getByLabel("Your message").waitFor();
    await drawn(shelf(page).getByRole("img", { name: "tower.png" }));
    await looksRight(page, "files-sent-390");
  },

  async "the price before and after is the statement's"() {
    const { url } = await server();
    const ann = await newUser("ann", { site: url });
    const page = await chatPage(ann, { url });
    // 150,000 bytes are three times 64 KB, and pictures 16 KB each.
    await choose(page, file("long.log", "0123456789abcde".repeat(10_000)), file("a.png", png()), file("b.png", png()));
    await added(page, "b.png");
    await eventually(() => cost(page).innerText(), "300 tokens");
    await say(page, "Find 0123456789");
    await answered(page);
    await answer(page).getByText("found", { exact: true }).waitFor();
    await balance(page, 3700);
    // Without new files, the files in the chat cost the same.
    await box(page).fill("And now?");
    assert.equal(await cost(page).innerText(), "300 tokens");
    await inChat(page).getByRole("button", { name: "Remove from the chat: long.log" }).click();
    await inChat(page).getByText("long.log").waitFor({ state: "detached" });
    await eventually(() => cost(page).innerText(), "100 tokens");
    await page.getByRole("button", { name: "Send" }).click();
    await answered(page);
    await balance(page, 3600);
    await shelf(page).getByText("long.log").waitFor();
    await page.goto(`${url}#/statement`);
    const amounts = page.locator("tbody tr").filter({ hasText: "quick" });
    await amounts.nth(1).waitFor();
    assert.deepEqual(
      (await amounts.allInnerTexts()).map((text) => /[−-]\d+/.exec(text)[0].replace("−", "-")),
      ["-100", "-300"],
    );
  },

  async "a question finds the PDF five messages later"() {
    const { url } = await server();
    const ann = await newUser("ann", { site: url });
    const page = await chatPage(ann, { url });
    const pages = Array.from({ length: 40 }, (_, index) => `Chapter ${index + 1}\nThe code word of this page is heron${index + 1}x.`);
    await give(page, "drop", file("forty.pdf", pdf(pages), "application/pdf"));
    await added(page, "forty.pdf");
    await say(page, "Keep this");
    await answered(page);
    for (let count = 1; count <= 5; count += 1) {
      await say(page, `Number ${count}`);
      await answer(page).getByText(`You said: Number ${count}`).waitFor();
      await answered(page);
    }
    await say(page, "Find heron37x");
    await answer(page).getByText("found", { exact: true }).waitFor();
    await answered(page);
    await say(page, "Find heron41x");
    await answer(page).getByText("nowhere", { exact: true }).waitFor();
  },

  async "a scanned PDF becomes pictures, and what is cut is said"() {
    const page = await chatPage(await newUser("ann"));
    const bodies = sent(page);
    await choose(page, file("scan.pdf", pdf(["", "", "", "", "", "", ""])), file("long.txt", "line\n".repeat(100_000)));
    await added(page, "long.txt");
    await tray(page).getByText("only 4 of 7 pages").waitFor();
    await tray(page).getByText("300 KB, only the first 300 KB of the text").waitFor();
    await say(page, "Pictures please");
    await answered(page);
    const [{ attachments }] = bodies;
    assert.deepEqual(
      attachments.map(({ name }) => name),
      ["scan page 1.png", "scan page 2.png", "scan page 3.png", "scan page 4.png", "long.txt"],
    );
    assert.equal(attachments[4].text.length, 307_200);
    await answer(page)
      .getByText(/^(image\/png \d+(; )?){4}$/)
      .waitFor();
  },

  async "a long PDF is cut after a page, and the page says where"() {
    const page = await chatPage(await newUser("ann"));
    const bodies = sent(page);
    await choose(page, file("book.pdf", book(150), "application/pdf"));
    await added(page, "book.pdf");
    const cut = await tray(page).locator(".file-size").innerText();
    const last = Number(/^\d+ KB, only pages 1 to (\d+) of 150$/.exec(cut)[1]);
    assert(last > 50 && last < 150, cut);
    await say(page, `Find Chapter ${last}`);
    await answer(page).getByText("found", { exact: true }).waitFor();
    await answered(page);
    const [
      {
        attachments: [{ text }],
      },
    ] = bodies;
    assert(text.length <= 307_200);
    assert.equal(text.split(/^Page \d+$/m).length - 1, last);
    // The last page is as long as the one before it.
    const lines = text
      .trim()
      .split(/^Page \d+$/m)
      .map((one) => one.trim().split("\n").length);
    assert.equal(lines.at(-1), lines.at(-2));
    await say(page, `Find Chapter ${last + 1}`);
    await answer(page).getByText("nowhere", { exact: true }).waitFor();
  },

  async "a file can be removed while it is read"() {
    const page = await chatPage(await newUser("ann"));
    const bodies = sent(page);
    let open;
    const opened = new Promise((done) => (open = done));
    await page.route(/\/pdfjs\/pdf\.min\.mjs$/, async (route) => {
      await opened;
      await route.continue();
    });
    await choose(page, file("slow.pdf", pdf(["A page"]), "application/pdf"), file("notes.txt", "Remember me"));
    await tray(page).getByRole("progressbar", { name: "Reading slow.pdf" }).waitFor();
    await box(page).fill("Find Remember me");
    await box(page).press("Enter");
    await page.getByText("Wait until the files are read.").waitFor();
    await tray(page).getByRole("button", { name: "Remove slow.pdf" }).click();
    await tray(page).getByText("slow.pdf").waitFor({ state: "detached" });
    open();
    await added(page, "notes.txt");
    assert.equal(await tray(page).getByRole("listitem").count(), 1);
    await box(page).press("Enter");
    await answer(page).getByText("found", { exact: true }).waitFor();
    await answered(page);
    assert.deepEqual(
      bodies.map(({ attachments }) => attachments.map(({ name }) => name)),
      [["notes.txt"]],
    );
    assert.equal(await page.getByRole("alert").filter({ hasText: "slow.pdf" }).count(), 0);
  },

  async "pdf.js is loaded with the first PDF"() {
    const page = await chatPage(await newUser("ann"));
    const loaded = [];
    page.on("request", (request) => request.url().includes("/pdfjs/") && loaded.push(new URL(request.url()).pathname.split("/").at(-1)));
    await choose(page, file("notes.txt", "1"), file("a.png", png()));
    await added(page, "a.png");
    await page.waitForLoadState("networkidle");
    assert.deepEqual(loaded, []);
    await choose(page, file("one.pdf", pdf(["The first page"]), "application/pdf"));
    await added(page, "one.pdf");
    await choose(page, file("two.pdf", pdf(["The second page"]), "application/pdf"));
    await added(page, "two.pdf");
    assert.deepEqual([...new Set(loaded)].sort(), ["pdf.min.mjs", "pdf.worker.min.mjs"]);
  },

  async "a phone's picture reaches the model and returns"() {
    const { url } = await server();
    const ann = await newUser("ann", { site: url });
    const page = await chatPage(ann, { ...PHONE, url });
    const bodies = sent(page);
    const inView = async (part) => {
      const { y, height } = await part.boundingBox();
      assert(y >= 0 && y + height <= PHONE.viewport.height, `${y} and ${height} pixels`);
    };
    await box(page).fill("Pictures please");
    const coming = page.waitForEvent("filechooser");
    await page.getByRole("button", { name: "Add files" }).tap();
    const chooser = await coming;
    assert.equal(chooser.isMultiple(), true);
    // Phones offer the camera beside their pictures and files. With `capture`, they would offer only the camera.
    assert.equal(await chooser.element().getAttribute("capture"), null);
    await chooser.setFiles([file("IMG_0001.jpeg", png(3024, 4032), "image/jpeg")]);
    await added(page, "IMG_0001.png");
    await inView(tray(page));
    await inView(page.getByRole("button", { name: "Send" }));
    await eventually(() => cost(page).innerText(), "100 tokens");
    const remove = await tray(page).getByRole("button", { name: "Remove IMG_0001.png" }).boundingBox();
    assert(remove.width >= 44 && remove.height >= 44, JSON.stringify(remove));
    await looksRight(page, "files-phone-tray");
    await page.getByRole("button", { name: "Send" }).tap();
    await answered(page);
    await answer(page)
      .getByText(/^image\/png \d+$/)
      .waitFor();
    await balance(page, 3900);
    const [
      {
        attachments: [{ data }],
      },
    ] = bodies;
    const picture = Buffer.from(data, "base64");
    assert.deepEqual([picture.readUInt32BE(16), picture.readUInt32BE(20)], [1176, 1568]);
    assert.equal(await page.evaluate(() => document.activeElement.matches("textarea")), false, "the keyboard would cover the answer");
    assert.equal(await drawn(shelf(page).getByRole("img", { name: "IMG_0001.png" })), 1176);
    await looksRight(page, "files-phone-sent");
    // On a phone, the list of the chat's files is closed at first.
    const kept = page.locator(".tray-chat summary");
    await kept.waitFor();
    assert.equal(await inChat(page).isVisible(), false);
    await kept.tap();
    await inChat(page).getByText("IMG_0001.png").waitFor();
    await page.goto(`${url}#/history`);
    await heading(page, "History");
    assert.equal(await drawn(shelf(page).getByRole("img", { name: "IMG_0001.png" })), 1176);
    await looksRight(page, "files-phone-history");
  },

  async "a picture loses its place and becomes small"() {
    const page = await chatPage(await newUser("ann"));
    const bodies = sent(page);
    const jpeg = await page.evaluate(async () => {
      const canvas = new OffscreenCanvas(3000, 4000);
      const context = canvas.getContext("2d");
      for (let at = 0; at < 4000; at += 20) {
        context.fillStyle = `hsl(${at % 360} 80% 50%)`;
        context.fillRect((at * 7) % 3000, at, 900, 20);
      }
      const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 1 });
      return Array.from(new Uint8Array(await blob.arrayBuffer()));
    });
    const place = "GPS 52.5163 N, 13.3777 E";
    await give(page, "paste", file("beach.jpeg", withPlace(Buffer.from(jpeg), place), "image/jpeg"), file("noise.png", png(1200, 900, true), "image/png"));
    await added(page, "noise.jpg");
    await say(page, "Pictures please");
    await answered(page);
    const [{ attachments }] = bodies;
    for (const { type, data } of attachments) {
      const bytes = Buffer.from(data, "base64");
      assert.equal(type, "image/jpeg");
      assert(bytes.length <= 307_200, `${bytes.length} bytes`);
      assert(!bytes.includes("GPS") && !bytes.includes("Exif"));
    }
    assert.deepEqual(jpegSize(Buffer.from(attachments[0].data, "base64")), [1176, 1568]);
  },

  async "a picture with too many pixels isn't decoded"() {
    const page = await chatPage(await newUser("ann"));
    await page.evaluate(() => {
      const decode = createImageBitmap;
      globalThis.decoded = 0;
      globalThis.createImageBitmap = (...asked) => {
        globalThis.decoded += 1;
        return decode(...asked);
      };
    });
    const pictures = Object.entries(headers(16_383, 16_000));
    await choose(page, ...pictures.map(([name, bytes]) => file(name, bytes)));
    for (const [name] of pictures) await page.getByRole("alert").getByText(`${name}: This picture has too many pixels.`).waitFor();
    assert.equal(await page.evaluate(() => globalThis.decoded), 0);
    await choose(page, file("small.png", png()));
    await added(page, "small.png");
    assert.equal(await page.evaluate(() => globalThis.decoded), 1);
  },

  async "a file's bytes decide what it is"() {
    const page = await chatPage(await newUser("ann"));
    const program = Buffer.concat([Buffer.from("MZ\x90\0\x03\0\0\0", "latin1"), Buffer.alloc(200, 7)]);
    await choose(
      page,
      file("holiday.png", program, "image/png"),
      file("notes.txt", Buffer.from([0x48, 0x69, 0xff, 0xfe]), "text/plain"),
      file("broken.pdf", "%PDF-1.7 and nothing else", "application/pdf"),
      file("empty.md", "  \n"),
      file("main.exe", "fn main() {}"),
    );
    await added(page, "main.exe");
    const refused = page.getByRole("alert");
    await refused.getByText("holiday.png: This isn't a picture, a PDF or a text").waitFor();
    await refused.getByText("notes.txt: This isn't a picture, a PDF or a text").waitFor();
    await refused.getByText("broken.pdf: This PDF is damaged.").waitFor();
    await refused.getByText("empty.md: This file is empty.").waitFor();
    assert.equal(await tray(page).getByRole("listitem").count(), 1);
  },

  async "no name and no file runs a script or calls anyone"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const foreign = [];
    page.on("request", (request) => /^(blob|data):/.test(request.url()) || request.url().startsWith(SITE) || foreign.push(request.url()));
    page.on("dialog", (dialog) => foreign.push(dialog.message()));
    const call = "<script>alert(1)</script><img src=//evil.example/x onerror=alert(1)>";
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script href="//evil.example/x.js"/><image href="https://evil.example/x.png"/></svg>`;
    const names = [
      "<script>alert(1)</script>.txt",
      "<img src=x onerror=alert(1)>.txt",
      '"><svg onload=alert(1)>.md',
      "'-alert(1)-'.csv",
      "javascript:alert(1)",
      "../../../etc/passwd",
      "..\\..\\boot.ini",
      "\u202egnp.exe.txt",
      "a\u0000b.txt",
      "a\r\nSet-Cookie: x=1.txt",
      "con",
      ".htaccess",
      "x".repeat(300) + ".txt",
      "🏴‍☠️.txt",
      "%3Cscript%3E.txt",
      "{{constructor.constructor('alert(1)')()}}",
      "${alert(1)}.js",
      "`alert(1)`.sh",
      "data:text/html,<script>alert(1)</script>",
      "report.pdf .exe",
    ];
    assert.equal(names.length, 20);
    const hidden = Buffer.concat([png(), Buffer.from(call)]);
    const polyglot = pdf([`Page with ${call}`]);
    const action = Buffer.from(
      polyglot.toString("latin1").replace("/Type /Catalog", "/Type /Catalog /OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >>"),
      "latin1",
    );
    const batches = [names.slice(0, 7), names.slice(7, 14), names.slice(14)].map((some) => some.map((name) => file(name, `content ${call}`, "text/html")));
    batches[0].push(file("logo.svg", svg, "image/svg+xml"));
    batches[1].push(file("both.html", hidden, "text/html"));
    batches[2].push(file("both.pdf", action, "text/html"));
    for (const [index, batch] of batches.entries()) {
      await newChat(page);
      await give(page, "drop", ...batch);
      await page.waitForFunction(
        (count) => document.querySelectorAll(".tray:not(details *) li").length === count && !document.querySelector(".tray progress"),
        batch.length,
      );
      await say(page, `Message ${index}`);
      await answer(page).getByText(`You said: Message ${index}`).waitFor();
      await answered(page);
      await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
      await page.reload();
      await shelf(page).waitFor();
      assert.equal(await shelf(page).getByRole("listitem").count(), batch.length);
      if (index === 1) await drawn(page.getByRole("img", { name: "both.png" }));
    }
    // A picture is what was drawn, without what followed it. An SVG is a text.
    const files = (await ann.api("GET", "api/chat/")).body.flatMap((chat) => chat.files);
    const named = (name) => files.find((one) => one.name === name);
    const read = await ann.api("GET", `api/files/${named("both.png").id}`);
    assert(!Buffer.from(read.body.data, "base64").includes("script"));
    assert.equal(named("logo.svg").type, "text/plain");
    assert(files.every(({ name }) => !/[\p{Cc}\u202e/\\]/u.test(name) && name.length <= 100));

    // A program sends what the page would have drawn again, and texts that look like something else.
    const attachments = [
      { name: "raw.html", data: hidden.toString("base64") },
      { name: "raw.svg", text: svg },
      { name: "raw.pdf", text: action.toString("latin1") },
      { name: "page.html", text: call },
    ];
    const sent = await ann.api("POST", "api/chat/", { message: "From a program", attachments });
    await page.goto(`${SITE}#/c/${sent.body.conversation_id}`);
    await drawn(page.getByRole("img", { name: "raw.html" }));
    for (const { name } of attachments) {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page
          .getByRole("button", { name: `Download ${name}` })
          .first()
          .click(),
      ]);
      // A picture's name says what it is, so that no program opens it as something else.
      const saved = { "raw.html": "raw.html.png", "raw.pdf": "raw.pdf.txt" }[name] ?? name;
      assert.equal(download.suggestedFilename(), saved);
    }
    const forged = { name: "forged.png", data: Buffer.from(svg).toString("base64") };
    assert.equal((await replyTo(ann.api("POST", "api/chat/", { message: "Forged", attachments: [forged] }))).status, 400);
    assert.deepEqual(foreign, []);
  },

  async "a model without pictures is named before sending"() {
    const { url } = await server();
    const page = await chatPage(await newUser("ann", { site: url }), { url });
    await chooseModel(page, "blind");
    await choose(page, file("a.png", png()));
    await page.getByRole("alert").getByText("a.png: The model blind takes no pictures. Choose another model, such as quick.").waitFor();
    assert.equal(await tray(page).count(), 0);
    await chooseModel(page, "quick");
    await choose(page, file("a.png", png()));
    await added(page, "a.png");
    await chooseModel(page, "blind");
    const bodies = sent(page);
    await page.locator(".tray-problem").getByText("The model blind takes no pictures.").waitFor();
    await say(page, "Look");
    await page.locator(".composer-notice").getByText("The model blind takes no pictures.").waitFor();
    assert.deepEqual(bodies, []);
    assert.equal(await box(page).inputValue(), "Look");
    await chooseModel(page, "quick");
    await page.locator(".tray-problem").waitFor({ state: "detached" });
    await box(page).press("Enter");
    await answered(page);
    assert.equal(bodies.length, 1);
  },

  async "files are added and removed with the keyboard alone"() {
    const page = await chatPage(await newUser("ann"));
    await box(page).focus();
    await page.keyboard.press("Tab");
    const coming = page.waitForEvent("filechooser");
    // A key can overtake the request to report the dialog. A question to the page can't.
    assert.equal(await focused(page), "Add files");
    await page.keyboard.press("Enter");
    await (await coming).setFiles([file("one.txt", "1"), file("two.txt", "2"), file("three.txt", "3")]);
    await added(page, "three.txt");
    await page.waitForFunction(() => document.querySelector("[aria-live]").textContent === "Added three.txt.");
    await page.getByRole("button", { name: "Remove two.txt" }).focus();
    await page.keyboard.press("Enter");
    assert.equal(await focused(page), "Remove three.txt");
    await page.waitForFunction(() => document.querySelector("[aria-live]").textContent === "Removed two.txt. The button “Undo” is above the box.");
    // Undo is before the list, and puts the file back where it was.
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Shift+Tab");
    assert.equal(await focused(page), "Undo");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelector("[aria-live]").textContent === "Added two.txt.");
    assert.equal(await focused(page), "Remove two.txt");
    assert.deepEqual(await tray(page).locator(".file-name").allTextContents(), ["one.txt", "two.txt", "three.txt"]);
    await page.keyboard.press("Enter");
    assert.equal(await focused(page), "Remove three.txt");
    await page.keyboard.press("Enter");
    assert.equal(await focused(page), "Remove one.txt");
    await page.keyboard.press("Enter");
    assert.equal(await focused(page), "Your message");
    await tray(page).waitFor({ state: "detached" });
    await page.getByText("Removed one.txt.", { exact: true }).waitFor();
    await page.keyboard.type("Without files");
    await page.keyboard.press("Enter");
    await answered(page);
    assert.equal(await shelf(page).count(), 0);
    assert.equal(await page.getByRole("button", { name: "Undo" }).count(), 0);
  },

  async "a file that was removed from a chat can be added again"() {
    const page = await chatPage(await newUser("ann"));
    await choose(page, file("notes.txt", "Remember me"), file("a.png", png()));
    await added(page, "a.png");
    await say(page, "Keep these");
    await answered(page);
    // Answers don't show through the list of the files.
    await inChat(page).waitFor();
    assert.equal(await page.locator(".thread-foot").evaluate((foot) => getComputedStyle(foot).backgroundImage), "none");
    for (const name of ["notes.txt", "a.png"]) {
      await inChat(page)
        .getByRole("button", { name: `Remove from the chat: ${name}` })
        .click();
      await page.getByText(`Removed ${name} from the chat.`).waitFor();
      await page.getByRole("button", { name: "Add it to the next message" }).click();
      await added(page, name);
      await eventually(() => focused(page), `Remove ${name}`);
    }
    assert.equal(await inChat(page).count(), 0);
    await say(page, "Find Remember me");
    await answer(page).getByText("found", { exact: true }).waitFor();
    await answered(page);
    await drawn(shelf(page).last().getByRole("img", { name: "a.png" }));
    await inChat(page).getByText("notes.txt").waitFor();
  },

  async "a file that is added late leaves the focus in the box"() {
    const page = await chatPage(await newUser("ann"));
    await choose(page, file("notes.txt", "Remember me"));
    await added(page, "notes.txt");
    await say(page, "Keep this");
    await answered(page);
    let go;
    const going = new Promise((done) => (go = done));
    await page.route("**/api/files/*", async (route) => {
      await going;
      await route.continue();
    });
    await inChat(page).getByRole("button", { name: "Remove from the chat: notes.txt" }).click();
    await page.getByRole("button", { name: "Add it to the next message" }).click();
    await box(page).pressSequentially("And now");
    go();
    await added(page, "notes.txt");
    await page.getByRole("status").filter({ hasText: "Added notes.txt." }).waitFor({ state: "attached" });
    assert.equal(await focused(page), "Your message");
  },

  async "files need a message, and stay in the draft"() {
    const page = await chatPage(await newUser("ann"));
    await choose(page, file("notes.txt", "Remember me"));
    await added(page, "notes.txt");
    await box(page).press("Enter");
    await page.getByText("Write what the AI should do with the files.").waitFor();
    await page.getByRole("link", { name: "History" }).click();
    await heading(page, "History");
    await page.getByRole("link", { name: "New chat" }).first().click();
    await added(page, "notes.txt");
    await page.reload();
    await added(page, "notes.txt");
    await say(page, "Find Remember me");
    await answer(page).getByText("found", { exact: true }).waitFor();
    await answered(page);
    await page.getByRole("link", { name: "New chat" }).first().click();
    await heading(page, "What would you like to know?");
    assert.equal(await tray(page).count(), 0);
  },

  async "a failed message keeps its files"() {
    const page = await chatPage(await newUser("ann"));
    let reply = (route) =>
      route.fulfill({
        status: 402,
        json: { status: 402, code: "insufficient_tokens", detail: "You have 0 tokens. A message costs 100 tokens. Nothing was charged." },
      });
    await page.route("**/api/chat/stream/", (route) => reply(route));
    await emptyBalance(page);
    await choose(page, file("notes.txt", "Remember me"), file("a.png", png()));
    await added(page, "a.png");
    await say(page, "Find Remember me");
    await page.getByText("You don't have enough tokens.").waitFor();
    await added(page, "notes.txt");
    await added(page, "a.png");
    assert.equal(await box(page).inputValue(), "Find Remember me");
    // A lost request is repeated after a reload, with the same files and the same key.
    const keys = new Set();
    await stayLost(page);
    reply = (route) => {
      keys.add(route.request().headers()["idempotency-key"]);
      return route.abort();
    };
    await box(page).press("Enter");
    await page.getByRole("button", { name: "Retry" }).waitFor();
    await shelf(page).getByText("notes.txt").waitFor();
    reply = (route) => {
      keys.add(route.request().headers()["idempotency-key"]);
      return route.continue();
    };
    await page.reload();
    await answer(page).getByText("found", { exact: true }).waitFor();
    await answered(page);
    assert.equal(keys.size, 1);
    await drawn(shelf(page).getByRole("img", { name: "a.png" }));
  },

  async "a long paste becomes a file by a click"() {
    const page = await chatPage(await newUser("ann"));
    const text = "A line of a long text.\n".repeat(300);
    await box(page).fill("Find a long text");
    await page.evaluate((text) => {
      const data = new DataTransfer();
      data.setData("text/plain", text);
      const target = document.getElementById("message");
      if (target.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, cancelable: true, clipboardData: data })))
        target.setRangeText(text, target.value.length, target.value.length, "end");
      target.dispatchEvent(new InputEvent("input", { bubbles: true }));
    }, text);
    await page.getByRole("button", { name: "Make it a file" }).click();
    await added(page, "pasted.txt");
    assert.equal(await box(page).inputValue(), "Find a long text");
    await box(page).press("Enter");
    await answer(page).getByText("found", { exact: true }).waitFor();
  },

  async "a chat with files is saved as a zip file"() {
    const page = await chatPage(await newUser("ann"));
    await choose(page, file("a [1].png", png()), file("data.csv", "a,b\n1,2\n"));
    await added(page, "data.csv");
    await say(page, "What is this?");
    await answered(page);
    const coming = page.waitForEvent("download");
    await page.locator(".thread-head").getByRole("button", { name: "More about this chat" }).click();
    await page.getByRole("button", { name: "Download as Markdown" }).click();
    const saved = await coming;
    assert.equal(saved.suggestedFilename(), "What-is-this.zip");
    const bytes = await readFile(await saved.path());
    assert.equal(bytes.readUInt32LE(0), 0x04034b50);
    assert.equal(bytes.readUInt16LE(bytes.length - 22 + 10), 3);
    const text = bytes.toString("utf8");
    for (const part of [
      "What-is-this.md",
      "files/1-a [1].png",
      "files/2-data.csv",
      "a,b\n1,2\n",
      "![a \\[1\\].png](files/1-a%20%5B1%5D.png)",
      "[data.csv](files/2-data.csv)",
    ])
      assert(text.includes(part), part);
  },
});
