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


def smolagents(_stream):
    from smolagents import OpenAIModel

    return OpenAIModel(model_id="farebox", api_base=BASE_URL, api_key=KEY).generate([{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]).content


def semantic_kernel(_stream):
    from openai import AsyncOpenAI
    from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion, OpenAIChatPromptExecutionSettings
    from semantic_kernel.contents import ChatHistory

    history = ChatHistory()
    history.add_user_message(QUESTION)
    service = OpenAIChatCompletion(ai_model_id="farebox", async_client=AsyncOpenAI(base_url=BASE_URL, api_key=KEY))
    return str(asyncio.run(service.get_chat_message_content(history, OpenAIChatPromptExecutionSettings())))


def magentic(_stream):
    from magentic import OpenaiChatModel, prompt

    @prompt(QUESTION, model=OpenaiChatModel("farebox", base_url=BASE_URL, api_key=KEY))
    def weather() -> str: ...

    return weather()


def mirascope(_stream):
    from mirascope import llm

    llm.register_provider("openai:completions", scope="farebox/", base_url=BASE_URL, api_key=KEY)
    return llm.model("farebox/farebox").call(QUESTION).text()


def outlines(_stream):
    import outlines
    from openai import OpenAI

    return outlines.from_openai(OpenAI(base_url=BASE_URL, api_key=KEY), "farebox")(QUESTION)


def guidance(_stream):
    from guidance import assistant, gen, models, user

    # With a name without `gpt-5`, guidance asks for the probabilities of tokens, which are refused.
    model = models.OpenAI("gpt-5", base_url=BASE_URL, api_key=KEY, echo=False)
    with user():
        model += QUESTION
    with assistant():
        model += gen("answer")
    return model["answer"]


def aisuite(_stream):
    import aisuite

    client = aisuite.Client({"openai": {"base_url": BASE_URL, "api_key": KEY}})
    return client.chat.completions.create(model="openai:farebox", messages=MESSAGES).choices[0].message.content


def agent_framework(_stream):
    from agent_framework import Agent
    from agent_framework.openai import OpenAIChatClient

    client = OpenAIChatClient(model="farebox", base_url=BASE_URL, api_key=KEY)
    return asyncio.run(Agent(client=client, instructions="Be brief.", default_options={"store": False}).run(QUESTION)).text


def deepeval(_stream):
    from deepeval.models import GPTModel

    answer, *_ = GPTModel(model="farebox", base_url=BASE_URL, api_key=KEY, cost_per_input_token=0, cost_per_output_token=0).generate(QUESTION)
    return answer


def haystack(_stream):
    from haystack.components.generators.chat import OpenAIChatGenerator
    from haystack.dataclasses import ChatMessage
    from haystack.utils import Secret

    generator = OpenAIChatGenerator(model="farebox", api_base_url=BASE_URL, api_key=Secret.from_token(KEY))
    return generator.run([ChatMessage.from_user(QUESTION)])["replies"][0].text


def agno(_stream):
    from agno.agent import Agent
    from agno.models.openai.like import OpenAILike

    return Agent(model=OpenAILike(id="farebox", base_url=BASE_URL, api_key=KEY), telemetry=False).run(QUESTION).content


def crewai(_stream):
    from crewai import LLM

    return LLM(model="openai/farebox", base_url=BASE_URL, api_key=KEY).call(QUESTION)


def autogen(_stream):
    from autogen_core.models import UserMessage
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    about = {"vision": False, "function_calling": True, "json_output": True, "family": "unknown", "structured_output": True}
    client = OpenAIChatCompletionClient(model="farebox", base_url=BASE_URL, api_key=KEY, model_info=about)
    return asyncio.run(client.create([UserMessage(content=QUESTION, source="user")])).content


def strands(_stream):
    from strands import Agent
    from strands.models.openai import OpenAIModel

    return str(Agent(model=OpenAIModel(client_args={"base_url": BASE_URL, "api_key": KEY}, model_id="farebox"), callback_handler=None)(QUESTION))


def strands_anthropic(_stream):
    from strands import Agent
    from strands.models.anthropic import AnthropicModel

    model = AnthropicModel(client_args={"base_url": ANTHROPIC_URL, "api_key": KEY}, model_id="farebox", max_tokens=1024)
    return str(Agent(model=model, callback_handler=None)(QUESTION))


def langgraph(stream):
    from langchain_openai import ChatOpenAI
    from langgraph.graph import START, MessagesState, StateGraph

    model = ChatOpenAI(model="farebox", base_url=BASE_URL, api_key=KEY)
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "model")
    return graph.compile().invoke({"messages": MESSAGES})["messages"][-1].text


def browser_use(_stream):
    from browser_use.llm import ChatOpenAI, UserMessage

    return asyncio.run(ChatOpenAI(model="farebox", base_url=BASE_URL, api_key=KEY).ainvoke([UserMessage(content=QUESTION)])).completion


def gpt_researcher(_stream):
    from gpt_researcher.utils.llm import create_chat_completion

    os.environ |= {"OPENAI_BASE_URL": BASE_URL, "OPENAI_API_KEY": KEY}
    return asyncio.run(create_chat_completion(MESSAGES, model="farebox", llm_provider="openai"))


def open_interpreter(_stream):
    from interpreter import interpreter

    interpreter.offline = True
    interpreter.llm.model, interpreter.llm.api_base, interpreter.llm.api_key = "openai/farebox", BASE_URL, KEY
    return interpreter.chat(QUESTION, display=False, stream=False)[-1]["content"]


def vanna(_stream):
    from vanna.core.llm import LlmMessage, LlmRequest
    from vanna.core.user import User
    from vanna.integrations.openai import OpenAILlmService

    service = OpenAILlmService(model="farebox", base_url=BASE_URL, api_key=KEY)
    request = LlmRequest(messages=[LlmMessage(role="user", content=QUESTION)], user=User(id="ann"))
    return asyncio.run(service.send_request(request)).content


def lightrag(_stream):
    from lightrag.llm.openai import openai_complete_if_cache

    return asyncio.run(openai_complete_if_cache("farebox", QUESTION, base_url=BASE_URL, api_key=KEY))


def mini_swe_agent(_stream):
    from minisweagent.models.litellm_textbased_model import LitellmTextbasedModel

    model = LitellmTextbasedModel(
        model_name="openai/farebox", model_kwargs={"api_base": BASE_URL, "api_key": KEY}, cost_tracking="ignore_errors", action_regex="({.*})"
    )
    return str(model.query(MESSAGES))


def camel(_stream):
    from camel.agents import ChatAgent
    from camel.models import ModelFactory
    from camel.utils import BaseTokenCounter

    # The library's own counter downloads a tokenizer.
    class Counter(BaseTokenCounter):
        def count_tokens_from_messages(self, messages):
            return len(str(messages))

        def encode(self, text):
            return list(text.encode())

        def decode(self, token_ids):
            return bytes(token_ids).decode()

    model = ModelFactory.create("openai-compatible-model", "farebox", url=BASE_URL, api_key=KEY, token_counter=Counter())
    return ChatAgent(model=model).step(QUESTION).msgs[0].content


def ag2(_stream):
    from ag2 import Agent
    from ag2.config import OpenAIConfig

    agent = Agent("ann", config=OpenAIConfig(model="farebox", base_url=BASE_URL, api_key=KEY))
    return str(asyncio.run(agent.ask(QUESTION)).body)


def inspect(_stream):
    from inspect_ai.model import get_model

    return asyncio.run(get_model("openai-api/farebox/farebox", base_url=BASE_URL, api_key=KEY).generate(QUESTION)).completion


def ell(_stream):
    import ell
    from openai import OpenAI

    client = OpenAI(base_url=BASE_URL, api_key=KEY)

    @ell.simple(model="farebox", client=client)
    def weather():
        return QUESTION

    return weather()


def any_llm(_stream):
    from any_llm import completion

    return completion(model="farebox", provider="openai", api_base=BASE_URL, api_key=KEY, messages=MESSAGES).choices[0].message.content


def google_adk(_stream):
    from google.adk.agents import Agent
    from google.adk.models.lite_llm import LiteLlm
    from google.adk.runners import InMemoryRunner

    runner = InMemoryRunner(agent=Agent(name="ann", model=LiteLlm(model="openai/farebox", api_base=BASE_URL, api_key=KEY)))
    [*_, last] = asyncio.run(runner.run_debug(QUESTION, quiet=True))
    return last.content.parts[0].text


def ragas(_stream):
    from openai import OpenAI
    from pydantic import BaseModel
    from ragas.llms import llm_factory

    class Weather(BaseModel):
        city: str
        degrees: int

    return llm_factory("farebox", client=OpenAI(base_url=BASE_URL, api_key=KEY)).generate(QUESTION, Weather).model_dump_json()


def guardrails(_stream):
    from guardrails import Guard

    return Guard().__call__(model="openai/farebox", api_base=BASE_URL, api_key=KEY, messages=MESSAGES).raw_llm_output


def chatlas(_stream):
    from chatlas import ChatOpenAICompletions

    return str(ChatOpenAICompletions(model="farebox", base_url=BASE_URL, api_key=KEY).chat(QUESTION, echo="none"))


def griptape(_stream):
    from griptape.drivers.prompt.openai import OpenAiChatPromptDriver
    from griptape.structures import Agent

    driver = OpenAiChatPromptDriver(model="farebox", base_url=BASE_URL, api_key=KEY)
    return Agent(prompt_driver=driver).run(QUESTION).output.value


def txtai(_stream):
    from txtai import LLM

    return LLM("openai/farebox", method="litellm", api_base=BASE_URL, api_key=KEY)(QUESTION)


def claude_agent_sdk(_stream):
    from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

    quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}
    access = {"ANTHROPIC_BASE_URL": ANTHROPIC_URL, "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_MODEL": "farebox", "ANTHROPIC_SMALL_FAST_MODEL": "farebox"}

    async def run():
        async for message in query(prompt=QUESTION, options=ClaudeAgentOptions(env=access | quiet)):
            if isinstance(message, ResultMessage):
                return message.result

    return asyncio.run(run())


if __name__ == "__main__":
    print(globals()[sys.argv[1]](sys.argv[2:] == ["stream"]))
