"""with_embeddings.py PROGRAM.. - tests libraries that search texts with embeddings from
`/v1/embeddings`. Only their base URL, their key and the model's name are set."""

import os
import sys
import tempfile
from importlib.metadata import version
from uuid import uuid4

from scripted import BASE_URL, Person, equal, prove_of, statuses, wire

# The price of a request in the price list.
FARE = 7
MODEL = "vectors"
TEXTS = ["The cat sleeps on the sofa.", "All trains to Oslo are late.", "It is sunny in Paris today."]
QUESTION = "Which trains are late today?"


def nearest(vectors, asked):
    """The text whose vector is the most similar to that of the question."""
    likeness = [sum(one * other for one, other in zip(vector, asked, strict=True)) for vector in vectors]
    return TEXTS[likeness.index(max(likeness))]


def openai(key):
    from openai import OpenAI

    client = OpenAI(base_url=BASE_URL, api_key=key).embeddings
    # The client asks for base64, unless its caller chooses a format.
    vectors = [data.embedding for data in client.create(model=MODEL, input=TEXTS).data]
    [asked] = client.create(model=MODEL, input=QUESTION, encoding_format="float").data
    [tokens] = client.create(model=MODEL, input=[[1, 2, 3]], dimensions=8).data
    equal(len(tokens.embedding), 8)
    return nearest(vectors, asked.embedding)


def langchain(key):
    from langchain_openai import OpenAIEmbeddings

    # Otherwise LangChain downloads a tokenizer, and sends token ids.
    embeddings = OpenAIEmbeddings(model=MODEL, base_url=BASE_URL, api_key=key, check_embedding_ctx_length=False)
    return nearest(embeddings.embed_documents(TEXTS), embeddings.embed_query(QUESTION))


def litellm(key):
    import litellm

    reply = litellm.embedding(model=f"openai/{MODEL}", api_base=BASE_URL, api_key=key, input=[*TEXTS, QUESTION], encoding_format="float")
    *vectors, asked = [data["embedding"] for data in reply.data]
    return nearest(vectors, asked)


def llamaindex(key):
    from llama_index.core import Document, VectorStoreIndex
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding

    embeddings = OpenAILikeEmbedding(model_name=MODEL, api_base=BASE_URL, api_key=key)
    index = VectorStoreIndex.from_documents([Document(text=text) for text in TEXTS], embed_model=embeddings)
    [found] = index.as_retriever(similarity_top_k=1).retrieve(QUESTION)
    return found.text


def dspy(key):
    import dspy

    embedder = dspy.Embedder(f"openai/{MODEL}", api_base=BASE_URL, api_key=key, encoding_format="float", caching=False)
    return dspy.retrievers.Embeddings(corpus=TEXTS, embedder=embedder, k=1)(QUESTION).passages[0]


def chroma(key):
    import chromadb
    from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction

    embeddings = OpenAIEmbeddingFunction(api_base=BASE_URL, api_key=key, model_name=MODEL)
    texts = chromadb.EphemeralClient().create_collection(str(uuid4()), embedding_function=embeddings)
    texts.add(ids=["1", "2", "3"], documents=TEXTS)
    return texts.query(query_texts=[QUESTION], n_results=1)["documents"][0][0]


def mem0(key):
    from mem0 import Memory

    access = {"api_key": key, "openai_base_url": BASE_URL}
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "llm": {"provider": "openai", "config": access | {"model": "quick"}},
            "embedder": {"provider": "openai", "config": access | {"model": MODEL, "embedding_dims": 64}},
            "vector_store": {"provider": "chroma", "config": {"collection_name": "memories", "path": folder}},
            "history_db_path": f"{folder}/history.db",
        }
        memory = Memory.from_config(settings)
        for text in TEXTS:
            memory.add(text, user_id="ann", infer=False)
        [found, *_] = memory.search(QUESTION, filters={"user_id": "ann"})["results"]
        return found["memory"]


PROGRAMS = {
    openai: "openai",
    langchain: "langchain-openai",
    litellm: "litellm",
    llamaindex: "llama-index-embeddings-openai-like",
    dspy: "dspy",
    chroma: "chromadb",
    mem0: "mem0ai",
}


def tests_of(search):
    def the_nearest_text_is_found_and_each_request_is_charged():
        person = Person()
        wire.watch()
        equal(search(person.api_key()), TEXTS[1])
        assert {200} == set(statuses()), wire.calls()
        equal(person.charges(), len(statuses()) * [FARE])

    def a_lost_reply_is_paid_once():
        for cut in ["before", "middle"]:
            person = Person()
            wire.cut(cut)
            equal(search(person.api_key()), TEXTS[1])
            equal(person.charges(), (len(statuses()) - 1) * [FARE])

    yield the_nearest_text_is_found_and_each_request_is_charged
    yield a_lost_reply_is_paid_once


os.environ |= {"ANONYMIZED_TELEMETRY": "False", "MEM0_TELEMETRY": "False"}
for search, package in PROGRAMS.items():
    if search.__name__ in sys.argv[1:]:
        prove_of(f"{package} {version(package)}, embeddings", *tests_of(search))
