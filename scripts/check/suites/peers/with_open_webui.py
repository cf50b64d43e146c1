"""Tests Open WebUI with the lines in docs/use/clients.md, and without the lines that save tokens."""

from scripted import PRICE, PROVIDER, a_caller, call, calls, equal, functions, play, played, prove_of, says, statuses, wire
from webui import SAVING, started

# The price of a request for embeddings in the price list.
FARE = 7
LATE = "All trains to Oslo are late. "
# Open WebUI splits it into several texts.
REPORT = 40 * "The cat sleeps on the sofa. " + 40 * LATE
# What Open WebUI asks for besides answers.
EXTRAS = says('{"title": "Trains", "tags": ["trains"], "follow_ups": ["And today?"], "queries": ["late trains"]}')


def charged(person, act):
    """Returns the result of `act`, and the amounts that it was charged."""
    before = len(person.charges())
    result = act()
    amounts = person.charges()
    return result, sorted(amounts[: len(amounts) - before])


def embedded():
    """The numbers of texts in the requests for embeddings."""
    return [len(request["input"]) for request in call(PROVIDER, "GET", "/script")[1]["embedded"]]


def with_all_lines(site, person):
    def each_message_costs_one_message():
        play(says("Hello!"), says("Sunny everywhere."))
        first, amounts = charged(person, lambda: site.ask("Hi!"))
        equal((first["content"], amounts), ("Hello!", [PRICE]))
        second, amounts = charged(person, lambda: site.ask("How is the weather?", after=first))
        equal((second["content"], amounts), ("Sunny everywhere.", [PRICE]))
        requests = played()
        equal([(request["stream"], functions(request)) for request in requests], 2 * [(True, [])])
        equal([message["role"] for message in requests[1]["messages"]], ["user", "assistant", "user"])

    def a_file_is_embedded_once_and_found():
        play(says("Those to Oslo."))
        file, amounts = charged(person, lambda: site.upload("report.txt", REPORT))
        equal((file["status"], amounts, len(embedded())), ("completed", [FARE], 1))
        answer, amounts = charged(person, lambda: site.ask("Which trains are late?", files=[file]))
        equal((answer["content"], amounts, embedded()[1:]), ("Those to Oslo.", [FARE, PRICE], [1]))
        [request] = played()
        assert LATE in request["messages"][-1]["content"], request["messages"]

    def a_file_in_a_knowledge_base_is_embedded_again():
        file = site.upload("trains.txt", LATE)
        base, amounts = charged(person, lambda: site.call("POST", "/api/v1/knowledge/create", {"name": "Trains", "description": "Late ones"}))
        equal(amounts, [FARE])
        _, amounts = charged(person, lambda: site.call("POST", f"/api/v1/knowledge/{base['id']}/file/add", {"file_id": file["id"]}))
        equal(amounts, [FARE])
        play(says("Those to Oslo."))
        knowledge = {"type": "collection", "id": base["id"], "name": base["name"]}
        answer, amounts = charged(person, lambda: site.ask("Which trains are late?", files=[knowledge]))
        equal((answer["content"], amounts), ("Those to Oslo.", [FARE, PRICE]))
        [request] = played()
        assert LATE.strip() in request["messages"][-1]["content"], request["messages"]

    def a_lost_answer_is_shown_as_an_error():
        for cut in ["before", "middle"]:
            play(says("Sunny everywhere."))
            wire.cut(cut)
            answer, amounts = charged(person, lambda: site.ask("How is the weather?"))
            assert answer["error"], answer
            equal((len(statuses()), amounts), (1, [PRICE]))

    def a_lost_embedding_fails_the_upload():
        for cut in ["before", "middle"]:
            wire.cut(cut)
            file, amounts = charged(person, lambda cut=cut: site.upload(f"{cut}.txt", LATE + cut))
            equal((file["status"], len(statuses()), amounts), ("failed", 1, [FARE]))

    def an_empty_balance_is_shown_after_one_request():
        while person.balance() >= PRICE:
            play(says("Sunny everywhere."))
            equal(person.chat("Hi!")[0], 200)
        wire.watch()
        play()
        answer = site.ask("How is the weather?")
        equal((statuses(), played()), ([402], []))
        assert f"{person.balance()} tokens" in answer["error"]["content"], answer

    return [
        each_message_costs_one_message,
        a_file_is_embedded_once_and_found,
        a_file_in_a_knowledge_base_is_embedded_again,
        a_lost_answer_is_shown_as_an_error,
        a_lost_embedding_fails_the_upload,
        an_empty_balance_is_shown_after_one_request,
    ]


def without_the_lines_that_save(site, person):
    def the_first_message_costs_four_and_the_next_two():
        play(*4 * [EXTRAS])
        first, amounts = charged(person, lambda: site.ask("Hi!"))
        equal((first["followUps"], amounts, len(played())), (["And today?"], 4 * [PRICE], 4))
        play(*2 * [EXTRAS])
        _, amounts = charged(person, lambda: site.ask("How is the weather?", after=first))
        equal((amounts, len(played())), (2 * [PRICE], 2))

    def a_question_about_a_file_costs_one_more():
        play(*5 * [EXTRAS])
        file, amounts = charged(person, lambda: site.upload("report.txt", REPORT))
        texts = embedded()
        assert len(texts) > 1, texts
        equal((set(texts), amounts), ({1}, len(texts) * [FARE]))
        _, amounts = charged(person, lambda: site.ask("Which trains are late?", files=[file]))
        equal((amounts, len(played())), ([FARE] + 5 * [PRICE], 5))

    def a_function_of_its_own_costs_one_more():
        play(*4 * [EXTRAS])
        first = site.ask("Hi!")
        play(calls(("get_current_timestamp", {})), *2 * [EXTRAS])
        _, amounts = charged(person, lambda: site.ask("What time is it?", after=first))
        asked, told, _ = played()
        assert "get_current_timestamp" in functions(asked), functions(asked)
        equal((told["messages"][-1]["role"], amounts), ("tool", 3 * [PRICE]))

    return [
        the_first_message_costs_four_and_the_next_two,
        a_question_about_a_file_costs_one_more,
        a_function_of_its_own_costs_one_more,
    ]


for proofs, lines in [(with_all_lines, SAVING), (without_the_lines_that_save, {})]:
    person, key = a_caller()
    with started(key, **lines) as site:
        prove_of(f"open-webui {site.version}, {proofs.__name__.replace('_', ' ')}", *proofs(site, person))
