"""Tests the endpoints under /v1 with OpenAI's client for Python. Only its base URL and its key are
set."""

import asyncio
import time

import openai
from openai import AsyncOpenAI, OpenAI
from proof import API_WIRE, FIRST_GRANT, PRICE, Person, Wire, equal, first_pieces_come_soon, prove, raised, recital

BASE_URL = API_WIRE + "/v1"
wire = Wire(API_WIRE)

HELLO = [{"role": "user", "content": "Hello!"}]
SLOW = [{"role": "user", "content": "!slow Hello!"}]
CONVERSATION = [
    {"role": "system", "content": "You recite."},
    {"role": "user", "content": "My cat is called Tom."},
    {"role": "assistant", "content": "A good name."},
    {"role": "user", "content": "What is it called?"},
]


def a_caller():
    person = Person()
    return person, OpenAI(base_url=BASE_URL, api_key=person.api_key())


def answer(client, messages, **more):
    return client.chat.completions.create(model="gpt-4o", messages=messages, **more).choices[0].message.content


def streamed_answer(client, messages, **more):
    """The pieces of a streamed answer, as they arrive."""
    for chunk in client.chat.completions.create(model="gpt-4o", messages=messages, stream=True, **more):
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


def attempts(*statuses):
    """Asserts that the calls since the last plan were attempts at one request, with these statuses.
    A lost reply's status is None."""
    calls = wire.calls()
    equal([call["status"] for call in calls], list(statuses))
    equal([call["retry"] for call in calls], [str(number) for number in range(len(calls))])
    equal(len({call["body"] for call in calls}), 1)
    return calls


def the_models_are_listed():
    _, client = a_caller()
    assert "reciter" in [model.id for model in client.models.list()]


def a_completion_is_answered_paid_and_kept():
    person, client = a_caller()
    completion = client.chat.completions.create(model="gpt-4o", messages=HELLO)
    [choice] = completion.choices
    equal((choice.message.role, choice.message.content, choice.finish_reason), ("assistant", recital(HELLO), "stop"))
    equal((completion.usage.prompt_tokens, completion.usage.completion_tokens, completion.usage.total_tokens), (1, 2, 3))
    person.has_paid_for(1)
    equal(person.history()[0]["response"], recital(HELLO))


def a_streamed_completion_comes_word_by_word_with_its_usage_at_the_end():
    person, client = a_caller()
    messages = [{"role": "user", "content": "one two three four"}]
    stream = client.chat.completions.create(model="gpt-4o", messages=messages, stream=True, stream_options={"include_usage": True})
    *chunks, last = stream
    pieces = [chunk.choices[0].delta.content for chunk in chunks]
    equal([piece for piece in pieces if piece], ["user:", " one", " two", " three", " four"])
    equal(chunks[-1].choices[0].finish_reason, "stop")
    equal((last.choices, last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens), ([], 4, 5, 9))
    person.has_paid_for(1)
    equal(person.history()[0]["response"], recital(messages))


def a_response_is_answered_paid_and_kept():
    person, client = a_caller()
    response = client.responses.create(model="gpt-4o", instructions="You recite.", input="Hello!")
    recited = recital([{"role": "system", "content": "You recite."}, *HELLO])
    equal((response.status, response.output_text, response.error), ("completed", recited, None))
    equal((response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens), (3, 4, 7))
    person.has_paid_for(1)
    equal(person.history()[0]["response"], recited)
    refused = raised(
        openai.BadRequestError,
        lambda: client.responses.create(model="gpt-4o", input="Hello!", previous_response_id=response.id),
    )
    equal(refused.param, "previous_response_id")
    person.has_paid_for(1)


def a_streamed_response_comes_in_typed_events_that_make_the_response():
    person, client = a_caller()
    with client.responses.stream(model="gpt-4o", input="one two three four") as stream:
        events = list(stream)
        response = stream.get_final_response()
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    equal(pieces, ["user:", " one", " two", " three", " four"])
    equal([event.sequence_number for event in events], list(range(len(events))))
    equal(response.output_text, "".join(pieces))
    equal((response.usage.input_tokens, response.usage.output_tokens), (4, 5))
    person.has_paid_for(1)


def lost_responses_are_replayed_and_paid_once():
    for streams in [False, True]:
        person, client = a_caller()
        wire.cut("before")
        reply = client.responses.create(model="gpt-4o", input="Hello!", stream=streams)
        response = list(reply)[-1].response if streams else reply
        equal(response.output_text, recital(HELLO))
        attempts(None, 200)
        person.has_paid_for(1)


def the_first_piece_comes_within_100_ms_of_the_providers_first_byte():
    def first_piece(person):
        client = OpenAI(base_url=BASE_URL, api_key=person.api_key())
        next(streamed_answer(client, HELLO))
        return time.monotonic()

    return first_pieces_come_soon(first_piece)


def a_conversation_with_its_system_message_reaches_the_provider_whole():
    person, client = a_caller()
    equal(answer(client, CONVERSATION), recital(CONVERSATION))
    equal("".join(streamed_answer(client, CONVERSATION)), recital(CONVERSATION))
    person.has_paid_for(2)


def the_same_words_said_twice_cost_twice():
    person, client = a_caller()
    equal([answer(client, HELLO), answer(client, HELLO)], 2 * [recital(HELLO)])
    person.has_paid_for(2)


def the_same_words_under_one_idempotency_key_cost_once():
    person, client = a_caller()
    once = {"Idempotency-Key": "order 7"}
    equal([answer(client, HELLO, extra_headers=once), answer(client, HELLO, extra_headers=once)], 2 * [recital(HELLO)])
    person.has_paid_for(1)


def a_wrong_key_is_an_authentication_error():
    _, client = a_caller()
    wire.watch()
    error = raised(openai.AuthenticationError, lambda: answer(client.with_options(api_key="sk-another"), HELLO))
    equal((error.status_code, error.code), (401, "invalid_api_key"))
    attempts(401)


def a_balance_is_spent_by_calls_at_once_and_then_refused_without_a_retry():
    person, client = a_caller()

    async def spend_everything():
        async with AsyncOpenAI(base_url=BASE_URL, api_key=client.api_key) as caller:
            calls = [caller.chat.completions.create(model="gpt-4o", messages=HELLO) for _ in range(FIRST_GRANT // PRICE)]
            equal({completion.choices[0].message.content for completion in await asyncio.gather(*calls)}, {recital(HELLO)})

            stream = caller.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
            wire.watch()
            try:
                await stream
            except openai.APIStatusError as error:
                equal((error.type, error.code), ("insufficient_quota", "insufficient_quota"))
                attempts(402)
            else:
                raise AssertionError("there was nothing left to pay with")

    asyncio.run(spend_everything())
    wire.watch()
    error = raised(openai.APIStatusError, lambda: answer(client, HELLO))
    equal((error.type, error.code), ("insufficient_quota", "insufficient_quota"))
    attempts(402)
    person.has_paid_for(FIRST_GRANT // PRICE)


def a_provider_that_fails_costs_nothing_however_often_it_is_tried():
    person, client = a_caller()
    wire.watch()
    raised(openai.InternalServerError, lambda: answer(client, [{"role": "user", "content": "!fail"}]))
    attempts(502, 502, 502)
    person.has_paid_for(0)


def lost_replies_are_replayed_and_paid_once():
    for cut, times, statuses in [("before", 1, [None, 200]), ("before", 2, [None, None, 200]), ("middle", 1, [200, 200])]:
        person, client = a_caller()
        wire.cut(cut, times)
        equal(answer(client, CONVERSATION), recital(CONVERSATION))
        attempts(*statuses)
        person.has_paid_for(1)


def a_stream_lost_before_its_headers_is_replayed_and_paid_once():
    person, client = a_caller()
    wire.cut("before")
    equal("".join(streamed_answer(client, CONVERSATION)), recital(CONVERSATION))
    attempts(None, 200)
    person.has_paid_for(1)


def a_stream_cut_in_the_middle_is_the_callers_to_repeat_and_was_paid_once():
    person, client = a_caller()
    wire.cut("middle")
    raised(openai.APIConnectionError, lambda: list(streamed_answer(client, CONVERSATION)))
    attempts(200)
    person.has_paid_for(1)


def a_call_that_still_runs_is_waited_for_and_paid_once():
    for ask in [answer, lambda client, messages: "".join(streamed_answer(client, messages))]:
        person, client = a_caller()
        wire.cut("early")
        equal(ask(client, SLOW), recital(SLOW))
        _, refused, replayed = attempts(None, 409, 200)
        waited = replayed["began"] - refused["began"]
        assert waited >= float(refused["retry_after"]), (waited, refused)
        person.has_paid_for(1)


prove(
    the_models_are_listed,
    a_completion_is_answered_paid_and_kept,
    a_streamed_completion_comes_word_by_word_with_its_usage_at_the_end,
    a_response_is_answered_paid_and_kept,
    a_streamed_response_comes_in_typed_events_that_make_the_response,
    lost_responses_are_replayed_and_paid_once,
    the_first_piece_comes_within_100_ms_of_the_providers_first_byte,
    a_conversation_with_its_system_message_reaches_the_provider_whole,
    the_same_words_said_twice_cost_twice,
    the_same_words_under_one_idempotency_key_cost_once,
    a_wrong_key_is_an_authentication_error,
    a_balance_is_spent_by_calls_at_once_and_then_refused_without_a_retry,
    a_provider_that_fails_costs_nothing_however_often_it_is_tried,
    lost_replies_are_replayed_and_paid_once,
    a_stream_lost_before_its_headers_is_replayed_and_paid_once,
    a_stream_cut_in_the_middle_is_the_callers_to_repeat_and_was_paid_once,
    a_call_that_still_runs_is_waited_for_and_paid_once,
)
