"""usage: read.py FOLDER MANIFEST: finds the recorded chat completion replies in a folder and its
subfolders, and writes them to a file of JSON lines, each with its meaning.

These files are searched:

- VCR's YAML cassettes: the exchanges whose URL ends in `/chat/completions` and whose status is 200.
- JSON files that contain a whole reply.
- `*.chunks.txt`: the chunks of a streamed reply, one per line. Other text files and `*.sse` files:
  the bytes of a streamed reply.
- TypeScript tests: lists of strings that begin with `data: {`.

This reader shares no code with the product. It follows OpenAI's reference (https://platform.openai.com/docs/api-reference/chat), WHATWG's rules for
event streams, and the fields that other providers add.
"""

import base64
import collections
import hashlib
import json
import pathlib
import re
import sys
from urllib.parse import urlsplit

import yaml

# The reasons for an early end, in lowercase. All other reasons mean that the answer is complete.
LENGTH = {"length", "max_tokens", "max_output_tokens", "model_length", "incomplete"}
FILTER = {"content_filter", "content_filtered", "safety", "sensitive", "refusal", "prohibited_content", "recitation"}
FAILED = {"error", "abort", "aborted", "cancelled", "insufficient_system_resource", "network_error", "malformed_function_call"}

# The path suffixes of the endpoints that are not read.
OTHER = {
    "/completions": "completions without chat",
    "/responses": "Responses API",
    "/messages": "Anthropic messages",
    "/embeddings": "embeddings",
    "Content": "Gemini",
    "/converse": "Bedrock",
    "/converse-stream": "Bedrock",
    "/invoke": "Bedrock",
    "/chat": "Cohere or Ollama",
}

# A TypeScript string that begins with an event, and the strings that are concatenated to it.
QUOTED = [rf"{quote}(?:[^{quote}\\]|\\.)*{quote}" for quote in ("`", "'", '"')]
STRING = rf"(?:{'|'.join(QUOTED)})"
ADDED = rf"{STRING}(?:\s*\+\s*{STRING})*"
LISTED = re.compile(rf"\[\s*(?:{ADDED}\s*,?\s*)+\]", re.DOTALL)


class Skipped(Exception):
    """Raised for a recording that is not read, with the reason."""


# The meaning of a reply.


def value(text):
    """Parses JSON. Returns None if the text isn't JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def events(body):
    """Yields the events in a stream, as names and data."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    name, data = "", []
    # The last event may lack its blank line.
    for line in [*re.split(r"\r\n|\r|\n", text), ""]:
        if not line:
            if data:
                yield name, "\n".join(data)
            name, data = "", []
            continue
        field, _, content = line.partition(":")
        content = content.removeprefix(" ")
        if field == "data":
            data.append(content)
        elif field == "event":
            name = content


def of_type(kind, holder, field):
    """Returns a field of an object, or an empty value if the field is missing or has a different
    type."""
    found = holder.get(field) if isinstance(holder, dict) else None
    return found if isinstance(found, kind) else kind()


def text_of(content):
    """Returns the text in a message's content, without its thinking."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    said = [part for part in parts if of_type(str, part, "type") in ("text", "output_text", "refusal")]
    return "".join(of_type(str, part, "text") or of_type(str, part, "refusal") for part in said)


class Answer:
    """The content of a reply, piece by piece."""

    def __init__(self):
        self.text, self.calls, self.reason, self.native, self.has_failed = "", [], None, "", False
        self.numbers = dict.fromkeys(("prompt", "completion", "total", "cached", "reasoning"), 0)

    def read(self, reply, field):
        """Reads a whole reply, or a chunk. `field` is the name of the message in a choice."""
        if not isinstance(reply, dict):
            self.fail()
            return
        self.count(of_type(dict, reply, "usage"))
        if reply.get("error") or reply.get("object") == "error":
            self.fail()
            return
        self.count(of_type(dict, of_type(dict, reply, "x_groq"), "usage"))
        # The product asks for one choice. Some servers give it different indexes.
        choice = next((choice for choice in of_type(list, reply, "choices") if isinstance(choice, dict)), {})
        self.count(of_type(dict, choice, "usage"))
        self.message(of_type(dict, choice, field))
        self.reason = of_type(str, choice, "finish_reason") or self.reason
        self.native = of_type(str, choice, "native_finish_reason") or self.native
        if choice.get("error"):
            self.fail()

    def fail(self):
        """Records the reason for the end. Later chunks don't change it."""
        self.has_failed |= self.reason in (None, "", "error")

    def message(self, message):
        self.text += text_of(message.get("content")) + of_type(str, message, "refusal")
        for position, call in enumerate(of_type(list, message, "tool_calls")):
            self.call(call, position)
        function = of_type(dict, message, "function_call")
        if any(function.values()):
            self.call({"index": 0, "function": function}, 0)

    def call(self, call, position):
        """Adds a piece to the call with its index. Some providers send whole calls without an
        index, or with the index 0 for each of them."""
        function, name = of_type(dict, call, "function"), of_type(str, of_type(dict, call, "function"), "name")
        call_id, index = of_type(str, call, "id"), call.get("index", position)
        found = next((known for known in reversed(self.calls) if known["index"] == index), None)
        if not found or name and call_id and call_id != found["id"]:
            found = {"index": index, "id": call_id, "name": "", "arguments": ""}
            self.calls.append(found)
        found["name"] = found["name"] or name
        arguments = function.get("arguments")
        found["arguments"] += arguments if isinstance(arguments, str) else json.dumps(arguments) if arguments else ""

    def count(self, usage):
        """Keeps the last token counts that are not zero, because some streams repeat the usage in
        each chunk, and end with zeros."""
        prompt, completion = of_type(dict, usage, "prompt_tokens_details"), of_type(dict, usage, "completion_tokens_details")
        found = {
            "prompt": usage.get("prompt_tokens"),
            "completion": usage.get("completion_tokens"),
            "total": usage.get("total_tokens"),
            "cached": prompt.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or usage.get("cached_tokens") or usage.get("num_cached_tokens"),
            "reasoning": completion.get("reasoning_tokens") or usage.get("reasoning_tokens"),
        }
        self.numbers |= {name: number for name, number in found.items() if isinstance(number, int) and number > 0}

    def usage(self):
        """Returns the token counts the way OpenAI counts them, with None for each count that the
        reply lacks."""
        prompt, completion, total, cached, reasoning = self.numbers.values()
        # xAI and Gemini count the reasoning only in the total.
        if prompt and completion:
            completion = max(completion, total - prompt)
        return {
            "prompt": prompt or None,
            "completion": completion or None,
            "cached": min(cached, prompt),
            "reasoning": min(reasoning, completion),
        }

    def end(self):
        reason = (self.reason or "").lower()
        is_unusable = any(not call["name"] for call in self.calls)
        if self.has_failed or is_unusable or reason in FAILED or self.native.lower() in FAILED and not self.text and not self.calls:
            return "failed"
        return "length" if reason in LENGTH else "content_filter" if reason in FILTER else "complete"

    def meaning(self):
        calls = [{"name": call["name"], "arguments": value(call["arguments"] or "{}")} for call in self.calls]
        return {"text": self.text, "calls": calls, "end": self.end(), "usage": self.usage()}


def meaning(body):
    """Returns whether a reply is streamed, and its meaning."""
    answer = Answer()
    text = body.decode("utf-8", "replace").lstrip()
    if text.startswith(("{", "[")):
        # Some servers send a whole reply and then `data: [DONE]`.
        reply = value(text.split("\ndata: [DONE]")[0])
        answer.read(reply, "message")
        answer.has_failed |= not of_type(list, reply, "choices")
        return False, answer.meaning()
    is_done = False
    for name, data in events(body):
        is_done |= data.strip() == "[DONE]"
        # Some servers end each chunk with one newline instead of two.
        for chunk in [data] if value(data) is not None else data.split("\n"):
            if chunk.strip() not in ("", "[DONE]"):
                answer.read(value(chunk), "delta")
        if name == "error":
            answer.fail()
    answer.has_failed |= not answer.reason and not is_done
    return True, answer.meaning()


# The places in which replies are recorded.


def kind_of(reply):
    """Returns the kind of a JSON value, judging by its fields."""
    if not isinstance(reply, dict):
        return "JSON of other kinds"
    choices = reply.get("choices")
    if isinstance(choices, list) and (not choices or isinstance(choices[0], dict)):
        if reply.get("object") == "text_completion" or choices and "text" in choices[0]:
            return "completions without chat"
        return "chunk" if not choices or "delta" in choices[0] else "chat" if "message" in choices[0] else "JSON of other kinds"
    named = {("object", "response"): "Responses API", ("type", "message"): "Anthropic messages"}
    of_responses = of_type(str, reply, "type").startswith("response.")
    found = (kind for (field, content), kind in named.items() if reply.get(field) == content)
    return next(found, "Responses API" if of_responses else "JSON of other kinds")


def stream_of(chunks):
    lines = [f"data: {chunk}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def in_cassette(path):
    text = path.read_text(encoding="utf-8")
    if "/chat/completions" not in text:
        # Skip other endpoints: they have the largest cassettes, and parsing these takes minutes.
        for url in re.findall(r"^ +uri: (\S+)$", text, re.MULTILINE):
            yield url, Skipped(endpoint(url))
        return
    cassette = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for exchange in of_type(list, cassette, "interactions"):
        url, response = exchange["request"]["uri"], exchange["response"]
        status = response["status"]["code"]
        if not urlsplit(url).path.endswith("/chat/completions"):
            yield url, Skipped(endpoint(url))
        elif status != 200:
            yield url, Skipped(f"status {status}")
        elif "parsed_body" in response:
            yield url, json.dumps(response["parsed_body"], ensure_ascii=False).encode()
        else:
            body = response["body"]
            body = base64.b64decode(body["base64"]) if "base64" in body else body["string"]
            yield url, body.encode() if isinstance(body, str) else body


def endpoint(url):
    """Returns the kind of an endpoint that is not read."""
    path = urlsplit(url).path
    return next((kind for end, kind in OTHER.items() if path.endswith(end)), "other endpoints")


def in_json(path):
    text = path.read_bytes()
    reply = value(text.decode("utf-8", "replace"))
    kind = kind_of(reply)
    yield None, text if kind == "chat" or of_type(dict, reply, "error") and "choices" in reply else Skipped(kind)


def in_text(path):
    text = path.read_bytes()
    lines = [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    kinds = [kind_of(value(line)) for line in lines]
    if "completions without chat" in kinds:
        yield None, Skipped("completions without chat")
    elif "chunk" in kinds:
        yield None, stream_of(lines)
    elif re.search(rb'^data: ?\{.*"choices"', text, re.MULTILINE) or text.startswith(b"{") and b'"choices"' in text:
        yield None, text
    else:
        yield None, Skipped(next((kind for kind in kinds if "other" not in kind), "text of other kinds"))


def in_typescript(path):
    text = path.read_text(encoding="utf-8")
    for found in LISTED.finditer(text) if "data: {" in text else ():
        body = "".join(unquoted(string) for string in re.findall(STRING, found[0], re.DOTALL))
        chunks = [value(data) for _, data in events(body.encode())]
        if not body.startswith("data: {"):
            continue
        if "${" in body:
            yield None, Skipped("TypeScript with expressions")
        elif any(kind_of(chunk) == "chunk" for chunk in chunks) and "completions without chat" not in map(kind_of, chunks):
            yield None, body.encode()
        else:
            yield None, Skipped(next((kind for kind in map(kind_of, chunks) if "other" not in kind), "streams of other kinds"))


def unquoted(string):
    """Returns the value of a TypeScript string."""
    escapes = {"n": "\n", "r": "\r", "t": "\t"}
    of_code = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), string[1:-1])
    return re.sub(r"\\(.)", lambda escape: escapes.get(escape[1], escape[1]), of_code, flags=re.DOTALL)


READERS = {".yaml": in_cassette, ".yml": in_cassette, ".json": in_json, ".txt": in_text, ".sse": in_text, ".ts": in_typescript}


def recordings(folder):
    """Yields all recordings in a folder: paths, hosts, and either bodies or the reasons why they
    are skipped."""
    for path in sorted(folder.rglob("*")):
        reader = READERS.get(path.suffix)
        if reader and path.is_file() and not {"node_modules", ".git"} & set(path.parts):
            name = path.relative_to(folder)
            try:
                for url, found in reader(path):
                    yield str(name), urlsplit(url).netloc if url else str(name.parent), found
            except (UnicodeDecodeError, yaml.YAMLError):
                yield str(name), "", Skipped("unreadable files")


def main(folder, manifest):
    skipped, found, seen = collections.Counter(), collections.defaultdict(collections.Counter), set()
    numbers = collections.Counter()
    with open(manifest, "w", encoding="utf-8") as lines:
        for path, host, body in recordings(pathlib.Path(folder)):
            digest = body if isinstance(body, Skipped) else hashlib.sha256(body).digest()
            if isinstance(body, Skipped) or digest in seen:
                skipped[str(body) if isinstance(body, Skipped) else "equal to another reply"] += 1
                continue
            seen.add(digest)
            numbers[path] += 1
            is_streamed, expected = meaning(body)
            entry = {"id": f"{path}#{numbers[path]}", "host": host, "streamed": is_streamed, "body": base64.b64encode(body).decode()}
            lines.write(json.dumps(entry | {"expected": expected}) + "\n")
            found[host]["streamed" if is_streamed else "whole"] += 1
    for host, forms in sorted(found.items()):
        print(f"{forms['streamed']:5} streamed {forms['whole']:5} whole  {host}")
    print(f"{sum(map(collections.Counter.total, found.values())):5} replies of {len(found)} hosts or folders")
    for reason, count in skipped.most_common():
        print(f"{count:5} skipped: {reason}")
    if not found:
        sys.exit(f"{folder} has no recorded replies of chat completions")


if __name__ == "__main__":
    main(*sys.argv[1:])
