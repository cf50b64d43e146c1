"""lost.py [PROGRAM..] - measures what a lost reply costs with each program, and compares the
result with the table in docs/use/clients.md. With programs, it measures only these.

Each program sends one message through wire.py, which cuts the first reply: before its first byte,
after the server has finished the answer, or in the middle. The measurement counts the program's
requests, and the charges in the account's statement. Several programs run at once, and wire.py tells
them apart by their API keys."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from coding_agents import AGENTS, PEERS, written
from libraries import library, printed
from scripted import API_WIRE, BASE_URL, Person, Wire, equal, free_port, play, says
from webui import SAVING, started

HERE = Path(__file__).parent
DOCUMENT = Path("docs/use/clients.md")
BEGIN, END = "<!-- lost replies -->\n", "<!-- end of lost replies -->\n"
# Instructor and some tests expect an object.
ANSWER = '{"city": "Paris", "degrees": 21}'
QUESTION = "How is the weather in Paris?"
# A program mostly waits, for its own timers too, but needs a processor while it starts.
AT_ONCE = 2 * os.cpu_count()
NOT_SENT = "not sent again"
CUTS = {"before": "before the first byte", "middle": "in the middle"}
# The settings of the measured API keys, by the titles of their columns. Keys for which an equal body
# is a retry are measured only with the programs that pay twice with a usual key.
KEYS = {"": {}, "; `equal_bodies`": {"retries": "equal_bodies"}}
HEAD = ["client", "recognised by"] + [f"{cut}{key}" for key in KEYS for cut in CUTS.values()]


def python(name, venv, function, modes=("", "stream")):
    """A library's programs: one asks for the answer whole, and the other for a stream."""
    for mode in modes:
        yield f"{name}, streamed" if mode else name, library(PEERS / venv / "bin/python", HERE / "asks.py", function, mode)


def node(name, function, folder="node", modes=("", "stream")):
    for mode in modes:
        command = ["env", f"NODE_PATH={PEERS / folder / 'node_modules'}", "node", HERE / "asks.mjs", function, mode]
        yield f"{name}, streamed" if mode else name, library(*command)


def others(names):
    """Libraries with only one mode, each in its own folder."""
    for name in names:
        folder = name.lower().replace(" ", "-")
        yield name, library(PEERS / folder / "bin/python", HERE / "asks.py", folder.replace("-", "_"), "")


def command(folder, *words, staged=False, config=None, **settings):
    """A program that is called with the question, or in a git repository with a staged change. `KEY`
    in its settings is replaced by the API key, and `URL` by the base URL. The settings are in its
    environment, or in the file `config` in its home folder."""

    def ask(key):
        filled = {name: key if value == "KEY" else BASE_URL if value == "URL" else value for name, value in settings.items()}
        with tempfile.TemporaryDirectory() as home:
            if config:
                written(Path(home), config, "".join(f"{name}={value}\n" for name, value in filled.items()))
            if staged:
                written(Path(home), "greeting.py", "greeting = 'Hello!'\n")
                for step in [["init", "--quiet"], ["config", "user.email", "ann@example.com"], ["config", "user.name", "Ann"], ["add", "greeting.py"]]:
                    subprocess.run(["git", *step], cwd=home, check=True)
            return printed([PEERS / folder / words[0], *words[1:]], home, **({} if config else filled))

    return ask


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


def router(key):
    """Claude Code, whose requests claude-code-router turns into chat completions."""
    port = free_port()
    provider = {"name": "farebox", "api_base_url": f"{BASE_URL}/chat/completions", "api_key": key, "models": ["farebox"]}
    access = {
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
        "ANTHROPIC_API_KEY": "any",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    with tempfile.TemporaryDirectory() as home:
        written(Path(home), ".claude-code-router/config.json", {"PORT": port, "LOG": False, "Providers": [provider], "Router": {"default": "farebox,farebox"}})
        with open(Path(home, "log"), "wb") as log:
            started = subprocess.Popen(
                [PEERS / "router/node_modules/.bin/ccr", "start"], cwd=home, env=os.environ | {"HOME": home}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            for _ in range(100):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.2)
            return printed([PEERS / "claude/node_modules/.bin/claude", "-p", QUESTION], home, **access)
        finally:
            started.terminate()
            started.wait()


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
        *node("OpenRouter's provider for Vercel's AI SDK", "openrouter", "openrouter"),
        *node("LlamaIndex.TS", "llamaindex", "llamaindex-ts"),
        *node("Genkit", "genkit", "genkit", [""]),
        *others(["smolagents", "Semantic Kernel", "magentic", "mirascope", "outlines", "guidance", "aisuite", "Agent Framework", "DeepEval"]),
        *others(["Haystack", "Agno", "CrewAI", "AutoGen", "Strands", "LangGraph", "Google ADK", "CAMEL", "AG2", "Griptape", "ell", "chatlas", "any-llm"]),
        *python("Strands, Anthropic", "strands", "strands_anthropic", [""]),
        *python("Claude Agent SDK", "claude-agent-sdk", "claude_agent_sdk", [""]),
        *others(["browser-use", "gpt-researcher", "open-interpreter", "mini-swe-agent"]),
        *others(["vanna", "Inspect", "Ragas", "Guardrails", "txtai", "LightRAG"]),
        *node("`@openrouter/sdk`", "openrouter_sdk", "openrouter-sdk", [""]),
        *node("OpenAI's Agents SDK for Node", "agents", "agents-js"),
        *node("Mastra", "mastra", "mastra"),
        *node("Instructor for JavaScript", "instructor", "instructor-js", [""]),
        ("llm", llm),
        ("aider", aider),
        ("ShellGPT", command("shell-gpt", "bin/sgpt", "--no-cache", QUESTION, OPENAI_API_KEY="KEY", API_BASE_URL="URL", DEFAULT_MODEL="farebox")),
        ("grok-cli", command("grok", "node_modules/.bin/grok", "-p", QUESTION, GROK_API_KEY="KEY", GROK_BASE_URL="URL", GROK_MODEL="farebox")),
        ("gptme", command("gptme", "bin/gptme-util", "llm", "generate", "-m", "local/farebox", QUESTION, OPENAI_API_KEY="KEY", OPENAI_BASE_URL="URL")),
        (
            "aicommits",
            command(
                "aicommits",
                "node_modules/.bin/aicommits",
                "--yes",
                staged=True,
                config=".aicommits",
                OPENAI_API_KEY="KEY",
                OPENAI_BASE_URL="URL",
                OPENAI_MODEL="farebox",
            ),
        ),
        ("promptfoo", promptfoo),
        ("Open WebUI", open_webui),
        ("Claude Code by claude-code-router", router),
        (
            "opencommit",
            command(
                "opencommit", "node_modules/.bin/oco", "--yes", staged=True, OCO_API_KEY="KEY", OCO_API_URL="URL", OCO_MODEL="farebox", OCO_AI_PROVIDER="openai"
            ),
        ),
    ]
)
for agent in AGENTS:
    PROGRAMS.setdefault(agent.title, lambda key, agent=agent: agent.started(key)[0].stdout)


def asked(ask, cut, settings):
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


def costs_a_message(figures):
    return any(not figure.endswith(" / 1") for figure in figures)


def row(name, ask):
    output, requests, charges = asked(ask, None, {})
    assert "degrees" in output, (name, output[-2000:])
    equal((name, len(requests), charges), (name, 1, 1))
    marks, figures = [], []
    for settings in KEYS.values():
        if settings and not costs_a_message(figures):
            figures += ["", ""]
            continue
        for cut in CUTS:
            _, requests, charges = asked(ask, cut, settings)
            marks.append(mark(requests))
            figures.append(f"{len(requests)} / {charges}")
    sent_again = [mark for mark in marks if mark != NOT_SENT]
    return [name, ", then ".join(dict.fromkeys(sent_again or marks)), *figures]


def main(chosen):
    lines = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    failed = []
    # All programs get the same answer. Each of a program's five accounts can pay for forty.
    play(*len(PROGRAMS) * 200 * [says(ANSWER)])
    without_key = Wire(API_WIRE)
    without_key.watch()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        rows = {name: pool.submit(row, name, ask) for name, ask in PROGRAMS.items() if name in (chosen or PROGRAMS)}
        for name, measured in rows.items():
            try:
                lines.append("| " + " | ".join(measured.result()) + " |")
                print("  " + lines[-1], flush=True)
            except Exception as error:
                failed.append(name)
                print(f"  {name} failed: {error!r}", flush=True)
    for request in without_key.calls():
        failed.append(request["path"])
        print(f"  a request without the key of its program: {request}", flush=True)
    documented = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0].split("\n")
    changed = [line for line in lines if line not in documented] + list(wrong_summaries(lines[2:]))
    if changed or failed:
        print(f"\n{DOCUMENT} differs. Measured:\n\n" + "\n".join(changed))
        sys.exit(1)


def wrong_summaries(lines):
    """The programs for which the document's table of programs has a different summary."""
    summaries = {}
    for line in lines:
        name, _, *figures = [cell.strip() for cell in line.strip("|").split("|")]
        dear = costs_a_message(figures[: len(CUTS)])
        summaries[name.partition(",")[0]] = summaries.get(name.partition(",")[0], False) or dear
    for name, dear in summaries.items():
        summary = "a message" if dear else "free"
        rows = [line.strip("|").split("|") for line in DOCUMENT.read_text().split("\n") if line.startswith(f"| {name} |")]
        if not any(row[4].strip() == summary for row in rows if len(row) == 6):
            yield f"{name}: {summary}"


main(sys.argv[1:])
