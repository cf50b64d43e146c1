"""Tests functions, custom tools, schemas and streams with OpenAI's client for Python. Only its base URL
and its key are set. The client is strict: a reply or an event that doesn't match its types is an
error."""

import json

import openai
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
    prove_client,
    refuses,
    results,
    says,
    statuses,
    wire,
)
from weather import ASKED, CITIES, GRAMMAR, PARAMETERS, REFUSAL, Weather

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "strict": True,
        "parameters": PARAMETERS,
    },
}
FORMATS = [
    (None, {"type": "text"}),
    (GRAMMAR, {"type": "grammar", "grammar": {"syntax": "lark", "definition": GRAMMAR}}),
    ("add [0-9]+", {"type": "grammar", "grammar": {"syntax": "regex", "definition": "add [0-9]+"}}),
]


def a_client():
    person, key = a_caller()
    return person, OpenAI(base_url=BASE_URL, api_key=key, _strict_response_validation=True)


def weather(call):
    return {"role": "tool", "tool_call_id": call.id, "content": f"Sunny in {json.loads(call.function.arguments)['city']}."}


def asked(client, messages, **more):
    return client.chat.completions.create(model="gpt-4o", messages=messages, tools=[TOOL], **more).choices[0]


def calls_go_out_and_results_come_back():
    person, client = a_client()
    play(CITIES, says("Sunny everywhere."))
    first = asked(client, [ASKED], tool_choice="auto", parallel_tool_calls=True)
    equal((first.finish_reason, first.message.content, len(first.message.tool_calls)), ("tool_calls", None, 2))
    # Return the model's message unchanged.
    last = asked(client, [ASKED, first.message, *map(weather, first.message.tool_calls)])
    equal((last.finish_reason, last.message.content), ("stop", "Sunny everywhere."))
    one, other = played()
    equal((one["tools"], one["parallel_tool_calls"]), ([TOOL], True))
    equal(results(other), ["Sunny in Paris.", "Sunny in Oslo."])
    person.has_paid_for(2)


def streamed_calls_are_put_together():
    person, client = a_client()
    play(CITIES, says("Sunny everywhere."))
    with client.chat.completions.stream(model="gpt-4o", messages=[ASKED], tools=[TOOL]) as stream:
        done = [event.name for event in stream if event.type == "tool_calls.function.arguments.done"]
        first = stream.get_final_completion().choices[0].message
    equal((done, [json.loads(call.function.arguments) for call in first.tool_calls]), (2 * ["get_weather"], [{"city": "Paris"}, {"city": "Oslo"}]))
    messages = [ASKED, first, *map(weather, first.tool_calls)]
    pieces = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[TOOL], stream=True)
    equal("".join(piece.choices[0].delta.content or "" for piece in pieces), "Sunny everywhere.")
    equal(results(played()[1]), ["Sunny in Paris.", "Sunny in Oslo."])
    person.has_paid_for(2)


def an_answer_is_parsed_into_a_class():
    person, client = a_client()
    play(says('{"city": "Paris", "degrees": 21}'), says('{"city": "Oslo", "degrees": 7}'))
    completion = client.chat.completions.parse(model="gpt-4o", messages=[ASKED], response_format=Weather)
    equal(completion.choices[0].message.parsed, Weather(city="Paris", degrees=21))
    with client.chat.completions.stream(model="gpt-4o", messages=[ASKED], response_format=Weather) as stream:
        equal(stream.get_final_completion().choices[0].message.parsed, Weather(city="Oslo", degrees=7))
    for request in played():
        equal((request["response_format"]["type"], request["response_format"]["json_schema"]["name"]), ("json_schema", "Weather"))
    person.has_paid_for(2)


def a_class_can_be_the_arguments_of_a_function():
    person, client = a_client()
    play(calls(("Weather", {"city": "Paris", "degrees": 21})))
    completion = client.chat.completions.parse(model="gpt-4o", messages=[ASKED], tools=[openai.pydantic_function_tool(Weather)])
    [call] = completion.choices[0].message.tool_calls
    equal(call.function.parsed_arguments, Weather(city="Paris", degrees=21))
    equal(functions(played()[0]), ["Weather"])
    person.has_paid_for(1)


def a_refusal_is_parsed_into_no_class():
    person, client = a_client()
    play(refuses(REFUSAL), refuses(REFUSAL))
    message = client.chat.completions.parse(model="gpt-4o", messages=[ASKED], response_format=Weather).choices[0].message
    equal((message.parsed, message.content, message.refusal), (None, None, REFUSAL))
    with client.chat.completions.stream(model="gpt-4o", messages=[ASKED], response_format=Weather) as stream:
        done = [event.refusal for event in stream if event.type == "refusal.done"]
        message = stream.get_final_completion().choices[0].message
    equal((done, message.parsed, message.refusal), ([REFUSAL], None, REFUSAL))
    person.has_paid_for(2)


def a_custom_tool_is_called_with_a_text():
    for grammar, format in FORMATS:
        person, client = a_client()
        tool = {"type": "custom", "custom": {"name": "calculate", "description": "Adds numbers.", "format": format}}
        play(calls(("calculate", {"input": "add 7"})), says("Seven."))
        first = client.chat.completions.create(model="gpt-4o", messages=[ASKED], tools=[tool]).choices[0]
        [call] = first.message.tool_calls
        equal((first.finish_reason, call.type, call.custom.name, call.custom.input), ("tool_calls", "custom", "calculate", "add 7"))
        # Return the model's message unchanged.
        messages = [ASKED, first.message, {"role": "tool", "tool_call_id": call.id, "content": "7"}]
        equal(client.chat.completions.create(model="gpt-4o", messages=messages, tools=[tool]).choices[0].message.content, "Seven.")
        one, other = played()
        a_custom_tool_is_offered(one, grammar)
        equal(results(other), ["7"])
        person.has_paid_for(2)


# In streams, the client's types know only functions, so this client isn't strict.
def a_custom_tools_text_is_streamed():
    person, key = a_caller()
    client = OpenAI(base_url=BASE_URL, api_key=key)
    tool = {"type": "custom", "custom": {"name": "calculate", "format": FORMATS[1][1]}}
    play(calls(("calculate", {"input": "add 7"})))
    pieces = client.chat.completions.create(model="gpt-4o", messages=[ASKED], tools=[tool], stream=True)
    made = [call for piece in pieces for call in piece.choices[0].delta.tool_calls or []]
    equal((made[0].type, made[0].custom["name"], "".join(call.custom["input"] for call in made)), ("custom", "calculate", "add 7"))
    person.has_paid_for(1)


def a_lost_reply_in_the_middle_of_a_loop_is_replayed_with_its_calls_and_paid_once():
    for cut, heard in [("before", [None, 200]), ("middle", [200, 200])]:
        person, client = a_client()
        play(CITIES, says("Sunny everywhere."))
        wire.cut(cut)
        first = asked(client, [ASKED]).message
        equal((statuses(), len(first.tool_calls)), (heard, 2))
        wire.cut(cut)
        last = asked(client, [ASKED, first, *map(weather, first.tool_calls)])
        equal((statuses(), last.message.content), (heard, "Sunny everywhere."))
        equal(len(played()), 2)
        person.has_paid_for(2)


def a_lost_stream_of_calls_is_replayed_and_paid_once():
    person, client = a_client()
    play(CITIES)
    wire.cut("before")
    with client.chat.completions.stream(model="gpt-4o", messages=[ASKED], tools=[TOOL]) as stream:
        equal(len(stream.get_final_completion().choices[0].message.tool_calls), 2)
    equal((statuses(), len(played())), ([None, 200], 1))
    person.has_paid_for(1)


def the_named_model_answers_at_its_price():
    _, client = a_client()
    equal([model.id for model in client.models.list()], ["quick", "deep"])
    each_model_is_charged_its_fare(lambda key, model: completion(key, model).choices[0].message.content)


def completion(key, model):
    return OpenAI(base_url=BASE_URL, api_key=key).chat.completions.create(model=model, messages=[ASKED])


prove_client(
    "openai",
    calls_go_out_and_results_come_back,
    streamed_calls_are_put_together,
    an_answer_is_parsed_into_a_class,
    a_class_can_be_the_arguments_of_a_function,
    a_refusal_is_parsed_into_no_class,
    a_custom_tool_is_called_with_a_text,
    a_custom_tools_text_is_streamed,
    a_lost_reply_in_the_middle_of_a_loop_is_replayed_with_its_calls_and_paid_once,
    a_lost_stream_of_calls_is_replayed_and_paid_once,
    the_named_model_answers_at_its_price,
)
