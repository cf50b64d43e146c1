"""with_documents.py [embeddings | recorded FILE.. | MODEL..] - validates the API's replies, and the events
of its streams, against the OpenAPI documents of OpenAI and Anthropic: chats with these models,
embeddings, or the replies that wire.py recorded."""

import http.client
import json
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from documents import ANTHROPIC, OPENAI, parts, version, violations
from scripted import API_WIRE, a_caller, calls, equal, play, says

QUESTION = {"role": "user", "content": "How is the weather in Paris and Oslo?"}
OBJECT = {"type": "object", "additionalProperties": False}
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": OBJECT | {"properties": {"city": {"type": "string"}}, "required": ["city"]},
}
REPORT = OBJECT | {"properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}}, "required": ["city", "degrees"]}
PARIS, OSLO, SUM = ("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"}), ("calculate", {"input": "add 7"})
GRAMMARS = [{"syntax": "lark", "definition": 'start: "add" NUMBER'}, {"syntax": "regex", "definition": "add [0-9]+"}]
TEXT, *GRAMMATICAL = [{"name": "calculate", "description": "Adds numbers.", "grammar": grammar} for grammar in [None, *GRAMMARS]]
REFUSED = {"refusal": "I can't help with that."}

# The answers of the model: each with the tools in the request, and true if the request contains a
# schema.
ANSWERS = [
    (says("Sunny."), [], False),
    (says("Sunny.", cut="length"), [], False),
    (says("Sun", cut="content_filter"), [], False),
    (REFUSED, [], False),
    (says("It is sunny.", reasoning="The user asks about two cities."), [], False),
    (calls(PARIS, OSLO), [WEATHER], False),
    (calls(PARIS, text="I look it up."), [WEATHER], False),
    (calls(PARIS, OSLO, reasoning="I have a function."), [WEATHER], False),
    (says('{"city": "Paris", "degrees": 21}'), [], True),
    (REFUSED, [], True),
    (calls(SUM, reasoning="I have a tool."), [TEXT], False),
    *((calls(SUM, PARIS), [tool, WEATHER], False) for tool in GRAMMATICAL),
]

counts, found = Counter(), []


def completion(tools, structured):
    def tool(one):
        if "grammar" not in one:
            return {"type": "function", "function": one | {"strict": True}}
        format = {"type": "grammar", "grammar": one["grammar"]} if one["grammar"] else {"type": "text"}
        return {"type": "custom", "custom": {"name": one["name"], "description": one["description"], "format": format}}

    yield "messages", [QUESTION]
    yield from offered(tools, tool)
    if structured:
        yield "response_format", {"type": "json_schema", "json_schema": {"name": "report", "schema": REPORT, "strict": True}}


def response(tools, structured):
    def tool(one):
        if "grammar" not in one:
            return {"type": "function", "strict": True} | one
        format = {"type": "grammar"} | one["grammar"] if one["grammar"] else {"type": "text"}
        return {"type": "custom", "name": one["name"], "description": one["description"], "format": format}

    yield "input", [QUESTION]
    yield "include", ["reasoning.encrypted_content"]
    yield from offered(tools, tool)
    if structured:
        yield "text", {"format": {"type": "json_schema", "name": "report", "schema": REPORT, "strict": True}}


def message(tools, structured):
    yield "messages", [QUESTION]
    yield "max_tokens", 4000
    yield "thinking", {"type": "adaptive"}
    yield from offered(tools, lambda one: {"name": one["name"], "description": one["description"], "input_schema": one["parameters"]})
    if structured:
        yield "output_config", {"format": {"type": "json_schema", "schema": REPORT}}


def offered(tools, tool):
    if tools:
        yield "tools", [tool(one) for one in tools]


def completed(value):
    """The messages with which a conversation continues: the answer unchanged, and the calls'
    results."""
    made = value["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "Sunny."} for call in made.get("tool_calls", [])]
    return {"messages": [QUESTION, made, *(results or [QUESTION])]}


def responded(value):
    made = [item for item in value["output"] if item["type"].endswith("_call")]
    results = [{"type": f"{item['type']}_output", "call_id": item["call_id"], "output": "Sunny."} for item in made]
    return {"input": [QUESTION, *value["output"], *(results or [QUESTION])]}


def messaged(value):
    results = [{"type": "tool_result", "tool_use_id": block["id"], "content": "Sunny."} for block in value["content"] if block["type"] == "tool_use"]
    return {"messages": [QUESTION, {"role": "assistant", "content": value["content"]}, {"role": "user", "content": results} if results else QUESTION]}


# The path of each API, its requests, and how a conversation continues.
DOORS = {"/chat/completions": (completion, completed), "/responses": (response, responded), "/messages": (message, messaged)}
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


class Caller:
    """A new user with an API key, who uses a model."""

    def __init__(self, model):
        self.person, self.key = a_caller()
        self.model = model

    def send(self, path, body=None, status=200, key=None):
        """Sends a request, and validates the reply. Returns the parts of the reply."""
        body = {"model": self.model} | body if isinstance(body, dict) else body
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.key}"} | ({"idempotency-key": key} if key else {})
        connection = http.client.HTTPConnection(urlsplit(API_WIRE).netloc, timeout=60)
        connection.request("GET" if body is None else "POST", "/v1" + path, body if body is None or isinstance(body, str) else json.dumps(body), headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        equal((path, reply.status, text if reply.status != status else ""), (path, status, ""))
        return validated(path, reply.headers["content-type"], text, body)


def validated(path, kind, text, asked=None):
    values = []
    for maker, name, value in parts(path, kind, text):
        counts[maker] += 1
        values.append(value)
        found.extend(f"{path}: {violation}, for {json.dumps(asked)[:300]}" for violation in violations(maker, name, value))
    return values


def answers_of(model):
    for answer, tools, structured in ANSWERS:
        for path, (request, continued) in DOORS.items():
            if path == "/messages" and any("grammar" in tool for tool in tools):
                continue
            caller, asked = Caller(model), dict(request(tools, structured))
            play(answer, answer, says("Sunny everywhere."))
            [value] = caller.send(path, asked)
            caller.send(path, asked | STREAMED)
            caller.send(path, asked | continued(value))
        if not (tools or structured):
            caller = Caller(model)
            play(answer, answer)
            caller.send("/completions", {"prompt": QUESTION["content"]})
            caller.send("/completions", {"prompt": QUESTION["content"]} | STREAMED)


def retries_of(model):
    for path, (request, _) in DOORS.items():
        caller, asked = Caller(model), dict(request([WEATHER], False))
        for more in [{}, STREAMED]:
            play(calls(PARIS, reasoning="I have a function."))
            assert caller.send(path, asked | more, key=f"one {more}") and caller.send(path, asked | more, key=f"one {more}")


def failures_of(model):
    for path, body in [*((path, dict(request([], False))) for path, (request, _) in DOORS.items()), ("/completions", {"prompt": "Hello!"})]:
        caller = Caller(model)
        play({"too_long": True}, *10 * [says("Sunny everywhere, and then it rains.", breaks_off=True)])
        caller.send(path, body, 400)
        caller.send(path, body | {"stream": True})
        caller.send(path, "{", 400)
        caller.send(path, {}, 400)
        caller.send(path, body | {"temperature": "hot"}, 400)
        play()
        caller.send(path, body, 502)
        stranger = Caller(model)
        stranger.key = "sk-another"
        stranger.send(path, body, 401)
        limited = Caller(model)
        limited.key = limited.person.api_key(models=["dear"])
        limited.send(path, body, 404)
        play(says("Sunny."))
        poor = Caller("dear")
        poor.send(path, body)
        poor.send(path, body, 402)
    caller.send("/messages/count_tokens", dict(message([WEATHER], False)))
    caller.send("/messages/count_tokens", {}, 400)
    caller.send("/models")
    caller.send(f"/models/{model}")
    caller.send("/models/another", status=404)
    caller.send("/another", status=404)


def embeddings():
    caller = Caller("vectors")
    texts = ["The cat sleeps.", "All trains are late."]
    for given in [texts[0], texts, [1, 2, 3], [[1, 2], [3]]]:
        for more in [{}, {"encoding_format": "base64"}, {"dimensions": 8}]:
            caller.send("/embeddings", {"input": given} | more)
    for body in [{}, {"input": ""}, {"input": "Hello!", "dimensions": -1}]:
        caller.send("/embeddings", body, 400)
    caller.model = "another"
    caller.send("/embeddings", {"input": "Hello!"}, 404)


def recorded(files):
    for file in files:
        for line in Path(file).read_text().splitlines():
            reply = json.loads(line)
            validated(reply["path"], reply["type"], reply["body"], reply["asked"])


match sys.argv[1:]:
    case ["embeddings"]:
        embeddings()
    case ["recorded", *files]:
        recorded(files)
    case models:
        for model in models:
            answers_of(model)
            retries_of(model)
            failures_of(model)

for maker, name in [(OPENAI, "OpenAI"), (ANTHROPIC, "Anthropic")]:
    if counts[maker]:
        print(f"  {counts[maker]} validations against {name}'s document of {version(maker)}")
if found:
    print(f"{len(found)} violations:\n" + "\n".join(f"    {count} x {one}" for one, count in Counter(found).items()))
    sys.exit(1)
