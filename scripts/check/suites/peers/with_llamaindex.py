"""Tests LlamaIndex's model for OpenAI-like servers. Only its base URL, its key and the
kind of completions (chat or older) are set."""

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from scripted import BASE_URL, a_caller, calls, equal, functions, play, played, prove_client, says, statuses, wire
from weather import QUESTION, get_weather


def a_model(chat=True):
    person, key = a_caller()
    return person, OpenAILike(model="farebox", api_base=BASE_URL, api_key=key, is_chat_model=chat, is_function_calling_model=chat)


def a_question_is_answered_whole_and_in_pieces_by_either_endpoint():
    for chat in [True, False]:
        person, model = a_model(chat)
        play(says("Sunny everywhere."), says("Sunny everywhere."), says("Sunny everywhere."))
        equal(model.complete(QUESTION).text, "Sunny everywhere.")
        pieces = [piece.delta for piece in model.stream_complete(QUESTION)]
        assert len(pieces) > 1, pieces
        equal("".join(pieces), "Sunny everywhere.")
        equal(model.chat([ChatMessage(role="user", content=QUESTION)]).message.content.strip(), "Sunny everywhere.")
        assert all(QUESTION in request["messages"][-1]["content"] for request in played())
        person.has_paid_for(3)


def functions_are_called():
    person, model = a_model()
    play(calls(("get_weather", {"city": "Paris"})))
    equal(str(model.predict_and_call([FunctionTool.from_defaults(fn=get_weather)], user_msg=QUESTION)), "Sunny in Paris.")
    equal(functions(played()[0]), ["get_weather"])
    person.has_paid_for(1)


def a_lost_reply_is_paid_once():
    for chat in [True, False]:
        person, model = a_model(chat)
        play(says("Sunny everywhere."))
        wire.cut("before")
        equal((model.complete(QUESTION).text, statuses(), len(played())), ("Sunny everywhere.", [None, 200], 1))
        person.has_paid_for(1)


prove_client(
    "llama-index-llms-openai-like",
    a_question_is_answered_whole_and_in_pieces_by_either_endpoint,
    functions_are_called,
    a_lost_reply_is_paid_once,
)
