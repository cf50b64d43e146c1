// Journeys of users who read: slowly growing answers, links and code in answers, long
// conversations, and search results.

import assert from "node:assert/strict";
import { SITE, eventually, finish, journeys, looksRight, newPage, newUser } from "./lib/browser.mjs";
import { answer, answered, chatPage, copies, heading, said, say, toBeginning, withClipboard } from "./lib/chatting.mjs";

/** Returns the distance to the end of the text, in pixels. */
const fromEnd = (page) => page.locator("main").evaluate((main) => main.scrollHeight - main.scrollTop - main.clientHeight);
const scrolled = (page) => page.locator("main").evaluate((main) => main.scrollTop);
/** Waits until the growing answer contains this text. */
const grows = (page, text) => answer(page).getByText(text).waitFor();
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
/** Returns the scrolled distance once it no longer changes. */
async function rests(page) {
  let last = -1;
  const isSame = async () => {
    await pause(300);
    const before = last;
    last = await scrolled(page);
    return last === before;
  };
  await eventually(isSame, true, "the text rests");
  return last;
}
/** Resolves once the main part shows its end. */
const atEnd = (page) => eventually(async () => (await fromEnd(page)) < 5, true, "the end is in view");
/** Resolves once the main part is this many pixels away from its end. */
const leaves = (page, pixels) => eventually(async () => (await fromEnd(page)) > pixels, true, "the text is scrolled up");

await journeys({
  async "a reader scrolls away from a growing answer and back"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const message = `Lines for ${ann.name}`;
    await say(page, message);
    await grows(page, "Line 25 of");
    await answer(page).locator(".as-written").waitFor({ state: "detached" });
    await atEnd(page);
    await page.mouse.move(700, 400);
    for (let turn = 0; turn < 30; turn += 1) {
      await page.mouse.wheel(0, -15);
      await pause(20);
    }
    const top = await rests(page);
    const away = await fromEnd(page);
    assert(away > 250, `450 pixels up, and ${away} from the end`);
    await grows(page, "Line 60 of");
    assert.equal(await scrolled(page), top, "the text that is being read doesn't move");
    await page.getByRole("button", { name: "To the newest message" }).waitFor();
    // On a busy machine the text may grow before a turn of the wheel takes effect.
    for (let turn = 0; turn < 20 && (await fromEnd(page)) >= 5; turn += 1) {
      await page.mouse.wheel(0, 20_000);
      await pause(100);
    }
    await grows(page, "Line 75 of");
    // The answer is followed again.
    await atEnd(page);
    await finish(message);
    await answered(page);
    await atEnd(page);
  },

  async "a finger and the keyboard scroll up in a growing answer"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann, { viewport: { width: 400, height: 700 }, hasTouch: true, isMobile: true });
    const message = `Lines for ${ann.name}`;
    await say(page, message);
    await grows(page, "Line 30 of");
    const devtools = await page.context().newCDPSession(page);
    const touch = (type, y) => devtools.send("Input.dispatchTouchEvent", { type, touchPoints: y === null ? [] : [{ x: 200, y }] });
    await touch("touchStart", 250);
    for (let y = 260; y <= 500; y += 10) {
      await touch("touchMove", y);
      await pause(20);
    }
    await touch("touchEnd", null);
    // The finger has moved 250 pixels.
    await leaves(page, 150);
    await page.getByRole("button", { name: "To the newest message" }).click();
    await grows(page, "Line 65 of");
    // The button follows the answer again.
    await atEnd(page);
    await page.locator(".turn").last().focus();
    await page.keyboard.press("PageUp");
    await leaves(page, 150);
    await finish(message);
    await answered(page);
    assert((await fromEnd(page)) > 150, "and it stays there");
  },

  async "the waiting indicator is in view"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann, { viewport: { width: 400, height: 480 } });
    for (const number of [1, 2, 3]) {
      await say(page, `Talk ${number}`);
      await said(page, `Talk ${number}`).waitFor();
      await answered(page);
    }
    await page.route("**/api/chat/stream/", () => {});
    await say(page, `One more question\nin\nseveral\nlines`);
    const dots = page.locator(".turn").last().locator(".thinking");
    await dots.getByText("Thinking").waitFor();
    const covered = async () => {
      const [indicator, foot] = await Promise.all([dots.boundingBox(), page.locator(".composer-form").boundingBox()]);
      return Math.max(0, indicator.y + indicator.height - foot.y);
    };
    await eventually(covered, 0, "pixels of the indicator behind the box");
  },

  async "selections and scrolled code survive a growing answer"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    const message = `Code for ${ann.name}`;
    await say(page, message);
    await grows(page, "value_6");
    await answer(page).locator(".code-string").first().waitFor();
    const select = () => {
      const [text] = document.querySelector(".answer code").childNodes;
      getSelection().setBaseAndExtent(text, 0, text, 7);
      document.querySelector(".answer pre").scrollLeft = 120;
    };
    await page.evaluate(select);
    await grows(page, "value_20");
    const kept = await page.evaluate(() => [getSelection().toString(), document.querySelector(".answer pre").scrollLeft]);
    assert.deepEqual(kept, ["value_0", 120]);
    await finish(message);
    await answered(page);
    assert.deepEqual(await page.evaluate(() => [getSelection().toString(), document.querySelector(".answer pre").scrollLeft]), ["value_0", 120]);
    assert.match(await page.locator(".answer code").innerText(), /value_39/);
  },

  async "the box at the bottom covers no focused control"() {
    const page = await chatPage(await newUser("ann"));
    await say(page, `Raw ${"A line with [a link](https://example.com/).\n\n".repeat(40)}`);
    await answered(page);
    await toBeginning(page);
    await answer(page).getByRole("link").first().focus();
    for (let step = 0; step < 42; step += 1) {
      const free = await page.evaluate(
        () => document.querySelector(".thread-foot").getBoundingClientRect().top - document.activeElement.getBoundingClientRect().bottom,
      );
      assert(free >= 0, `${-free} pixels are covered at step ${step}`);
      await page.keyboard.press("Tab");
    }
  },

  async "brackets beside a link stay text"() {
    const page = await chatPage(await newUser("ann"));
    await say(page, "Raw As shown in [1] and in [2], see [the paper](https://example.com/paper) and [a [nested] one](https://example.com/nested).");
    await answered(page);
    const links = await answer(page)
      .getByRole("link")
      .evaluateAll((all) => all.map((link) => [link.textContent, link.href]));
    assert.deepEqual(links, [
      ["the paper", "https://example.com/paper"],
      ["a [nested] one", "https://example.com/nested"],
    ]);
    await answer(page).getByText("As shown in [1] and in [2], see the paper and a [nested] one.").waitFor();
  },

  async "right-to-left answers keep code left to right"() {
    const page = await chatPage(await newUser("ann"));
    await say(page, "Raw هذا مثال على الشيفرة:\n\n```python\nprint(1)\n```");
    await answered(page);
    const direction = (element) => getComputedStyle(element).direction;
    assert.equal(await answer(page).locator(".prose").evaluate(direction), "rtl");
    assert.equal(await answer(page).locator("pre").evaluate(direction), "ltr");
    assert.equal(await answer(page).locator("figcaption").evaluate(direction), "ltr");
    await page.getByRole("button", { name: "More about this chat" }).click();
    await page.getByRole("button", { name: "Rename" }).click();
    await page.getByRole("dialog").getByLabel("Title").fill("مثال على الشيفرة");
    await page.keyboard.press("Enter");
    await heading(page, "مثال على الشيفرة");
    assert.equal(await page.locator("h1").evaluate(direction), "rtl");
    assert.equal(await page.locator(".conversations a").first().evaluate(direction), "rtl");
  },

  async "a cut answer says so and can be continued"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann);
    await say(page, "Cut this short");
    await answered(page);
    await page.getByText("This answer was cut off because it reached its maximum length.").waitFor();
    await page.reload();
    await page.getByText("This answer was cut off because it reached its maximum length.").waitFor();
    await page.getByRole("button", { name: "Continue" }).click();
    await said(page, "Continue").waitFor();
    await answered(page);
    assert.equal(await page.getByRole("button", { name: "Continue" }).count(), 0, "only the last answer is continued");
    await page.goto(`${SITE}#/history`);
    await page.locator(".chat-row", { hasText: "Cut this short" }).getByText("cut off").waitFor();
  },

  async "search results open their conversation at the message"() {
    const ann = await newUser("ann");
    const { body: first } = await ann.api("POST", "api/chat/", { message: "Where is the giraffe?" });
    for (let number = 1; number < 28; number += 1) {
      await ann.api("POST", "api/chat/", { message: `Number ${number}`, conversation_id: first.conversation_id });
    }
    const page = await chatPage(ann, { place: "#/history?q=giraffe" });
    await page.getByRole("link", { name: /^Open/ }).click();
    await said(page, "Where is the giraffe?").waitFor();
    const found = page.locator(".turn").first();
    await page.waitForFunction(() => document.activeElement.matches(".turn:first-child"));
    const [box, main] = await Promise.all([found.boundingBox(), page.locator("main").boundingBox()]);
    assert(box.y >= main.y - 1 && box.y < main.y + main.height / 2, `it begins at ${box.y}`);
    assert.equal(await page.locator(".turn").count(), 28);
    // A result also opens if its conversation is already open.
    await page.getByRole("button", { name: "To the newest message" }).click();
    await page.goto(`${SITE}#/history?q=number+15`);
    await page.getByRole("link", { name: /^Open/ }).click();
    await page.waitForFunction(() => document.activeElement.matches(".turn") && document.activeElement.textContent.includes("Number 15"));
  },

  async "reasoning stays closed until it is opened"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann, { permissions: ["clipboard-read", "clipboard-write"] });
    const growing = `Thoughtfully ${ann.name}`;
    await say(page, growing);
    const reasoning = answer(page).locator("details.reasoning");
    await reasoning.getByText("Reasoning", { exact: true }).waitFor();
    assert.equal(await reasoning.getAttribute("open"), null);
    await reasoning.locator("summary").click();
    await reasoning.getByText("First I count the stations").waitFor();
    assert(!(await answer(page).innerText()).includes("think>"), "no mark is shown");
    await finish(growing);
    await answered(page);
    assert.equal(await reasoning.locator("strong").innerText(), "stations", "it is Markdown too");
    assert.equal(await reasoning.getAttribute("open"), "", "it stays open");
    await looksRight(page, "reasoning");
    assert.equal(await answer(page).locator(".reasoning + .prose").innerText(), `There are seven, ${ann.name}.`);
    await copies(page, page.getByRole("button", { name: "Copy the answer" }), `There are seven, ${ann.name}.`);

    await page.reload();
    await answered(page);
    assert.equal(await reasoning.getAttribute("open"), null);
    assert.equal(await answer(page).locator(".reasoning .prose").isVisible(), false);
    await page.goto(`${SITE}#/history`);
    const summary = page.locator(".chat-answer summary").first();
    await summary.waitFor();
    assert.match(await summary.innerText(), /^There are seven/);
    // In the middle of an answer, the mark is shown as plain text.
    await page.goto(SITE);
    await say(page, "Raw Write `<think>` and </think> around it.");
    await answered(page);
    assert.equal(await reasoning.count(), 0);
    await answer(page).getByText("and </think> around it.").waitFor();
  },

  async "reasoning that arrives separately is shown like marked reasoning"() {
    const ann = await newUser("ann");
    const page = await chatPage(ann, { permissions: ["clipboard-read", "clipboard-write"] });
    const growing = `Separately ${ann.name}`;
    await say(page, growing);
    const reasoning = answer(page).locator("details.reasoning");
    await reasoning.getByText("Reasoning", { exact: true }).waitFor();
    assert.equal(await reasoning.getAttribute("open"), null);
    await reasoning.locator("summary").click();
    await reasoning.getByText("First I count the stations one by one.").waitFor();
    await answer(page).getByText("Thinking", { exact: true }).waitFor();
    await finish(growing);
    await answered(page);
    assert.equal(await reasoning.getAttribute("open"), "", "it stays open");
    assert.equal(await answer(page).locator(".reasoning + .prose").innerText(), `There are seven, ${ann.name}.`);
    await copies(page, page.getByRole("button", { name: "Copy the answer" }), `There are seven, ${ann.name}.`);

    await page.reload();
    await answered(page);
    assert.equal(await reasoning.getAttribute("open"), null);
    await page.goto(`${SITE}#/history`);
    await page.locator(".chat-answer summary").first().click();
    await page.locator(".chat-answer details.reasoning summary").click();
    await page.locator(".chat-answer .reasoning .prose").getByText("First I count the stations").waitFor();
  },

  async "parts of an answer open and close, and are printed whole"() {
    const page = await chatPage(await newUser("ann"), { permissions: ["clipboard-read", "clipboard-write"] });
    const text =
      "<details>\n<summary>The **stations**</summary>\n\n1. Harbour\n\n<details open onclick=alert(1)>\n<summary>In code</summary>\n\n```js\nreturn 7;\n```\n\n</details>\n\n</details>\n\nThere are seven.";
    await say(page, `Raw ${text}`);
    await answered(page);
    const parts = answer(page).locator("details");
    const station = answer(page).locator("li");
    await answer(page).getByText("There are seven.").waitFor();
    assert.deepEqual(await parts.evaluateAll((all) => all.map((part) => [part.open, part.getAttributeNames().sort().join(" ")])), [
      [false, "class"],
      [true, "class open"],
    ]);
    const isShown = () => station.evaluate((item) => item.checkVisibility());
    assert.equal(await isShown(), false);
    await page.emulateMedia({ media: "print" });
    assert.equal(await isShown(), true, "paper shows closed parts too");
    await page.emulateMedia({ media: "screen" });
    assert.equal(await isShown(), false);
    await looksRight(page, "details-closed");

    await parts.first().locator("summary").first().click();
    await station.getByText("Harbour").waitFor();
    await answer(page).locator("details details .code-keyword").waitFor();
    await looksRight(page, "details");
    await page.keyboard.press("Enter");
    await station.waitFor({ state: "hidden" });
    await copies(page, page.getByRole("button", { name: "Copy the answer" }), text);

    await page.goto(`${SITE}#/history`);
    const summary = page.locator(".chat-answer > summary").first();
    await summary.waitFor();
    assert.match(await summary.innerText(), /^The stations Harbour In code return 7; There are seven/);
    await summary.click();
    await page.locator(".chat-answer .folded > summary").getByText("The stations").waitFor();
    assert.equal(await station.isVisible(), false);
    await page.setViewportSize({ width: 320, height: 800 });
    await looksRight(page, "details-history");
  },

  async "the history shows answers without Markdown marks"() {
    const ann = await newUser("ann");
    await ann.api("POST", "api/chat/", { message: "Markdown please" });
    const page = await chatPage(ann, { place: "#/history" });
    const summary = page.locator(".chat-answer summary").first();
    await summary.waitFor();
    assert.match(await summary.innerText(), /^A title A bold claim, with emphasis, code and a link\./);
  },

  async "copying works without the clipboard API"() {
    const page = await newPage({ permissions: ["clipboard-read"] });
    await page.addInitScript(() => {
      Object.defineProperty(navigator, "clipboard", { value: undefined });
      // The buttons' labels change for two seconds. A busy machine may look only later.
      const later = globalThis.setTimeout;
      globalThis.setTimeout = (run, pause, ...more) => later(run, pause === 2000 ? 60_000 : pause, ...more);
    });
    const ann = await newUser("ann");
    await page.goto(SITE);
    await page.getByLabel("Username or e-mail address").fill(ann.name);
    await page.getByLabel("Password", { exact: true }).fill(ann.password);
    await page.keyboard.press("Enter");
    await heading(page, "What would you like to know?");
    await say(page, "Copy me");
    await answered(page);
    const box = page.getByLabel("Your message");
    await withClipboard(async () => {
      await page.getByRole("button", { name: "Copy the answer" }).click();
      await page.getByText("Copied", { exact: true }).waitFor();
      await box.focus();
      await page.keyboard.press("Control+V");
      await eventually(() => box.inputValue(), "You said: Copy me");

      // If the browser also refuses this command, the page selects the text.
      await page.evaluate(() => (document.execCommand = () => false));
      await box.fill("");
      await answer(page)
        .getByRole("button", { name: /^(Copy the answer|Copied)$/ })
        .click();
      await page.getByText("Press Ctrl+C").first().waitFor();
      await page.keyboard.press("Control+C");
      await box.focus();
      await page.keyboard.press("Control+V");
      await eventually(() => box.inputValue(), "You said: Copy me");
    });
  },
});
