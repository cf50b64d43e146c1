"""The agents that run as a command: their settings, and the model's answer with which each edits
a file. An agent runs in a git repository that contains one file, and is asked to change it."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from scripted import API_WIRE, BASE_URL, calls

PEERS = Path(os.environ["PEERS"])
BEFORE = 'def greeting():\n    return "Hello!"\n'
AFTER = 'def greeting():\n    return "Good day!"\n'
SHELL = "sed -i 's/Hello/Good day/' greeting.py"
# Qwen Code refuses `sed -i` for a file that it hasn't read.
COPY = "sed 's/Hello/Good day/' greeting.py >new.py && mv new.py greeting.py"
PATCH = '*** Begin Patch\n*** Update File: greeting.py\n@@\n def greeting():\n-    return "Hello!"\n+    return "Good day!"\n*** End Patch\n'
PROMPT = "Be politer."
WHY = "Change the greeting"


@dataclass
class Agent:
    """An agent. Its `settings` writes its files into a home folder, and returns a command and its
    environment. `edit` is the model's answer that edits the file."""

    title: str
    name: str
    package: str
    settings: Callable
    edit: dict
    model: str = "farebox"

    @property
    def folder(self):
        return PEERS / self.name

    @property
    def version(self):
        return json.loads(self.folder.joinpath("node_modules", self.package, "package.json").read_text())["version"]

    def __str__(self):
        named = f", model {self.model}" if self.model != "farebox" else ""
        return f"{self.package} {self.version}{named}"

    def run(self, key, model=None):
        """Runs the agent. Returns the answer and the text of the file afterwards."""
        done, text = self.started(key, model)
        assert done.returncode == 0, (done.args, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout.strip(), text

    def started(self, key, model=None):
        """Runs the agent. Returns the ended process, and the text of the file afterwards."""
        with a_repository() as home:
            command, more = self.settings(home, key, model or self.model)
            done = self.ended(home, command, more)
            return done, home.joinpath("work/greeting.py").read_text()

    def ended(self, home, command, settings):
        """Runs a command of the agent in the repository of this home folder. Returns the ended
        process."""
        work = home / "work"
        path = f"{self.folder}/node_modules/.bin:{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "NODE_"))}
        settings = kept | {"HOME": str(home), "PWD": str(work), "PATH": path, "NO_COLOR": "1"} | settings
        return subprocess.run(command, cwd=work, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)


@contextmanager
def a_repository():
    """A home folder, whose folder `work` is a git repository with one file."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder, "work")
        work.mkdir()
        work.joinpath("greeting.py").write_text(BEFORE)
        subprocess.run(["git", "init", "--quiet", work], check=True)
        try:
            yield Path(folder)
        finally:
            end_daemons(folder)


def end_daemons(home):
    """Ends the processes that an agent with this home folder has left running, such as Cline's hub."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"HOME={home}".encode() in process.joinpath("environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            pass


def written(home, name, value):
    """Writes a file into the home folder: a text, or JSON."""
    file = home / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    return file


def claude_code(_home, key, model):
    quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}
    access = {"ANTHROPIC_BASE_URL": API_WIRE, "ANTHROPIC_API_KEY": key, "ANTHROPIC_MODEL": model, "ANTHROPIC_SMALL_FAST_MODEL": model}
    return ["claude", "-p", "--allowedTools", "Bash", "--", PROMPT], access | quiet


def codex(home, key, model):
    settings = f"""
model = "{model}"
model_provider = "farebox"
web_search = "disabled"
agents.enabled = false
model_providers.farebox = {{ name = "Farebox", base_url = "{BASE_URL}", env_key = "FAREBOX_KEY", wire_api = "responses" }}
analytics.enabled = false
check_for_update_on_startup = false
"""
    written(home, "codex/config.toml", settings)
    command = ["codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", PROMPT]
    return command, {"FAREBOX_KEY": key, "CODEX_HOME": str(home / "codex")}


def copilot(_home, key, model):
    access = {"COPILOT_PROVIDER_TYPE": "openai", "COPILOT_PROVIDER_BASE_URL": BASE_URL, "COPILOT_PROVIDER_API_KEY": key, "COPILOT_MODEL": model}
    return ["copilot", "-p", PROMPT, "--allow-all-tools", "--silent"], access | {"COPILOT_OFFLINE": "true"}


def opencode(home, key, model, package="openai-compatible"):
    options = {"baseURL": BASE_URL, "apiKey": key}
    provider = {"npm": f"@ai-sdk/{package}", "options": options, "models": {model: {}}}
    settings = {"provider": {"farebox": provider}, "agent": {"title": {"disable": True}}, "permission": "allow", "autoupdate": False}
    written(home, "work/opencode.json", settings)
    return ["opencode", "run", "-m", f"farebox/{model}", PROMPT], {}


def qwen_code(home, key, model, api="openai", url=BASE_URL):
    written(
        home,
        ".qwen/settings.json",
        {"memory": {"enableManagedAutoMemory": False}, "tools": {"exclude": ["agent", "skill", "todo_write"]}, "privacy": {"usageStatisticsEnabled": False}},
    )
    access = {f"{api.upper()}_{name}": value for name, value in {"BASE_URL": url, "API_KEY": key, "MODEL": model}.items()}
    return ["qwen", "--auth-type", api, "--yolo", "-p", PROMPT], access


def cline(home, key, model):
    access = f"cline auth -p openai-compatible -k {key} -m {model} -b {BASE_URL}"
    return ["sh", "-c", f"{access} >&2 && cline -P openai-compatible -m {model} '{PROMPT}'"], {}


def continue_cn(home, key, model, provider="openai"):
    one = {"name": "Farebox", "provider": provider, "model": model, "apiBase": BASE_URL, "apiKey": key, "capabilities": ["tool_use"]}
    config = written(home, "config.yaml", {"name": "Farebox", "version": "1.0.0", "schema": "v1", "models": [one]})
    return ["cn", "--config", str(config), "--auto", "-p", PROMPT], {"CONTINUE_TELEMETRY_ENABLED": "0"}


def pi(home, key, model, api="openai-completions", url=BASE_URL):
    provider = {"baseUrl": url, "api": api, "apiKey": key, "models": [{"id": model}]}
    written(home, ".pi/agent/models.json", {"providers": {"farebox": provider}})
    return ["pi", "-p", "--provider", "farebox", "--model", model, PROMPT], {"PI_OFFLINE": "1", "PI_TELEMETRY": "0"}


BASH = calls(("bash", {"command": SHELL, "description": WHY}))
AGENTS = [
    Agent("Claude Code", "claude", "@anthropic-ai/claude-code", claude_code, calls(("Bash", {"command": SHELL, "description": WHY}))),
    Agent("Codex", "codex", "@openai/codex", codex, calls(("exec_command", {"cmd": SHELL}))),
    Agent("Codex", "codex", "@openai/codex", codex, calls(("apply_patch", {"input": PATCH})), "gpt-5.5"),
    Agent("Copilot CLI", "copilot", "@github/copilot", copilot, BASH),
    Agent("Copilot CLI", "copilot", "@github/copilot", copilot, calls(("apply_patch", {"input": PATCH})), "gpt-4o"),
    Agent("opencode", "opencode", "opencode-ai", opencode, BASH),
    Agent("Qwen Code", "qwen", "@qwen-code/qwen-code", qwen_code, calls(("run_shell_command", {"command": COPY, "description": WHY, "is_background": False}))),
    Agent("Cline", "cline", "cline", cline, calls(("run_commands", {"commands": [SHELL]}))),
    Agent("Continue", "continue", "@continuedev/cli", continue_cn, calls(("Bash", {"command": SHELL}))),
    Agent("pi", "pi", "@earendil-works/pi-coding-agent", pi, calls(("bash", {"command": SHELL}))),
]
# The settings with which agents use Anthropic's API, so that Claude caches their prompts.
ANTHROPIC = {
    "opencode": {"package": "anthropic"},
    "qwen": {"api": "anthropic", "url": API_WIRE},
    "continue": {"provider": "anthropic"},
    "pi": {"api": "anthropic-messages", "url": API_WIRE},
}
FOR_CLAUDE = [replace(agent, settings=partial(agent.settings, **ANTHROPIC[agent.name]), model="by-anthropic") for agent in AGENTS if agent.name in ANTHROPIC]
