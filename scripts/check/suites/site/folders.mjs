// Journeys of users who put chats into folders: the folders' chats, names, instructions and order.

import assert from "node:assert/strict";
import { SITE, eventually, journeys, looksRight, newPage, newUser } from "./lib/browser.mjs";
import { answered, chatPage, focused, heading, said, say } from "./lib/chatting.mjs";

const chats = (page) => page.getByRole("navigation", { name: "Chats" });
const opener = (page, name) => chats(page).getByRole("button", { name, exact: true });
const inside = (page, name) =>
  chats(page)
    .getByRole("list", { name: `Chats in ${name}` })
    .getByRole("link");
const menu = (page, name) => chats(page).getByRole("button", { name: `More about the folder ${name}` });
/** Waits until a locator's texts are these. */
const shows = (locator, texts) => eventually(() => locator.allInnerTexts(), texts);
const choose = async (page, button, choice) => {
  await button.click();
  await page.getByRole("button", { name: choice, exact: true }).click();
};

/** Creates a folder in the dialog, with the keyboard alone. */
async function create(page, name, instructions = "") {
  await chats(page).getByRole("button", { name: "New folder" }).press("Enter");
  await page.getByRole("dialog", { name: "New folder" }).waitFor();
  await eventually(() => focused(page), "Name");
  await page.keyboard.type(name);
  await page.keyboard.press("Tab");
  await page.keyboard.type(instructions);
  await page.getByRole("button", { name: "Create" }).press("Enter");
  await opener(page, name).waitFor();
}

await journeys({
  async "a chat begins in a folder and moves between folders"() {
    const ann = await newUser("ann");
    for (const message of ["Talk one", "Talk two"]) await ann.api("POST", "api/chat/", { message });
    const page = await chatPage(ann);
    const second = await newPage({ beside: page });
    await second.goto(SITE);
    await chats(page).getByRole("button", { name: "New folder" }).click();
    await page.getByRole("dialog", { name: "New folder" }).waitFor();
    await looksRight(page, "folders-new");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await create(page, "Travel", "Answer in French.");
    await opener(second, "Travel").waitFor();
    await create(page, "Work");

    await choose(page, menu(page, "Travel"), "New chat in this folder");
    await page.locator(".thread-folder").getByText("Travel").waitFor();
    assert.equal(await page.getByLabel("Temporary chat").isVisible(), false);
    await say(page, "Where to?");
    await answered(page);
    await shows(inside(page, "Travel"), ["Where to?"]);
    assert.equal((await ann.api("GET", "api/conversations/")).body[0].folder_id !== null, true);
    await heading(page, "Where to?");
    assert.match(await page.locator(".thread-head").innerText(), /Folder:\s+Travel/);

    const row = chats(page).getByRole("button", { name: "More about Talk one" });
    await choose(page, row, "Move to a folder");
    const dialog = page.getByRole("dialog", { name: "Move to a folder" });
    await eventually(() => focused(page), "Folder");
    await looksRight(page, "folders-move");
    await dialog.getByLabel("Folder").selectOption("Travel");
    await dialog.getByRole("button", { name: "Move" }).click();
    await page.getByText("The chat is in the folder “Travel” now.").waitFor();
    await shows(inside(page, "Travel"), ["Where to?", "Talk one"]);
    await opener(second, "Travel").click();
    await shows(inside(second, "Travel"), ["Where to?", "Talk one"]);
    await looksRight(page, "folders");

    // After a reload, the folder is still open, and the chats are in it.
    await page.reload();
    await shows(inside(page, "Travel"), ["Where to?", "Talk one"]);
    await opener(page, "Travel").press("Enter");
    assert.equal(await opener(page, "Travel").getAttribute("aria-expanded"), "false");
    assert.equal(await inside(page, "Travel").first().isVisible(), false);

    await opener(page, "Travel").click();
    await choose(page, chats(page).getByRole("button", { name: "More about Where to?" }), "Move to a folder");
    await dialog.getByLabel("Folder").selectOption("No folder");
    await dialog.getByRole("button", { name: "Move" }).click();
    await shows(inside(page, "Travel"), ["Talk one"]);
    await page.locator(".thread-folder").waitFor({ state: "detached" });
  },

  async "the focus stays near what a folder's dialog changed"() {
    const ann = await newUser("ann");
    await ann.api("POST", "api/chat/", { message: "Talk one" });
    const page = await chatPage(ann);
    await create(page, "Travel");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await eventually(() => focused(page), "New folder");
    // The folder is closed, so the chat in it isn't shown.
    await choose(page, chats(page).getByRole("button", { name: "More about Talk one" }), "Move to a folder");
    await page.getByLabel("Folder", { exact: true }).selectOption("Travel");
    await page.getByRole("button", { name: "Move", exact: true }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await eventually(() => focused(page), "Travel");
    await choose(page, menu(page, "Travel"), "Delete");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await opener(page, "Travel").waitFor({ state: "detached" });
    await eventually(() => focused(page), "New folder");
  },

  async "folders are renamed, moved, instructed and deleted"() {
    const ann = await newUser("ann");
    const { body: travel } = await ann.api("POST", "api/folders/", { name: "Travel" });
    await ann.api("POST", "api/folders/", { name: "Work" });
    await ann.api("POST", "api/chat/", { message: "Where to?", folder_id: travel.id });
    const page = await chatPage(ann);
    const names = page.locator(".folder-opener");
    await shows(names, ["Travel", "Work"]);
    await choose(page, menu(page, "Travel"), "Rename");
    await page.getByRole("textbox", { name: "Name" }).fill("Journeys");
    await page.getByRole("dialog").getByRole("button", { name: "Rename" }).click();
    await shows(names, ["Journeys", "Work"]);
    await choose(page, menu(page, "Journeys"), "Move down");
    await shows(names, ["Work", "Journeys"]);
    await eventually(() => focused(page), "More about the folder Journeys");
    await eventually(async () => (await ann.api("GET", "api/folders/")).body.map(({ name }) => name), ["Work", "Journeys"]);

    await choose(page, menu(page, "Journeys"), "Instructions");
    await page.getByLabel("How should the AI answer in this folder?").fill("Answer in French.");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("The instructions for this folder have been saved.").waitFor();
    assert.equal((await ann.api("GET", "api/folders/")).body[1].instructions, "Answer in French.");

    await choose(page, menu(page, "Journeys"), "Delete");
    await page.getByText("Its chats stay, without a folder.").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await shows(names, ["Work"]);
    await chats(page).getByRole("list", { name: "Today" }).getByRole("link", { name: "Where to?" }).waitFor();
    assert.equal((await ann.api("GET", "api/conversations/")).body[0].folder_id, null);
  },

  async "a message that returns to the box stays in its folder"() {
    const ann = await newUser("ann");
    const { body: travel } = await ann.api("POST", "api/folders/", { name: "Travel" });
    const page = await chatPage(ann, { place: `#/?folder=${travel.id}` });
    const label = page.locator(".thread-folder").getByText("Travel");
    const box = page.getByLabel("Your message");
    const replies = (status, json) =>
      page.route("**/api/chat/stream/", (route) => route.fulfill({ status, json: { status, detail: "Nothing was charged.", ...json } }), { times: 1 });
    /** Checks that the new chat in the folder contains this text, also after a reload. */
    const keeps = async (text) => {
      for (const reload of [false, true]) {
        if (reload) await page.reload();
        await heading(page, "What would you like to know?");
        await label.waitFor();
        await eventually(() => box.inputValue(), text);
      }
    };
    await label.waitFor();
    await replies(502, { code: "ai_failed" });
    await say(page, "Where to?");
    await page.getByRole("button", { name: "Edit message" }).click();
    await keeps("Where to?");
    await replies(402, { code: "insufficient_tokens" });
    await box.press("Enter");
    await page.getByText("You don't have enough tokens.").waitFor();
    await keeps("Where to?");
    await box.press("Enter");
    await answered(page);
    await page.waitForURL(/#\/c\/[0-9a-f-]{36}$/);
    await ann.api("DELETE", `api/conversations/${page.url().split("/").at(-1)}/`);
    await say(page, "And then?");
    await page.getByRole("button", { name: "Ask in a new chat" }).click();
    await keeps("And then?");
    await box.press("Enter");
    await answered(page);
    assert.equal((await ann.api("GET", "api/conversations/")).body[0].folder_id, travel.id);
  },

  async "a chat in a folder that is gone begins without it"() {
    const ann = await newUser("ann");
    const { body: travel } = await ann.api("POST", "api/folders/", { name: "Travel" });
    const page = await chatPage(ann, { place: `#/?folder=${travel.id}` });
    await page.locator(".thread-folder").getByText("Travel").waitFor();
    await ann.api("DELETE", `api/folders/${travel.id}/`);
    await say(page, "Where to?");
    await page.getByText("You have no folder with this id, or it was deleted.").waitFor();
    await eventually(() => page.getByLabel("Your message").inputValue(), "Where to?");
    await page.getByRole("button", { name: "Send" }).click();
    await said(page, "Where to?").waitFor();
    await answered(page);
    assert.equal((await ann.api("GET", "api/conversations/")).body[0].folder_id, null);
  },
});
