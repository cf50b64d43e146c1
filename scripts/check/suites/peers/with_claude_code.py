"""Tests Claude Code with a model behind each kind of provider. Only the base URL, the key and the
model are set, and what keeps it from further calls."""

import json
import uuid

from coding_agents import AFTER, AGENTS, BEFORE, a_repository
from proof import API, ask, prove
from scripted import FIRST_GRANT, PROVIDER, a_caller, call, calls, equal, play, played, says, statuses, wire

CLAUDE = next(agent for agent in AGENTS if agent.name == "claude")
# The models in the price list, and the path at which each model's provider gets requests.
MODELS = {"by-openai": "/chat/completions", "by-anthropic": "/messages", "by-bedrock": "/converse-stream"}
TOO_LONG = {"too_long": True}


class Session:
    """A session of Claude Code in a repository. Each question continues it."""

    def __init__(self, home, key, model):
        self.home, self.key, self.model = home, key, model
        self.id, self.has_begun = str(uuid.uuid4()), False

    @property
    def file(self):
        return self.home / "work/greeting.py"

    def ended(self, question):
        """Asks a question. Returns the ended process."""
        _, settings = CLAUDE.settings(self.home, self.key, self.model)
        session = ["--resume" if self.has_begun else "--session-id", self.id]
        self.has_begun = True
        return CLAUDE.ended(self.home, ["claude", "-p", *session, "--allowedTools", "Bash,Read,Edit", "--", question], settings)

    def ask(self, question):
        """Asks a question. Returns the answer."""
        done = self.ended(question)
        assert done.returncode == 0, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout.strip()


def tests_of(model, path):
    def received():
        """The requests that the model received, all through its provider's API."""
        requests = played()
        paths = call(PROVIDER, "GET", "/script")[1]["paths"]
        assert all(one.endswith(path) for one in paths), paths
        return [json.dumps(request) for request in requests]

    def a_file_is_edited_in_a_loop_over_tools():
        person, key = a_caller()
        wire.watch()
        with a_repository() as home:
            session = Session(home, key, model)
            edit = {"old_string": "Hello", "new_string": "Good day"}
            play(
                calls(("Read", {"file_path": str(session.file)}), ("Bash", {"command": "git status --short", "description": "Look around"})),
                says("I change the greeting.", reasoning="It is curt.") | calls(("Edit", {"file_path": str(session.file)} | edit)),
                calls(("Bash", {"command": "python3 -c 'import greeting; print(greeting.greeting() * 2)'", "description": "Try it"})),
                says("Done."),
            )
            equal((session.ask("Be politer."), session.file.read_text()), ("Done.", AFTER))
        _, read, _, tried = received()
        assert "Hello!" in read and "?? greeting.py" in read, read[-3000:]
        assert "Good day!Good day!" in tried, tried[-3000:]
        equal((len(person.charges()), statuses()), (4, [200] * 4))

    def a_conversation_is_compacted_on_demand():
        with a_repository() as home:
            person, key = a_caller()
            session = Session(home, key, model)
            play(says("A heron."), says("<summary>They spoke of birds.</summary>"), says("Of birds."))
            equal(session.ask("Which bird stands in the reeds?"), "A heron.")
            session.ask("/compact")
            equal(session.ask("Of what did we speak?"), "Of birds.")
            _, compacted, last = received()
            assert "A heron." in compacted, compacted[-3000:]
            assert "They spoke of birds." in last and "A heron." not in last, last[-3000:]
            equal(len(person.charges()), 3)

    def a_conversation_that_is_too_long_is_compacted():
        with a_repository() as home:
            person, key = a_caller()
            session = Session(home, key, model)
            play(says("A heron."), TOO_LONG, says("<summary>They spoke of birds.</summary>"), says("Of birds."))
            equal(session.ask("Which bird stands in the reeds?"), "A heron.")
            wire.watch()
            equal(session.ask("Of what did we speak?"), "Of birds.")
            *_, last = received()
            assert "They spoke of birds." in last and "A heron." not in last, last[-3000:]
            equal((len(person.charges()), statuses()), (3, [400, 200, 200]))

    def its_context_is_counted_free_of_charge():
        with a_repository() as home:
            person, key = a_caller()
            wire.watch()
            play()
            shown = Session(home, key, model).ask("/context")
            assert "Context Usage" in shown and model in shown, shown
            counts = wire.counts()
            assert len(counts) > 10 and set(counts) == {200}, counts
            equal((received(), statuses(), person.balance()), ([], [], FIRST_GRANT))
            return f"{len(counts)} requests"

    def an_empty_balance_is_shown_after_one_request():
        with a_repository() as home:
            person, key = a_caller()
            play(says("A heron."))
            all_of_it = {"model": "dear", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi!"}]}
            equal((ask(API, "POST", "/v1/messages", all_of_it, key).status, person.balance()), (200, 0))
            wire.watch()
            play()
            session = Session(home, key, model)
            done = session.ended("Be politer.")
            assert done.returncode != 0 and "You have 0 tokens" in done.stdout, (done.returncode, done.stdout, done.stderr)
            equal((received(), statuses(), session.file.read_text()), ([], [402], BEFORE))

    return [
        a_file_is_edited_in_a_loop_over_tools,
        a_conversation_is_compacted_on_demand,
        a_conversation_that_is_too_long_is_compacted,
        its_context_is_counted_free_of_charge,
        an_empty_balance_is_shown_after_one_request,
    ]


for model, path in MODELS.items():
    print(f"  {CLAUDE}, {model}", flush=True)
    prove(*tests_of(model, path))
