// Journeys of users whose system replaces all colours, such as with Windows' contrast themes.
// Backgrounds and shadows disappear, so lines must show what is open, chosen, and focused.

import assert from "node:assert/strict";
import { adminPage } from "./lib/administering.mjs";
import { choose, file, tray } from "./lib/attachments.mjs";
import { journeys, newPage } from "./lib/browser.mjs";
import { answered, chatPage } from "./lib/chatting.mjs";
import { furnished, visit } from "./lib/views.mjs";

const CONTRAST = { forcedColors: "active" };

/** The number of elements that get the focus in each view. */
const STEPS = 30;

/** A picture of the part of the window around an element that has or had the focus. */
async function around(page, box) {
  const { width, height } = page.viewportSize();
  const [x, y] = [Math.max(0, box.x - 8), Math.max(0, box.y - 8)];
  const clip = { x, y, width: Math.min(width - x, box.width + 16), height: Math.min(height - y, box.height + 16) };
  return (await page.screenshot({ clip, caret: "hide", animations: "disabled" })).toString("base64");
}

/** Moves the focus through a view, and checks that each element looks different with the focus. */
async function showsFocus(page, view) {
  const unseen = [];
  await page.evaluate(() => document.activeElement.blur());
  for (let step = 0; step < STEPS; step += 1) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluateHandle(() => document.activeElement);
    const about = await focused.evaluate((element) => {
      if (element === document.body) return null;
      element.scrollIntoView({ block: "nearest" });
      const { x, y, width, height } = (element.closest(".composer-form, .admin-choice") ?? element).getBoundingClientRect();
      return { box: { x, y, width, height }, html: element.outerHTML.replace(/\s+/g, " ").slice(0, 100) };
    });
    if (!about) break;
    const seen = await around(page, about.box);
    // The focus stays, but a program has moved it, so the browser shows no ring.
    await focused.evaluate((element) => element.blur());
    const without = await around(page, about.box);
    await focused.evaluate((element) => element.focus({ preventScroll: true, focusVisible: true }));
    if (seen === without) unseen.push(about.html);
  }
  assert.deepEqual(unseen, [], `${view}: no ring`);
}

/** Checks that one of these links is marked as the open view, and only that one. */
async function marks(page, links, view) {
  const lines = await links.evaluateAll((all) =>
    all.map((link) => [
      link.hasAttribute("aria-current"),
      getComputedStyle(link).outlineStyle !== "none" && parseFloat(getComputedStyle(link).outlineWidth) >= 2,
    ]),
  );
  assert(
    lines.some(([isCurrent]) => isCurrent),
    `${view}: no link is current`,
  );
  for (const [isCurrent, isMarked] of lines) assert.equal(isMarked, isCurrent, view);
}

/** The parts of a drawing whose colour has less than three times the contrast of the background. */
const faint = (page, selector) =>
  page.locator(selector).evaluateAll((parts) => {
    const light = (color) => {
      const [red, green, blue] = color
        .match(/[\d.]+/g)
        .map((value) => (value / 255 <= 0.040_45 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const ground = light(getComputedStyle(document.body).backgroundColor);
    const contrast = (color) => {
      const [dark, bright] = [ground, light(color)].sort((one, other) => one - other);
      return (bright + 0.05) / (dark + 0.05);
    };
    return parts.flatMap((part) => {
      const { fill, stroke } = getComputedStyle(part);
      const colors = [fill, stroke].filter((color) => color.startsWith("rgb"));
      return colors.some((color) => contrast(color) >= 3) ? [] : [`${part.getAttribute("class")}: ${colors}`];
    });
  });

/** Checks that an element has a line around it. */
async function hasBorder(element) {
  const { width, color, ground } = await element.evaluate((shown) => {
    const { borderTopWidth: width, borderTopColor: color, backgroundColor: ground } = getComputedStyle(shown);
    return { width, color, ground };
  });
  assert.equal(width, "1px");
  assert.notEqual(color, ground);
}

await journeys({
  async "a contrast theme shows what is open and focused in a chat"() {
    const server = await furnished();
    const home = await server.resident();
    for (const colorScheme of ["light", "dark"]) {
      const page = await chatPage(home.ann, { ...CONTRAST, colorScheme, url: server.url });
      await visit(page, `${server.url}#/c/${home.chat}?chat=${home.message}`);
      await answered(page);
      await marks(page, page.locator(".conversations a"), "the chats");
      // The message that was looked for has a line around it.
      const said = page.locator(".turn-found .said p");
      assert.notEqual(await said.evaluate((element) => getComputedStyle(element).outlineStyle), "none");
      await choose(page, file("one.txt", "1"), file("two.txt", "2"));
      await tray(page).getByRole("button", { name: "Remove two.txt" }).waitFor();
      for (const row of await page.locator(".tray .file").all()) await hasBorder(row);
      // Without backgrounds, the line tells a user's message from an answer.
      await hasBorder(said);
      assert.equal(
        await page
          .locator(".answer")
          .first()
          .evaluate((element) => getComputedStyle(element).borderTopWidth),
        "0px",
      );
      await showsFocus(page, "a chat");
    }
  },

  async "a contrast theme shows the open tab of the account"() {
    const server = await furnished();
    const home = await server.resident();
    const page = await chatPage(home.ann, { ...CONTRAST, url: server.url });
    for (const view of ["#/account", "#/account/sessions", "#/account/api-keys", "#/account/data", "#/buy"]) {
      await visit(page, server.url + view);
      await marks(page, page.locator(".tabs a"), view);
      await showsFocus(page, view);
    }
    await visit(page, `${server.url}#/statement`);
    await showsFocus(page, "the statement");
  },

  async "a contrast theme shows views and plots to administrators"() {
    const server = await furnished();
    const home = await server.resident();
    for (const colorScheme of ["light", "dark"]) {
      const page = await adminPage(server, "#/users", { ...CONTRAST, colorScheme });
      await page.getByRole("checkbox", { name: `Select ${home.ann.name}` }).check();
      await marks(page, page.locator(".admin-nav a"), "the navigation");
      await showsFocus(page, "the users");
      await visit(page, `${server.url}admin/#/users/${home.ann.id}`);
      await marks(page, page.locator(".admin-tabs a"), "a user");
      await showsFocus(page, "a user");
      await visit(page, `${server.url}admin/#/figures`);
      await page.locator(".plot > svg").first().waitFor();
      assert.deepEqual(await faint(page, ".plot text, .plot-bars, .plot-line, .plot-dot, .plot-zero line"), []);
      // Two series of a plot differ.
      const alike = await page.locator(".plot > svg").evaluateAll((all) => {
        const looks = (plot, series) =>
          [...plot.querySelectorAll(`path.${series}`)].map((path) => `${getComputedStyle(path).fill} ${getComputedStyle(path).stroke}`);
        const both = all.map((plot) => [looks(plot, "series-0"), looks(plot, "series-1")]).filter(([, second]) => second.length > 0);
        return [both.length, both.filter(([first, second]) => first.some((look) => second.includes(look)))];
      });
      assert.deepEqual([alike[0] > 0, alike[1]], [true, []]);
      await showsFocus(page, "the statistics");
    }
  },

  async "a contrast theme shows the chosen language of a sample"() {
    const server = await furnished();
    const page = await newPage({ ...CONTRAST });
    await page.goto(`${server.url}docs/`);
    const languages = page.locator(".docs-languages button");
    await languages.first().waitFor();
    const looks = await languages.evaluateAll((all) =>
      all.map((button) => `${button.getAttribute("aria-pressed")} ${getComputedStyle(button).outlineStyle} ${getComputedStyle(button).outlineWidth}`),
    );
    assert.equal(new Set(looks).size, 2, looks.join(", "));
    assert(
      looks.every((look) => look.startsWith("true") === !look.includes("none")),
      looks.join(", "),
    );
    await marks(page, page.locator(".docs-sections a"), "the sections");
    await showsFocus(page, "the documentation");
    const { link } = await server.resident();
    await visit(page, `${server.url}s/${link}`);
    await hasBorder(page.locator(".shared-said").first());
    await showsFocus(page, "a shared chat");
    await page.goto(`${server.url}#/verify-email`);
    await hasBorder(page.locator(".note").first());
  },
});
