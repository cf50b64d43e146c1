"""What the proofs have in common: people with accounts of their own, the wires that break as asked, and the sentences that are shown."""

import http.client
import itertools
import json
import os
import statistics
import time
from urllib.parse import urlsplit

API, API_WIRE, PROVIDER, PROVIDER_WIRE = (os.environ[name] for name in ["API", "API_WIRE", "PROVIDER", "PROVIDER_WIRE"])
PRICE, FIRST_GRANT = 100, 4000

STREAMS = 20
SOON = 0.1

names = (f"{os.getpid()}-{number}" for number in itertools.count())


def prove(*proofs):
    """Runs them. The name of each is what it proves; what it returns are figures."""
    for proof in proofs:
        figures = proof()
        print("  " + proof.__name__.replace("_", " ") + (f": {figures}" if figures else ""), flush=True)


def equal(got, wanted):
    assert got == wanted, f"{got!r}, not {wanted!r}"


def recital(messages):
    """What the model behind the provider answers."""
    return "\n".join(f"{message['role']}: {message['content']}" for message in messages)


def ask(url, method, path, body=None, token=None):
    """A reply whose body is still to be read."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    return connection.getresponse()


def call(url, method, path, body=None, token=None):
    """The status and what the JSON holds."""
    reply = ask(url, method, path, body, token)
    return reply.status, json.loads(reply.read())


def first_pieces_come_soon(hear):
    """Measures how long after the provider's first byte `hear` returns, which waits for the first piece of somebody's streamed answer."""
    wire = Wire(PROVIDER_WIRE)
    delays = []
    for _ in range(STREAMS):
        person = Person()
        wire.watch()
        heard = hear(person)
        [asked] = wire.calls()
        delays.append(heard - asked["first_byte"])
    median, worst = statistics.median(delays), max(delays)
    # Not the worst: a machine that others use has slow moments.
    assert median <= SOON, delays
    return f"median {1000 * median:.1f} ms, worst {1000 * worst:.1f} ms of {STREAMS} streams"


class Person:
    """Somebody who has just registered."""

    def __init__(self):
        status, account = call(API, "POST", "/api/register/", {"username": f"ann-{next(names)}", "password": "secret123"})
        equal(status, 201)
        self.token = account["access"]

    def call(self, method, path, body=None):
        return call(API, method, path, body, self.token)

    def chat(self, message, **more):
        return self.call("POST", "/api/chat/", {"message": message} | more)

    def stream(self, message):
        """The status of a streamed chat, and its events as they come: each with its moment, name and data."""
        reply = ask(API, "POST", "/api/chat/stream/", {"message": message}, self.token)
        return reply.status, events(reply)

    def api_key(self):
        status, key = self.call("POST", "/api/user/api-keys/", {"name": "proof"})
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

    def has_paid_for(self, chats):
        """So many, which are in the history."""
        equal((self.balance(), len(self.history())), (FIRST_GRANT - chats * PRICE, chats))


def events(reply):
    name = None
    while line := reply.readline():
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield time.monotonic(), name, json.loads(value)


class Wire:
    """The wire.py at this address."""

    def __init__(self, url):
        self.url = url

    def watch(self):
        self.cut(None, times=0)

    def cut(self, how, times=1):
        """Cuts the replies of the next calls, and remembers the calls from now on."""
        equal(call(self.url, "POST", "/wire/plan", {"cut": how, "times": times}), (200, []))

    def calls(self):
        return call(self.url, "GET", "/wire/calls")[1]
