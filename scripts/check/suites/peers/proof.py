"""Code shared by the tests in this folder: users, connections that break as planned, and the
output."""

import http.client
import itertools
import json
import os
import random
import socket
import statistics
import time
from contextlib import suppress
from urllib.parse import urlsplit

API, API_WIRE, PROVIDER, PROVIDER_WIRE = (os.environ[name] for name in ["API", "API_WIRE", "PROVIDER", "PROVIDER_WIRE"])
PRICE, FIRST_GRANT = 100, 4000

STREAMS = 20
SOON = 0.1

numbers = itertools.count()


def prove(*proofs):
    """Runs tests. A test's name is the sentence that it proves. A test can return figures for the
    output."""
    for proof in proofs:
        figures = proof()
        print("  " + proof.__name__.replace("_", " ") + (f": {figures}" if figures else ""), flush=True)


def prove_of(client, *proofs):
    """Runs a client's tests and prints one line."""
    began = time.monotonic()
    for proof in proofs:
        try:
            proof()
        except BaseException:
            print(f"  {client} failed: {proof.__name__.replace('_', ' ')}", flush=True)
            raise
    print(f"  {client}: {len(proofs)} tests in {time.monotonic() - began:.1f} s", flush=True)


def equal(got, wanted):
    assert got == wanted, f"{got!r}, not {wanted!r}"


def raised(kind, ask):
    try:
        ask()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def free_port():
    """A free port below the range that the system uses for outgoing connections."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(20000, 32000))) as server:
            return server.getsockname()[1]


def recital(messages):
    """Returns the answer that the provider's model gives to these messages."""
    return "\n".join(f"{message['role']}: {message['content']}" for message in messages)


def ask(url, method, path, body=None, token=None):
    """Sends a request. Returns the reply, whose body hasn't been read yet."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    return connection.getresponse()


def call(url, method, path, body=None, token=None):
    """Sends a request. Returns the status and the parsed JSON."""
    reply = ask(url, method, path, body, token)
    return reply.status, json.loads(reply.read())


def first_pieces_come_soon(hear):
    """Measures the time from the provider's first byte until `hear` returns. `hear` waits for the
    first piece of a user's streamed answer."""
    wire = Wire(PROVIDER_WIRE)
    delays = []
    for _ in range(STREAMS):
        person = Person()
        wire.watch()
        heard = hear(person)
        [asked] = wire.calls()
        delays.append(heard - asked["first_byte"])
    median, worst = statistics.median(delays), max(delays)
    # Compare the median, because a shared machine is slow at times.
    assert median <= SOON, delays
    return f"median {1000 * median:.1f} ms, worst {1000 * worst:.1f} ms of {STREAMS} streams"


class Person:
    """A new user."""

    def __init__(self):
        status, account = call(API, "POST", "/api/register/", {"username": f"ann-{os.getpid()}-{next(numbers)}", "password": "secret123"})
        equal(status, 201)
        self.token = account["access"]

    def call(self, method, path, body=None):
        return call(API, method, path, body, self.token)

    def chat(self, message, **more):
        return self.call("POST", "/api/chat/", {"message": message} | more)

    def stream(self, message):
        """Streams a message. Returns the status, and the events as they arrive, each with its time,
        name and data."""
        reply = ask(API, "POST", "/api/chat/stream/", {"message": message}, self.token)
        return reply.status, events(reply)

    def api_key(self, **more):
        status, key = self.call("POST", "/api/user/api-keys/", {"name": "proof"} | more)
        equal(status, 201)
        return key["key"]

    def balance(self):
        status, balance = self.call("GET", "/api/user/balance/")
        equal(status, 200)
        return balance["tokens"]

    def history(self):
        status, chats = self.call("GET", "/api/chat/?limit=100")
        equal(status, 200)
        return chats

    def statement(self):
        status, rows = self.call("GET", "/api/user/ledger?limit=100")
        equal(status, 200)
        return rows

    def charges(self):
        """The amounts of the statement's charges."""
        return [-row["amount"] for row in self.statement() if row["kind"] == "chat"]

    def has_paid_for(self, chats):
        """Asserts that the history contains this many messages, and that the statement contains one
        charge for each."""
        charges = {row["chat_id"]: row["amount"] for row in self.statement() if row["kind"] == "chat"}
        equal(charges, {chat["id"]: -PRICE for chat in self.history()})
        equal((self.balance(), len(charges)), (FIRST_GRANT - chats * PRICE, chats))

    def has_paid(self, **charges):
        """Asserts that the statement contains one charge for each of these models, and no other
        charge."""
        rows = [row for row in self.statement() if row["kind"] == "chat"]
        equal(sorted((row["model"], -row["amount"]) for row in rows), sorted(charges.items()))
        equal(self.balance(), FIRST_GRANT - sum(charges.values()))


def events(reply):
    name = None
    while line := reply.readline():
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield time.monotonic(), name, json.loads(value)


class Wire:
    """A client for the wire.py process at this address. With an API key, it plans and lists only the
    calls with this key."""

    def __init__(self, url, key=None):
        self.url, self.query = url, f"?key={key}" if key else ""

    def watch(self):
        self.cut(None, times=0)

    def cut(self, how, times=1, after=0):
        """Cuts the replies to the next calls, or to those `after` the next ones. Records the calls
        from now on."""
        equal(call(self.url, "POST", f"/wire/plan{self.query}", {"cut": how, "times": times, "after": after}), (200, []))

    def calls(self):
        return call(self.url, "GET", f"/wire/calls{self.query}")[1]

    def bodies(self):
        """The parsed bodies of the calls."""
        return [json.loads(body) for body in call(self.url, "GET", f"/wire/bodies{self.query}")[1]]

    def counts(self):
        """The statuses of the requests that only counted tokens."""
        return call(self.url, "GET", f"/wire/counts{self.query}")[1]
