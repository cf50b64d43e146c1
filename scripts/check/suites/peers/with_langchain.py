"""Tests LangChain agents. The test sets only the base URL and the key of LangChain's model, and
which API it uses."""

from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel
from scripted import (
    API_WIRE,
    BASE_URL,
    DOOR,
    a_caller,
    calls,
    each_model_is_charged_its_fare,
    equal,
    functions,
    play,
    played,
    prove_client,
    results,
    says,
    statuses,
    wire,
)
from weather import CALL, QUESTION, get_weather, get_weather_over_a_bad_line

ASKED = {"messages": [{"role": "user", "content": QUESTION}]}


class Weather(BaseModel):
    """A weather report."""

    city: str
    degrees: int


def model_of(key, name):
    if DOOR == "messages":
        return ChatAnthropic(model=name, base_url=API_WIRE, api_key=key)
    return ChatOpenAI(model=name, base_url=BASE_URL, api_key=key, use_responses_api=DOOR == "responses")


def a_model():
    person, key = a_caller()
    return person, model_of(key, "gpt-4o")


def an_agent(**more):
    person, model = a_model()
    return person, create_agent(model=model, **more)


def an_agent_runs_its_tools_and_pays_for_each_call_of_the_model():
    person, agent = an_agent(tools=[get_weather], system_prompt="You know the weather.")
    play(CALL, calls(("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Rome"})), says("Sunny everywhere."))
    equal(agent.invoke(ASKED)["messages"][-1].text, "Sunny everywhere.")
    first, _, last = played()
    equal((first["messages"][0]["content"], functions(first)), ("You know the weather.", ["get_weather"]))
    equal(results(last), ["Sunny in Paris.", "Sunny in Oslo.", "Sunny in Rome."])
    person.has_paid_for(3)


def an_agent_streams_its_words():
    person, agent = an_agent(tools=[get_weather])
    play(CALL, says("Sunny everywhere."))
    pieces = [piece.text for piece, about in agent.stream(ASKED, stream_mode="messages") if about["langgraph_node"] == "model"]
    assert len([piece for piece in pieces if piece]) > 1, pieces
    equal(("".join(pieces), results(played()[1])), ("Sunny everywhere.", ["Sunny in Paris."]))
    person.has_paid_for(2)


def an_agent_answers_with_an_object():
    for strategy, answer in [
        (ToolStrategy(Weather), calls(("Weather", {"city": "Paris", "degrees": 21}))),
        (ProviderStrategy(Weather), says('{"city": "Paris", "degrees": 21}')),
    ]:
        person, agent = an_agent(tools=[get_weather], response_format=strategy)
        play(CALL, answer)
        equal(agent.invoke(ASKED)["structured_response"], Weather(city="Paris", degrees=21))
        played()
        person.has_paid_for(2)


def a_model_answers_with_an_object():
    for method, answer in [
        ("json_schema", says('{"city": "Paris", "degrees": 21}')),
        ("json_mode", says('{"city": "Paris", "degrees": 21}')),
        ("function_calling", calls(("Weather", {"city": "Paris", "degrees": 21}))),
    ]:
        # Anthropic's API has no mode for JSON without a schema.
        if (method, DOOR) == ("json_mode", "messages"):
            continue
        person, model = a_model()
        play(answer)
        equal(model.with_structured_output(Weather, method=method).invoke("How is the weather in Paris? Answer as JSON."), Weather(city="Paris", degrees=21))
        person.has_paid_for(1)


def a_reply_that_is_lost_in_the_middle_of_the_loop_is_paid_once():
    person, agent = an_agent(tools=[get_weather_over_a_bad_line])
    play(calls(("get_weather_over_a_bad_line", {"city": "Paris"})), says("Sunny everywhere."))
    equal(agent.invoke(ASKED)["messages"][-1].text, "Sunny everywhere.")
    equal((statuses(), len(played())), ([None, 200], 2))
    person.has_paid_for(2)


def the_named_model_answers_at_its_price():
    each_model_is_charged_its_fare(lambda key, name: model_of(key, name).invoke("How is the weather in Paris?").text)


def a_prompt_is_completed_whole_and_in_pieces():
    person, key = a_caller()
    model = OpenAI(model="farebox", base_url=BASE_URL, api_key=key)
    play(says("Sunny."), says("Sunny."), says("Sunny."))
    wire.cut("before")
    equal([model.invoke("How is the weather?"), "".join(model.stream("How is the weather?"))], 2 * ["Sunny."])
    equal(model.batch(["How is the weather?"], {"max_concurrency": 1}), ["Sunny."])
    equal((statuses(), len(played())), ([None, 200, 200, 200], 3))
    person.has_paid_for(3)


# The older completions are tested only once, and not for each API.
OLDER = [a_prompt_is_completed_whole_and_in_pieces] if DOOR == "completions" else []

prove_client(
    "langchain",
    an_agent_runs_its_tools_and_pays_for_each_call_of_the_model,
    an_agent_streams_its_words,
    an_agent_answers_with_an_object,
    a_model_answers_with_an_object,
    a_reply_that_is_lost_in_the_middle_of_the_loop_is_paid_once,
    the_named_model_answers_at_its_price,
    *OLDER,
)
