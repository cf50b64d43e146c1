"""The scripted model's answers (provider.py) as other providers send them: by Anthropic's Messages
API, and by Bedrock's Converse API. Each function's `answer` is the script's."""

import itertools
import json
import struct
import zlib

numbers = itertools.count(1)
PIECE = 7
# The fields of a block that a stream of Anthropic's sends in pieces, and the types of the pieces.
DELTAS = {"text": "text_delta", "thinking": "thinking_delta", "signature": "signature_delta"}
# What the makers say about a prompt that is longer than the model's context.
TOO_LONG = "prompt is too long: 210000 tokens > 200000 maximum"
TOO_LONG_FOR_BEDROCK = "Input is too long for requested model."
# The makers' words for an answer that was cut off.
ENDINGS = {"length": "max_tokens", "content_filter": "refusal"}
ENDINGS_FOR_BEDROCK = {"length": "max_tokens", "content_filter": "content_filtered"}


def pieces(text):
    return (text[at : at + PIECE] for at in range(0, len(text), PIECE))


def anthropic_error(kind, message):
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{next(numbers)}"}


def message(answer, model):
    """The answer as a whole message."""
    content = [block | started for block, started, _ in message_blocks(answer, whole=True)]
    return message_head(model) | {"content": content, "stop_reason": stop_reason(answer, ENDINGS), "usage": {"input_tokens": 5, "output_tokens": 7}}


def message_events(answer, model):
    """The answer as the events of a stream."""
    start = message_head(model) | {"content": [], "stop_reason": None, "usage": {"input_tokens": 5, "output_tokens": 1}}
    yield {"type": "message_start", "message": start}
    yield {"type": "ping"}
    for index, (block, started, parts) in enumerate(message_blocks(answer)):
        yield {"type": "content_block_start", "index": index, "content_block": block | started}
        yield from ({"type": "content_block_delta", "index": index, "delta": part} for part in parts)
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": stop_reason(answer, ENDINGS), "stop_sequence": None}, "usage": {"output_tokens": 7}}
    yield {"type": "message_stop"}


def message_head(model):
    return {"id": f"msg_{next(numbers)}", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}


def message_blocks(answer, whole=False):
    """The answer's blocks. Each is the block without its content, the content with which it starts,
    and the parts that follow."""
    for block in answer.get("blocks", []):
        yield (block, {}, []) if whole else given_block(block)
    if thought := answer.get("reasoning"):
        parts = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(thought)]
        started = {"thinking": thought, "signature": "signed"} if whole else {"thinking": "", "signature": ""}
        yield {"type": "thinking"}, started, [*parts, {"type": "signature_delta", "signature": "signed"}]
    if text := answer.get("text") or answer.get("refusal"):
        yield {"type": "text"}, {"text": text if whole else ""}, [{"type": "text_delta", "text": piece} for piece in pieces(text)]
    for call in answer.get("calls", []):
        parts = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(json.dumps(call["arguments"]))]
        block = {"type": "tool_use", "id": f"toolu_{next(numbers)}", "name": call["name"]}
        yield block, {"input": call["arguments"] if whole else {}}, parts


def given_block(block):
    """A block of the script as the parts of a stream."""
    texts = {field: block[field] for field in DELTAS if field in block}
    parts = [{"type": DELTAS[field], field: piece} for field, text in texts.items() for piece in pieces(text)]
    started = dict.fromkeys(texts, "")
    if "input" in block:
        started["input"] = {}
        parts += [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(json.dumps(block["input"]))]
    return block, started, parts


def converse(answer):
    """The answer as a whole reply."""
    content = [whole for whole, _, _ in converse_blocks(answer)]
    reply = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop_reason(answer, ENDINGS_FOR_BEDROCK)}
    return reply | converse_counts()


def converse_frames(answer):
    """The answer as the frames of a stream."""
    yield frame("messageStart", {"role": "assistant"})
    for index, (_, started, parts) in enumerate(converse_blocks(answer)):
        if started:
            yield frame("contentBlockStart", {"contentBlockIndex": index, "start": started})
        for part in parts:
            yield frame("contentBlockDelta", {"contentBlockIndex": index, "delta": part})
        yield frame("contentBlockStop", {"contentBlockIndex": index})
    yield frame("messageStop", {"stopReason": stop_reason(answer, ENDINGS_FOR_BEDROCK)})
    yield frame("metadata", converse_counts())


def converse_counts():
    return {"usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}, "metrics": {"latencyMs": 1}}


def converse_blocks(answer):
    """The answer's blocks. Each is the whole block, its start, and the parts that follow."""
    if thought := answer.get("reasoning"):
        whole = {"reasoningContent": {"reasoningText": {"text": thought, "signature": "signed"}}}
        parts = [{"reasoningContent": {"text": piece}} for piece in pieces(thought)]
        yield whole, None, [*parts, {"reasoningContent": {"signature": "signed"}}]
    if text := answer.get("text") or answer.get("refusal"):
        yield {"text": text}, None, [{"text": piece} for piece in pieces(text)]
    for call in answer.get("calls", []):
        named = {"toolUseId": f"tooluse_{next(numbers)}", "name": call["name"]}
        parts = [{"toolUse": {"input": piece}} for piece in pieces(json.dumps(call["arguments"]))]
        yield {"toolUse": named | {"input": call["arguments"]}}, {"toolUse": named}, parts


def stop_reason(answer, endings):
    """The reason for the answer's end, in the words of the API's maker."""
    cut = "content_filter" if answer.get("refusal") else answer.get("cut")
    has_calls = answer.get("calls") or any(block["type"] == "tool_use" for block in answer.get("blocks", []))
    return endings[cut] if cut else "tool_use" if has_calls else "end_turn"


def frame(kind, value):
    """An event in AWS's framing: lengths, headers and payload, each part with its checksum."""
    named = {":message-type": "event", ":event-type": kind, ":content-type": "application/json"}
    headers = b"".join(header(name, text) for name, text in named.items())
    payload = json.dumps(value).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    body = prelude + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def header(name, text):
    # 7 is the type of a string.
    return struct.pack("B", len(name)) + name.encode() + struct.pack(">BH", 7, len(text)) + text.encode()
