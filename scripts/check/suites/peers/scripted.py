"""Code shared by the agent tests: the script for the model behind the API (provider.py), and users
with clients."""

import sys
from importlib.metadata import version

from proof import API_WIRE, FIRST_GRANT, PRICE, PROVIDER, Person, Wire, call, equal, free_port, prove_of, raised

BASE_URL = API_WIRE + "/v1"
# The API that the client should use: OpenAI's chat completions or Responses API, or Anthropic's
# messages. The model behind Farebox gets the same requests.
DOOR = sys.argv[1] if sys.argv[1:] else "completions"
DOORS = {"completions": "", "responses": ", Responses API", "messages": ", Anthropic's API"}
wire = Wire(API_WIRE)


def play(*answers):
    """Plans the model's next answers."""
    equal(call(PROVIDER, "POST", "/script", answers)[0], 200)


def played():
    """The requests that the model received. Asserts that each planned answer was requested."""
    status, script = call(PROVIDER, "GET", "/script")
    equal((status, script["left"]), (200, 0))
    return script["requests"]


def says(text, **more):
    return {"text": text} | more


def refuses(text):
    return {"refusal": text}


def calls(*named, **more):
    """An answer that calls functions. Each call is a name with arguments."""
    return {"calls": [{"name": name, "arguments": arguments} for name, arguments in named]} | more


def a_caller():
    """A new user, and the user's API key."""
    person = Person()
    return person, person.api_key()


def each_model_is_charged_its_fare(ask):
    """Asserts that a client can choose the model. `ask(key, model)` returns the text of its answer.
    An answer by `deep` consists of seven model tokens."""
    person, key = a_caller()
    for model in ["quick", "deep"]:
        play(says("Sunny."))
        equal(ask(key, model), "Sunny.")
        played()
    person.has_paid(quick=100, deep=8)


def results(request):
    """The function results in a request that the model received."""
    return [message["content"] for message in request["messages"] if message["role"] == "tool"]


def functions(request):
    return [tool["function"]["name"] for tool in request.get("tools", [])]


def statuses():
    """The statuses that the client received for its attempts since the wire's last plan. A lost
    reply's status is None."""
    return [attempt["status"] for attempt in wire.calls()]


def a_custom_tool_is_offered(request, grammar):
    """Asserts that the model received the custom tool `calculate` as a function with one text, and the
    tool's grammar."""
    [function] = [tool["function"] for tool in request["tools"]]
    equal((function["name"], list(function["parameters"]["properties"])), ("calculate", ["input"]))
    assert grammar is None or grammar in function["description"], function


def prove_client(package, *proofs):
    prove_of(f"{package} {version(package)}" + DOORS[DOOR], *proofs)
