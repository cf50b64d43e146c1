// Tests of answers in Node: formulas, prices, code and links are shown correctly, no script in an
// answer runs, and the work for a growing answer is proportional to its length. TOOLS is the folder
// with linkedom.

import assert from "node:assert/strict";
import { alike, document, grown, script, whole } from "./lib/in-node.mjs";
import { PAYLOADS } from "./lib/payloads.mjs";

const { partsOf, withoutReasoning } = await script("markdown/thoughts.js");
const { readText } = await script("files/text.js");
const { draw, plainText } = await script("markdown/draw.js");
const { BUDGET } = await script("markdown/nodes.js");
const { default: MarkdownIt } = await script("vendor/markdown-it/markdown-it.esm.min.mjs");
const { default: highlighter } = await script("vendor/highlight/highlight.min.mjs");
const { default: temml } = await script("vendor/temml/temml.min.mjs");

// The first answer that needs the libraries loads them, and is drawn again after that.
const first = whole("$x$\n\n```js\nreturn\n```");
while (!first.querySelector("math") || !first.querySelector(".code-keyword")) await new Promise((done) => setTimeout(done, 20));

function proves(what, work) {
  const began = performance.now();
  work();
  console.log(`ok  ${what} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
}

/** Returns the processor time that `work` takes, in milliseconds. */
function used(work) {
  const began = process.cpuUsage();
  work();
  return process.cpuUsage(began).user / 1000;
}

/**
 * Returns how many of an answer's code characters are coloured, and how many of its formula
 * characters are laid out.
 */
function taken(text) {
  const [{ highlight }, { render }] = [highlighter, temml];
  const count = { code: 0, formulas: 0 };
  highlighter.highlight = (code, options) => {
    count.code += code.length;
    return highlight(code, options);
  };
  temml.render = (tex, ...more) => {
    count.formulas += tex.length;
    return render(tex, ...more);
  };
  whole(text);
  Object.assign(highlighter, { highlight });
  Object.assign(temml, { render });
  return count;
}

/** The size of the longest answers. */
const SIZE = 65_536;

/** Returns a text of this size that repeats `text`. */
const filled = (text, size = SIZE) => text.repeat(Math.ceil(size / text.length)).slice(0, size);

/** Lines, and parts of a line, that make many nodes. */
const CROWDS = { lines: ["```js\na\n```\n", "```\n```\n", "# a\n", "- a\n"], parts: ["**a** ", "<br>"] };

/** Returns how many formulas an answer shows. */
const formulas = (text) => whole(text).querySelectorAll("math").length;

proves("formulas are formulas", () => {
  const one = [
    "$$\n\\sum_{i=1}^{n} x_i * y_i\n- 1\n$$",
    "\\[\nx = 1\n\\]",
    "\\[ x \\in [0, 1] \\]",
    "Let \\(P_1 * P_2\\) be it.",
    "It is $x^2$, ",
    "($a$)",
    "for $n$-th",
    "$2x + 3 = 5$.",
    "$f(x)$",
    "- a\n- $$x_1$$\n",
    "> $$\n> a\n> $$",
    "| a |\n|---|\n| $x_1$ |",
    "**$x_1$**",
    "para\n$$\na\n$$\npara",
    "$$ a $$",
    "\\(a\nb\\)",
  ];
  for (const text of one) assert.equal(formulas(text), 1, text);
  assert.equal(formulas("$$a$$ and \\[b\\] and $c$ and \\(d\\)"), 4);
});

proves("prices, variables and escapes are text", () => {
  const none = [
    "It costs $5 and $6.",
    "$5-$6, $5/$6 and US$ 5 or US$6",
    "from $5 to 6$ a month",
    "$HOME/$USER and $PATH:$HOME_DIR",
    "echo `$x^2$` and `\\(a\\)`",
    "```\n$$\na\n$$\n```",
    "\\$x^2\\$",
    "\\[no link](https://example.com)",
    "\\(\\) and $$$$",
    "a $$ b",
    "Earn $$$ with $$$!",
    "    $$\n    a\n    $$",
  ];
  for (const text of none) {
    const element = whole(text);
    assert.equal(element.querySelectorAll("math, .formula").length, 0, text);
  }
  assert.equal(whole("It costs $5 and $6.").textContent, "It costs $5 and $6.");
});

proves("what is no TeX is shown as it was written", () => {
  const broken = [
    "\\(\\frac{1}\\)",
    "$$\\nonsense{x}$$",
    "$x^{$",
    "$$\n\\begin{a}\n$$",
    "\\[\\href{https://example.com}{x}\\]",
    "$$\\def\\x{\\x\\x}\\x$$",
    `$$${"{".repeat(2000)}x${"}".repeat(2000)}$$`,
    "$$\\hspace{-50em}x$$",
  ];
  for (const text of broken) {
    const element = whole(text);
    assert.equal(element.querySelectorAll("math").length, 0, text.slice(0, 40));
    assert.equal(element.textContent, text);
  }
});

proves("code has the colours of its language, by classes alone", () => {
  const code = 'for way in ways:\n    print(f"{way} <b>is</b> a way")  # all\n';
  const element = whole(`\`\`\`python\n${code}\`\`\``).querySelector("code");
  assert.equal(`${element.textContent}\n`, code);
  const kinds = [...element.querySelectorAll("span")].map((span) => [span.className, span.textContent]);
  assert.deepEqual(kinds[0], ["code-keyword", "for"]);
  assert(
    kinds.some(([kind, text]) => kind === "code-comment" && text === "# all"),
    JSON.stringify(kinds),
  );
  assert.equal(element.querySelectorAll("[style]").length, 0);
  for (const language of ["", "nonsense", "text"]) {
    const plain = whole(`\`\`\`${language}\n${code}\`\`\``).querySelector("code");
    assert.equal(plain.querySelectorAll("span").length, 0, language);
  }
});

proves("the reasoning before an answer is a part of its own", () => {
  const [reasoning, answer] = ["a <b> c", "The answer."];
  for (const text of [`<think>${reasoning}</think>${answer}`, `\n<think>\n${reasoning}\n</think>\n\n${answer}`])
    assert.deepEqual(partsOf(text), { reasoning, answer });
  for (const text of [
    "",
    "An answer.",
    "Write <think>a</think>.",
    "`<think>`",
    "<thin",
    "<thinkers>",
    "Close with </think>.",
    "analysis of rice",
    "```\n<think>\nx\n</think>\n```",
    "Thus:\n<think>\nx\n</think>\nDone.",
  ])
    assert.deepEqual(partsOf(text), { reasoning: "", answer: text });
  assert.deepEqual(partsOf("<think>\n</think>\nThe answer."), { reasoning: "", answer });
  assert.deepEqual(partsOf("<think>cut"), { reasoning: "cut", answer: "" });
  assert.equal(withoutReasoning("<think>cut"), "<think>cut");
  // Other marks, in any case; without the first mark; and at the end.
  for (const text of [
    "<THINK>Hm.</Think>The answer.",
    "<thinking>Hm.</thinking>The answer.",
    "[THINK]Hm.[/THINK]The answer.",
    "◁think▷Hm.◁/think▷The answer.",
    "analysisHm.assistantfinalThe answer.",
    "Hm.\n</think>\n\nThe answer.",
    "The answer.\n\n<think>Hm.</think>\n",
  ])
    assert.deepEqual(partsOf(text), { reasoning: "Hm.", answer }, text);
  assert.deepEqual(partsOf("<think>a</think><think>b</think>The answer."), { reasoning: "a\n\nb", answer });
  // While the text grows, no partial mark is shown.
  const whole = `<think>${reasoning}</think>${answer}`;
  for (let end = 0; end <= whole.length; end += 1) {
    const shown = partsOf(whole.slice(0, end), true);
    assert(reasoning.startsWith(shown.reasoning) && answer.startsWith(shown.answer), JSON.stringify(shown));
  }
});

proves("texts are read in UTF-8, and in UTF-16 with a byte order mark", () => {
  const text = "Grüße, 한국어";
  const read = (...parts) => readText(new Uint8Array(Buffer.concat(parts.map((part) => Buffer.from(part)))), 1000).text;
  const little = Buffer.from(text, "utf16le");
  assert.equal(read(text), text);
  assert.equal(read([0xff, 0xfe], little), text);
  assert.equal(read([0xfe, 0xff], Buffer.from(little).swap16()), text);
  for (const parts of [[little], [[0xff, 0xfe, 0x00]], ["a\0b"], [[0xff, 0xfe, 0x00, 0x00, 0x41, 0x00]]]) assert.throws(() => read(...parts), /UTF-8/);
});

proves("links lead to web sites and e-mail addresses alone", () => {
  const links = (text) => [...whole(text).querySelectorAll("a")].map((link) => [link.textContent, link.getAttribute("href")]);
  assert.deepEqual(links("[a](https://example.com/x) <https://example.com/y> https://example.com/z. www.example.com"), [
    ["a", "https://example.com/x"],
    ["https://example.com/y", "https://example.com/y"],
    ["https://example.com/z", "https://example.com/z"],
    ["www.example.com", "http://www.example.com/"],
  ]);
  assert.deepEqual(links("[a](mailto:ann@example.com?body=x) bob@example.com"), [
    ["a", "mailto:ann@example.com"],
    ["bob@example.com", "mailto:bob@example.com"],
  ]);
  for (const text of [
    "[a](/x)",
    "[a](//example.com)",
    "[a](javascript:x)",
    "[a](ftp://example.com)",
    "[a](file:///x)",
    "main.rs and example.com",
    "[a](https://)",
  ])
    assert.deepEqual(links(text), [], text);
  assert.deepEqual(links("![a picture](https://example.com/x.png)"), [["a picture", "https://example.com/x.png"]]);
  assert.deepEqual(links("[![a](https://example.com/x.png)](https://example.com/)"), [["a", "https://example.com/"]]);
  assert.equal(whole("See https://xn--80ak6aa92e.com").textContent, "See https://xn--80ak6aa92e.com");
});

const HTML = new Set(
  "a blockquote br code del details div em figcaption figure h3 h4 h5 h6 hr kbd li mark ol p pre span strong sub summary sup table tbody td th thead tr ul".split(
    " ",
  ),
);
const ATTRIBUTES = /^(?:aria-label|class|dir|href|open|rel|role|scope|start|tabindex|target|title)$/i;

proves(`${PAYLOADS.length} answers that try to run a script become texts, links and formulas`, () => {
  for (const payload of PAYLOADS) {
    const answer = whole(payload);
    answer.querySelectorAll("button").forEach((button) => button.remove());
    for (const element of answer.querySelectorAll("*")) {
      if (element.closest("math")) {
        const names = [...element.attributes].map(({ name }) => name).filter((name) => /^(?:on|id$|href|src|xlink)/.test(name));
        assert.deepEqual(names, [], payload);
        continue;
      }
      assert(HTML.has(element.localName), `${element.localName} of ${payload}`);
      for (const { name, value } of element.attributes) {
        assert.match(name, ATTRIBUTES, payload);
        if (name === "href") assert.match(value, /^(?:https?:\/\/|mailto:[^?]*$)/, payload);
      }
    }
  }
});

proves("an answer that grows ends as one that is there at once", () => {
  const part = "<details>\n<summary>t</summary>\n\n[x][1]\n\n```js\nlet a = 1;\n```\n\n</details>\n\nafter\n\n[1]: https://example.com\n";
  const texts = [
    ...PAYLOADS,
    part,
    `- a\n${part.replaceAll(/^(?=.)/gm, "  ")}`,
    "# a\n\n### b\n\n$$\nx\n$$\n\n[x][1]\n\n- a\n- b\n\n  $$\n  y\n  $$\n\n```js\nlet a = 1;\n```\n\n| a | b |\n|:-:|--:|\n| 1 | 2 |\n\n[1]: https://example.com\n",
  ];
  for (const text of texts) assert(alike(grown(text, 3), whole(text)), text);
  assert.equal(grown(texts.at(-1)).querySelector("p a").getAttribute("href"), "https://example.com/");
});

const fenced = (language, code) => `\`\`\`${language}\n${code}\n\`\`\``;

proves("code and formulas beyond the budget are shown as written", () => {
  const line = "const value = 1; // one\n";
  const block = line.repeat(200).trim();
  assert.deepEqual(taken(fenced("js", block)), { code: block.length, formulas: 0 });
  for (const code of ["a".repeat(49_000), `${"a ".repeat(600)}\n`]) assert.equal(taken(fenced("bash", code)).code, 0);
  // The first lines of long code are coloured, up to a line that is too wide.
  const long = whole(fenced("js", line.repeat(1000).trim())).querySelector("code");
  assert.equal(long.textContent, line.repeat(1000).trim());
  assert.equal(long.querySelectorAll(".code-keyword").length, Math.floor(8000 / line.length));
  const wide = whole(fenced("js", `${line}${"a ".repeat(600)}\n${line}`)).querySelector("code");
  assert.equal(wide.querySelectorAll(".code-keyword").length, 1);

  const blocks = Array(20).fill(fenced("js", block)).join("\n\n");
  const { code } = taken(blocks);
  assert(code > 16_000 && code <= 24_000, `${code} characters`);
  assert.equal([...whole(blocks).querySelectorAll("code")].filter(({ textContent }) => textContent === block).length, 20);

  const sum = `$$\n${"x^2+".repeat(900)}1\n$$`;
  const sums = Array(16).fill(sum).join("\n\n");
  const laid = taken(sums).formulas;
  assert(laid > 12_000 && laid <= 16_000, `${laid} characters`);
  assert.equal(formulas(sums), 4);
  assert.equal([...whole(sums).querySelectorAll(".formula")].filter(({ textContent }) => textContent === sum).length, 12);
  for (const text of [blocks, sums]) assert(alike(grown(text, 4999), whole(text)));
});

proves("nodes beyond the budget are shown as written", () => {
  const words = "the tram leaves from the harbour every ten minutes and costs less than a taxi ";
  const chapter = `## Ways to the harbour\n\nBy **tram**, ${words.repeat(4)}with \`line 4\`.\n\n- **Bus**: ${words}\n- **Bicycle**: ${words}\n- On foot: ${words}\n\n\`\`\`js\nconst ways = ["tram", "bus"];\nfor (const way of ways) console.log(way);\n\`\`\`\n\n| Way | Minutes | Price |\n|---|---|---|\n| Tram | 12 | 3 |\n| Bus | 20 | 2 |\n\n`;
  const ordinary = filled(chapter);
  assert.equal(whole(ordinary).querySelectorAll(".as-written").length, 0);
  const time = (text) => Math.min(...Array.from({ length: 3 }, () => used(() => whole(text))));
  const usual = time(ordinary);
  for (const part of [...CROWDS.lines, ...CROWDS.parts]) {
    const text = `${filled(part)}\n\nThe **end**.`;
    const element = whole(text);
    const made = element.querySelectorAll("*").length;
    const ratio = time(text) / usual;
    console.log(`    ${JSON.stringify(part)}: ${made} elements, ${ratio.toFixed(1)} times as long as an ordinary answer`);
    assert(made <= BUDGET.nodes + 10, `${made} elements`);
    assert(ratio < 3, `${ratio} times`);
    assert(element.lastElementChild.textContent.endsWith("The **end**."));
    assert(plainText(text).trim().endsWith("The **end**."));
    assert(alike(grown(text, 9973), element), part);
  }
  // A row is made as a whole, so a table has a limited number of columns.
  assert.equal(whole(`${filled("|a")}\n${filled("|-")}`).querySelectorAll("table").length, 0);
  // Wherever the budget ends, the rest is text, and the answer may grow.
  const { nodes } = BUDGET;
  const all =
    "# a *b*\n\n- c\n- [d][1]\n  - e\n\n> f\n> - g\n\n<details>\n<summary>h</summary>\n\ni `j`\n\n</details>\n\n| k | l |\n|---|---|\n| m | n |\n\n[1]: https://example.com\n\no **p** q";
  for (BUDGET.nodes = 1; BUDGET.nodes < 70; BUDGET.nodes += 1) {
    const element = whole(all);
    assert(alike(grown(all, 3), element), `${BUDGET.nodes} nodes`);
    assert.match(element.textContent.replaceAll("*", ""), /a b.*c.*d.*e.*f.*g.*h.*i.*j.*k.*l.*m.*n.*o p q$/s);
  }
  BUDGET.nodes = nodes;
});

proves("only a few elements without attributes aren't text", () => {
  const element = whole("H<sub>2</sub>O, x<sup>*n*</sup>, <KBD>Ctrl</KBD> and <mark>a **b**</mark>");
  assert.equal(element.textContent, "H2O, xn, Ctrl and a b");
  assert.deepEqual(
    [...element.querySelectorAll("p *")].map(({ localName }) => localName),
    ["sub", "sup", "em", "kbd", "mark", "strong"],
  );
  for (const text of ["a <sub> b", "<sub></sub>", '<sub class="x">a</sub>', "<sub onclick=x>a</sub>", "<b>a</b>", "<script>a</script>", "</sub>"]) {
    const shown = whole(text);
    assert.equal(shown.querySelectorAll("p *").length, 0, text);
    assert.equal(shown.textContent, text);
  }
  assert.equal(whole("`<sub>a</sub>`").querySelectorAll("sub").length, 0);
});

/** Returns what an answer shows, without attributes and buttons, with an open part as `<details open>`. */
function outline(text) {
  const element = whole(text);
  element.querySelectorAll("button").forEach((button) => button.remove());
  for (const part of element.querySelectorAll("*")) for (const { name } of [...part.attributes]) if (name !== "open") part.removeAttribute(name);
  return element.innerHTML;
}

const folded = (title, content, open = "") => `<details${open}><summary>${title}</summary>${content}</details>`;

proves("details are collapsible parts with Markdown inside", () => {
  const shown = {
    "<details>\n<summary>A *title*</summary>\n\nText **b**\n\n- c\n\n</details>\n\nafter":
      folded("A <em>title</em>", "<p>Text <strong>b</strong></p><ul><li>c</li></ul>") + "<p>after</p>",
    "before\n<details open><summary>t</summary>x</details>\nafter": `<p>before</p>${folded("t", "<p>x</p>", " open")}<p>after</p>`,
    "<DETAILS class='open y' OPEN=''>\n  <summary>\n    t\n  </summary>\nx\n</DETAILS>": folded("t", "<p>x</p>", " open"),
    "<details title='an open one'>\n</details>": folded("Details", ""),
    "<details><summary><b>t</b> of `<b>`</summary>\n# x\n</details>": folded("t of <code>&lt;b&gt;</code>", "<p><strong>x</strong></p>"),
    "<details><summary>a</summary><details><summary>b</summary>x</details></details> y": folded("a", `${folded("b", "<p>x</p>")}<p>y</p>`),
    "<details><summary>a</summary>\n\n> <details>\n> <summary>b</summary>\n>\n> x\n> </details>\n\ny\n\n</details>\nz":
      folded("a", `<blockquote>${folded("b", "<p>x</p>")}</blockquote><p>y</p>`) + "<p>z</p>",
    "1. a\n\n   <details>\n   <summary>t</summary>\n\n   ```\n   </details>\n   ```\n\n   </details>\n2. b": `<ol><li><p>a</p>${folded("t", "<figure><figcaption><span>text</span></figcaption><pre><code>&lt;/details&gt;</code></pre></figure>")}</li><li><p>b</p></li></ol>`,
    "<details><summary>t</summary>\nEnd it with `</details>`, or </details> here.\n</details>\ny":
      folded("t", "<p>End it with <code>&lt;/details&gt;</code>, or &lt;/details&gt; here.</p>") + "<p>y</p>",
    // A part without an end continues to the end of the text.
    "<details><summary>t</summary>\n\na\n\nb": folded("t", "<p>a</p><p>b</p>"),
    "<details><summary>a title": folded("a title", ""),
    "<details>\n<summary>a title\n\nx": folded("a title", "<p>x</p>"),
    "- <details><summary>t</summary>\n\n  a\n\nb": `<ul><li>${folded("t", "<p>a</p>")}</li></ul><p>b</p>`,
  };
  for (const [text, wanted] of Object.entries(shown)) assert.equal(outline(text), wanted, text);
  // The title of a part in an excerpt has no tags.
  assert.equal(plainText("<details><summary>a **b**</summary>\n\nc\n</details>\n\nd").replace(/ +/g, " ").trim(), "a b c d");
});

proves("details elsewhere, and other tags in them, are text", () => {
  for (const text of [
    "<details> is an element",
    "a <details><summary>b</summary>c</details>",
    "`<details>`",
    "    <details>",
    "<detailsx>",
    "</details>",
    "<summary>a</summary>",
    "**<details>**",
    "| a |\n|---|\n| <details> |",
  ])
    assert.equal(whole(text).querySelectorAll("details, summary").length, 0, text);
  const element = whole(
    "<details onclick=alert(1) ontoggle='alert(1)' open id=x style='color: red'><summary onclick=alert(1)><img src=x onerror=alert(1)>t</summary>\n<script>alert(1)</script>\n</details>",
  );
  assert.deepEqual(
    [...element.querySelectorAll("*")].map(({ localName }) => localName),
    ["details", "summary", "p"],
  );
  assert.deepEqual([...element.firstChild.attributes].map(({ name }) => name).sort(), ["class", "open"]);
  assert.equal(element.querySelector("summary").attributes.length, 0);
  assert.equal(element.textContent, "<img src=x onerror=alert(1)>t<script>alert(1)</script>");
  // Parts are nested up to a maximum depth.
  const deep = whole("<details>\n".repeat(50));
  assert.equal(deep.querySelectorAll("details").length, 8);
  assert(deep.textContent.includes("<details>"));
});

proves("a growing part shows no tag, and stays as its reader left it", () => {
  const text =
    "<details>\n<summary><b>A *title*</b></summary>\n\nText\n\n<details open><summary>b</summary>\n\n```js\nc\n```\n</details>\n\n</details>\n\nafter";
  for (let end = "<details>".length; end <= text.length; end += 1) {
    const { textContent, childNodes } = whole(text.slice(0, end));
    assert(!textContent.includes("<"), textContent);
    assert.equal(childNodes[0].localName, "details");
  }
  assert(alike(grown(text), whole(text)));
  const element = document.createElement("div");
  draw(element, text.slice(0, 60));
  const part = element.querySelector("details");
  part.setAttribute("open", "");
  draw(element, text);
  assert.equal(element.querySelector("details"), part);
  assert(part.hasAttribute("open"));
  const inner = part.querySelector("details");
  assert(inner.hasAttribute("open"));
  inner.removeAttribute("open");
  draw(element, `${text} that`);
  assert(!inner.hasAttribute("open") && element.contains(inner));
});

proves("footnotes are raised numbers, and tasks have a box", () => {
  const marks = (text) => [...whole(text).querySelectorAll("sup")].map(({ textContent }) => textContent);
  const noted = "A fact.[^1] Another one.[^2]\n\n[^1]: The *first* note.\n[^2]: https://example.com/x";
  assert.deepEqual(marks(noted), ["1", "2", "1", "2"]);
  assert.equal(whole(noted).textContent, "A fact.1 Another one.21 The first note.2 https://example.com/x");
  assert.equal(whole(noted).querySelector("a").getAttribute("href"), "https://example.com/x");
  assert.deepEqual(marks("[^1]: https://example.com/x"), ["1"]);
  for (const text of ["[^a-z]", "[^1](https://example.com/)", "`[^1]`"]) assert.deepEqual(marks(text), [], text);
  const tasks = whole("- [ ] one\n- [x] two\n- three");
  assert.deepEqual(
    [...tasks.querySelectorAll("li")].map((item) => [item.className, item.textContent]),
    [
      ["task", "☐ one"],
      ["task", "☑ two"],
      ["", "three"],
    ],
  );
});

proves("the work for a growing answer is proportional to its length", () => {
  const { parse } = MarkdownIt.prototype;
  const { createElement } = document;
  /**
   * Returns how many characters are parsed and how many elements are created while this answer
   * grows.
   */
  const work = (text, step = 24) => {
    let [parsed, made] = [0, 0];
    MarkdownIt.prototype.parse = function (source, env) {
      parsed += source.length;
      return parse.call(this, source, env);
    };
    document.createElement = (name) => {
      made += 1;
      return createElement.call(document, name);
    };
    grown(text, step);
    Object.assign(document, { createElement });
    MarkdownIt.prototype.parse = parse;
    return { parsed, made };
  };
  const block = "A paragraph with **bold** words, `code` and a formula: $x^2$.\n\n- one\n- two\n\n```js\nconst a = 1;\n```\n\n";
  const [short, long] = [work(block.repeat(50)), work(block.repeat(200))];
  console.log(
    `    ${50 * block.length} characters: ${short.parsed} parsed, ${short.made} elements made; ${200 * block.length}: ${long.parsed} and ${long.made}`,
  );
  for (const what of ["parsed", "made"]) assert(long[what] < 5 * short[what], what);
  assert(short.parsed > 50 * block.length);
  // After the budget is used up, nothing is parsed, and only the last text changes.
  for (const line of CROWDS.lines) {
    const [half, all] = [filled(line, SIZE / 2), filled(line)].map((text) => work(text, 997));
    assert.equal(all.parsed, half.parsed, line);
    assert(all.made < 1.1 * half.made, `${all.made} and ${half.made}`);
  }
});

proves("no answer takes long", () => {
  const fill = (text) => filled(text);
  const odd = [
    "[",
    "![",
    "*a _",
    "**a ",
    "a**b",
    "`a``",
    "<",
    "<br",
    "\\(",
    "\\[",
    "$$ a\n",
    "\\[ a\n",
    "$a",
    "$a ",
    "> ",
    "- ",
    "a@",
    "www.",
    "http://",
    "&",
    "|",
    "~~a ",
    "[a](",
    "[a]: b\n",
    "- a\n",
    "# a\n",
    "a\n",
    "`a`\n",
    "\\",
    "_",
    "$$\n",
    "\\(a",
    "\n$$x",
  ].map(fill);
  odd.push(`${fill("|a")}\n${fill("|-")}`, `$$${fill("\\frac{a}")}`, `\`\`\`js\n${fill("a(`${")}`, `\`\`\`html\n${fill("<a ")}`);
  // The libraries take quadratic or cubic time for these texts.
  odd.push(
    ...Object.entries({ bash: "a", cpp: "A", csharp: "function ", ini: "a", java: "$", markdown: "[a](" }).map(([language, part]) =>
      fenced(language, fill(part)),
    ),
  );
  odd.push(
    Array(16)
      .fill(`$$\n\\begin{matrix}${"&".repeat(3900)}\\end{matrix}\n$$`)
      .join("\n\n"),
  );
  odd.push(
    fill("<details>"),
    fill("<details>\n"),
    fill("<details><summary>"),
    fill("<details>\n</details>\n"),
    fill("<details>\n```\n"),
    `<details>${fill(" ")}`,
    `<details><summary>${fill("<b")}`,
    `<details>\n${fill("a `b </details> ")}`,
    `<details>\n${fill("`")}a`,
    `<details>\n${fill("> - ")}`,
  );
  odd.push(fill("<sub>"), `${fill("<sub><kbd>")}</kbd></sub>`, fill("<sub>a</sub>"), fill("[^1]"), fill("[^1]: a\n"));
  let worst = ["", 0];
  for (const text of odd) {
    const took = used(() => whole(text));
    if (took > worst[1]) worst = [text.slice(0, 12), took];
    assert(took < 5000, `${JSON.stringify(text.slice(0, 20))}: ${took} ms`);
  }
  console.log(`    the longest ${JSON.stringify(worst[0])}: ${worst[1].toFixed(0)} ms for ${SIZE} characters`);
});

assert.equal(document.querySelectorAll("link").length, 2, "the style sheet of formulas and their font");
