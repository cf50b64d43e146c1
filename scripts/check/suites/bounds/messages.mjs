// Hostile requests to Anthropic's API, with cache marks, reasoning with signatures, documents, and
// pictures in messages and results.

import { schema, value } from "./json.mjs";
import { model, named, some } from "./parts.mjs";
import { ESCAPED, longText, name, text } from "./texts.mjs";

/** A picture of one pixel. */
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** The limits for a function's name, in Farebox and in Anthropic's API. Longer names are refused. */
const [NAME, LONG_NAME] = [64, 128];

const json = JSON.stringify;

/** Returns the JSON of a request. */
export function message(random) {
  const long = random.pick(["texts", "turns", "schemas", "calls", "results", "reasoning", "nothing", "nothing"]);
  const nameLength = random.chance(0.05) ? LONG_NAME : NAME;
  const fields = [`"model":"${model(random)}"`, `"max_tokens":${random.from(1, 4000)}`, `"messages":[${messages(random, long, nameLength).join()}]`];
  if (random.chance(0.6)) fields.push(`"system":${content(random, long === "texts" ? 1500 : 150, [textBlock])}`);
  const count = long === "schemas" ? random.from(1, 4) : random.pick([0, 0, 1, 2, 3, 20]);
  const functions = random.times(count, () => marked(random, named(random, "input_schema", long === "schemas", nameLength)));
  if (count > 0) fields.push(`"tools":[${functions.join()}]`);
  if (random.chance(0.15))
    fields.push(`"output_config":{"format":{"type":"json_schema","schema":${schema(random, long === "schemas" ? random.length(2000) : random.length(40))}}}`);
  if (random.chance(0.3)) fields.push(`"thinking":${random.pick(['{"type":"adaptive"}', '{"type":"disabled"}', '{"type":"enabled","budget_tokens":1024}'])}`);
  if (random.chance(0.2)) fields.push(`"stop_sequences":${json(random.times(random.from(1, 4), () => `${text(random, 100)}.`))}`);
  if (random.chance(0.25)) fields.push('"stream":true');
  return `{${fields.join()}}`;
}

/** Adds a cache mark to some objects. */
function marked(random, object) {
  return random.chance(0.15) ? object.replace(/}$/, ',"cache_control":{"type":"ephemeral"}}') : object;
}

const textBlock = (random, most) => json({ type: "text", text: some(random, most) });

function picture(random) {
  const source = random.chance(0.7) ? { type: "base64", media_type: "image/png", data: PNG } : { type: "url", url: "https://example.com/a.png" };
  return json({ type: "image", source });
}

function document(random, most) {
  const written = some(random, most);
  const source = random.chance(0.6)
    ? { type: "text", media_type: "text/plain", data: written }
    : {
        type: "content",
        content: [
          { type: "text", text: written },
          { type: "text", text: text(random, 30) },
        ],
      };
  return json({ type: "document", source, ...(random.chance(0.5) && { title: text(random, 60) }), ...(random.chance(0.3) && { context: text(random, 60) }) });
}

/** Returns a string, or a list of these blocks. */
function content(random, most, kinds) {
  if (random.chance(0.5)) return json(some(random, most));
  return `[${random.times(random.from(1, 5), () => marked(random, random.pick(kinds)(random, Math.ceil(most / 3)))).join()}]`;
}

const OF_USER = [textBlock, textBlock, textBlock, document, picture];

/** Returns the JSON of each message. */
function messages(random, long, nameLength) {
  const room = long === "texts" ? 1500 : 150;
  const list = [];
  const turns = random.pick([0, 0, 1, 2, 5, random.length(40)]);
  const each = Math.ceil(room / (turns + 1));
  for (let turn = 0; turn < turns; turn++) {
    list.push(said("user", content(random, each, OF_USER)));
    if (random.chance(0.7)) list.push(said("assistant", `[${[...reasoning(random, each), textBlock(random, each)].join()}]`));
    if (random.chance(0.4)) list.push(...calls(random, random.from(1, 3), each, undefined, nameLength));
  }
  if (long === "turns") {
    const short = () => json(random.pick(["a", "1", "é", "?"]));
    list.push(...random.times(random.from(100, 700), () => said(random.pick(["user", "assistant"]), short())));
  }
  if (long === "reasoning")
    list.push(said("assistant", `[${[...reasoning(random, random.from(100, 1000), random.from(1, 20)), textBlock(random, 20)].join()}]`));
  if (long === "calls") list.push(...calls(random, random.from(30, 100), random.pick([1, 5, 30]), undefined, nameLength));
  if (long === "results") list.push(...calls(random, 1, random.from(300, 2000), 0.5, nameLength));
  // The history shows the user's last text, which must not be blank.
  list.push(said("user", json(`${some(random, room)}?`)));
  if (random.chance(0.3)) list.push(...calls(random, random.from(1, 3), room, undefined, nameLength));
  return list;
}

const said = (role, written) => `{"role":"${role}","content":${written}}`;

/** Returns blocks of reasoning: signed, unsigned, and encrypted. */
function reasoning(random, most, count = random.pick([0, 0, 1, 1, 2, 5])) {
  const opaque = () => longText(random, random.length(most) + 20, ["base64"]);
  return random.times(count, () =>
    random.pick([
      () => json({ type: "thinking", thinking: some(random, most), signature: opaque() }),
      () => json({ type: "thinking", thinking: random.chance(0.3) ? "" : text(random, most), signature: opaque() }),
      () => json({ type: "thinking", thinking: text(random, most), signature: "" }),
      () => json({ type: "redacted_thinking", data: opaque() }),
    ])(),
  );
}

/** Returns calls by the assistant, and their results. A `share` of the results is long. */
function calls(random, count, most, share, nameLength) {
  const hasLongIds = random.chance(0.4);
  const ids = random.times(count, (index) => (hasLongIds ? `${longText(random, 60, ["base64"])}${index}` : `toolu_${index}`));
  const names = random.chance(0.5) ? [name(random, nameLength)] : random.times(count, () => name(random, nameLength));
  const input = () => random.pick([() => "{}", () => `{"a": ${value(random, random.length(most), 50)}}`])();
  const called = ids.map((id, index) => `{"type":"tool_use","id":${json(id)},"name":${json(names[index % names.length])},"input":${input()}}`);
  const result = () => (random.chance(0.6) ? json(some(random, most, share, ESCAPED)) : content(random, most, OF_USER));
  const results = ids.map((id) => marked(random, `{"type":"tool_result","tool_use_id":${json(id)},"is_error":${random.chance(0.1)},"content":${result()}}`));
  const before = [...reasoning(random, most), ...(random.chance(0.3) ? [textBlock(random, most)] : [])];
  return [
    said("assistant", `[${[...before, ...called].join()}]`),
    said("user", `[${[...results, ...(random.chance(0.1) ? [textBlock(random, most)] : [])].join()}]`),
  ];
}
