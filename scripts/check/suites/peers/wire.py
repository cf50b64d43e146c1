"""wire.py PORT SERVER_PORT [FILE] - a proxy in front of an HTTP server. It breaks connections as
planned and records the calls.

`POST /wire/plan` with `{"cut": .., "times": .., "after": ..}` plans the next replies and forgets
earlier calls. It cuts the replies to `times` calls, and lets `after` calls pass before them. Only
POST requests are calls, except those that only count tokens. A reply is cut

- `early`: the proxy closes the client's connection as soon as it has read the request, and the
  server continues;
- `before`: the server replies, but the client gets nothing;
- `middle`: the client gets the first half of the reply.

With `?key=..`, a plan is for the calls with this API key, and the lists below are those of this plan.
All other calls belong to the plan without a key.

`GET /wire/calls` lists the calls since the plan: the times at which each call `began` and the
server's `first_byte` arrived (on this machine's monotonic clock), its `path`, its `retry` count, a
hash of its `body`, the other headers by which the server recognises a retry (`marks`), and the
`status` and `retry_after` that the client got, or null. `GET /wire/bodies` lists the bodies of these
calls. `GET /wire/counts` lists the statuses of the requests that only counted tokens.

With a FILE, it writes each reply under `/v1/` that it doesn't cut to this file, as a line of JSON with
the `path`, the content `type`, the `body`, and the beginning of the request (`asked`).
"""

import asyncio
import hashlib
import json
import sys
import time
from urllib.parse import parse_qs, urlsplit

# Headers by which the server recognises a retry, in addition to the retry count.
MARKS = ["idempotency-key", "x-claude-code-session-id", "x-codex-turn-metadata"]


class Plan:
    def __init__(self, cut=None, times=0, after=0):
        self.cut, self.times, self.after, self.calls, self.bodies, self.counts = cut, times, after, [], [], []

    def next_cut(self):
        if self.after > 0:
            self.after -= 1
            return None
        if self.times == 0:
            return None
        self.times -= 1
        return self.cut


class Wire:
    def __init__(self, server_port, file=None):
        self.server_port, self.file = server_port, file
        self.plans = {None: Plan()}

    def plan_of(self, headers):
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        return self.plans.get(key, self.plans[None])

    async def serve(self, reader, writer):
        try:
            while not writer.is_closing():
                await self.serve_call(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def serve_call(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        headers = headers_of(head)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = head.decode("latin-1").split(" ", 2)
        if path.startswith("/wire/"):
            await self.obey(path, body, writer)
            return
        call = {
            "began": time.monotonic(),
            "path": path,
            "retry": headers.get("x-stainless-retry-count"),
            "body": hashlib.sha256(body).hexdigest(),
            "status": None,
        }
        call["marks"] = {name: headers[name] for name in MARKS if name in headers}
        plan = self.plan_of(headers)
        if path.partition("?")[0].endswith("/count_tokens"):
            plan.counts.append(call)
            await self.carry(head, body, writer, call, None)
        elif method == "POST":
            plan.calls.append(call)
            plan.bodies.append(body.decode(errors="replace"))
            await self.carry(head, body, writer, call, plan.next_cut())
        else:
            await self.carry(head, body, writer, call, None)

    async def obey(self, path, body, writer):
        asked = urlsplit(path)
        [key] = parse_qs(asked.query).get("key", [None])
        if asked.path == "/wire/plan":
            self.plans[key] = Plan(**json.loads(body))
        plan = self.plans[key]
        lists = {"/wire/counts": [call["status"] for call in plan.counts], "/wire/bodies": plan.bodies}
        reply = json.dumps(lists.get(asked.path, plan.calls)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(reply), reply))
        await writer.drain()

    async def carry(self, head, asked, writer, call, cut):
        replying, asking = await asyncio.open_connection("127.0.0.1", self.server_port)
        try:
            # The connection to the server ends with the reply. The client's connection may be kept
            # alive.
            asking.write(with_connection(head, b"close") + asked)
            await asking.drain()
            if cut == "early":
                writer.close()
            first = await replying.read(1)
            call["first_byte"] = time.monotonic()
            head = with_connection(first + await replying.readuntil(b"\r\n\r\n"), b"keep-alive")
            if cut is None:
                await self.tell(call, head, writer)
                pieces = []
                while piece := await replying.read(65536):
                    writer.write(piece)
                    await writer.drain()
                    pieces.append(piece)
                self.record(call, asked, head, b"".join(pieces))
                return
            body = await replying.read()
            if cut == "middle":
                await self.tell(call, head + body[: len(body) // 2], writer)
            writer.close()
        finally:
            asking.close()

    def record(self, call, asked, head, body):
        headers = headers_of(head)
        if self.file is None or not call["path"].startswith("/v1/") or "content-type" not in headers:
            return
        body = unchunked(body) if headers.get("transfer-encoding") == "chunked" else body
        reply = {"path": call["path"], "type": headers["content-type"], "body": body.decode(), "asked": asked[:300].decode(errors="replace")}
        with open(self.file, "a") as file:
            file.write(json.dumps(reply) + "\n")

    async def tell(self, call, reply, writer):
        """Sends the reply to the client and records the call."""
        call |= {"status": int(reply.split(b" ", 2)[1]), "retry_after": headers_of(reply).get("retry-after")}
        writer.write(reply)
        await writer.drain()


def headers_of(message):
    lines = message.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def with_connection(head, word):
    lines = [line for line in head.split(b"\r\n")[:-2] if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"connection: " + word, b"", b""])


def unchunked(body):
    """The body without the lengths of its chunks."""
    whole = b""
    while body:
        length, _, body = body.partition(b"\r\n")
        length = int(length, 16)
        whole, body = whole + body[:length], body[length + 2 :]
    return whole


async def main(port, server_port, file=None):
    server = await asyncio.start_server(Wire(int(server_port), file).serve, "127.0.0.1", int(port))
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
