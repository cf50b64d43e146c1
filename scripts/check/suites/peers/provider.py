"""provider.py PORT - a server that implements OpenAI's chat completions, Anthropic's Messages API and
Bedrock's Converse API with scripted answers, and embeddings. The embeddings of texts that share
words are similar.

`POST /script` with a list of answers plans the next answers and forgets earlier requests. An answer
contains a `text`, function `calls`, or both, may contain its `reasoning`, and can begin after a
pause of `seconds`. Each call contains a `name` and `arguments`. Instead, an answer of Anthropic's API
may contain its `blocks`. An answer with a `refusal` refuses to answer, one with a `cut` is cut off
(`length` or `content_filter`), and one that `breaks_off` is a stream without its end. An answer that
is `too_long` refuses the prompt, in the words of the API's maker. `GET /script` returns the bodies of
the `requests` since then, their `paths`, how many answers are `left`, and the bodies of requests for
embeddings (`embedded`). A request without a planned answer gets a 500.
"""

import base64
import hashlib
import itertools
import json
import re
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from wires import TOO_LONG, TOO_LONG_FOR_BEDROCK, anthropic_error, converse, converse_frames, message, message_events, pieces

DIMENSIONS = 64


class Script:
    def __init__(self):
        self.lock = threading.Lock()
        self.plan([])

    def plan(self, answers):
        self.answers, self.requests, self.paths, self.embedded = list(answers), [], [], []

    def next_answer(self, path, request):
        with self.lock:
            self.requests.append(request)
            self.paths.append(path)
            return self.answers.pop(0) if self.answers else None

    def told(self):
        return {"requests": self.requests, "paths": self.paths, "left": len(self.answers), "embedded": self.embedded}


script = Script()
numbers = itertools.count(1)


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply(200, script.told())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/script":
            script.plan(body)
            self.reply(200, script.told())
            return
        if self.path.endswith("/embeddings"):
            script.embedded.append(body)
            self.reply(200, embedded(body))
            return
        answer = script.next_answer(self.path, body)
        if answer is None:
            self.reply(500, {"error": {"message": "The script has no answer to this.", "type": "server_error", "param": None, "code": None}})
            return
        time.sleep(answer.get("seconds", 0))
        if self.path.endswith("/messages"):
            self.answer_as_anthropic(answer, body)
        elif self.path.startswith("/model/"):
            self.answer_as_bedrock(answer)
        else:
            self.answer_as_openai(answer, body)

    def answer_as_anthropic(self, answer, body):
        if answer.get("too_long"):
            self.reply(400, anthropic_error("invalid_request_error", TOO_LONG))
        elif body.get("stream"):
            self.begin_stream("text/event-stream")
            for event in begun(answer, message_events(answer, body["model"])):
                self.wfile.write(b"event: %s\n" % event["type"].encode())
                self.event(event)
        else:
            self.reply(200, message(answer, body["model"]))

    def answer_as_bedrock(self, answer):
        if answer.get("too_long"):
            self.reply(400, {"__type": "ValidationException", "message": TOO_LONG_FOR_BEDROCK})
        elif self.path.endswith("/converse-stream"):
            self.begin_stream("application/vnd.amazon.eventstream")
            for frame in begun(answer, converse_frames(answer)):
                self.wfile.write(frame)
        else:
            self.reply(200, converse(answer))

    def answer_as_openai(self, answer, body):
        if answer.get("too_long"):
            error = {
                "message": "This model's maximum context length is 128000 tokens.",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
            self.reply(400, {"error": error})
            return
        text, calls = answer.get("text"), [called(call) for call in answer.get("calls", [])]
        finish = answer.get("cut") or ("tool_calls" if calls else "stop")
        usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
        head = {"id": f"chatcmpl-{next(numbers)}", "created": int(time.time()), "model": body["model"]}
        if body.get("stream"):
            self.stream(head | {"object": "chat.completion.chunk"}, answer, deltas(answer, calls), finish, usage)
        else:
            message = {"role": "assistant", "content": text, "refusal": answer.get("refusal")} | ({"tool_calls": calls} if calls else {})
            message |= {"reasoning_content": answer["reasoning"]} if "reasoning" in answer else {}
            choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
            self.reply(200, head | {"object": "chat.completion", "choices": [choice], "usage": usage})

    def reply(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin_stream(self, content_type):
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def stream(self, head, answer, answered, finish, usage):
        self.begin_stream("text/event-stream")
        for delta in answered:
            self.event(head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}], "usage": None})
        if answer.get("breaks_off"):
            return
        self.event(head | {"choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": finish}], "usage": None})
        self.event(head | {"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def event(self, value):
        self.wfile.write(b"data: %s\n\n" % json.dumps(value).encode())

    def log_message(self, *_):
        pass


def embedded(body):
    """The reply to a request for embeddings. Its input is a text, a list of texts, a list of token
    ids, or a list of such lists."""
    asked = body["input"]
    inputs = [asked] if isinstance(asked, str) or isinstance(asked[0], int) else asked
    vectors = [vector(asked, body.get("dimensions", DIMENSIONS)) for asked in inputs]
    if body.get("encoding_format") == "base64":
        vectors = [base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in vectors]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": 5, "total_tokens": 5}}


def vector(asked, dimensions):
    """A unit vector: each word or token id of the input counts in one dimension."""
    words = re.findall(r"\w+", asked.lower()) if isinstance(asked, str) else map(str, asked)
    counts = [0.0] * dimensions
    for word in words:
        counts[int(hashlib.sha256(word.encode()).hexdigest(), 16) % dimensions] += 1
    length = sum(count * count for count in counts) ** 0.5 or 1
    return [count / length for count in counts]


def called(call):
    function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
    return {"id": f"call_{next(numbers)}", "type": "function", "function": function}


def begun(answer, parts):
    """The parts of a stream, or the first half of them if the answer breaks off."""
    parts = list(parts)
    return parts[: len(parts) // 2] if answer.get("breaks_off") else parts


def deltas(answer, calls):
    """The pieces of an answer: the reasoning, the text or refusal, then each call with its
    arguments."""
    yield {"role": "assistant", "content": "" if answer.get("text") else None, "refusal": None}
    for source, name in [("reasoning", "reasoning_content"), ("text", "content"), ("refusal", "refusal")]:
        yield from ({name: piece} for piece in pieces(answer.get(source) or ""))
    for index, call in enumerate(calls):
        arguments = call["function"]["arguments"]
        yield {"tool_calls": [{"index": index} | call | {"function": call["function"] | {"arguments": ""}}]}
        yield from ({"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces(arguments))


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Provider).serve_forever()
