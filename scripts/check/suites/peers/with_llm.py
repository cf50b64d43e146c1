"""Tests the `llm` command. Only its models file and its key are set."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scripted import BASE_URL, a_caller, calls, equal, functions, play, played, prove_client, results, says, statuses, wire

LLM = Path(sys.executable).with_name("llm")
MODELS = f"""
- model_id: farebox
  model_name: farebox
  api_base: {BASE_URL}
  api_key_name: farebox
  supports_tools: true
  supports_schema: true
"""
GET_WEATHER = """
def get_weather(city: str) -> str:
    "The weather of a city."
    return f"Sunny in {city}."
"""


def asked(key, *arguments):
    """Runs the command. Returns its output."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "extra-openai-models.yaml").write_text(MODELS)
        settings = os.environ | {"LLM_USER_PATH": folder}
        command = [LLM, "-m", "farebox", "--key", key, *arguments]
        done = subprocess.run(command, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        equal((done.returncode, done.stderr), (0, ""))
        return done.stdout.strip()


def a_question_is_answered_whole_and_in_pieces():
    person, key = a_caller()
    play(says("Sunny everywhere."), says("Sunny everywhere."))
    equal([asked(key, "Hello!"), asked(key, "--no-stream", "--system", "You know the weather.", "Hello!")], 2 * ["Sunny everywhere."])
    equal([request["stream"] for request in played()], [True, False])
    person.has_paid_for(2)


def functions_are_called_until_there_is_an_answer():
    for more in [[], ["--no-stream"]]:
        person, key = a_caller()
        play(calls(("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})), says("Sunny everywhere."))
        equal(asked(key, *more, "--functions", GET_WEATHER, "How is the weather?"), "Sunny everywhere.")
        first, last = played()
        equal((functions(first), results(last)), (["get_weather"], ["Sunny in Paris.", "Sunny in Oslo."]))
        person.has_paid_for(2)


def an_answer_has_the_schema_that_was_asked_for():
    person, key = a_caller()
    report = '{"city": "Paris", "degrees": 21}'
    play(says(report))
    equal(json.loads(asked(key, "--schema", "city, degrees int", "How is the weather in Paris?")), json.loads(report))
    equal(played()[0]["response_format"]["type"], "json_schema")
    person.has_paid_for(1)


def a_lost_reply_is_paid_once():
    person, key = a_caller()
    play(says("Sunny everywhere."))
    wire.cut("before")
    equal((asked(key, "Hello!"), statuses(), len(played())), ("Sunny everywhere.", [None, 200], 1))
    person.has_paid_for(1)


prove_client(
    "llm",
    a_question_is_answered_whole_and_in_pieces,
    functions_are_called_until_there_is_an_answer,
    an_answer_has_the_schema_that_was_asked_for,
    a_lost_reply_is_paid_once,
)
