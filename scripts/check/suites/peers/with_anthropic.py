"""with_anthropic.py [MODEL..] - tests Anthropic's client for Python, or what it gets from these models,
whose providers have Anthropic's and Bedrock's APIs. Only its base URL and its key are set. The client
is strict: a reply or an event that doesn't match its types is an error."""

import base64
import json
import struct
import sys
import zlib

import anthropic
from anthropic import Anthropic
from scripted import (
    API_WIRE,
    FIRST_GRANT,
    PRICE,
    a_caller,
    each_model_is_charged_its_fare,
    equal,
    functions,
    play,
    played,
    prove_client,
    prove_of,
    raised,
    refuses,
    results,
    says,
    statuses,
    version,
    wire,
)
from weather import ASKED, CITIES, Weather

TOOL = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def client_of(key):
    return Anthropic(base_url=API_WIRE, api_key=key, _strict_response_validation=True)


def a_client():
    person, key = a_caller()
    return person, client_of(key)


def asked(client, messages, model="claude-sonnet-5-5", **more):
    return client.messages.create(model=model, max_tokens=1024, messages=messages, **more)


def streamed(client, messages, model="claude-sonnet-5-5", **more):
    with client.messages.stream(model=model, max_tokens=1024, messages=messages, **more) as stream:
        return stream.get_final_message()


def text(message):
    return "".join(block.text for block in message.content if block.type == "text")


def weather(message):
    """The user's next message: the results of the calls in this one."""
    uses = [block for block in message.content if block.type == "tool_use"]
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": f"Sunny in {use.input['city']}."} for use in uses]}


def picture():
    """A red pixel as a PNG."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")).decode()


def a_message_is_answered_whole_and_in_pieces():
    for ask in [asked, streamed]:
        person, client = a_client()
        play(says("Sunny everywhere."))
        message = ask(client, [ASKED], system="You know the weather.", stop_sequences=["Amen"])
        equal((text(message), message.stop_reason, message.role), ("Sunny everywhere.", "end_turn", "assistant"))
        equal((message.usage.input_tokens, message.usage.output_tokens), (5, 7))
        [request] = played()
        equal((request["messages"][0], request["stop"]), ({"role": "system", "content": "You know the weather."}, ["Amen"]))
        person.has_paid_for(1)


def calls_go_out_and_results_come_back():
    for ask in [asked, streamed]:
        person, client = a_client()
        play(CITIES, says("Sunny everywhere."))
        first = ask(client, [ASKED], tools=[TOOL], tool_choice={"type": "auto"})
        equal((first.stop_reason, [block.input for block in first.content]), ("tool_use", [{"city": "Paris"}, {"city": "Oslo"}]))
        # Return the model's message unchanged.
        last = ask(client, [ASKED, {"role": "assistant", "content": first.content}, weather(first)], tools=[TOOL])
        equal(text(last), "Sunny everywhere.")
        one, other = played()
        equal((functions(one), results(other)), (["get_weather"], ["Sunny in Paris.", "Sunny in Oslo."]))
        person.has_paid_for(2)


def the_clients_own_loop_runs_its_functions():
    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return f"Sunny in {city}."

    person, client = a_client()
    play(CITIES, says("Sunny everywhere."))
    wire.watch()
    runner = client.beta.messages.tool_runner(model="claude-sonnet-5-5", max_tokens=1024, messages=[ASKED], tools=[get_weather])
    equal(text(runner.until_done()), "Sunny everywhere.")
    equal(results(played()[1]), ["Sunny in Paris.", "Sunny in Oslo."])
    # At first, the client asks the server to keep the conversation.
    equal(statuses(), [400, 200, 200])
    person.has_paid_for(2)


def an_answer_is_parsed_into_a_class():
    person, client = a_client()
    play(says('{"city": "Paris", "degrees": 21}'))
    message = client.messages.parse(model="claude-sonnet-5-5", max_tokens=1024, messages=[ASKED], output_format=Weather)
    equal(message.parsed_output, Weather(city="Paris", degrees=21))
    equal(played()[0]["response_format"]["type"], "json_schema")
    person.has_paid_for(1)


def a_picture_reaches_the_model():
    person, client = a_client()
    play(says("It is red."))
    source = {"type": "base64", "media_type": "image/png", "data": picture()}
    message = asked(client, [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "Which colour?"}]}])
    equal(text(message), "It is red.")
    [request] = played()
    assert "data:image/png;base64," + picture() in json.dumps(request["messages"]), request
    person.has_paid_for(1)


def thinking_is_answered_and_accepted_again():
    for ask in [asked, streamed]:
        person, client = a_client()
        play(says("Sunny.", reasoning="Paris is sunny."), says("Yes."))
        thinking = {"type": "adaptive"}
        first = ask(client, [ASKED], thinking=thinking)
        equal([block.type for block in first.content], ["thinking", "text"])
        equal((first.content[0].thinking, text(first)), ("Paris is sunny.", "Sunny."))
        last = ask(client, [ASKED, {"role": "assistant", "content": first.content}, {"role": "user", "content": "Really?"}], thinking=thinking)
        equal((text(last), len(played())), ("Yes.", 2))
        person.has_paid_for(2)


def tokens_are_counted_for_nothing():
    person, client = a_client()
    count = client.messages.count_tokens(model="claude-sonnet-5-5", messages=[ASKED], tools=[TOOL], system="You know the weather.")
    assert count.input_tokens > 10, count
    person.has_paid_for(0)


def a_wrong_key_is_an_authentication_error():
    wire.watch()
    error = raised(anthropic.AuthenticationError, lambda: asked(client_of("sk-another"), [ASKED]))
    equal((error.status_code, error.body["error"]["type"]), (401, "authentication_error"))
    equal(statuses(), [401])


def an_empty_balance_is_a_billing_error_after_one_request():
    person, client = a_client()
    play(*FIRST_GRANT // PRICE * [says("Sunny.")])
    for _ in range(FIRST_GRANT // PRICE):
        asked(client, [ASKED])
    for ask in [asked, streamed]:
        wire.watch()
        error = raised(anthropic.APIStatusError, lambda ask=ask: ask(client, [ASKED]))
        equal((error.status_code, error.body["error"]["type"], statuses()), (402, "billing_error", [402]))
    person.has_paid_for(FIRST_GRANT // PRICE)


# The client counts its retries. It doesn't retry a stream that has begun.
def a_lost_reply_is_paid_for_once():
    for ask, cut, heard in [(asked, "before", [None, 200]), (asked, "middle", [200, 200]), (streamed, "before", [None, 200])]:
        person, client = a_client()
        play(CITIES, says("Sunny everywhere."))
        wire.cut(cut)
        first = ask(client, [ASKED], tools=[TOOL])
        equal((statuses(), first.stop_reason), (heard, "tool_use"))
        wire.cut(cut)
        last = ask(client, [ASKED, {"role": "assistant", "content": first.content}, weather(first)], tools=[TOOL])
        equal((statuses(), text(last), len(played())), (heard, "Sunny everywhere.", 2))
        person.has_paid_for(2)


def a_stream_that_is_cut_in_the_middle_was_paid_for_once():
    person, client = a_client()
    play(says("Sunny everywhere."))
    wire.cut("middle")
    raised(Exception, lambda: streamed(client, [ASKED]))
    equal((statuses(), len(played())), ([200], 1))
    person.has_paid_for(1)


def the_named_model_answers_at_its_price():
    _, client = a_client()
    equal([model.id for model in client.models.list()], ["quick", "deep"])
    each_model_is_charged_its_fare(lambda key, model: text(asked(client_of(key), [ASKED], model)))


# The names of blocks in Bedrock's API, in Anthropic's words.
BLOCKS = {"reasoningContent": "thinking", "text": "text", "toolUse": "tool_use", "toolResult": "tool_result"}


def kinds(message):
    """The kinds of the blocks in a message that a provider received."""
    return [block.get("type") or next(BLOCKS[name] for name in block if name in BLOCKS) for block in message["content"]]


def tests_of(model):
    thinking = {"model": model, "thinking": {"type": "adaptive"}, "tools": [TOOL]}
    answer = CITIES | says("I look it up.", reasoning="The user asks about two cities.")
    order = ["thinking", "text", "tool_use", "tool_use"]

    def blocks_come_signed_and_in_order_and_go_back_unchanged():
        for ask in [asked, streamed]:
            person, client = a_client()
            play(answer, says("Sunny everywhere."))
            first = ask(client, [ASKED], **thinking)
            equal(([block.type for block in first.content], first.stop_reason), (order, "tool_use"))
            thought, told, *uses = first.content
            equal((thought.thinking, thought.signature, told.text), ("The user asks about two cities.", "signed", "I look it up."))
            equal([use.input["city"] for use in uses], ["Paris", "Oslo"])
            last = ask(client, [ASKED, {"role": "assistant", "content": first.content}, weather(first)], **thinking)
            equal((text(last), last.stop_reason), ("Sunny everywhere.", "end_turn"))
            _, other = played()
            _, assistant, user = other["messages"]
            equal((kinds(assistant), kinds(user)), (order, ["tool_result", "tool_result"]))
            assert '"signature": "signed"' in json.dumps(assistant["content"][0]), assistant
            person.has_paid_for(2)

    def a_lost_reply_is_repeated_with_its_signature():
        for ask, cut, heard in [(asked, "before", [None, 200]), (asked, "middle", [200, 200]), (streamed, "before", [None, 200])]:
            person, client = a_client()
            play(answer)
            wire.cut(cut)
            first = ask(client, [ASKED], **thinking)
            equal((statuses(), [block.type for block in first.content], first.content[0].signature), (heard, order, "signed"))
            equal(len(played()), 1)
            person.has_paid_for(1)

    def thinking_is_answered_only_on_request():
        for ask in [asked, streamed]:
            person, client = a_client()
            play(says("Sunny.", reasoning="Paris is sunny."))
            equal([block.type for block in ask(client, [ASKED], model=model).content], ["text"])
            person.has_paid_for(1)

    def a_refusal_has_its_stop_reason():
        for ask in [asked, streamed]:
            person, client = a_client()
            play(refuses("I can't help with that."))
            message = ask(client, [ASKED], model=model)
            equal((message.stop_reason, text(message)), ("refusal", "I can't help with that."))
            person.has_paid_for(1)

    yield blocks_come_signed_and_in_order_and_go_back_unchanged
    yield a_lost_reply_is_repeated_with_its_signature
    yield thinking_is_answered_only_on_request
    yield a_refusal_has_its_stop_reason


for model in sys.argv[1:]:
    prove_of(f"anthropic {version('anthropic')}, {model}", *tests_of(model))
if not sys.argv[1:]:
    prove_client(
        "anthropic",
        a_message_is_answered_whole_and_in_pieces,
        calls_go_out_and_results_come_back,
        the_clients_own_loop_runs_its_functions,
        an_answer_is_parsed_into_a_class,
        a_picture_reaches_the_model,
        thinking_is_answered_and_accepted_again,
        tokens_are_counted_for_nothing,
        a_wrong_key_is_an_authentication_error,
        an_empty_balance_is_a_billing_error_after_one_request,
        a_lost_reply_is_paid_for_once,
        a_stream_that_is_cut_in_the_middle_was_paid_for_once,
        the_named_model_answers_at_its_price,
    )
