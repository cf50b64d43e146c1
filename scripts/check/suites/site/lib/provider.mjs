// An AI with OpenAI's chat completions. Its answer depends on the first word of a message. By
// default it repeats the message. `Recall` repeats the text before the conversation. The answer to
// `Slowly ..` ends only when the AI receives `Finish` and the message. `Lines` and `Code` get
// equally slow answers of many lines, `Book` gets 50 KB of Markdown in four seconds, `Thoughtfully` gets some reasoning first, `Separately` gets
// reasoning in a field of its own and its answer after that, and `Silently` gets no word until the
// end. `Vary` gets a different answer each time, and `Told` gets the messages and
// answers in the request. `Left` and a message returns the time at which the reader of that
// message's answer disconnected, in milliseconds since 1970. `Counted 1000 200 500` reports these
// numbers of model tokens for the prompt, its cached part, and the answer. `Long` gets as many
// words as the request allows, but at most 2,000. `Pictures` lists the pictures in
// the request, and `Find` and a text says whether the rest of the request contains the text. The
// model `namer` answers with a title.
//
//     node provider.mjs PORT
//
// Prints its port once it listens. With port 0, the system chooses a free one.

import http from "node:http";

const MARKDOWN = `# A title

A **bold** claim, *with* emphasis, \`code\` and [a link](https://example.com/path). Not [this one](javascript:alert(1)).

- one
- two
  - deeper

1. first
2. second

| Way | Minutes |
|-----|--------:|
| Bus | 25 |
| Bicycle | 30 |

\`\`\`python
for way in ways:
    print(f"{way} <b>is</b> a way")
\`\`\`

> Quoted.

<img src=x onerror=alert(1)><script>alert(2)</script>
`;

/** The answer in the README's picture. */
const GUIDE = `Two ways lead to the **harbour** from the old town:

| Way | Minutes | Fare |
|-----|--------:|-----:|
| Bus 12, every 10 minutes | 25 | 2.40 |
| Bicycle, along the river | 30 | 0.00 |

Buy the ticket before you get on: the driver sells none.`;

/** Paragraphs, and a code block with lines that are wider than the page. */
const lines = (count, text) => Array.from({ length: count }, (_, number) => `Line ${number + 1} of ${text}.\n\n`);
const code = (count) => ["```python\n", ...Array.from({ length: count }, (_, number) => `value_${number} = "${"wide ".repeat(60)}"\n`), "```\n"];

/** 50 KB of Markdown: paragraphs, lists, tables and code. */
const BOOK = Array.from(
  { length: 112 },
  (_, number) =>
    `## Chapter ${number + 1}\n\n${"A **word** and a `name` in a [line](https://example.com/). ".repeat(6)}\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n\`\`\`js\nconst chapter = ${number};\n\`\`\`\n\n`,
).join("");

/** How often each message was received. */
const asked = new Map();

/** Functions that send the last word of each slow answer. */
const gates = new Map();
function gate(message) {
  if (!gates.has(message)) {
    const made = {};
    made.opened = new Promise((open) => (made.open = open));
    gates.set(message, made);
  }
  return gates.get(message);
}

/** The time at which the reader of each unfinished answer disconnected. */
const left = new Map();

/** The parts of a message. */
const partsOf = ({ content }) => (typeof content === "string" ? [{ type: "text", text: content }] : content);

/** The texts of a message, in which text files precede what the user wrote. */
const textOf = (message) =>
  partsOf(message)
    .map(({ text = "" }) => text)
    .join("\n");

/** The beginning of a text file: its name with an extension. */
const FILE = /^[^\n]{1,95}\.\w{1,5}:\n/;

/** What the user wrote: the last line, if files precede it. */
const written = (message) => (FILE.test(textOf(message)) || partsOf(message).length > 1 ? textOf(message).split("\n").at(-1) : textOf(message));

/** The pictures in messages, as data URLs. */
const picturesIn = (messages) => messages.flatMap(partsOf).flatMap(({ image_url: picture }) => (picture ? [picture.url] : []));

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Don't limit idle connections. A message is sent once, and fails if it is sent while the server
// closes the connection.
http
  .createServer({ keepAliveTimeout: 0 }, async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.method !== "POST") {
      response.end("{}");
      return;
    }
    const { model, messages, stream, max_tokens: old, max_completion_tokens: most = old ?? 2000 } = JSON.parse(Buffer.concat(chunks).toString());
    const message = written(messages.at(-1));
    const times = (asked.get(message) ?? 0) + 1;
    asked.set(message, times);
    const [manner] = message.split(" ");
    if (manner === "Fail" && times === 1) {
      response.writeHead(500).end();
      return;
    }
    if (manner === "Finish") gate(message.slice("Finish ".length)).open();
    response.on("close", () => response.writableEnded || left.set(message, Date.now()));
    const was = manner === "Left" && String(left.get(message.slice("Left ".length)) ?? "never");
    const told = messages.find(({ role }) => role === "system")?.content ?? "I was told nothing.";
    const turns = messages.filter(({ role }) => role !== "system").map(({ role, content }) => (role === "user" ? ` | ${content}` : ` -> ${content}`));
    const pictures = picturesIn(messages).map((url) => `${url.slice(5, url.indexOf(";"))} ${url.length}`);
    const isFound = messages
      .slice(0, -1)
      .concat({ content: textOf(messages.at(-1)).slice(0, -message.length) })
      .some((one) => textOf(one).includes(message.slice("Find ".length)));
    const own = { Vary: `Answer ${times}`, Told: turns.join("").slice(3), Pictures: pictures.join("; ") || "none", Find: isFound ? "found" : "nowhere" }[
      manner
    ];
    const echo = own || was || (manner === "Recall" ? told : `You said: ${message}`);
    if (model === "namer") {
      response.end(JSON.stringify({ model, choices: [{ message: { content: "**Named** by a model" }, finish_reason: "stop" }] }));
      return;
    }
    const said = message === "How do I get to the harbour?" ? GUIDE : echo;
    const reasoning = "First I count the **stations** one by one.";
    const counts = `There are seven, ${message.slice(manner.length + 1)}.`;
    const thought = `<think>\n${reasoning}\n</think>\n\n${counts}`;
    const long = Array.from({ length: Math.min(most, 2000) }, (_, number) => `word${number}`).join(" ");
    const text =
      manner === "Long"
        ? long
        : manner === "Thoughtfully"
          ? thought
          : manner === "Separately"
            ? counts
            : manner === "Markdown"
              ? MARKDOWN
              : manner === "Raw"
                ? message.slice("Raw ".length)
                : said;
    const finish = manner === "Cut" || (manner === "Long" && most < 2000) ? "length" : "stop";
    const [prompt, cached, completion] = message.split(/\s/).slice(1, 4).map(Number);
    const counted = manner === "Counted" && {
      prompt_tokens: prompt,
      prompt_tokens_details: { cached_tokens: cached },
      completion_tokens: completion,
      total_tokens: prompt + completion,
    };
    const usage = counted || (manner === "Long" && { prompt_tokens: 40, completion_tokens: Math.min(most, 2000), total_tokens: 40 + Math.min(most, 2000) });
    if (!stream) {
      response.writeHead(200, { "Content-Type": "application/json" });
      response.end(JSON.stringify({ model: "parrot", choices: [{ message: { content: text }, finish_reason: finish }], ...(usage ? { usage } : {}) }));
      return;
    }
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const say = (fields) => response.write(`data: ${JSON.stringify({ model: "parrot", ...fields })}\n\n`);
    const words = manner === "Lines" ? lines(80, message) : manner === "Code" ? code(40) : manner === "Book" ? BOOK.match(/[^]{1,250}/g) : text.split(/(?<= )/);
    const pace = { Slowly: 100, Lines: 40, Code: 60, Book: 20, Thoughtfully: 100 }[manner];
    if (manner === "Separately") {
      for (const word of reasoning.split(/(?<= )/)) say({ choices: [{ delta: { reasoning_content: word } }] });
      await gate(message).opened;
    }
    if (manner === "Silently") {
      response.flushHeaders();
      await gate(message).opened;
    }
    for (const [index, word] of words.entries()) {
      say({ choices: [{ delta: { content: word } }] });
      if (manner === "Break" && times === 1 && index === 3) {
        await pause(100);
        response.destroy();
        return;
      }
      if (pace) await (index === words.length - 2 && manner !== "Book" ? gate(message).opened : pause(pace));
    }
    say({ choices: [{ delta: {}, finish_reason: finish }] });
    if (usage) say({ choices: [], usage });
    response.end("data: [DONE]\n\n");
  })
  .listen(Number(process.argv[2]), "127.0.0.1", function () {
    console.log(this.address().port);
  });
