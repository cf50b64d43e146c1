"""loops.py PROGRAM [stream] - asks a question with a Python library, runs the function `f` that the
model calls, sends the results back as the library does by default, and prints the last answer.
`ANTHROPIC_URL`, `BASE_URL` and `KEY` contain the server's addresses and the key."""

import asyncio
import sys

from asks import ANTHROPIC_URL, BASE_URL, KEY

MODEL = "by-anthropic"
QUESTION = "Call f twice."
ABOUT = {"name": "f", "description": "Returns ok."}
PARAMETERS = {"type": "object", "properties": {"x": {"type": "integer"}}}


def f(x: int = 0) -> str:
    """Returns ok."""
    return "ok"


def openai_sdk(stream):
    from openai import OpenAI

    completions = OpenAI(base_url=BASE_URL, api_key=KEY).chat.completions
    tools = [{"type": "function", "function": ABOUT | {"parameters": PARAMETERS}}]
    messages = [{"role": "user", "content": QUESTION}]
    while True:
        asked = {"model": MODEL, "messages": messages, "tools": tools, "reasoning_effort": "low"}
        if stream:
            with completions.stream(**asked) as events:
                message = events.get_final_completion().choices[0].message
        else:
            message = completions.create(**asked).choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message.model_dump())
        messages += [{"role": "tool", "tool_call_id": call.id, "content": f()} for call in message.tool_calls]


def openai_responses(stream):
    from openai import OpenAI

    responses = OpenAI(base_url=BASE_URL, api_key=KEY).responses
    tools = [{"type": "function"} | ABOUT | {"parameters": PARAMETERS, "strict": False}]
    items = [{"role": "user", "content": QUESTION}]
    while True:
        asked = {"model": MODEL, "input": items, "tools": tools, "reasoning": {"effort": "low"}}
        if stream:
            with responses.stream(**asked) as events:
                response = events.until_done().get_final_response()
        else:
            response = responses.create(**asked)
        calls = [item for item in response.output if item.type == "function_call"]
        if not calls:
            return response.output_text
        items += response.output
        items += [{"type": "function_call_output", "call_id": call.call_id, "output": f()} for call in calls]


def anthropic_sdk(stream):
    from anthropic import Anthropic

    client = Anthropic(base_url=ANTHROPIC_URL, api_key=KEY)
    tools = [ABOUT | {"input_schema": PARAMETERS}]
    messages = [{"role": "user", "content": QUESTION}]
    while True:
        asked = {"model": MODEL, "max_tokens": 4096, "messages": messages, "tools": tools, "thinking": {"type": "adaptive"}}
        if stream:
            with client.messages.stream(**asked) as events:
                message = events.get_final_message()
        else:
            message = client.messages.create(**asked)
        calls = [block for block in message.content if block.type == "tool_use"]
        if not calls:
            return message.content[0].text
        messages.append({"role": "assistant", "content": message.content})
        messages.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": f()} for call in calls]})


def agents_sdk(stream, api="responses"):
    from agents import Agent, ModelSettings, Runner, function_tool, set_default_openai_api, set_default_openai_client, set_tracing_disabled
    from openai import AsyncOpenAI
    from openai.types.shared import Reasoning

    set_tracing_disabled(True)
    set_default_openai_api(api)

    async def run():
        set_default_openai_client(AsyncOpenAI(base_url=BASE_URL, api_key=KEY))
        agent = Agent(name="Ann", model=MODEL, tools=[function_tool(f, strict_mode=False)], model_settings=ModelSettings(reasoning=Reasoning(effort="low")))
        if not stream:
            return (await Runner.run(agent, QUESTION)).final_output
        result = Runner.run_streamed(agent, QUESTION)
        async for _ in result.stream_events():
            pass
        return result.final_output

    return asyncio.run(run())


def agents_sdk_completions(stream):
    return agents_sdk(stream, "chat_completions")


def agent_framework(stream, client="OpenAIChatClient", **options):
    import agent_framework.openai
    from agent_framework import Agent

    client = getattr(agent_framework.openai, client)(model=MODEL, base_url=BASE_URL, api_key=KEY)
    agent = Agent(client=client, tools=[f], default_options=options or {"store": False, "reasoning": {"effort": "low"}})

    async def run():
        if not stream:
            return (await agent.run(QUESTION)).text
        return "".join([piece.text async for piece in agent.run(QUESTION, stream=True)])

    return asyncio.run(run())


def agent_framework_completions(stream):
    return agent_framework(stream, "OpenAIChatCompletionClient", reasoning_effort="low")


def langchain(stream, model=None):
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    model = model or ChatOpenAI(model=MODEL, base_url=BASE_URL, api_key=KEY, reasoning_effort="low")
    agent, asked = create_agent(model=model, tools=[f]), {"messages": [{"role": "user", "content": QUESTION}]}
    if not stream:
        return agent.invoke(asked)["messages"][-1].text
    return "".join(piece.text for piece, about in agent.stream(asked, stream_mode="messages") if about["langgraph_node"] == "model")


def langchain_responses(stream):
    from langchain_openai import ChatOpenAI

    return langchain(stream, ChatOpenAI(model=MODEL, base_url=BASE_URL, api_key=KEY, use_responses_api=True, reasoning={"effort": "low"}))


def langchain_anthropic(stream):
    from langchain_anthropic import ChatAnthropic

    return langchain(stream, ChatAnthropic(model=MODEL, base_url=ANTHROPIC_URL, api_key=KEY, max_tokens=4096, thinking={"type": "adaptive"}))


def pydantic_ai(stream, model=None, **settings):
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = model or OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=BASE_URL, api_key=KEY))
    agent = Agent(model, tools=[f], model_settings=settings or {"openai_reasoning_effort": "low"})

    async def streamed():
        async with agent.run_stream(QUESTION) as reply:
            return await reply.get_output()

    return asyncio.run(streamed()) if stream else agent.run_sync(QUESTION).output


def pydantic_ai_responses(stream):
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return pydantic_ai(stream, OpenAIResponsesModel(MODEL, provider=OpenAIProvider(base_url=BASE_URL, api_key=KEY)))


def pydantic_ai_anthropic(stream):
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    model = AnthropicModel(MODEL, provider=AnthropicProvider(base_url=ANTHROPIC_URL, api_key=KEY))
    return pydantic_ai(stream, model, anthropic_thinking={"type": "adaptive"})


print(globals()[sys.argv[1]](sys.argv[2:] == ["stream"]))
