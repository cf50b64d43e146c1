"""lost.py [PROGRAM..] - measures what a lost reply costs with each program, and compares the
result with the table in docs/use/clients.md. With programs, it measures only these.

Each program sends one message through wire.py, which cuts the first reply: before its first byte,
after the server has finished the answer, or in the middle. The measurement counts the program's
requests, and the charges in the account's statement."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from coding_agents import AGENTS, PEERS, written
from scripted import API_WIRE, BASE_URL, Person, equal, play, says, wire

HERE = Path(__file__).parent
DOCUMENT = Path("docs/use/clients.md")
BEGIN, END = "<!-- lost replies -->\n", "<!-- end of lost replies -->\n"
# Instructor and some tests expect an object.
ANSWER = '{"city": "Paris", "degrees": 21}'
QUESTION = "How is the weather in Paris?"
# The measured API keys, by the titles of their columns. With EQUAL_BODIES=1 also keys for which an
# equal body is a retry.
KEYS = {"": {}} | ({"; `equal_bodies`": {"retries": "equal_bodies"}} if os.environ.get("EQUAL_BODIES") else {})
HEAD = ["client", "recognised by"] + [f"{cut}{key}" for key in KEYS for cut in ["before the first byte", "in the middle"]]


def printed(command, home, **settings):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    done = subprocess.run(command, cwd=home, env=kept | {"HOME": home} | settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr


def library(*command):
    def ask(key):
        with tempfile.TemporaryDirectory() as home:
            return printed(command, home, BASE_URL=BASE_URL, ANTHROPIC_URL=API_WIRE, KEY=key)

    return ask


def python(name, venv, function, modes=("", "stream")):
    """A library's programs: one asks for the answer whole, and the other for a stream."""
    for mode in modes:
        yield f"{name}, streamed" if mode else name, library(PEERS / venv / "bin/python", HERE / "asks.py", function, mode)


def node(name, function):
    for mode in ["", "stream"]:
        yield f"{name}, streamed" if mode else name, library("node", HERE / "asks.mjs", function, mode)


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


PROGRAMS = dict(
    [
        *python("OpenAI's SDK for Python", "agents", "openai_sdk"),
        *python("OpenAI's SDK for Python, Responses API", "agents", "openai_responses"),
        *node("OpenAI's SDK for Node", "openai"),
        *python("Anthropic's SDK for Python", "agents", "anthropic_sdk"),
        *node("Anthropic's SDK for Node", "anthropic"),
        *python("LangChain for Python", "agents", "langchain"),
        *python("LangChain for Python, Anthropic", "agents", "langchain_anthropic"),
        *python("LangChain for Python, completions", "agents", "langchain_text"),
        *node("LangChain for JavaScript", "langchain"),
        *node("LangChain for JavaScript, Anthropic", "langchain_anthropic"),
        *python("Pydantic AI", "agents", "pydantic_ai"),
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
        ("llm", llm),
        ("aider", aider),
    ]
)
for agent in AGENTS:
    PROGRAMS.setdefault(agent.title, lambda key, agent=agent: agent.started(key)[0].stdout)


def asked(ask, cut, settings):
    """Runs a program. Returns its output, its requests, and the number of charges."""
    person = Person()
    key = person.api_key(**settings)
    play(*20 * [says(ANSWER)])
    wire.cut(cut, times=1 if cut else 0)
    output = ask(key)
    return output, wire.calls(), len(person.charges())


def mark(requests):
    """Returns how the server can recognise the second request as a retry of the first."""
    if len(requests) == 1:
        return "not sent again"
    first, second = requests[:2]
    for header, name in [("idempotency-key", "key"), ("x-claude-code-session-id", "session"), ("x-codex-turn-metadata", "turn")]:
        if header in second["marks"]:
            return name
    if int(second["retry"] or 0) > 0:
        return "count"
    return "nothing" if first["body"] == second["body"] else "nothing, another body"


def row(name, ask):
    output, requests, charges = asked(ask, None, {})
    assert "degrees" in output, (name, output[-2000:])
    equal((name, len(requests), charges), (name, 1, 1))
    marks, figures = set(), []
    for settings in KEYS.values():
        for cut in ["before", "middle"]:
            _, requests, charges = asked(ask, cut, settings)
            marks.add(mark(requests))
            figures.append(f"{len(requests)} / {charges}")
    if len(marks) > 1:
        marks.discard("not sent again")
    return [name, ", ".join(sorted(marks)), *figures]


def main(chosen):
    lines = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    failed = []
    for name, ask in PROGRAMS.items():
        if chosen and name not in chosen:
            continue
        try:
            lines.append("| " + " | ".join(row(name, ask)) + " |")
        except Exception as error:  # noqa: BLE001
            failed.append(name)
            print(f"  {name} failed: {error!r}")
        print("  " + lines[-1], flush=True)
    documented = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0].split("\n")
    changed = [line for line in lines if line not in documented]
    if changed or failed:
        print(f"\n{DOCUMENT} differs. Measured:\n\n" + "\n".join(changed))
        sys.exit(1)


main(sys.argv[1:])
