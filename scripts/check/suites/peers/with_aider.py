"""Tests aider, which edits a file in a folder. Only its base URL, its key and its model are set."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scripted import BASE_URL, a_caller, equal, play, played, prove_client, says, statuses, wire

AIDER = Path(sys.executable).with_name("aider")
BEFORE = 'def greeting():\n    return "Hello!"\n'
AFTER = 'def greeting():\n    return "Good day!"\n'
# For unknown models, aider asks for the whole file.
EDIT = f"I make it politer.\n\ngreeting.py\n```\n{AFTER}```\n"


def edited(key, *more):
    """Runs aider. Returns the text of the file afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "greeting.py")
        file.write_text(BEFORE)
        settings = os.environ | {"OPENAI_API_BASE": BASE_URL, "OPENAI_API_KEY": key, "HOME": folder, "AIDER_ANALYTICS_DISABLE": "true"}
        offline = ["--no-check-update", "--no-show-release-notes", "--no-show-model-warnings", "--no-detect-urls", "--no-git"]
        command = [AIDER, "--model", "openai/farebox", "--yes-always", "--no-pretty", *offline, *more, "--message", "Be politer.", file.name]
        done = subprocess.run(command, cwd=folder, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        equal((done.returncode, "Applied edit to greeting.py" in done.stdout), (0, True))
        return file.read_text()


def a_streamed_answer_edits_a_file_for_one_message():
    person, key = a_caller()
    play(says(EDIT))
    equal(edited(key, "--stream"), AFTER)
    [request] = played()
    assert "Be politer." in request["messages"][-1]["content"] and any(BEFORE in message["content"] for message in request["messages"]), request
    person.has_paid_for(1)


def an_answer_whose_first_reply_is_lost_edits_it_too_and_is_paid_once():
    person, key = a_caller()
    play(says(EDIT))
    wire.cut("before")
    equal((edited(key, "--no-stream"), statuses(), len(played())), (AFTER, [None, 200], 1))
    person.has_paid_for(1)


prove_client("aider-chat", a_streamed_answer_edits_a_file_for_one_message, an_answer_whose_first_reply_is_lost_edits_it_too_and_is_paid_once)
