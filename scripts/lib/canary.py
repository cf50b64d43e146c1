"""Traffic for a canary: requests to each function with an alias while CloudFormation updates the
stack.

Without users, no request would reach the new versions, and no alarm could fire. A new version gets
a tenth of an alias's requests. The FailedRequests alarm fires if at least three requests, and at
least 1 % of all requests, fail in a minute. A function's own alarm fires if 1 % of the alias's
requests crash. At PER_SECOND, the new version of each function gets its first request within 20
seconds on average. After a failure, every second request goes to the function that failed, until
none of them fails. Otherwise, if one of the ten functions were broken, a tenth of its requests
would fail, which is only about 1 % of all requests.

The requests don't change any data and don't call the AI. Requests with a token use an account that
is created before the update and deleted after it.
"""

import collections
import itertools
import secrets
import sys
import threading

import api

PER_SECOND = 5
AT_ONCE = 4
# How many requests a function gets after a failure.
AGAIN = 40
# How many seconds pass between two reads of the stack.
PAUSE = 5
# A valid reply never takes this long, because no request calls the AI.
SECONDS = 12

# The request to each function, and the expected status. scripts/check/release compares the
# functions with template.yaml.
REQUESTS = {
    "RegisterFunction": ("POST", "/api/register/", {}, 400),
    "LoginFunction": ("POST", "/api/login/", {}, 400),
    "TokenRefreshFunction": ("POST", "/api/token/refresh/", {}, 400),
    "ChatFunction": ("POST", "/api/chat/", {}, 400),
    "ChatStreamFunction": ("POST", "/api/chat/stream/", {}, 400),
    "ChatHistoryFunction": ("GET", "/api/chat/?limit=5", None, 200),
    "BalanceFunction": ("GET", "/api/tokens/", None, 200),
    "CompletionsFunction": ("POST", "/v1/chat/completions", {}, 400),
    "ResponsesFunction": ("POST", "/v1/responses", {}, 400),
    "MessagesFunction": ("POST", "/v1/messages", {}, 400),
}


class Turns:
    """Decides which function gets the next request."""

    def __init__(self):
        self.turn, self.round = 0, itertools.cycle(REQUESTS)
        self.again = collections.deque()
        self.failures = collections.Counter()

    def next(self):
        self.turn += 1
        return self.again.popleft() if self.again and self.turn % 2 else next(self.round)

    def failed(self, function):
        self.failures[function] += 1
        if len(self.again) < AGAIN:
            self.again.extend([function] * AGAIN)


class Traffic:
    """Sends requests while a stack is updated: `with Traffic(url, is_updating):`. Above
    `firewall_rate` requests in five minutes, AWS WAF would refuse all requests from this address,
    so at most half as many are sent."""

    def __init__(self, url, is_updating, firewall_rate=0):
        self.url, self.is_updating = url, is_updating
        self.pause = AT_ONCE / min(PER_SECOND, firewall_rate / 600 or PER_SECOND)
        self.turns, self.sent = Turns(), 0
        self.lock, self.running, self.over = threading.Lock(), threading.Event(), threading.Event()
        self.threads = [threading.Thread(target=self.send, daemon=True) for _ in range(AT_ONCE)]
        self.threads.append(threading.Thread(target=self.look, daemon=True))

    def __enter__(self):
        self.name, self.password, self.token = f"canary-{secrets.token_hex(8)}", secrets.token_urlsafe(24), None
        try:
            reply = api.send(f"{self.url}/api/register/", "POST", {"username": self.name, "password": self.password}, seconds=SECONDS)
            self.token = reply.json().get("token")
            if not self.token:
                print(f"the canary has no account, because the registration answers {reply}", file=sys.stderr)
        except api.Unreachable as error:
            print(f"the canary gets no requests from here: {error}", file=sys.stderr)
            return self
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            if thread.is_alive():
                thread.join()
        if self.token:
            try:
                api.send(f"{self.url}/api/user/", "DELETE", {"password": self.password}, self.token, attempts=3)
            except api.Unreachable as error:
                print(f"the account {self.name} is still there: {error}", file=sys.stderr)
        if self.sent:
            failed = ", ".join(f"{count} to {function}" for function, count in self.turns.failures.items())
            print(f"the canary got {self.sent} requests from here; {failed or 'none'} failed", file=sys.stderr)

    def look(self):
        while not self.over.wait(PAUSE):
            if self.is_updating():
                self.running.set()
            else:
                self.running.clear()

    def send(self):
        while not self.over.wait(self.pause):
            if not self.running.is_set():
                continue
            with self.lock:
                function = self.turns.next()
                self.sent += 1
            method, path, body, _ = REQUESTS[function]
            try:
                has_failed = api.send(self.url + path, method, body, self.token, seconds=SECONDS).status >= 500
            except api.Unreachable:
                has_failed = True
            if has_failed:
                with self.lock:
                    self.turns.failed(function)
