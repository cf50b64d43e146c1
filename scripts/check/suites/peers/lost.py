"""lost.py [PROGRAM..] - measures what a lost reply costs with each program, and compares the
result with the table of programs in docs/use/clients.md. With programs, it measures only these.

Each program sends one message through wire.py, which cuts the first reply: before its first byte,
after the server has finished the answer, or in the middle. The measurement counts the program's
requests, and the charges in the account's statement. A program that pays twice must not pay twice
with a key for which equal bodies are retries. Several programs run at once, and wire.py tells them
apart by their API keys."""

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from coding_agents import AGENTS, PEERS, written
from libraries import library, printed
from scripted import API_WIRE, BASE_URL, Person, Wire, equal, play, says
from webui import SAVING, started

HERE = Path(__file__).parent
DOCUMENT = Path("docs/use/clients.md")
# Instructor and some tests expect an object.
ANSWER = '{"city": "Paris", "degrees": 21}'
QUESTION = "How is the weather in Paris?"
# A program mostly waits, for its own timers too, but needs a processor while it starts.
AT_ONCE = 2 * os.cpu_count()
NOT_SENT = "not sent again"
CUTS = ["before", "middle"]


def python(name, venv, function, modes=("", "stream")):
    """A library's programs: one asks for the answer whole, and the other for a stream."""
    for mode in modes:
        yield f"{name}, streamed" if mode else name, library(PEERS / venv / "bin/python", HERE / "asks.py", function, mode)


def node(name, function):
    for mode in ["", "stream"]:
        command = ["env", f"NODE_PATH={PEERS / 'node/node_modules'}", "node", HERE / "asks.mjs", function, mode]
        yield f"{name}, streamed" if mode else name, library(*command)


def llm(key):
    with tempfile.TemporaryDirectory() as home:
        model = {"model_id": "farebox", "model_name": "farebox", "api_base": BASE_URL, "api_key_name": "farebox"}
        written(Path(home), "extra-openai-models.yaml", [model])
        return printed([PEERS / "agents/bin/llm", "-m", "farebox", "--key", key, QUESTION], home, LLM_USER_PATH=home)


def aider(key):
    offline = ["--no-check-update", "--no-show-release-notes", "--no-show-model-warnings", "--no-detect-urls", "--no-git", "--no-pretty"]
    command = [PEERS / "aider/bin/aider", "--model", "openai/farebox", *offline, "--message", QUESTION]
    with tempfile.TemporaryDirectory() as home:
        return printed(command, home, OPENAI_API_BASE=BASE_URL, OPENAI_API_KEY=key, AIDER_ANALYTICS_DISABLE="true")


def promptfoo(key):
    provider = {"id": "openai:chat:farebox", "config": {"apiBaseUrl": BASE_URL, "apiKey": key}}
    quiet = {f"PROMPTFOO_DISABLE_{name}": "1" for name in ["TELEMETRY", "UPDATE", "REMOTE_GENERATION"]}
    with tempfile.TemporaryDirectory() as home:
        config = written(Path(home), "promptfooconfig.json", {"prompts": [QUESTION], "providers": [provider], "tests": [{"vars": {"city": "Paris"}}]})
        results = Path(home, "results.json")
        done = printed([PEERS / "promptfoo/node_modules/.bin/promptfoo", "eval", "--config", config, "--no-cache", "--output", results], home, **quiet)
        return results.read_text() if results.exists() else done


def open_webui(key):
    with started(key, **SAVING) as site:
        return str(site.ask(QUESTION))


PROGRAMS = dict(
    [
        *python("OpenAI's SDK for Python", "agents", "openai_sdk"),
        *python("OpenAI's SDK for Python, Responses API", "agents", "openai_responses"),
        *node("OpenAI's SDK for Node", "openai"),
        *node("OpenAI's SDK for Node, Responses API", "openai_responses"),
        *python("Anthropic's SDK for Python", "agents", "anthropic_sdk"),
        *node("Anthropic's SDK for Node", "anthropic"),
        *python("LangChain for Python", "agents", "langchain"),
        *python("LangChain for Python, Responses API", "agents", "langchain_responses"),
        *python("LangChain for Python, Anthropic", "agents", "langchain_anthropic"),
        *python("LangChain for Python, completions", "agents", "langchain_text"),
        *node("LangChain for JavaScript", "langchain"),
        *node("LangChain for JavaScript, Responses API", "langchain_responses"),
        *node("LangChain for JavaScript, Anthropic", "langchain_anthropic"),
        *python("Pydantic AI", "agents", "pydantic_ai"),
        *python("Pydantic AI, Responses API", "agents", "pydantic_ai_responses"),
        *python("Pydantic AI, Anthropic", "agents", "pydantic_ai_anthropic"),
        *python("OpenAI's Agents SDK", "agents", "agents_sdk"),
        *python("LiteLLM", "litellm", "litellm"),
        *python("LiteLLM, Anthropic", "litellm", "litellm_anthropic"),
        *python("LiteLLM's `Router`", "litellm", "litellm_router"),
        *python("Instructor", "instructor", "instructor"),
        *python("LlamaIndex", "llamaindex", "llamaindex"),
        *python("LlamaIndex, completions", "llamaindex", "llamaindex_text"),
        *python("DSPy", "dspy", "dspy", [""]),
        *python("DSPy, completions", "dspy", "dspy_text", [""]),
        *node("Vercel's AI SDK", "ai"),
        *node("Vercel's AI SDK, Responses API", "ai_responses"),
        *node("Vercel's AI SDK, Anthropic", "ai_anthropic"),
        *python("Agent Framework", "agent-framework", "agent_framework", [""]),
        ("llm", llm),
        ("aider", aider),
        ("promptfoo", promptfoo),
        ("Open WebUI", open_webui),
    ]
)
for agent in AGENTS:
    PROGRAMS.setdefault(agent.title, lambda key, agent=agent: agent.started(key)[0].stdout)


def asked(ask, cut=None, **settings):
    """Runs a program. Returns its output, its requests, and the number of charges."""
    person = Person()
    key = person.api_key(**settings)
    wire = Wire(API_WIRE, key)
    wire.cut(cut, times=1 if cut else 0)
    output = ask(key)
    return output, wire.calls(), len(person.charges())


def mark(requests):
    """Returns how the server can recognise the second request as a retry of the first."""
    if len(requests) < 2:
        return NOT_SENT
    first, second = requests[:2]
    for header, name in [("idempotency-key", "key"), ("x-claude-code-session-id", "session"), ("x-codex-turn-metadata", "turn")]:
        if header in second["marks"]:
            return name
    if int(second["retry"] or 0) > 0:
        return "count"
    return "nothing" if first["body"] == second["body"] else "nothing, another body"


def measured(name, ask):
    """Returns true if a lost reply costs a further message, and a line that says how the retries
    were recognised and what they cost."""
    output, requests, charges = asked(ask)
    assert "degrees" in output, (name, output[-2000:])
    equal((name, len(requests), charges), (name, 1, 1))
    figures, is_dear = [], False
    for cut in CUTS:
        _, requests, charges = asked(ask, cut)
        figures.append(f"{mark(requests)}, {len(requests)} / {charges}")
        if charges > 1:
            is_dear = True
            _, requests, charges = asked(ask, cut, retries="equal_bodies")
            equal((name, cut, "equal bodies", charges), (name, cut, "equal bodies", 1))
    return is_dear, f"{name}: {'; '.join(figures)}"


def documented(program):
    """Returns what a lost reply costs according to the table of programs."""
    rows = [line.strip("|").split("|") for line in DOCUMENT.read_text().split("\n") if line.startswith(f"| {program} |")]
    return [row[4].strip() for row in rows if len(row) == 6]


def main(chosen):
    # All programs get the same answer. Each of a program's five accounts can pay for forty.
    play(*len(PROGRAMS) * 200 * [says(ANSWER)])
    without_key = Wire(API_WIRE)
    without_key.watch()
    costs, failed = {}, False
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = {name: pool.submit(measured, name, ask) for name, ask in PROGRAMS.items() if name in (chosen or PROGRAMS)}
        for name, result in results.items():
            try:
                is_dear, line = result.result()
                program = name.partition(",")[0]
                costs[program] = costs.get(program, False) or is_dear
                print(f"  {line}", flush=True)
            except Exception as error:
                failed = True
                print(f"  {name} failed: {error!r}", flush=True)
    for request in without_key.calls():
        failed = True
        print(f"  a request without the key of its program: {request}", flush=True)
    for program, is_dear in costs.items():
        cost = "a message" if is_dear else "free"
        if documented(program) != [cost]:
            failed = True
            print(f"  {DOCUMENT} says {documented(program)} of {program}, measured: {cost}")
    sys.exit(failed)


main(sys.argv[1:])
