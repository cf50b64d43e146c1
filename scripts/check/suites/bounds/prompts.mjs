// Hostile prompts. A script is a list of steps by one user: a request to OpenAI's or Anthropic's
// API, or a conversation with up to 22 messages and with instructions. The seed and the script's
// number determine its whole content.

import { callArguments } from "./json.mjs";
import { message } from "./messages.mjs";
import { model, named, some } from "./parts.mjs";
import { Random } from "./random.mjs";
import { cut, ESCAPED, longText, name, text } from "./texts.mjs";

/** The documented limits for a message, in characters, and for instructions, in bytes. */
const [MESSAGE, INSTRUCTIONS] = [32_000, 2000];

export function scriptOf(seed, number) {
  const random = new Random(`${seed} ${number}`);
  const kind = random.fraction();
  if (kind < 0.15) return conversation(random);
  if (kind < 0.5) return [{ kind: "anthropic message", body: message(random) }];
  if (kind < 0.58) return [{ kind: "text completion", body: textCompletion(random) }];
  return [{ kind: "completion", body: completion(random) }];
}

/** Returns the JSON of a request for a text completion. */
function textCompletion(random) {
  const prompt = `${some(random, random.pick([300, 1000]), 0.3)}?`;
  const stop = random.times(random.pick([0, 0, 1, 4]), () => `${text(random, 100)}.`);
  return JSON.stringify({
    model: model(random),
    prompt,
    ...(stop.length > 0 && { stop }),
    ...(random.chance(0.25) && { stream: true, stream_options: { include_usage: true } }),
  });
}

function instructions(random) {
  const written = random.pick([
    () => "",
    () => `a${random.pick(["\n", "\n", "\u2028", "\r", "\n\t"]).repeat(INSTRUCTIONS)}`,
    () => longText(random, INSTRUCTIONS),
    () => text(random, INSTRUCTIONS),
  ])();
  // End with a letter, because white space would be trimmed.
  return written && `${cut(written, INSTRUCTIONS - 1)}z`;
}

function conversation(random) {
  const steps = [{ kind: "own instructions", text: random.chance(0.6) ? instructions(random) : "" }];
  const count = random.chance(0.4) ? random.from(1, 3) : random.from(4, 22);
  // The context has space for several messages of hundreds of characters.
  const [most, share] = random.pick([
    [1200, 0.04],
    [1200, 0.04],
    [150, 0.5],
  ]);
  for (const index of Array(count).keys()) {
    if (index > 0 && random.chance(0.15)) steps.push({ kind: "instructions", text: instructions(random) });
    const message = [...some(random, most, share)].slice(0, MESSAGE).join("");
    const after = index > 1 && random.chance(0.15) ? random.from(0, index - 1) : undefined;
    // An `exact` message is first sent with a `max_cost` of 0, and then with the cost that the
    // refusal states, which is the bound for the prompt alone.
    steps.push({ kind: "message", message, stream: random.chance(0.25), exact: random.chance(0.4), after });
  }
  return steps;
}

/**
 * Returns the JSON of a request. Its schemas contain numbers and escapes that `JSON.stringify`
 * would not write.
 */
function completion(random) {
  // Most parts of a request are short. One of them may be long.
  const long = random.pick(["texts", "turns", "schemas", "calls", "results", "nothing", "nothing"]);
  const fields = [`"messages":${JSON.stringify(messages(random, long))}`];
  const count = long === "schemas" ? random.from(1, 4) : random.pick([0, 0, 0, 1, 1, 2, 3, 20]);
  const functions = random.times(count, () => named(random, "parameters", long === "schemas"));
  if (count > 0 && random.chance(0.15)) fields.push(`"functions":[${functions.join()}]`);
  else if (count > 0) fields.push(`"tools":[${functions.map((each) => `{"type":"function","function":${each}}`).join()}]`);
  if (random.chance(0.2)) fields.push(`"response_format":{"type":"json_schema","json_schema":${named(random, "schema", long === "schemas")}}`);
  else if (random.chance(0.05)) fields.push('"response_format":{"type":"json_object"}');
  // Anthropic's models return any object as a call, which has no count.
  fields.push(`"model":"${fields.some((field) => field.includes("json_object")) ? "bounded" : model(random)}"`);
  if (random.chance(0.25)) fields.push('"stream":true,"stream_options":{"include_usage":true}');
  return `{${fields.join()}}`;
}

function messages(random, long) {
  const room = long === "texts" ? 1500 : 150;
  const list = random.times(random.pick([0, 1, 1, 2]), () => ({ role: random.pick(["system", "developer"]), content: content(random, room) }));
  const turns = random.pick([0, 0, 1, 2, 5, random.length(60)]);
  const each = Math.ceil(room / (turns + 1));
  for (let turn = 0; turn < turns; turn++) {
    list.push({ role: "user", content: content(random, each) });
    if (random.chance(0.7)) list.push({ role: "assistant", content: content(random, each) });
    if (random.chance(0.4)) list.push(...calls(random, random.from(1, 3), each));
  }
  if (long === "turns") {
    const short = () => random.pick(["a", "1", "é", "?"]);
    list.push(
      ...random.times(random.pick([random.length(300), random.from(300, 700)]), () => ({
        role: random.pick(["user", "assistant", "system"]),
        content: short(),
      })),
    );
  }
  if (long === "calls") list.push(...calls(random, random.pick([random.length(100), random.from(30, 100)]), random.pick([1, 5, 30])));
  if (long === "results") list.push(...calls(random, 1, random.from(300, 2000), 0.5));
  // The history shows the user's last message, which must not be blank.
  list.push({ role: "user", content: `${some(random, room)}?` });
  if (random.chance(0.3)) list.push(...calls(random, random.from(1, 3), room));
  return list;
}

/** A string, or a list of strings. */
function content(random, most) {
  if (random.chance(0.15)) return random.times(random.from(1, 5), () => ({ type: "text", text: text(random, most) }));
  return some(random, most);
}

/** Returns calls by the assistant, and their results. A `share` of the results is long. */
function calls(random, count, most, share) {
  const result = () => some(random, most, share, ESCAPED);
  if (count === 1 && random.chance(0.2)) {
    const called = name(random);
    return [
      { role: "assistant", content: null, function_call: { name: called, arguments: callArguments(random, most) } },
      { role: "function", name: called, content: result() },
    ];
  }
  const hasLongIds = random.chance(0.4);
  const ids = random.times(count, (index) => (hasLongIds ? `${longText(random, 60)}${index}` : String(index)));
  const names = random.chance(0.5) ? [name(random)] : random.times(count, () => name(random));
  const tool_calls = ids.map((id, index) => ({
    id,
    type: "function",
    function: { name: names[index % names.length], arguments: callArguments(random, most) },
  }));
  const results = ids.map((tool_call_id) => ({ role: "tool", tool_call_id, content: result() }));
  return [{ role: "assistant", content: random.chance(0.7) ? null : some(random, most), tool_calls }, ...results];
}
