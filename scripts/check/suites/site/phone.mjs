// Journeys of users with a phone: the on-screen keyboard, and the size of touch targets.

import assert from "node:assert/strict";
import { SITE, journeys, looksRight, newUser } from "./lib/browser.mjs";
import { answered, balance, chatPage, emptyBalance, focused, heading, said, say, toBeginning } from "./lib/chatting.mjs";

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const [PRICE, FIRST_GRANT] = [100, 4000];

/** Returns true if the box has the focus, which opens the keyboard. */
const isTyping = (page) => page.evaluate(() => document.activeElement.matches("textarea"));

await journeys({
  async "Enter begins a line on a phone and the button sends"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann, PHONE);
    assert.equal(await isTyping(page), false, "the keyboard would cover the ideas");
    const box = page.getByLabel("Your message");
    assert.equal(await box.getAttribute("enterkeyhint"), "enter");
    assert.equal(await page.locator(".composer-hint .keys").isVisible(), false);
    await box.tap();
    await page.keyboard.type("line one");
    await page.keyboard.press("Enter");
    await page.keyboard.type("line two");
    assert.equal(await box.inputValue(), "line one\nline two");
    assert.equal(await page.locator(".turn").count(), 0);
    await page.getByRole("button", { name: "Send" }).tap();
    await said(page, "line one").waitFor();
    assert.equal(await isTyping(page), false, "the keyboard would cover the answer");
    await answered(page);
    assert.equal(await isTyping(page), false);
    assert.match(await page.locator(".said p").innerText(), /^line one\nline two$/);
    await balance(page, FIRST_GRANT - PRICE);

    // The box for editing a message behaves in the same way.
    await page.getByRole("button", { name: "Edit this message" }).tap();
    const edit = page.getByLabel("Edit the message");
    assert.equal(await edit.getAttribute("enterkeyhint"), "enter");
    await page.keyboard.press("End");
    await page.keyboard.press("Enter");
    await page.keyboard.type("line three");
    assert.match(await edit.inputValue(), /\nline three/);
    await page.getByRole("button", { name: "Cancel" }).tap();

    // Opening a chat doesn't open the keyboard. An attached keyboard sends with Ctrl.
    await page.goto(`${SITE}#/history`);
    await heading(page, "History");
    await page.goBack();
    await said(page, "line one").waitFor();
    assert.equal(await isTyping(page), false);
    await box.fill("from a keyboard");
    await box.press("Control+Enter");
    await said(page, "from a keyboard").waitFor();
  },

  async "Enter sends with a keyboard and the box keeps the focus"() {
    const page = await chatPage(await newUser("ann"));
    assert.equal(await page.getByLabel("Your message").getAttribute("enterkeyhint"), "send");
    assert.equal(await page.locator(".composer-hint .keys").isVisible(), true);
    assert.equal(await focused(page), "Your message");
    await page.keyboard.type("Hello");
    await page.keyboard.press("Enter");
    await answered(page);
    assert.equal(await focused(page), "Your message");
  },

  async "the bar starts a chat and menus are large enough to tap"() {
    const ann = await newUser("ann");
    for (const message of ["Talk one", "Talk two"]) await ann.api("POST", "api/chat/", { message });
    for (const width of [320, 390]) {
      const page = await chatPage(ann, { ...PHONE, viewport: { width, height: 700 } });
      await page.getByRole("button", { name: "Chats" }).tap();
      const menu = page.getByRole("button", { name: "More about Talk one" });
      const row = page.locator(".conversations").getByRole("link", { name: "Talk one" });
      for (const [part, least] of [
        [menu, 44],
        [row, 200],
      ]) {
        const box = await part.boundingBox();
        assert(box.width >= least && box.height >= 44, JSON.stringify(box));
      }
      await row.tap();
      await said(page, "Talk one").waitFor();
      await looksRight(page, `phone-${width}`);
      await page.locator(".topbar").getByRole("link", { name: "New chat" }).tap();
      await heading(page, "What would you like to know?");
      assert.equal(await page.locator(".turn").count(), 0);
    }
  },

  async "Safari doesn't zoom in on the search"() {
    const page = await chatPage(await newUser("ann"), PHONE);
    await page.getByRole("button", { name: "Chats" }).tap();
    const size = await page.getByLabel("Search chats and messages").evaluate((input) => getComputedStyle(input).fontSize);
    assert.equal(size, "16px", "Safari zooms in on smaller text");
  },

  async "a chat can be read and continued at a zoom of 400 %"() {
    const ann = await newUser("ann");
    await ann.api("POST", "api/chat/", { message: `Talk one\n\n${"A line.\n\n".repeat(20)}` });
    const page = await chatPage(ann, { viewport: { width: 320, height: 256 } });
    await page.getByRole("button", { name: "Chats" }).click();
    await page.getByRole("link", { name: "Talk one" }).click();
    await said(page, "Talk one").waitFor();
    await toBeginning(page);
    const [bar, view] = [await page.locator(".topbar").boundingBox(), page.viewportSize()];
    const foot = await page.locator(".thread-foot").boundingBox();
    const free = Math.min(foot.y, view.height) - (bar.y + bar.height);
    assert(free > 150, `${free} pixels are free`);
    await say(page, "Go on");
    await answered(page);
  },

  async "a refused message returns to the box with its reason"() {
    const page = await chatPage(await newUser("ann"), PHONE);
    const refusal = { status: 402, code: "insufficient_tokens", detail: "A message costs 100 tokens, which is more than the balance. Nothing was charged." };
    await page.route("**/api/chat/stream/", (route) => route.fulfill({ status: 402, json: refusal }));
    await emptyBalance(page);
    await say(page, "One too many");
    await page.getByText("You don't have enough tokens.").waitFor();
    assert.equal(await page.getByLabel("Your message").inputValue(), "One too many");
    assert.equal(await isTyping(page), false);
  },
});
