"""Tests Pydantic AI agents. The test sets only the provider's base URL, its key and the API that it
uses."""

import asyncio

from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from scripted import API_WIRE, BASE_URL, DOOR, a_caller, calls, equal, functions, play, played, prove_client, results, says, statuses
from weather import CALL, QUESTION, Weather, get_weather, get_weather_over_a_bad_line

REPORT = '{"city": "Paris", "degrees": 21}'


def model_of(key):
    if DOOR == "messages":
        return AnthropicModel("claude-sonnet-5-5", provider=AnthropicProvider(base_url=API_WIRE, api_key=key))
    model = OpenAIResponsesModel if DOOR == "responses" else OpenAIChatModel
    return model("gpt-4o", provider=OpenAIProvider(base_url=BASE_URL, api_key=key))


def an_agent(**more):
    person, key = a_caller()
    return person, Agent(model_of(key), **more)


def an_agent_runs_its_tools_and_answers_with_an_object():
    for output, answer in [
        (ToolOutput(Weather), calls(("final_result", {"city": "Paris", "degrees": 21}))),
        (ToolOutput(Weather, name="report"), calls(("report", {"city": "Paris", "degrees": 21}))),
        (NativeOutput(Weather), says(REPORT)),
        (PromptedOutput(Weather), says(REPORT)),
    ]:
        person, agent = an_agent(tools=[get_weather], output_type=output)
        play(CALL, answer)
        done = agent.run_sync(QUESTION)
        equal((done.output, done.usage.requests), (Weather(city="Paris", degrees=21), 2))
        first, last = played()
        equal((functions(first)[0], results(last)), ("get_weather", ["Sunny in Paris."]))
        person.has_paid_for(2)


def an_object_that_is_not_valid_is_asked_for_again_and_costs_again():
    person, agent = an_agent(output_type=ToolOutput(Weather))
    play(calls(("final_result", {"city": "Paris", "degrees": "warm"})), calls(("final_result", {"city": "Paris", "degrees": 21})))
    equal(agent.run_sync(QUESTION).output, Weather(city="Paris", degrees=21))
    played()
    person.has_paid_for(2)


def an_agent_streams_its_words():
    person, agent = an_agent(tools=[get_weather])

    async def pieces():
        async with agent.run_stream(QUESTION) as stream:
            return [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]

    play(CALL, says("Sunny everywhere."))
    heard = asyncio.run(pieces())
    assert len(heard) > 1, heard
    equal(("".join(heard), results(played()[1])), ("Sunny everywhere.", ["Sunny in Paris."]))
    person.has_paid_for(2)


def a_reply_that_is_lost_in_the_middle_of_the_loop_is_paid_once():
    person, agent = an_agent(tools=[get_weather_over_a_bad_line])
    play(calls(("get_weather_over_a_bad_line", {"city": "Paris"})), says("Sunny everywhere."))
    equal(agent.run_sync(QUESTION).output, "Sunny everywhere.")
    equal((statuses(), len(played())), ([None, 200], 2))
    person.has_paid_for(2)


prove_client(
    "pydantic-ai-slim",
    an_agent_runs_its_tools_and_answers_with_an_object,
    an_object_that_is_not_valid_is_asked_for_again_and_costs_again,
    an_agent_streams_its_words,
    a_reply_that_is_lost_in_the_middle_of_the_loop_is_paid_once,
)
