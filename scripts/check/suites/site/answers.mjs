// Tests of answers in Node: formulas, prices, code and links are shown correctly, no script in an
// answer runs, and the work for a growing answer is proportional to its length. TOOLS is the folder
// with linkedom.

import assert from "node:assert/strict";
import { alike, document, grown, script, whole } from "./lib/in-node.mjs";
import { PAYLOADS } from "./lib/payloads.mjs";

const { partsOf, withoutReasoning } = await script("markdown/prose.js");
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
  const broken = ["\\(\\frac{1}\\)", "$$\\nonsense{x}$$", "$x^{$", "$$\n\\begin{a}\n$$", "\\[\\href{https://example.com}{x}\\]", "$$\\def\\x{\\x\\x}\\x$$", `$$${"{".repeat(2000)}x${"}".repeat(2000)}$$`, "$$\\hspace{-50em}x$$"];
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
  assert(kinds.some(([kind, text]) => kind === "code-comment" && text === "# all"), JSON.stringify(kinds));
  assert.equal(element.querySelectorAll("[style]").length, 0);
  for (const language of ["", "nonsense", "text"]) {
    const plain = whole(`\`\`\`${language}\n${code}\`\`\``).querySelector("code");
    assert.equal(plain.querySelectorAll("span").length, 0, language);
  }
});

proves("the reasoning before an answer is a part of its own", () => {
  const [reasoning, answer] = ["a <b> c", "The answer."];
  for (const text of [`<think>${reasoning}</think>${answer}`, `\n<think>\n${reasoning}\n</think>\n\n${answer}`]) assert.deepEqual(partsOf(text), { reasoning, answer });
  for (const text of ["", "An answer.", "Write <think>a</think>.", "`<think>`", "<thin", "<thinking>"]) assert.deepEqual(partsOf(text), { reasoning: "", answer: text });
  assert.deepEqual(partsOf("<think>\n</think>\nThe answer."), { reasoning: "", answer });
  assert.deepEqual(partsOf("<think>cut"), { reasoning: "cut", answer: "" });
  assert.equal(withoutReasoning("<think>cut"), "<think>cut");
  // While the text grows, no partial mark is shown.
  const whole = `<think>${reasoning}</think>${answer}`;
  for (let end = 0; end <= whole.length; end += 1) {
    const shown = partsOf(whole.slice(0, end), true);
    assert(reasoning.startsWith(shown.reasoning) && answer.startsWith(shown.answer), JSON.stringify(shown));
  }
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
  for (const text of ["[a](/x)", "[a](//example.com)", "[a](javascript:x)", "[a](ftp://example.com)", "[a](file:///x)", "main.rs and example.com", "[a](https://)"])
    assert.deepEqual(links(text), [], text);
  assert.deepEqual(links("![a picture](https://example.com/x.png)"), [["a picture", "https://example.com/x.png"]]);
  assert.deepEqual(links("[![a](https://example.com/x.png)](https://example.com/)"), [["a", "https://example.com/"]]);
  assert.equal(whole("See https://xn--80ak6aa92e.com").textContent, "See https://xn--80ak6aa92e.com");
});

const HTML = new Set("a blockquote br code del div em figcaption figure h3 h4 h5 h6 hr kbd li mark ol p pre span strong sub sup table tbody td th thead tr ul".split(" "));
const ATTRIBUTES = /^(?:aria-label|class|dir|href|rel|role|scope|start|tabindex|target|title)$/i;

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
  const texts = [...PAYLOADS, "# a\n\n### b\n\n$$\nx\n$$\n\n[x][1]\n\n- a\n- b\n\n  $$\n  y\n  $$\n\n```js\nlet a = 1;\n```\n\n| a | b |\n|:-:|--:|\n| 1 | 2 |\n\n[1]: https://example.com\n"];
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

proves("only a few elements without attributes aren't text", () => {
  const element = whole("H<sub>2</sub>O, x<sup>*n*</sup>, <KBD>Ctrl</KBD> and <mark>a **b**</mark>");
  assert.equal(element.textContent, "H2O, xn, Ctrl and a b");
  assert.deepEqual([...element.querySelectorAll("p *")].map(({ localName }) => localName), ["sub", "sup", "em", "kbd", "mark", "strong"]);
  for (const text of ["a <sub> b", "<sub></sub>", '<sub class="x">a</sub>', "<sub onclick=x>a</sub>", "<b>a</b>", "<script>a</script>", "</sub>"]) {
    const shown = whole(text);
    assert.equal(shown.querySelectorAll("p *").length, 0, text);
    assert.equal(shown.textContent, text);
  }
  assert.equal(whole("`<sub>a</sub>`").querySelectorAll("sub").length, 0);
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
  assert.deepEqual([...tasks.querySelectorAll("li")].map((item) => [item.className, item.textContent]), [["task", "☐ one"], ["task", "☑ two"], ["", "three"]]);
});

proves("the work for a growing answer is proportional to its length", () => {
  const { parse } = MarkdownIt.prototype;
  const { createElement } = document;
  /**
   * Returns how many characters are parsed and how many elements are created while this answer
   * grows.
   */
  const work = (text) => {
    let [parsed, made] = [0, 0];
    MarkdownIt.prototype.parse = function (source, env) {
      parsed += source.length;
      return parse.call(this, source, env);
    };
    document.createElement = (name) => {
      made += 1;
      return createElement.call(document, name);
    };
    grown(text, 24);
    Object.assign(document, { createElement });
    MarkdownIt.prototype.parse = parse;
    return { parsed, made };
  };
  const block = "A paragraph with **bold** words, `code` and a formula: $x^2$.\n\n- one\n- two\n\n```js\nconst a = 1;\n```\n\n";
  const [short, long] = [work(block.repeat(50)), work(block.repeat(200))];
  console.log(`    ${50 * block.length} characters: ${short.parsed} parsed, ${short.made} elements made; ${200 * block.length}: ${long.parsed} and ${long.made}`);
  for (const what of ["parsed", "made"]) assert(long[what] < 5 * short[what], what);
  assert(short.parsed > 50 * block.length);
});

proves("no answer takes long", () => {
  const size = 65_536;
  const fill = (text) => text.repeat(Math.ceil(size / text.length)).slice(0, size);
  const odd = ["[", "![", "*a _", "**a ", "a**b", "`a``", "<", "<br", "\\(", "\\[", "$$ a\n", "\\[ a\n", "$a", "$a ", "> ", "- ", "a@", "www.", "http://", "&", "|", "~~a ", "[a](", "[a]: b\n", "- a\n", "# a\n", "a\n", "`a`\n", "\\", "_", "$$\n", "\\(a", "\n$$x"].map(fill);
  odd.push(`${fill("|a")}\n${fill("|-")}`, `$$${fill("\\frac{a}")}`, `\`\`\`js\n${fill("a(`${")}`, `\`\`\`html\n${fill("<a ")}`);
  // The libraries take quadratic or cubic time for these texts.
  odd.push(...Object.entries({ bash: "a", cpp: "A", csharp: "function ", ini: "a", java: "$", markdown: "[a](" }).map(([language, part]) => fenced(language, fill(part))));
  odd.push(Array(16).fill(`$$\n\\begin{matrix}${"&".repeat(3900)}\\end{matrix}\n$$`).join("\n\n"));
  odd.push(fill("<sub>"), `${fill("<sub><kbd>")}</kbd></sub>`, fill("<sub>a</sub>"), fill("[^1]"), fill("[^1]: a\n"));
  let worst = ["", 0];
  for (const text of odd) {
    const took = used(() => whole(text));
    if (took > worst[1]) worst = [text.slice(0, 12), took];
    assert(took < 5000, `${JSON.stringify(text.slice(0, 20))}: ${took} ms`);
  }
  console.log(`    the longest ${JSON.stringify(worst[0])}: ${worst[1].toFixed(0)} ms for ${size} characters`);
});

assert.equal(document.querySelectorAll("link").length, 2, "the style sheet of formulas and their font");
