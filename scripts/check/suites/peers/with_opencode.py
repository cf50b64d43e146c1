"""Tests opencode, which edits a file in a folder. The settings specify its provider and the
provider's models."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from scripted import BASE_URL, a_caller, calls, each_model_is_charged_its_fare, equal, functions, play, played, prove_of, says

OPENCODE, VERSION = os.environ["OPENCODE"], os.environ["OPENCODE_VERSION"]
BEFORE = 'def greeting():\n    return "Hello!"\n'
AFTER = 'def greeting():\n    return "Good day!"\n'
EDIT = calls(("bash", {"command": "sed -i 's/Hello/Good day/' greeting.py", "description": "Change the greeting"}))


def settings(key):
    options = {"baseURL": BASE_URL, "apiKey": key}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"quick": {}, "deep": {}}}
    return {"provider": {"farebox": provider}, "agent": {"title": {"disable": True}}, "permission": "allow", "autoupdate": False}


def opencode(key, model):
    """Runs opencode with a model. Returns the answer and the text of the file afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "greeting.py")
        file.write_text(BEFORE)
        Path(folder, "opencode.json").write_text(json.dumps(settings(key)))
        home = os.environ | {"HOME": folder, "PWD": folder}
        home = {name: value for name, value in home.items() if not name.startswith("XDG_")}
        command = [OPENCODE, "run", "-m", f"farebox/{model}", "Be politer."]
        done = subprocess.run(command, cwd=folder, env=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip(), file.read_text()


def a_command_edits_a_file_for_two_messages():
    person, key = a_caller()
    play(EDIT, says("Done."))
    answer, text = opencode(key, "quick")
    equal((answer.endswith("Done."), text), (True, AFTER))
    first, last = played()
    assert "bash" in functions(first) and last["messages"][-1]["role"] == "tool", last
    person.has_paid_for(2)


def the_named_model_answers_at_its_price():
    each_model_is_charged_its_fare(lambda key, model: opencode(key, model)[0])


prove_of(f"opencode {VERSION}", a_command_edits_a_file_for_two_messages, the_named_model_answers_at_its_price)
