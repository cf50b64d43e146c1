"""Tests DSPy's model. Only its base URL, its key and the kind of completions (chat or older) are
set."""

from uuid import uuid4

import dspy
from scripted import BASE_URL, a_caller, equal, play, played, prove_client, says, statuses, wire

QUESTION = "How is the weather in Paris?"
dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)


def a_model(kind):
    person, key = a_caller()
    return person, dspy.LM("openai/farebox", api_base=BASE_URL, api_key=key, model_type=kind)


def answer(model, **more):
    [answer] = model(QUESTION, **more)
    return answer if isinstance(answer, str) else answer["text"]


def a_question_is_answered_by_either_endpoint():
    for kind in ["chat", "text"]:
        person, model = a_model(kind)
        play(says("Sunny everywhere."))
        equal(answer(model), "Sunny everywhere.")
        assert QUESTION in played()[0]["messages"][-1]["content"]
        person.has_paid_for(1)


def a_program_fills_its_fields():
    for kind in ["chat", "text"]:
        person, model = a_model(kind)
        play(says("[[ ## answer ## ]]\nSunny\n\n[[ ## completed ## ]]"))
        with dspy.context(lm=model):
            equal(dspy.Predict("question -> answer")(question=QUESTION).answer, "Sunny")
        played()
        person.has_paid_for(1)


def a_lost_reply_under_a_key_of_its_caller_is_paid_once():
    person, model = a_model("chat")
    play(says("Sunny everywhere."))
    wire.cut("before")
    equal(answer(model, extra_headers={"Idempotency-Key": str(uuid4())}), "Sunny everywhere.")
    equal((statuses(), len(played())), ([None, 200], 1))
    person.has_paid_for(1)


prove_client(
    "dspy",
    a_question_is_answered_by_either_endpoint,
    a_program_fills_its_fields,
    a_lost_reply_under_a_key_of_its_caller_is_paid_once,
)
