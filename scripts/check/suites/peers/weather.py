"""The example in the tests of SDKs and agents: a function that reads a city's weather, and a report
with a schema. Needs Pydantic, which comes with the SDKs."""

from pydantic import BaseModel
from scripted import calls, wire

QUESTION = "How is the weather in Paris?"
CALL = calls(("get_weather", {"city": "Paris"}))

ASKED = {"role": "user", "content": "How is the weather in Paris and Oslo?"}
CITIES = calls(("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"}))

# The parameters of a strict function.
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}

REFUSAL = "I can't help with that."

# The grammar of a custom tool, in Lark's syntax.
GRAMMAR = 'start: "add" NUMBER'


class Weather(BaseModel):
    city: str
    degrees: int


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"Sunny in {city}."


def get_weather_over_a_bad_line(city: str) -> str:
    """The weather of a city; the reply to the next request is lost."""
    wire.cut("before")
    return f"Sunny in {city}."
