"""Tests the agents that run as a command. Each edits a file in a git repository. Only the base URL,
the key and the model are set, and what keeps an agent from further calls.

usage: with_coding_agents.py [by-anthropic] [NAME..]: tests the agents with these names, or all
agents. With `by-anthropic`, they use Anthropic's API, as does this model's provider."""

import json
import sys

from coding_agents import AFTER, AGENTS, FOR_CLAUDE
from scripted import a_caller, each_model_is_charged_its_fare, equal, play, played, prove_of, says, wire

# Under the fare of `deep`, the prompts of the other agents can cost more than a new account has.
CHEAP = ["codex", "opencode", "pi"]


def tests_of(agent):
    def a_command_edits_a_file_for_two_messages():
        person, key = a_caller()
        wire.watch()
        play(agent.edit, says("Done."))
        answer, text = agent.run(key)
        equal((answer.endswith("Done."), text), (True, AFTER))
        first, last = played()
        if agent in FOR_CLAUDE:
            equal({call["path"].partition("?")[0] for call in wire.calls()}, {"/v1/messages"})
            equal(["cache_control" in json.dumps(asked) for asked in [first, last]], [True, True])
        else:
            equal(last["messages"][-1]["role"], "tool")
        # A long prompt costs the fare several times.
        equal((len(person.charges()), {call["status"] for call in wire.calls()}), (2, {200}))

    def the_named_model_answers_at_its_price():
        each_model_is_charged_its_fare(lambda key, model: agent.run(key, model)[0])

    yield a_command_edits_a_file_for_two_messages
    if agent.name in CHEAP and agent.model == "farebox":
        yield the_named_model_answers_at_its_price


agents, names = AGENTS, sys.argv[1:]
if names[:1] == ["by-anthropic"]:
    agents, names = FOR_CLAUDE, names[1:]
for agent in agents:
    if agent.name in (names or [agent.name]):
        prove_of(str(agent), *tests_of(agent))
