"""Tests Codex, which edits a file in a folder. The settings specify its provider, and limit the
tools that it offers the model to functions."""

import os
import subprocess
import tempfile
from pathlib import Path

from scripted import BASE_URL, a_caller, calls, each_model_is_charged_its_fare, equal, functions, play, played, prove_of, says, statuses, wire

CODEX, VERSION = os.environ["CODEX"], os.environ["CODEX_VERSION"]
SETTINGS = f"""
model_provider = "farebox"
web_search = "disabled"
agents.enabled = false
model_providers.farebox = {{ name = "Farebox", base_url = "{BASE_URL}", env_key = "FAREBOX_KEY", wire_api = "responses" }}
analytics.enabled = false
check_for_update_on_startup = false
"""
BEFORE = 'def greeting():\n    return "Hello!"\n'
AFTER = 'def greeting():\n    return "Good day!"\n'
EDIT = calls(("exec_command", {"cmd": "sed -i 's/Hello/Good day/' greeting.py"}))


def edited(key):
    """Runs Codex. Returns the text of the file afterwards."""
    answer, text = codex(key, "farebox")
    equal(answer, "Done.")
    return text


def codex(key, model):
    """Runs Codex with a model. Returns the answer and the text of the file afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "greeting.py")
        file.write_text(BEFORE)
        home = Path(folder, "codex")
        home.mkdir()
        home.joinpath("config.toml").write_text(f'model = "{model}"\n{SETTINGS}')
        settings = os.environ | {"FAREBOX_KEY": key, "CODEX_HOME": str(home), "HOME": folder, "PWD": folder}
        command = [CODEX, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "Be politer."]
        done = subprocess.run(command, cwd=folder, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100)
        equal(done.returncode, 0)
        return done.stdout.strip(), file.read_text()


def a_command_edits_a_file_for_two_messages():
    person, key = a_caller()
    play(EDIT, says("Done."))
    equal(edited(key), AFTER)
    first, last = played()
    assert "exec_command" in functions(first) and last["messages"][-1]["role"] == "tool", last
    person.has_paid_for(2)


# Codex sends the id of its turn instead of a key or a retry count.
def a_lost_reply_is_paid_for_once():
    person, key = a_caller()
    play(EDIT, says("Done."))
    wire.cut("before")
    equal((edited(key), statuses(), len(played())), (AFTER, [None, 200, 200], 2))
    person.has_paid_for(2)


def the_named_model_answers_at_its_price():
    each_model_is_charged_its_fare(lambda key, model: codex(key, model)[0])


prove_of(
    f"codex {VERSION}, Responses API",
    a_command_edits_a_file_for_two_messages,
    a_lost_reply_is_paid_for_once,
    the_named_model_answers_at_its_price,
)
