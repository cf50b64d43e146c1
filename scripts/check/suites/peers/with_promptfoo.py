"""with_promptfoo.py [similar] - tests promptfoo, which evaluates prompts: with its own assertions, or
with `similar`, which compares embeddings."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scripted import BASE_URL, a_caller, equal, play, played, prove_of, says, statuses, wire

FOLDER = Path(os.environ["PEERS"], "promptfoo/node_modules")
VERSION = json.loads(FOLDER.joinpath("promptfoo/package.json").read_text())["version"]
# The price of a request for embeddings in the price list.
FARE = 7


def evaluated(key, check):
    """Evaluates a prompt with one assertion. Returns true if it holds."""
    access = {"apiBaseUrl": BASE_URL, "apiKey": key}
    embedding = {"id": "openai:embedding:vectors", "config": access}
    settings = {
        "prompts": ["How is the weather in {{city}}?"],
        "providers": [{"id": "openai:chat:quick", "config": access}],
        "defaultTest": {"options": {"provider": {"embedding": embedding}}},
        "tests": [{"vars": {"city": "Paris"}, "assert": [check]}],
    }
    with tempfile.TemporaryDirectory() as home:
        Path(home, "promptfooconfig.json").write_text(json.dumps(settings))
        quiet = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1", "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1"}
        command = [FOLDER / ".bin/promptfoo", "eval", "--config", "promptfooconfig.json", "--no-cache", "--output", "results.json"]
        done = subprocess.run(command, cwd=home, env=os.environ | quiet | {"HOME": home}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        results = Path(home, "results.json")
        assert results.exists(), done.stdout + done.stderr
        return json.loads(results.read_text())["results"]["stats"]["successes"] == 1


def an_evaluation_costs_one_message():
    for value, holds in [("Sunny", True), ("Rainy", False)]:
        person, key = a_caller()
        play(says("Sunny everywhere."))
        equal(evaluated(key, {"type": "contains", "value": value}), holds)
        played()
        person.has_paid_for(1)


def similar_answers_are_told_from_others():
    for value, holds in [("Everywhere sunny!", True), ("It rains in Oslo.", False)]:
        person, key = a_caller()
        wire.watch()
        play(says("Sunny everywhere."))
        equal(evaluated(key, {"type": "similar", "value": value, "threshold": 0.8}), holds)
        equal(len(played()), 1)
        equal(sorted(person.charges()), [FARE] * (len(statuses()) - 1) + [100])


if "similar" in sys.argv[1:]:
    prove_of(f"promptfoo {VERSION}, embeddings", similar_answers_are_told_from_others)
else:
    prove_of(f"promptfoo {VERSION}", an_evaluation_costs_one_message)
