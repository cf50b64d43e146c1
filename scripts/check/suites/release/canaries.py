"""Checks that the requests of scripts/lib/canary.py make the alarms fire for a broken release even
without users."""

import collections
import http.server
import json
import random
import sys
import threading
import time

from suites.stacks.templates import ROOT, source

sys.path.insert(0, str(ROOT / "scripts/lib"))
import canary
from template import routes_of

# The share of an alias's requests that go to the new version, and how long this lasts, in seconds.
SHARE, SECONDS = 0.1, 300
# A metric arrives within a minute, and an alarm is evaluated every minute. Failures in the first
# three minutes therefore stop the canary in time.
IN_TIME = 180
RELEASES = 100
# The expression, the threshold and the period of each alarm in template.yaml. `fires` evaluates
# them in Python.
FAILED_REQUESTS = ("IF(failed >= 3, 100 * failed / requests, 0)", 1, 60)
CRASHES = ("100 * SUM([errors, throttles]) / SUM([invocations, throttles])", 1, 60)


def expression_of(alarm):
    """Returns the expression, the threshold and the period of an alarm."""
    properties = alarm["Properties"]
    periods = {each["MetricStat"]["Period"] for each in properties["Metrics"] if "MetricStat" in each}
    assert (properties["ComparisonOperator"], properties["DatapointsToAlarm"]) == ("GreaterThanOrEqualToThreshold", 1), properties
    return properties["Metrics"][0]["Expression"], properties["Threshold"], *periods


def fires(broken, crashes, seed, users=0):
    """Returns the second after which the alarm for a broken function fires, or None. `users` is the
    number of other requests in a minute."""
    turns, chance = canary.Turns(), random.Random(seed)
    # The canary begins at a random second of a minute, in the middle of a round.
    start = chance.randrange(60)
    for _ in range(chance.randrange(9)):
        turns.next()
    total, failed, invoked = collections.Counter(), collections.Counter(), collections.Counter()
    for number in range(SECONDS * canary.PER_SECOND):
        minute = (start + number / canary.PER_SECOND) // 60
        function = turns.next()
        total[minute] += 1
        if function == broken:
            invoked[minute] += 1
            if chance.random() < SHARE:
                turns.failed(function)
                failed[minute] += 1
    for minute in sorted(total):
        if crashes:
            percent = 100 * failed[minute] / invoked[minute] if invoked[minute] else 0
        else:
            percent = 100 * failed[minute] / (total[minute] + users) if failed[minute] >= 3 else 0
        if percent >= 1:
            return (minute + 1) * 60 - start
    return None


def check_alarms(template):
    alarms = {name: each for name, each in template["Resources"].items() if each["Type"] == "AWS::CloudWatch::Alarm"}
    for name, alarm in alarms.items():
        expected = FAILED_REQUESTS if name == "FailedRequests" else CRASHES
        assert expression_of(alarm) == expected, f"{name} has another expression than this check: {expression_of(alarm)}"
    for crashes in (False, True):
        for users in (0, 300):
            seconds = [fires(broken, crashes, seed, users) for broken in canary.REQUESTS for seed in range(RELEASES)]
            late = sum(each is None or each > IN_TIME for each in seconds)
            what = f"{late} of {len(seconds)} releases with a function that {'crashes' if crashes else 'answers 500'} are seen too late"
            assert late < len(seconds) / 100, f"{what}, with {users} other requests a minute"
    print("the alarms see a broken function, with and without users")


def check_functions(template):
    """Checks that the requests cover exactly the functions with an alias, and use these functions'
    routes."""
    functions = {name: each["Properties"] for name, each in template["Resources"].items() if "AutoPublishAlias" in each.get("Properties", {})}
    assert functions.keys() == canary.REQUESTS.keys(), f"scripts/lib/canary.py lacks {functions.keys() ^ canary.REQUESTS.keys()}"
    for name, (method, path, _, _) in canary.REQUESTS.items():
        routes = {(method, path) for method, path, function in routes_of(template) if function == name}
        route = path.split("?")[0].rstrip("/")
        assert {(method, route), ("ANY", route)} & routes, f"{name} has no route {method} {route}: {routes}"


class Api(http.server.BaseHTTPRequestHandler):
    """An API whose function `chat` always fails."""

    seen, accounts = collections.Counter(), []

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.split("?")[0]
        self.seen[self.command, path] += 1
        status, reply = 200, {}
        if path == "/api/register/" and json.loads(body):
            self.accounts.append(json.loads(body)["username"])
            status, reply = 201, {"token": "secret"}
        elif path == "/api/user/" and self.headers["Authorization"] == "Bearer secret":
            self.accounts.pop()
            status = 202
        elif path == "/api/chat/" and self.command == "POST":
            status = 500
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(reply).encode())

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


def check_traffic():
    """Sends the requests to a server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    updating, canary.PAUSE, canary.PER_SECOND = threading.Event(), 0.01, 200
    with canary.Traffic(f"http://127.0.0.1:{server.server_port}", updating.is_set) as traffic:
        registered = Api.seen["POST", "/api/register/"]
        time.sleep(0.2)
        assert sum(Api.seen.values()) == registered == 1, f"requests are sent before the update: {Api.seen}"
        updating.set()
        wanted = {(method, path.split("?")[0]) for method, path, _, _ in canary.REQUESTS.values()}
        end = time.monotonic() + 20
        while not (wanted <= Api.seen.keys() and Api.seen["POST", "/api/chat/"] > 2 * canary.AGAIN):
            assert time.monotonic() < end, Api.seen
            time.sleep(0.01)
    assert not Api.accounts, "the account is still there"
    assert Api.seen["POST", "/api/chat/"] > 5 * Api.seen["GET", "/api/tokens/"], f"a function that fails gets too few requests: {Api.seen}"
    assert traffic.turns.failures["ChatFunction"] == Api.seen["POST", "/api/chat/"], traffic.turns.failures
    # AWS WAF would also refuse the requests from scripts/smoke.
    assert canary.Traffic("", None, firewall_rate=600).pause == canary.AT_ONCE
    server.shutdown()


def check():
    template = source()
    check_functions(template)
    check_alarms(template)
    check_traffic()
