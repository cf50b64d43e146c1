"""Tests OpenAI's Agents SDK. The test sets only the SDK's client, and which of OpenAI's APIs it
uses."""

import asyncio
import json

from agents import Agent, Runner, function_tool, set_default_openai_api, set_default_openai_client, set_tracing_disabled
from openai import AsyncOpenAI
from scripted import BASE_URL, DOOR, a_caller, calls, equal, functions, play, played, prove_client, results, says, statuses
from weather import QUESTION, Weather, get_weather, get_weather_over_a_bad_line

set_default_openai_api("responses" if DOOR == "responses" else "chat_completions")
# The SDK would send traces to OpenAI.
set_tracing_disabled(True)


def answer(key, agent):
    async def run():
        async with AsyncOpenAI(base_url=BASE_URL, api_key=key) as client:
            set_default_openai_client(client)
            return await Runner.run(agent, QUESTION)

    return asyncio.run(run())


def streamed_answer(key, agent):
    """The pieces of the agent's answer."""

    async def run():
        async with AsyncOpenAI(base_url=BASE_URL, api_key=key) as client:
            set_default_openai_client(client)
            events = [event.data async for event in Runner.run_streamed(agent, QUESTION).stream_events() if event.type == "raw_response_event"]
            return [event.delta for event in events if event.type == "response.output_text.delta"]

    return asyncio.run(run())


def a_team(**more):
    forecaster = Agent(name="Forecaster", instructions="You know the weather.", model="gpt-4o", **more)
    return Agent(name="Reception", instructions="You know who knows it.", handoffs=[forecaster], model="gpt-4o")


HANDOFF = calls(("transfer_to_forecaster", {}))


def an_agent_hands_over_to_another_which_runs_its_tools():
    person, key = a_caller()
    play(HANDOFF, calls(("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})), says("Sunny everywhere."))
    done = answer(key, a_team(tools=[function_tool(get_weather)]))
    equal((done.final_output, done.last_agent.name), ("Sunny everywhere.", "Forecaster"))
    first, second, last = played()
    equal((functions(first), functions(second)), (["transfer_to_forecaster"], ["get_weather"]))
    equal([request["messages"][0]["content"] for request in [first, second]], ["You know who knows it.", "You know the weather."])
    handoff, *weather = results(last)
    equal((json.loads(handoff), weather), ({"assistant": "Forecaster"}, ["Sunny in Paris.", "Sunny in Oslo."]))
    person.has_paid_for(3)


def an_agent_answers_with_an_object():
    person, key = a_caller()
    play(HANDOFF, says('{"city": "Paris", "degrees": 21}'))
    equal(answer(key, a_team(output_type=Weather)).final_output, Weather(city="Paris", degrees=21))
    equal(played()[1]["response_format"]["type"], "json_schema")
    person.has_paid_for(2)


def an_agent_streams_its_words():
    person, key = a_caller()
    play(HANDOFF, calls(("get_weather", {"city": "Paris"})), says("Sunny everywhere."))
    heard = streamed_answer(key, a_team(tools=[function_tool(get_weather)]))
    assert len(heard) > 1, heard
    equal(("".join(heard), results(played()[2])[1:]), ("Sunny everywhere.", ["Sunny in Paris."]))
    person.has_paid_for(3)


def a_reply_that_is_lost_in_the_middle_of_the_loop_is_paid_once():
    person, key = a_caller()
    play(HANDOFF, calls(("get_weather_over_a_bad_line", {"city": "Paris"})), says("Sunny everywhere."))
    equal(answer(key, a_team(tools=[function_tool(get_weather_over_a_bad_line)])).final_output, "Sunny everywhere.")
    equal((statuses(), len(played())), ([None, 200], 3))
    person.has_paid_for(3)


prove_client(
    "openai-agents",
    an_agent_hands_over_to_another_which_runs_its_tools,
    an_agent_answers_with_an_object,
    an_agent_streams_its_words,
    a_reply_that_is_lost_in_the_middle_of_the_loop_is_paid_once,
)
