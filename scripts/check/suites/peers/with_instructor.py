"""Tests Instructor, which parses an answer into an object. Only the base URL and the key of
OpenAI's client are set."""

import instructor
from instructor import Mode
from openai import OpenAI
from scripted import BASE_URL, a_caller, calls, equal, play, played, prove_client, says, statuses, wire
from weather import QUESTION, Weather

ASKED = [{"role": "user", "content": QUESTION}]
CALL = calls(("Weather", {"city": "Paris", "degrees": 21}))
REPORT = says('{"city": "Paris", "degrees": 21}')


PARIS = {"city": "Paris", "degrees": 21}


def a_client(mode):
    person, key = a_caller()
    return person, instructor.from_openai(OpenAI(base_url=BASE_URL, api_key=key), mode=mode)


def report(client, **more):
    return client.chat.completions.create(model="gpt-4o", messages=ASKED, response_model=Weather, **more).model_dump()


def each_mode_makes_an_object():
    for mode, answer in [(Mode.TOOLS, CALL), (Mode.TOOLS_STRICT, CALL), (Mode.JSON_SCHEMA, REPORT), (Mode.JSON, REPORT), (Mode.MD_JSON, REPORT)]:
        person, client = a_client(mode)
        play(answer)
        equal((mode, report(client)), (mode, PARIS))
        played()
        person.has_paid_for(1)


def an_object_that_is_not_valid_is_asked_for_again_and_costs_again():
    person, client = a_client(Mode.TOOLS)
    play(calls(("Weather", {"city": "Paris", "degrees": "warm"})), CALL)
    equal(report(client, max_retries=1), PARIS)
    played()
    person.has_paid_for(2)


def an_object_grows_in_a_stream():
    for mode, answer in [(Mode.TOOLS, CALL), (Mode.JSON_SCHEMA, REPORT)]:
        person, client = a_client(mode)
        play(answer)
        parts = list(client.chat.completions.create_partial(model="gpt-4o", messages=ASKED, response_model=Weather))
        equal((parts[0].degrees, parts[-1].model_dump()), (None, PARIS))
        played()
        person.has_paid_for(1)


def a_lost_reply_is_paid_once():
    person, client = a_client(Mode.TOOLS)
    play(CALL)
    wire.cut("before")
    equal((report(client), statuses(), len(played())), (PARIS, [None, 200], 1))
    person.has_paid_for(1)


prove_client(
    "instructor",
    each_mode_makes_an_object,
    an_object_that_is_not_valid_is_asked_for_again_and_costs_again,
    an_object_grows_in_a_stream,
    a_lost_reply_is_paid_once,
)
