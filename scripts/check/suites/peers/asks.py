"""asks.py PROGRAM [stream] - sends one message with a Python library, and prints the answer.
`ANTHROPIC_URL`, `BASE_URL` and `KEY` contain the server's addresses and the key."""

import asyncio
import os
import sys

ANTHROPIC_URL, BASE_URL, KEY = (os.environ[name] for name in ["ANTHROPIC_URL", "BASE_URL", "KEY"])
QUESTION = "How is the weather in Paris?"
MESSAGES = [{"role": "user", "content": QUESTION}]


def openai_sdk(stream):
    from openai import OpenAI

    reply = OpenAI(base_url=BASE_URL, api_key=KEY).chat.completions.create(model="farebox", messages=MESSAGES, stream=stream)
    return "".join(piece.choices[0].delta.content or "" for piece in reply) if stream else reply.choices[0].message.content


def openai_responses(stream):
    from openai import OpenAI

    reply = OpenAI(base_url=BASE_URL, api_key=KEY).responses.create(model="farebox", input=QUESTION, stream=stream)
    return list(reply)[-1].response.output_text if stream else reply.output_text


def anthropic_sdk(stream):
    from anthropic import Anthropic

    asked = {"model": "farebox", "max_tokens": 1024, "messages": MESSAGES}
    client = Anthropic(base_url=ANTHROPIC_URL, api_key=KEY)
    if not stream:
        return client.messages.create(**asked).content[0].text
    with client.messages.stream(**asked) as events:
        return events.get_final_text()


def langchain(stream, model=None):
    from langchain_openai import ChatOpenAI

    model = model or ChatOpenAI(model="farebox", base_url=BASE_URL, api_key=KEY)
    return "".join(piece.text for piece in model.stream(QUESTION)) if stream else model.invoke(QUESTION).text


def langchain_responses(stream):
    from langchain_openai import ChatOpenAI

    return langchain(stream, ChatOpenAI(model="farebox", base_url=BASE_URL, api_key=KEY, use_responses_api=True))


def langchain_anthropic(stream):
    from langchain_anthropic import ChatAnthropic

    return langchain(stream, ChatAnthropic(model="farebox", base_url=ANTHROPIC_URL, api_key=KEY))


def langchain_text(stream):
    from langchain_openai import OpenAI

    model = OpenAI(model="farebox", base_url=BASE_URL, api_key=KEY)
    return "".join(model.stream(QUESTION)) if stream else model.invoke(QUESTION)


def pydantic_ai(stream, model=None):
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    agent = Agent(model or OpenAIChatModel("farebox", provider=OpenAIProvider(base_url=BASE_URL, api_key=KEY)))

    async def streamed():
        async with agent.run_stream(QUESTION) as reply:
            return await reply.get_output()

    return asyncio.run(streamed()) if stream else agent.run_sync(QUESTION).output


def pydantic_ai_responses(stream):
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return pydantic_ai(stream, OpenAIResponsesModel("farebox", provider=OpenAIProvider(base_url=BASE_URL, api_key=KEY)))


def pydantic_ai_anthropic(stream):
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    return pydantic_ai(stream, AnthropicModel("farebox", provider=AnthropicProvider(base_url=ANTHROPIC_URL, api_key=KEY)))


def agents_sdk(stream):
    from agents import Agent, Runner, set_default_openai_client, set_tracing_disabled
    from openai import AsyncOpenAI

    set_tracing_disabled(True)

    async def run():
        set_default_openai_client(AsyncOpenAI(base_url=BASE_URL, api_key=KEY))
        agent = Agent(name="Ann", model="farebox")
        if not stream:
            return (await Runner.run(agent, QUESTION)).final_output
        result = Runner.run_streamed(agent, QUESTION)
        async for _ in result.stream_events():
            pass
        return result.final_output

    return asyncio.run(run())


def litellm(stream, provider="openai", url=BASE_URL):
    import litellm

    reply = litellm.completion(model=f"{provider}/farebox", api_base=url, api_key=KEY, messages=MESSAGES, stream=stream)
    return (litellm.stream_chunk_builder(list(reply)) if stream else reply).choices[0].message.content


def litellm_anthropic(stream):
    return litellm(stream, "anthropic", ANTHROPIC_URL)


def litellm_router(stream):
    import litellm

    parameters = {"model": "openai/farebox", "api_base": BASE_URL, "api_key": KEY}
    router = litellm.Router(model_list=[{"model_name": "farebox", "litellm_params": parameters}], num_retries=2)
    reply = router.completion(model="farebox", messages=MESSAGES, stream=stream)
    return (litellm.stream_chunk_builder(list(reply)) if stream else reply).choices[0].message.content


def instructor(stream):
    from instructor import Mode, from_openai
    from openai import OpenAI
    from pydantic import BaseModel

    class Weather(BaseModel):
        city: str
        degrees: int

    asked = {"model": "farebox", "messages": MESSAGES, "response_model": Weather}
    completions = from_openai(OpenAI(base_url=BASE_URL, api_key=KEY), mode=Mode.JSON).chat.completions
    weather = list(completions.create_partial(**asked))[-1] if stream else completions.create(**asked)
    return weather.model_dump_json()


def dspy(stream, kind="chat"):
    import dspy

    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    model = dspy.LM("openai/farebox", api_base=BASE_URL, api_key=KEY, model_type=kind)
    [answer] = model(QUESTION)
    return answer if isinstance(answer, str) else answer["text"]


def dspy_text(stream):
    return dspy(stream, "text")


def llamaindex(stream, chat=True):
    from llama_index.llms.openai_like import OpenAILike

    model = OpenAILike(model="farebox", api_base=BASE_URL, api_key=KEY, is_chat_model=chat)
    return "".join(piece.delta for piece in model.stream_complete(QUESTION)) if stream else model.complete(QUESTION).text


def llamaindex_text(stream):
    return llamaindex(stream, chat=False)


def agent_framework(_stream):
    from agent_framework import Agent
    from agent_framework.openai import OpenAIChatClient

    client = OpenAIChatClient(model="farebox", base_url=BASE_URL, api_key=KEY)
    return asyncio.run(Agent(client=client, instructions="Be brief.", default_options={"store": False}).run(QUESTION)).text


if __name__ == "__main__":
    print(globals()[sys.argv[1]](sys.argv[2:] == ["stream"]))
