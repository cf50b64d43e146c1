// Journeys of users who read answers with code, formulas and tables: the look, the loading of the
// libraries, the growth of answers, and the protection against scripts.

import assert from "node:assert/strict";
import { SITE, eventually, finish, journeys, looksRight, newPage, newUser } from "./lib/browser.mjs";
import { answer, answered, chatPage, copies, heading, logIn, say, toBeginning } from "./lib/chatting.mjs";
import { PAYLOADS } from "./lib/payloads.mjs";

/** An answer that contains every element with a style. */
const EVERYTHING = String.raw`Raw ## A title

Some *words*, **bold** ones, ~~none~~, ${"`code`"} and [a link](https://example.com). The area is \(A = \pi r^2\).

| Way | Minutes |
|:----|--------:|
| Bus | $\frac{50}{2}$ |

$$
\begin{pmatrix} a & b \\ c & d \end{pmatrix} \sum_{i=1}^{n} x_i = \boxed{\sqrt{2}}
$$

- [ ] a task
- [x] a finished one

${"```"}python
@cached
class Way(Base):
    """A way."""
    def minutes(self, speed=12.5):  # by bicycle
        return len(self.name) / speed if speed else None
${"```"}

${"```"}html
<!-- a page --><a href="#x" class="y">&amp;</a>
<style>.a { color: red }</style>
${"```"}

${"```"}diff
- old
+ new
${"```"}

${"```"}js
const a = ${"`x ${b} y`"};
${"```"}`;

const KINDS = ["comment", "deletion", "keyword", "meta", "name", "number", "plain", "string", "tag", "title", "type"];

/** Waits until the last answer's code is coloured and its formulas are laid out. */
async function rendered(page) {
  await answered(page);
  await answer(page).locator("math").first().waitFor();
  await answer(page).locator(".code-keyword").first().waitFor();
}

/** Returns the classes of the coloured parts of code, without duplicates. */
const kinds = (page) =>
  answer(page)
    .locator(".code span[class]")
    .evaluateAll((parts) => [...new Set(parts.map((part) => part.className))].sort());

/** Collects the names of the modules that the page requests from now on. */
function modules(page) {
  const names = [];
  page.on("request", (request) => {
    const name = new URL(request.url()).pathname.split("/").at(-1);
    if (/\.mjs$|^temml|^stix/.test(name)) names.push(name);
  });
  return names;
}

const looks = (colorScheme, width) => async () => {
  const page = await chatPage(await newUser("ann"), { colorScheme, viewport: { width, height: 800 } });
  await say(page, EVERYTHING);
  await rendered(page);
  await eventually(
    () => kinds(page),
    KINDS.map((kind) => `code-${kind}`),
  );
  await eventually(() => answer(page).locator("math").count(), 3);
  await looksRight(page, `rendered-${width}-${colorScheme}`);
  await toBeginning(page);
  await looksRight(page, `rendered-top-${width}-${colorScheme}`);
};

await journeys({
  "code, formulas and tables fit, wide and light": looks("light", 1280),
  "code, formulas and tables fit, wide and dark": looks("dark", 1280),
  "code, formulas and tables fit, narrow and light": looks("light", 320),
  "code, formulas and tables fit, narrow and dark": looks("dark", 320),

  async "code is coloured by classes and copied unchanged"() {
    const page = await chatPage(await newUser("ann"), { permissions: ["clipboard-read", "clipboard-write"] });
    await say(page, EVERYTHING);
    await rendered(page);
    const code = answer(page).locator(".code");
    assert.equal(await code.locator("[style]").count(), 0);
    const colours = await code
      .first()
      .locator("span[class]")
      .evaluateAll((parts) => parts.map((part) => getComputedStyle(part).color));
    assert(new Set(colours).size > 5, colours.join(" "));
    await copies(
      page,
      code.nth(1).getByRole("button", { name: "Copy", exact: true }),
      '<!-- a page --><a href="#x" class="y">&amp;</a>\n<style>.a { color: red }</style>',
    );
    // Code in an unknown language is shown in one colour.
    await say(page, "Raw ```klingon\nreturn 1\n```");
    await answered(page);
    await answer(page).getByText("klingon").waitFor();
    assert.equal(await answer(page).locator(".code code span").count(), 0);
  },

  async "formulas render, and broken ones and prices stay text"() {
    const page = await chatPage(await newUser("ann"));
    await say(
      page,
      String.raw`Raw Let \(P_1 * P_2\) and \[x_a *y* z_b\] be it, and $$a_1 *b* c_1$$ too, for $x^2$. It costs $5 and $6, or \$7. No formula: \(\frac{1}\).`,
    );
    await answered(page);
    await answer(page).locator("math").nth(3).waitFor();
    assert.equal(await answer(page).locator("math").count(), 4);
    assert.equal(await answer(page).locator("em").count(), 0);
    await answer(page).getByText("It costs $5 and $6, or $7. No formula:").waitFor();
    await eventually(() => answer(page).locator(".formula").allInnerTexts(), [String.raw`\(\frac{1}\)`]);

    const block = "$$\n\\sum_{i=1}^{n} x_i * y_i\n- 1\n$$";
    await say(page, `Raw ${block}`);
    await page.locator(".turn").nth(1).locator(".formula-box math").waitFor();
    assert.equal(await answer(page).locator("em, li").count(), 0);
    const { height } = await answer(page).locator("munderover").boundingBox();
    assert(height > 20, `the sum is ${height} pixels high`);
    // The style sheet for formulas is also loaded.
    await page.waitForFunction(() => getComputedStyle(document.querySelector("math.tml-display")).display.startsWith("block"));
  },

  async "formulas use a font of the page, not of the system"() {
    const page = await chatPage(await newUser("ann"));
    await say(page, "Raw It is $\\sqrt{x'}$ and $\\mathscr{L}$.");
    await answer(page).locator("math").nth(1).waitFor();
    await page.waitForFunction(() => [...document.fonts].some(({ family, status }) => family.includes("STIX Two Math") && status === "loaded"));
    const fonts = await answer(page)
      .locator("math, math *")
      .evaluateAll((all) => [...new Set(all.map((element) => getComputedStyle(element).fontFamily))]);
    assert.deepEqual(fonts, ['"STIX Two Math", math']);
    // The browser draws each character in this font.
    const devtools = await page.context().newCDPSession(page);
    for (const method of ["DOM.enable", "CSS.enable"]) await devtools.send(method);
    const { root } = await devtools.send("DOM.getDocument", { depth: 0 });
    const { nodeIds } = await devtools.send("DOM.querySelectorAll", { nodeId: root.nodeId, selector: ".prose math :is(mi, mo, mn)" });
    for (const nodeId of nodeIds) {
      const { fonts: used } = await devtools.send("CSS.getPlatformFontsForNode", { nodeId });
      assert.deepEqual(
        used.map(({ familyName, isCustomFont }) => [familyName, isCustomFont]).filter(([name]) => name !== "STIX Two Math"),
        [],
      );
    }
    assert(nodeIds.length > 2);
  },

  async "Arabic answers begin on the right in tables and lists"() {
    const page = await chatPage(await newUser("ann"));
    await say(page, "Raw الطريق إلى الميناء:\n\n| الطريق | الدقائق |\n|---|---|\n| الحافلة | ٢٥ |\n\n- أولا\n\n> اقتباس");
    await answered(page);
    await answer(page).locator("td").first().waitFor();
    const beginsRight = await answer(page)
      .locator("th, td, li, blockquote")
      .evaluateAll((all) =>
        all.map((element) => {
          const range = document.createRange();
          range.selectNodeContents(element);
          const [text, box] = [range.getBoundingClientRect(), element.getBoundingClientRect()];
          return box.right - text.right < 40;
        }),
      );
    assert.deepEqual(beginsRight, Array(6).fill(true));
  },

  async "clipped tables and code have a shade at their edge"() {
    const page = await chatPage(await newUser("ann"), { viewport: { width: 360, height: 800 } });
    const columns = Array.from({ length: 12 }, (_, index) => `column ${index}`).join(" | ");
    await say(page, `Raw | ${columns} |\n|${"---|".repeat(12)}\n| ${columns} |\n\n\`\`\`text\n${"wide ".repeat(40)}\n\`\`\``);
    await answered(page);
    for (const selector of [".table-box", ".code pre"]) {
      const box = answer(page).locator(selector);
      await box.waitFor();
      const edge = async () => {
        const { x, y, width, height } = await box.boundingBox();
        const png = await page.screenshot({ clip: { x: x + width - 4, y: y + height - 10, width: 2, height: 2 } });
        return png.toString("base64");
      };
      const cut = await edge();
      await box.evaluate((element) => (element.scrollLeft = element.scrollWidth));
      assert.notEqual(await edge(), cut, selector);
    }
  },

  async "libraries are loaded with the first answer that needs them"() {
    const page = await newPage();
    const names = modules(page);
    await page.goto(SITE);
    await logIn(page, await newUser("ann"));
    await heading(page, "What would you like to know?");
    await page.waitForLoadState("networkidle");
    assert.deepEqual(names, []);
    await say(page, "Talk");
    await answered(page);
    assert.deepEqual(names, ["markdown-it.esm.min.mjs"]);
    await say(page, "Raw ```js\nreturn 1;\n```");
    await answer(page).locator(".code-keyword").waitFor();
    assert.deepEqual(names.slice(1), ["highlight.min.mjs"]);
    await say(page, "Raw It is $x^2$.");
    await answer(page).locator("math").waitFor();
    // The formula doesn't wait for its styles.
    await eventually(() => names.length, 5, "its styles are requested");
    assert.deepEqual(names.slice(2).sort(), ["stix-two-math.css", "temml.css", "temml.min.mjs"]);
    await page.reload();
    await answer(page).locator("math").waitFor();
    await page.locator(".code-keyword").waitFor();
  },

  async "answers are plain text until their libraries are loaded"() {
    const ann = await newUser("ann");
    let open;
    const opened = new Promise((done) => (open = done));
    const page = await newPage();
    await page.route("**/markdown-it*.mjs", async (route) => {
      await opened;
      await route.continue();
    });
    await page.goto(SITE);
    await logIn(page, ann);
    await say(page, "Raw **bold** and $x^2$");
    await answer(page).getByText("**bold** and $x^2$").waitFor();
    open();
    await answer(page).locator("strong").waitFor();
    await answer(page).locator("math").waitFor();

    const other = await newPage();
    await other.route("**/*.mjs", (route) => route.abort());
    await other.goto(SITE);
    await logIn(other, ann);
    await other.locator(".conversations a").first().click();
    await answer(other).getByText("**bold** and $x^2$").waitFor();
    await other.goto(`${SITE}#/history`);
    await other.locator("summary").getByText("**bold** and $x^2$").waitFor();
  },

  async "finished parts of a growing answer stay unchanged"() {
    const page = await chatPage(await newUser("ann"));
    const message = "Lines of a growing answer";
    await say(page, message);
    await answer(page).locator(".prose > p").nth(4).waitFor();
    await page.evaluate(() => (document.querySelector(".answer .prose p").isKept = true));
    await answer(page).getByText("Line 40 of").waitFor();
    await finish(message);
    await answered(page);
    assert(await page.evaluate(() => document.querySelector(".answer .prose p").isKept));
    assert.equal(await answer(page).locator(".prose > p").count(), 80);
  },

  async "rendering a growing answer takes linear time"() {
    const page = await chatPage(await newUser("ann"));
    await say(page, EVERYTHING);
    await rendered(page);
    const [short, long] = await page.evaluate(
      async (text) => {
        const file = (name) => import(new URL(`../${name}`, document.querySelector("script[src$='chat/page.js']").src));
        const [{ draw }, { default: MarkdownIt }] = await Promise.all([file("markdown/draw.js"), file("vendor/markdown-it/markdown-it.esm.min.mjs")]);
        const { parse } = MarkdownIt.prototype;
        /**
         * Returns how many characters are parsed and how many nodes are added to the page while this
         * answer grows.
         */
        const work = async (whole) => {
          let [parsed, added] = [0, 0];
          MarkdownIt.prototype.parse = function (source, env) {
            parsed += source.length;
            return parse.call(this, source, env);
          };
          const count = (records) => records.forEach((record) => (added += record.addedNodes.length));
          const observer = new MutationObserver(count);
          const element = document.createElement("div");
          observer.observe(element, { childList: true, subtree: true });
          for (let end = 40; end < whole.length + 40; end += 40) draw(element, whole.slice(0, end));
          count(observer.takeRecords());
          observer.disconnect();
          MarkdownIt.prototype.parse = parse;
          return { parsed, added };
        };
        return [await work(text.repeat(5)), await work(text.repeat(20))];
      },
      `${EVERYTHING.slice("Raw ".length)}\n\n`,
    );
    console.log(`    ${short.parsed} characters parsed and ${short.added} nodes added; for four times as much ${long.parsed} and ${long.added}`);
    for (const what of ["parsed", "added"]) assert(long[what] < 5 * short[what], what);
  },

  async "answers cannot run scripts"() {
    const page = await newPage();
    const ran = [];
    page.on("dialog", async (dialog) => {
      ran.push(dialog.message());
      await dialog.dismiss();
    });
    await page.addInitScript(() => {
      globalThis.refused = [];
      addEventListener("securitypolicyviolation", ({ violatedDirective, sample }) => globalThis.refused.push(`${violatedDirective} ${sample}`));
    });
    await page.goto(SITE);
    await logIn(page, await newUser("ann"));
    // Show the attempts together in answers of the AI, and then one by one.
    for (let from = 0; from < PAYLOADS.length; from += 48) {
      const message = `Raw ${PAYLOADS.slice(from, from + 48).join("\n\n")}`;
      assert(message.length < 8000, `${message.length} characters`);
      await say(page, message);
      await page
        .locator(".turn")
        .nth(from / 48)
        .getByRole("button", { name: "Copy the answer" })
        .waitFor();
    }
    await page.locator("math").first().waitFor();
    await page.locator(".code-tag").first().waitFor();
    await page.evaluate(async (payloads) => {
      const { draw } = await import(new URL("../markdown/draw.js", document.querySelector("script[src$='chat/page.js']").src));
      for (const payload of payloads) {
        const element = document.createElement("div");
        document.querySelector(".answer .prose").append(element);
        draw(element, payload);
      }
      for (const element of document.querySelectorAll(".prose *"))
        for (const name of ["mouseover", "focus", "load", "error", "toggle"]) element.dispatchEvent(new Event(name, { bubbles: true }));
    }, PAYLOADS);
    assert.equal(await page.locator(".prose").locator("script, img, iframe, style, form, object, embed, audio, video, link, base, svg:not(.icon)").count(), 0);
    const links = await page.locator(".prose [href]").evaluateAll((all) => [...new Set(all.map(({ protocol }) => protocol))].sort());
    assert.deepEqual(
      links,
      ["http:", "https:", "mailto:"].filter((protocol) => links.includes(protocol)),
    );
    assert.deepEqual(ran, []);
    assert.deepEqual(await page.evaluate(() => globalThis.refused), []);
  },
});
