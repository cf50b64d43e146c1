"""Tests LiteLLM as a client. Only its base URL, its key and the API that it uses are set."""

import json

import litellm
import openai
from scripted import (
    API_WIRE,
    BASE_URL,
    DOOR,
    FIRST_GRANT,
    PRICE,
    a_caller,
    calls,
    each_model_is_charged_its_fare,
    equal,
    functions,
    play,
    played,
    prove_client,
    raised,
    results,
    says,
    statuses,
    wire,
)

litellm.telemetry = False
litellm.suppress_debug_info = True

ASKED = {"role": "user", "content": "How is the weather in Paris?"}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "The weather of a city.", "parameters": PARAMETERS}}]
REPORT = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}
CALL = calls(("get_weather", {"city": "Paris"}))


def completion(key, messages, model="farebox", **more):
    provider, url = ("anthropic", API_WIRE) if DOOR == "messages" else ("openai", BASE_URL)
    return litellm.completion(model=f"{provider}/{model}", api_base=url, api_key=key, messages=messages, **more)


def result(call):
    return {"role": "tool", "tool_call_id": call.id, "content": f"Sunny in {json.loads(call.function.arguments)['city']}."}


def functions_are_called_whole_and_in_pieces():
    for stream in [False, True]:
        person, key = a_caller()
        play(CALL, says("Sunny everywhere."))

        def message(messages, key=key, stream=stream):
            reply = completion(key, messages, tools=TOOLS, stream=stream)
            return (litellm.stream_chunk_builder(list(reply)) if stream else reply).choices[0].message

        first = message([ASKED])
        last = message([ASKED, first.model_dump(), *map(result, first.tool_calls)])
        equal(last.content, "Sunny everywhere.")
        asked, answered = played()
        equal((functions(asked), results(answered)), (["get_weather"], ["Sunny in Paris."]))
        person.has_paid_for(2)


def an_answer_has_the_schema_that_was_asked_for():
    person, key = a_caller()
    report = {"city": "Paris", "degrees": 21}
    # LiteLLM sends the schema to Anthropic's API as a function.
    play(calls(("json_tool_call", report)) if DOOR == "messages" else says(json.dumps(report)))
    schema = {"type": "json_schema", "json_schema": {"name": "report", "strict": True, "schema": REPORT}}
    answer = completion(key, [ASKED], response_format=schema).choices[0].message.content
    equal(json.loads(answer), report)
    [request] = played()
    equal(functions(request) if DOOR == "messages" else request["response_format"], ["json_tool_call"] if DOOR == "messages" else schema)
    person.has_paid_for(1)


def failures_have_their_own_errors():
    person, key = a_caller()
    raised(litellm.AuthenticationError, lambda: completion("sk-another", [ASKED]))
    raised(litellm.ContextWindowExceededError, lambda: completion(key, [{"role": "user", "content": 600_000 * "x"}]))
    play(*FIRST_GRANT // PRICE * [says("Sunny.")])
    for _ in range(FIRST_GRANT // PRICE):
        completion(key, [ASKED])
    equal(raised(openai.APIError, lambda: completion(key, [ASKED])).status_code, 402)
    person.has_paid_for(FIRST_GRANT // PRICE)


def a_lost_reply_in_the_middle_of_a_loop_is_paid_once():
    person, key = a_caller()
    play(CALL, says("Sunny everywhere."))
    first = completion(key, [ASKED], tools=TOOLS).choices[0].message
    wire.cut("before")
    last = completion(key, [ASKED, first.model_dump(), *map(result, first.tool_calls)], tools=TOOLS, max_retries=2)
    equal((last.choices[0].message.content, statuses(), len(played())), ("Sunny everywhere.", [None, 200], 2))
    person.has_paid_for(2)


def the_named_model_answers_at_its_price():
    each_model_is_charged_its_fare(lambda key, model: completion(key, [ASKED], model).choices[0].message.content)


# LiteLLM asks Anthropic's API only once.
RETRIED = [] if DOOR == "messages" else [a_lost_reply_in_the_middle_of_a_loop_is_paid_once]

prove_client(
    "litellm",
    functions_are_called_whole_and_in_pieces,
    an_answer_has_the_schema_that_was_asked_for,
    failures_have_their_own_errors,
    *RETRIED,
    the_named_model_answers_at_its_price,
)
