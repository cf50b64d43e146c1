"""The model behind the LiteLLM proxy. It repeats every message that it receives, without any
network.

Words in the last message change the behaviour: `!slow` waits before the answer, `!drip` pauses
between words, `!fail` and `!overloaded` fail.
"""

import asyncio

import litellm
from litellm import CustomLLM, ModelResponse
from litellm.llms.custom_llm import CustomLLMError

THINKING = 2.0
PAUSE = 0.05


async def recital(messages):
    """The words of the answer, each with the following space."""
    asked = messages[-1]["content"]
    if "!fail" in asked:
        raise CustomLLMError(status_code=500, message="The reciter failed, as it was told to.")
    if "!overloaded" in asked:
        raise CustomLLMError(status_code=429, message="The reciter has too much to do, as it was told to say.")
    if "!slow" in asked:
        await asyncio.sleep(THINKING)
    text = "\n".join(f"{message['role']}: {message['content']}" for message in messages)
    for number, word in enumerate(text.split(" ")):
        if number and "!drip" in asked:
            await asyncio.sleep(PAUSE)
        yield word if number == 0 else " " + word


def counted(messages, words):
    """The usage. Each word counts as a token."""
    read = sum(len(message["content"].split()) for message in messages)
    return {"prompt_tokens": read, "completion_tokens": words, "total_tokens": read + words}


class Reciter(CustomLLM):
    async def acompletion(self, model, messages, model_response: ModelResponse, **_):
        words = [word async for word in recital(messages)]
        model_response.model = model
        model_response.choices[0].message.content = "".join(words)
        model_response.usage = litellm.Usage(**counted(messages, len(words)))
        return model_response

    async def astreaming(self, messages, **_):
        words = 0
        async for word in recital(messages):
            words += 1
            yield piece(word)
        yield piece("", finish_reason="stop", usage=counted(messages, words))


def piece(text, finish_reason="", usage=None):
    return {"text": text, "is_finished": bool(finish_reason), "finish_reason": finish_reason, "usage": usage, "index": 0, "tool_use": None}


reciter = Reciter()
