"""returns.py [PROGRAM..] - tests what a model gets back of its answer. Each program asks a question,
and the model thinks, writes and calls functions in turn. The program then sends the answer back, with
the results of the calls. With programs, by their files' names, it tests only these.

With `RECORD=1`, it also writes each program's requests to a file in tests/recorded/returns, for
tests/ai/returns.rs: the first whole, and the fields in which the second differs. There `CHAT` is the id
of the reply to the first request."""

import json
import os
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coding_agents import AGENTS, PEERS
from libraries import library
from scripted import API_WIRE, Person, Wire, equal, play, played, says

HERE = Path(__file__).parent
RECORDINGS = Path("tests/recorded/returns")
UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CODEX = next(agent for agent in AGENTS if agent.name == "codex")


def text(words):
    return {"type": "text", "text": words}


# The answer of tests/endpoints/openai/order.rs.
BLOCKS = [
    {"type": "thinking", "thinking": "One.", "signature": "s1"},
    text("Let me look."),
    {"type": "redacted_thinking", "data": "ZQ=="},
    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}},
    text("And here."),
    {"type": "thinking", "thinking": "Two.", "signature": "s2"},
    {"type": "tool_use", "id": "toolu_2", "name": "f", "input": {}},
]
ONE, LOOK, REDACTED, FIRST, HERE_IT_IS, TWO, SECOND = BLOCKS

# What the model gets back from a program.
IN_ORDER = "the blocks in order"
NO_THINKING = "no thinking"
CALLS_LAST = "the first call after the texts"
TEXT_LAST = "the texts after the calls"
AS_TEXT = "the thinking as text"
FORMS = {
    IN_ORDER: BLOCKS,
    NO_THINKING: [text("Let me look.And here."), FIRST, SECOND],
    CALLS_LAST: [ONE, LOOK, REDACTED, HERE_IT_IS, FIRST, TWO, SECOND],
    TEXT_LAST: [ONE, REDACTED, FIRST, TWO, SECOND, text("Let me look.\nAnd here.")],
    AS_TEXT: [text("<think>\nOne.\n</think>"), LOOK, text("<think>\n\n</think>"), FIRST, HERE_IT_IS, text("<think>\nTwo.\n</think>"), SECOND],
}


@dataclass
class Program:
    """A program, and the form of the answer that it sends back. `called` is the function that the
    model calls instead of `f`."""

    name: str
    file: str
    ask: Callable
    form: str
    called: dict | None = None

    def blocks(self, form=IN_ORDER):
        return [block | self.called if self.called and block["type"] == "tool_use" else block for block in FORMS[form]]


def both(name, file, form, modes, *command):
    for mode in modes:
        named = (f"{name}, streamed", f"{file}-streamed") if mode else (name, file)
        yield Program(*named, library(*command, mode), form)


def python(name, function, form=IN_ORDER, venv="agents", modes=("", "stream")):
    return both(name, function.replace("_", "-"), form, modes, PEERS / venv / "bin/python", HERE / "loops.py", function)


def node(name, function, form=IN_ORDER, modes=("", "stream")):
    file = function.replace("_", "-")
    return both(name, f"node-{file}", form, modes, "env", f"NODE_PATH={PEERS / 'node/node_modules'}", "node", HERE / "loops.mjs", function)


# Only `scripts/check/peers --newest` installs it.
AGENT_FRAMEWORK = []
if (PEERS / "agent-framework").exists():
    AGENT_FRAMEWORK = [
        *python("Agent Framework", "agent_framework", TEXT_LAST, venv="agent-framework"),
        # Streamed calls become a message each. The API refuses the first, because no result follows.
        *python("Agent Framework, chat completions", "agent_framework_completions", venv="agent-framework", modes=[""]),
    ]

PROGRAMS = [
    *python("OpenAI's SDK for Python", "openai_sdk"),
    *python("OpenAI's SDK for Python, Responses API", "openai_responses"),
    *python("Anthropic's SDK for Python", "anthropic_sdk"),
    *python("OpenAI's Agents SDK", "agents_sdk"),
    *python("OpenAI's Agents SDK, chat completions", "agents_sdk_completions", NO_THINKING),
    *python("LangChain for Python", "langchain", NO_THINKING),
    *python("LangChain for Python, Responses API", "langchain_responses"),
    *python("LangChain for Python, Anthropic", "langchain_anthropic"),
    # Its streams end with the first text.
    *python("Pydantic AI", "pydantic_ai", NO_THINKING, modes=[""]),
    *python("Pydantic AI, Responses API", "pydantic_ai_responses", AS_TEXT, modes=[""]),
    *python("Pydantic AI, Anthropic", "pydantic_ai_anthropic", modes=[""]),
    *AGENT_FRAMEWORK,
    *node("OpenAI's SDK for Node, `runTools`", "openai", NO_THINKING),
    *node("OpenAI's SDK for Node, Responses API", "openai_responses"),
    *node("Anthropic's SDK for Node", "anthropic"),
    *node("Vercel's AI SDK", "ai", NO_THINKING),
    *node("Vercel's AI SDK, OpenAI's chat completions", "ai_completions", NO_THINKING),
    *node("Vercel's AI SDK, Responses API", "ai_responses"),
    *node("Vercel's AI SDK, Anthropic", "ai_anthropic", CALLS_LAST),
    Program("Codex", "codex", lambda key: CODEX.run(key, "by-anthropic")[0], IN_ORDER, {"name": "exec_command", "input": {"cmd": "true"}}),
]


def prove_return(program):
    person = Person()
    key = person.api_key()
    wire = Wire(API_WIRE, key)
    wire.watch()
    play({"blocks": program.blocks()}, says("Done."))
    output = program.ask(key)
    assert output.strip().endswith("Done."), output[-2000:]
    _, asked = played()
    [place] = [place for place, message in enumerate(asked["messages"]) if message["role"] == "assistant"]
    answer, results = [message["content"] for message in asked["messages"][place : place + 2]]
    equal(answer, program.blocks(program.form))
    equal([result["tool_use_id"] for result in results], ["toolu_1", "toolu_2"])
    if os.environ.get("RECORD"):
        [path] = {call["path"] for call in wire.calls()}
        bodies = [shortened(body) if program.called else body for body in wire.bodies()]
        first, second = anonymous(bodies, person.history()[-1]["id"])
        assert first.keys() <= second.keys(), (first.keys(), second.keys())
        second = {name: value for name, value in second.items() if name not in first or value != first[name]}
        recording = {"path": path, "blocks": program.blocks(), "first": first, "second": second, "returned": answer}
        (RECORDINGS / f"{program.file}.json").write_text(laid_out(recording) + "\n")


def shortened(body):
    """Shortens a request of Codex. Drops what depends on the machine and the time, all but the
    beginnings of the instructions, and the functions that the model doesn't call."""
    for item in body["input"]:
        if item.get("role") in ["developer", "user"]:
            for part in item["content"]:
                part["text"] = part["text"].partition("\n")[0][:60]
        if item["type"] == "function_call_output":
            item["output"] = "ok"
    tools = [tool for tool in body["tools"] if tool["name"] == "exec_command"]
    return {name: value for name, value in body.items() if name not in ["client_metadata", "prompt_cache_key"]} | {"tools": tools}


def anonymous(bodies, chat):
    """The requests with `CHAT` in place of the reply's id, and numbers in place of other ids."""
    whole = json.dumps(bodies).replace(chat, "CHAT")
    numbers = {found: f"id{number}" for number, found in enumerate(dict.fromkeys(UUID.findall(whole)))}
    return json.loads(UUID.sub(lambda found: numbers[found[0]], whole))


def laid_out(value, indent=""):
    """JSON with a line for each field, and for each element of a list."""
    if not value or not isinstance(value, (dict, list)):
        return json.dumps(value)
    more = indent + "  "
    if isinstance(value, list):
        return "[\n" + ",\n".join(more + json.dumps(element) for element in value) + f"\n{indent}]"
    return "{\n" + ",\n".join(f"{more}{json.dumps(name)}: {laid_out(field, more)}" for name, field in value.items()) + f"\n{indent}}}"


def main(chosen):
    failed = False
    for program in PROGRAMS:
        if program.file in (chosen or [program.file]):
            try:
                prove_return(program)
                print(f"  {program.name}: {program.form}", flush=True)
            except Exception:
                failed = True
                print(f"  {program.name} failed: {traceback.format_exc()}", flush=True)
    sys.exit(failed)


main(sys.argv[1:])
