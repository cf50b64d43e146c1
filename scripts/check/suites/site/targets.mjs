// Journeys with a finger: everything that can be pressed is at least 44 pixels wide and high.

import assert from "node:assert/strict";
import { adminPage } from "./lib/administering.mjs";
import { choose, file, png, tray } from "./lib/attachments.mjs";
import { journeys, newPage } from "./lib/browser.mjs";
import { answered, chatPage } from "./lib/chatting.mjs";
import { GUEST_VIEWS, administratorsViews, furnished, viewsOf, visit } from "./lib/views.mjs";

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

/**
 * The parts of the page that can be pressed and are smaller than 44 pixels. Links in running text
 * may be smaller, and a box to check is as large as its label.
 */
const small = (page) =>
  page.evaluate(() => {
    const isInline = (part) => {
      if (part.tagName !== "A" || getComputedStyle(part).display !== "inline") return false;
      const around = part.closest("p, li, td, th, dd, figcaption, .prose, .hint");
      return around !== null && around.textContent.trim() !== part.textContent.trim();
    };
    const parts = [...document.querySelectorAll("a[href], button, input, select, textarea, summary")];
    const shown = parts.filter(
      (part) => !part.closest("[inert]") && part.checkVisibility({ visibilityProperty: true, opacityProperty: false }) && !part.matches(".skip-link, .sr-only"),
    );
    const found = shown
      .filter((part) => !isInline(part))
      .map((part) => {
        const target = part.matches("input[type=checkbox], input[type=radio]") ? (part.closest("label") ?? part) : part;
        const { width, height } = target.getBoundingClientRect();
        return { width, height, html: part.outerHTML.replace(/\s+/g, " ").slice(0, 110) };
      });
    return found
      .filter(({ width, height }) => width > 0 && (width < 43.5 || height < 43.5))
      .map(({ width, height, html }) => `${Math.round(width)} x ${Math.round(height)}: ${html}`);
  });

/** Opens all lists and details that a page shows closed. */
const unfold = (page) =>
  page.evaluate(() => {
    for (const details of document.querySelectorAll("main details, .tray-chat")) details.open = true;
  });

/** What is too small, by the view. */
const found = {};

/** Notes what is too small to be pressed, also in what is closed at first. */
async function isLarge(page, view) {
  await unfold(page);
  const parts = await small(page);
  if (parts.length > 0) found[view] = parts;
}

const more = (page) => page.locator(".thread-head").getByRole("button", { name: "More about this chat" });

/** Opens a choice of an open chat's menu, and closes its dialog after `act`. */
async function inDialog(page, choice, name, act) {
  await more(page).tap();
  await isLarge(page, "a menu");
  await page.getByRole("button", { name: choice, exact: true }).tap();
  const dialog = page.getByRole("dialog", { name });
  await dialog.waitFor();
  await act?.(dialog);
  await isLarge(page, name);
  await dialog.getByRole("button", { name: "Close" }).first().tap();
  await dialog.waitFor({ state: "detached" });
}

await journeys({
  async "all that a visitor can press is large enough"() {
    const server = await furnished();
    const { link } = await server.resident();
    const page = await newPage(PHONE);
    for (const view of [...GUEST_VIEWS, "docs/", "docs/#/openai/completions", "docs/#/administration/admin_users", `s/${link}`]) {
      await visit(page, server.url + view);
      await isLarge(page, view);
    }
    await page.getByRole("button", { name: "Report" }).tap();
    await page.getByRole("dialog", { name: "Report this chat" }).waitFor();
    await isLarge(page, "a report");
    assert.deepEqual(found, {});
  },

  async "all that a user can press is large enough"() {
    const server = await furnished();
    const home = await server.resident();
    const page = await chatPage(home.ann, { ...PHONE, url: server.url });
    for (const view of viewsOf(home)) {
      await visit(page, server.url + view);
      await isLarge(page, view);
    }
    await visit(page, `${server.url}#/c/${home.chat}`);
    await answered(page);
    await page.getByRole("list", { name: "Files in this chat" }).waitFor();
    await choose(page, file("one.txt", "1"), file("a.png", png()));
    await tray(page).getByRole("button", { name: "Remove a.png" }).waitFor();
    await isLarge(page, "a chat with files");
    await page.getByRole("button", { name: /^Model: / }).tap();
    await page.locator(".menu:popover-open .menu-item").first().waitFor();
    await isLarge(page, "the models");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Edit this message" }).tap();
    await page.getByLabel("Edit the message").waitFor();
    await isLarge(page, "an edited message");
    await page.getByRole("button", { name: "Cancel" }).tap();
    await page.getByRole("button", { name: "Regenerate the answer" }).tap();
    await isLarge(page, "a regeneration");

    await inDialog(page, "Rename", "Rename the chat");
    await inDialog(page, "Instructions", "Instructions for this chat");
    await inDialog(page, "Move to a folder", "Move to a folder");
    await inDialog(page, "Share", "Share this chat", async (dialog) => {
      await isLarge(page, "before sharing");
      await dialog.getByRole("button", { name: "Create a link" }).tap();
      await dialog.getByRole("link", { name: /^Open / }).waitFor();
    });
    await inDialog(page, "Delete", /^Delete /);
    await page.getByRole("button", { name: "Chats" }).tap();
    await page.getByRole("button", { name: "Travel", exact: true }).tap();
    await page.getByRole("list", { name: "Chats in Travel" }).getByRole("link").waitFor();
    await isLarge(page, "the sidebar");
    await page.getByRole("button", { name: "More about the folder Travel" }).tap();
    await isLarge(page, "a folder's menu");
    // Escape closes the menu, but not the drawer.
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "New folder" }).tap();
    await page.getByRole("dialog", { name: "New folder" }).waitFor();
    await isLarge(page, "a new folder");
    assert.deepEqual(found, {});
  },

  async "all that an administrator can press is large enough"() {
    const server = await furnished();
    const home = await server.resident();
    const page = await adminPage(server, "#/users", PHONE);
    for (const view of administratorsViews({ ...server, ...home })) {
      await visit(page, `${server.url}admin/#/${view}`);
      await isLarge(page, view);
      if (view === "users")
        await page
          .getByRole("checkbox", { name: /^Select ann/ })
          .first()
          .check();
    }
    await visit(page, `${server.url}admin/#/vouchers`);
    await page.getByRole("button", { name: "New vouchers" }).tap();
    await page.getByRole("dialog", { name: "New vouchers" }).waitFor();
    await isLarge(page, "new vouchers");
    assert.deepEqual(found, {});
  },
});
