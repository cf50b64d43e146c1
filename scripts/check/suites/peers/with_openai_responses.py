"""Tests the Responses API with OpenAI's client for Python: functions, custom tools, schemas and
streams. Only its base URL and its key are set. The client is strict: a reply or an event that doesn't
match its types is an error."""

import json

from openai import OpenAI
from scripted import (
    BASE_URL,
    a_caller,
    a_custom_tool_is_offered,
    calls,
    each_model_is_charged_its_fare,
    equal,
    functions,
    play,
    played,
    prove_of,
    refuses,
    results,
    says,
    statuses,
    version,
    wire,
)
from weather import ASKED, CITIES, GRAMMAR, PARAMETERS, REFUSAL, Weather

TOOLS = [{"type": "function", "name": "get_weather", "description": "The weather of a city.", "strict": True, "parameters": PARAMETERS}]


def a_client():
    person, key = a_caller()
    return person, OpenAI(base_url=BASE_URL, api_key=key, _strict_response_validation=True)


def weather(call):
    return {"type": "function_call_output", "call_id": call.call_id, "output": f"Sunny in {json.loads(call.arguments)['city']}."}


def asked(client, items, tools=TOOLS):
    return client.responses.create(model="gpt-4o", input=items, tools=tools, store=False)


def streamed(client, items, tools=TOOLS):
    with client.responses.stream(model="gpt-4o", input=items, tools=tools, store=False) as stream:
        done = [event.name for event in stream if event.type == "response.function_call_arguments.done"]
        response = stream.get_final_response()
    equal(len(done), len([item for item in response.output if item.type == "function_call"]))
    return response


def calls_go_out_and_results_come_back_whole_and_in_pieces():
    for ask in [asked, streamed]:
        person, client = a_client()
        play(CITIES, says("Sunny everywhere."))
        first = ask(client, [ASKED])
        equal([json.loads(item.arguments)["city"] for item in first.output], ["Paris", "Oslo"])
        # Return the model's items unchanged.
        last = ask(client, [ASKED, *first.output, *map(weather, first.output)])
        equal((last.status, last.output_text), ("completed", "Sunny everywhere."))
        one, other = played()
        equal((functions(one), results(other)), (["get_weather"], ["Sunny in Paris.", "Sunny in Oslo."]))
        person.has_paid_for(2)


def an_answer_is_parsed_into_a_class():
    person, client = a_client()
    play(says('{"city": "Paris", "degrees": 21}'))
    response = client.responses.parse(model="gpt-4o", input=[ASKED], text_format=Weather)
    equal(response.output_parsed, Weather(city="Paris", degrees=21))
    equal(played()[0]["response_format"]["type"], "json_schema")
    person.has_paid_for(1)


def a_refusal_is_parsed_into_no_class():
    person, client = a_client()
    play(refuses(REFUSAL))
    response = client.responses.parse(model="gpt-4o", input=[ASKED], text_format=Weather)
    [part] = response.output[0].content
    equal((response.output_parsed, part.type, part.refusal), (None, "refusal", REFUSAL))
    person.has_paid_for(1)


def a_custom_tool_is_called_with_a_text():
    for grammar, format in [(None, {"type": "text"}), (GRAMMAR, {"type": "grammar", "syntax": "lark", "definition": GRAMMAR})]:
        for ask in [asked, streamed]:
            person, client = a_client()
            tool = {"type": "custom", "name": "calculate", "description": "Adds numbers.", "format": format}
            play(calls(("calculate", {"input": "add 7"})), says("Seven."))
            [call] = ask(client, [ASKED], [tool]).output
            equal((call.type, call.name, call.input), ("custom_tool_call", "calculate", "add 7"))
            result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "7"}
            equal(ask(client, [ASKED, call, result], [tool]).output_text, "Seven.")
            one, other = played()
            a_custom_tool_is_offered(one, grammar)
            equal(results(other), ["7"])
            person.has_paid_for(2)


def a_lost_reply_in_the_middle_of_a_loop_is_replayed_with_its_calls_and_paid_once():
    for ask in [asked, streamed]:
        person, client = a_client()
        play(CITIES, says("Sunny everywhere."))
        wire.cut("before")
        first = ask(client, [ASKED])
        equal((statuses(), len(first.output)), ([None, 200], 2))
        wire.cut("before")
        last = ask(client, [ASKED, *first.output, *map(weather, first.output)])
        equal((statuses(), last.output_text, len(played())), ([None, 200], "Sunny everywhere.", 2))
        person.has_paid_for(2)


def the_named_model_answers_at_its_price():
    each_model_is_charged_its_fare(lambda key, model: OpenAI(base_url=BASE_URL, api_key=key).responses.create(model=model, input=[ASKED]).output_text)


prove_of(
    f"openai {version('openai')}, Responses API",
    calls_go_out_and_results_come_back_whole_and_in_pieces,
    an_answer_is_parsed_into_a_class,
    a_refusal_is_parsed_into_no_class,
    a_custom_tool_is_called_with_a_text,
    a_lost_reply_in_the_middle_of_a_loop_is_replayed_with_its_calls_and_paid_once,
    the_named_model_answers_at_its_price,
)
