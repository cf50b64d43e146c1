// A chat is copied and saved as Markdown, saved as JSON, and printed whole.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { SITE, journeys, newUser } from "./lib/browser.mjs";
import { answered, chatPage, heading, say } from "./lib/chatting.mjs";

/** Chooses an item in the menu of the chat that is shown. */
async function choose(page, item) {
  await page.locator(".thread-head").getByRole("button", { name: "More about this chat" }).click();
  await page.getByRole("button", { name: item, exact: true }).click();
}

/** Chooses an item that saves a file. Returns the file's name and text. */
async function saved(page, item) {
  const coming = page.waitForEvent("download");
  await choose(page, item);
  const file = await coming;
  return [file.suggestedFilename(), await readFile(await file.path(), "utf8")];
}

await journeys({
  async "a chat is copied and saved as Markdown"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann, { permissions: ["clipboard-read", "clipboard-write"] });
    await say(page, "Über 5 % / Zinsen: *was* kostet das?");
    await answered(page);
    await say(page, "And then?");
    await answered(page);
    await page.locator(".thread-about").getByText("Charged 200 tokens so far").waitFor();
    await choose(page, "Copy as Markdown");
    await page.getByText("The chat has been copied.").waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    const [name, text] = await saved(page, "Download as Markdown");
    assert.equal(name, "Über-5-Zinsen-was-kostet-das.md");
    assert.equal(text, copied);
    const lines = text.split("\n").filter((line) => line !== "");
    assert.deepEqual(
      lines.map((line) => line.replace(/^## You, .+$/, "## You")),
      [
        "# Über 5 % / Zinsen: *was* kostet das?",
        "Charged 200 tokens so far, before refunds.",
        "## You",
        "Über 5 % / Zinsen: *was* kostet das?",
        "## AI",
        "You said: Über 5 % / Zinsen: *was* kostet das?",
        "## You",
        "And then?",
        "## AI",
        "You said: And then?",
      ],
    );
  },

  async "the whole of a long chat is saved and printed"() {
    const ann = await newUser("ann");
    const { body: first } = await ann.api("POST", "api/chat/", { message: "Number 1" });
    for (let number = 2; number <= 25; number += 1) await ann.api("POST", "api/chat/", { message: `Number ${number}`, conversation_id: first.conversation_id });
    const page = await chatPage(ann, { place: `#/c/${first.conversation_id}` });
    await heading(page, "Number 1");
    assert.equal(await page.locator(".turn").count(), 20);
    await page.evaluate(() => (window.print = () => (globalThis.printed = document.querySelectorAll(".turn").length)));
    const [name, text] = await saved(page, "Download as JSON");
    assert.equal(name, "Number-1.json");
    const { conversation, messages } = JSON.parse(text);
    assert.equal(conversation.id, first.conversation_id);
    assert.deepEqual(
      messages.map(({ message }) => message),
      Array.from({ length: 25 }, (_, index) => `Number ${index + 1}`),
    );
    await page.goto(`${SITE}#/`);
    await page.reload();
    await page.goto(`${SITE}#/c/${first.conversation_id}`);
    await heading(page, "Number 1");
    await page.evaluate(() => (window.print = () => (globalThis.printed = document.querySelectorAll(".turn").length)));
    await choose(page, "Print");
    await page.waitForFunction(() => globalThis.printed === 25);

    await page.reload();
    await heading(page, "Number 1");
    await choose(page, "Go to the beginning");
    await page.waitForFunction(() => document.querySelector("main").scrollTop === 0 && document.activeElement.textContent.includes("Number 1"));
    assert.equal(await page.locator(".turn").count(), 25);

    // On paper, the document has the height of all messages, and the page's frame is missing.
    await page.emulateMedia({ media: "print", colorScheme: "dark" });
    const paper = await page.evaluate(() => {
      const [first, last] = [".turn", ".turn:last-child"].map((turn) => document.querySelector(turn).getBoundingClientRect());
      const seen = (parts) => [...document.querySelectorAll(parts)].filter((part) => part.checkVisibility()).length;
      return {
        isWhole: document.documentElement.scrollHeight >= last.bottom - first.top,
        frame: seen(".sidebar, .topbar, .composer, .said-tools button, .turn-deeds button"),
        text: getComputedStyle(document.body).color,
      };
    });
    assert.deepEqual(paper, { isWhole: true, frame: 0, text: "rgb(25, 34, 30)" });
    const pages = (await page.pdf()).toString("latin1").match(/\/Type \/Page\b/g).length;
    assert(pages >= 3, `printed on ${pages} pages`);
  },
});
