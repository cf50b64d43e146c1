"""Tests the API's own endpoints with another project as the provider: the LiteLLM proxy."""

import os
import statistics
from itertools import pairwise

from proof import API, PROVIDER, PROVIDER_WIRE, Person, Wire, ask, equal, first_pieces_come_soon, prove

provider_wire = Wire(PROVIDER_WIRE)


def litellm_answers_who_has_its_key_and_nobody_else():
    question = {"model": "reciter", "messages": [{"role": "user", "content": "Hello!"}]}
    for key in ["sk-another", None]:
        assert ask(PROVIDER, "POST", "/v1/chat/completions", question, key).status >= 400, key
    equal(ask(PROVIDER, "POST", "/v1/chat/completions", question, os.environ["PROVIDER_KEY"]).status, 200)
    equal(Person().chat("Hello!")[0], 200)


def a_conversation_remembers_its_first_message():
    ann = Person()
    _, first = ann.chat("My cat is called Tom.")
    equal(first["response"], "user: My cat is called Tom.")
    _, second = ann.chat("What is it called?", conversation_id=first["conversation_id"])
    equal(second["response"], f"user: My cat is called Tom.\nassistant: {first['response']}\nuser: What is it called?")
    ann.has_paid_for(2)


def a_streamed_answer_comes_word_by_word():
    ann = Person()
    status, stream = ann.stream("!drip one two three four five six seven eight")
    *deltas, (_, last, chat) = stream
    equal((status, last), (200, "done"))
    texts = [data["text"] for _, _, data in deltas]
    equal((len(texts), "".join(texts)), (10, chat["response"]))
    pauses = [later - earlier for (earlier, _, _), (later, _, _) in pairwise(deltas)]
    assert statistics.median(pauses) > 0.03, pauses
    ann.has_paid_for(1)
    return f"{len(deltas)} deltas, {1000 * statistics.median(pauses):.0f} ms between them"


def a_provider_that_fails_costs_nothing():
    ann = Person()
    for message, refusal in [("!fail", (502, "ai_failed")), ("!overloaded", (503, "ai_overloaded"))]:
        status, problem = ann.chat(message)
        equal((status, problem["code"]), refusal)
        equal(ask(API, "POST", "/api/chat/stream/", {"message": message}, ann.token).status, refusal[0])
    for cut in ["early", "before", "middle"]:
        provider_wire.cut(cut)
        status, problem = ann.chat("Hello!")
        equal((cut, status, problem["code"], len(provider_wire.calls())), (cut, 502, "ai_failed", 1))
    ann.has_paid_for(0)


def a_stream_that_the_provider_breaks_off_ends_with_an_error_and_costs_nothing():
    ann = Person()
    provider_wire.cut("middle")
    status, stream = ann.stream("one two three four five six seven eight nine ten")
    names = [name for _, name, _ in stream]
    equal((status, names[0], names[-1], names.count("error")), (200, "delta", "error", 1))
    ann.has_paid_for(0)


def the_first_delta_comes_within_100_ms_of_the_providers_first_byte():
    def first_delta(person):
        _, stream = person.stream("How soon?")
        (heard, name, _), *_ = stream
        equal(name, "delta")
        return heard

    return first_pieces_come_soon(first_delta)


prove(
    litellm_answers_who_has_its_key_and_nobody_else,
    a_conversation_remembers_its_first_message,
    a_streamed_answer_comes_word_by_word,
    a_provider_that_fails_costs_nothing,
    a_stream_that_the_provider_breaks_off_ends_with_an_error_and_costs_nothing,
    the_first_delta_comes_within_100_ms_of_the_providers_first_byte,
)
