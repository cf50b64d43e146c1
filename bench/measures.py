"""Measures the CPU time, start-up time, memory, traffic and latency of functions."""

import contextlib
import json
import os
import pathlib
import socket
import statistics
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from runtime_api import cpu_seconds
from world import Relay

HASHING = ("login", "register")
# How many pieces a streamed answer has, and how many seconds pass between them. A fast model streams at this speed.
PIECES, PAUSE = 20, 0.02


class Loop:
    """A process that computes as many bare hashes as requested."""

    def __init__(self, binary):
        self.process = subprocess.Popen([str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def hash(self, times):
        self.process.stdin.write(b"%d\n" % times)
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"\n"

    def end(self):
        self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def apart(pids):
    """Pins the threads of these processes to one processor, and the calling thread to the others. On the caller's processor, a process that
    is woken needs only a fraction of the time: `hello` takes 42 us there instead of 100. Without pinning, the scheduler may move the
    process at any time."""
    before = os.sched_getaffinity(0)
    *others, last = sorted(before)
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), {last})
    os.sched_setaffinity(0, others or {last})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu(world, functions, rounds, calls, hashes):
    """Measures how many CPU seconds (user and system) and wall-clock seconds a warm call to each function takes, and the function's peak
    memory in MiB. The functions take turns, and the lowest figure of all rounds counts."""
    with contextlib.ExitStack() as stack:
        workers = {}
        for function in functions:
            if function == "argon2id":
                loop = Loop(world.binaries[function])
                stack.callback(loop.end)
                workers[function] = (loop.process.pid, lambda _, loop=loop: loop.hash(1), hashes)
            else:
                account, instance = world.account(), stack.enter_context(world.instance(function))
                work = lambda call, args=(account, instance, function): args[0].call(args[1], args[2], call)
                workers[function] = (instance.process.pid, work, hashes if function in HASHING else calls)
        stack.enter_context(apart([pid for pid, _, _ in workers.values()]))
        best = {function: (float("inf"), float("inf")) for function in functions}
        done = dict.fromkeys(functions, 0)
        # The first round is a warm-up.
        for round_ in range(rounds + 1):
            for function, (pid, work, times) in workers.items():
                before, began = cpu_seconds(pid), time.perf_counter()
                for call in range(done[function], done[function] + times):
                    work(call)
                took = ((cpu_seconds(pid) - before) / times, (time.perf_counter() - began) / times)
                done[function] += times
                if round_:
                    best[function] = tuple(map(min, best[function], took))
        return {function: (*best[function], peak_mib(pid)) for function, (pid, _, _) in workers.items()}


def starts(world, functions, times):
    """Measures how many seconds pass between exec and the first request for an event, and how many seconds the first call takes. Both are
    medians; the functions take turns."""
    taken = {function: [] for function in functions}
    accounts = {function: world.account() for function in functions}
    # The first start of each function doesn't count, because it reads the binary from the disk.
    for turn in range(times + 1):
        for function in functions:
            with world.instance(function) as instance:
                began = time.perf_counter()
                accounts[function].call(instance, function, turn)
                if turn:
                    taken[function].append((instance.start_seconds, time.perf_counter() - began))
    return {function: tuple(map(statistics.median, zip(*pairs, strict=True))) for function, pairs in taken.items()}


def peak_memory(world, function, calls):
    """Measures an instance's peak memory after this many calls, in MiB."""
    account = world.account()
    with world.instance(function) as instance:
        for call in range(calls):
            account.call(instance, function, call)
        return peak_mib(instance.process.pid)


def peak_mib(pid):
    return memory_mib(pid, "VmHWM")


def memory_mib(pid, what):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{what}:")).split()[1]) / 1024


def traffic(world, function, calls):
    """Counts how many round trips to the store a warm call makes, and how many bytes it sends to and receives from the store."""
    account, relay = world.account(), Relay(world.port)
    endpoint = world.environment["DYNAMODB_ENDPOINT"].replace("127.0.0.1", relay.ADDRESS)
    with contextlib.closing(relay), world.instance(function, DYNAMODB_ENDPOINT=endpoint) as instance:
        for call in range(2):
            account.call(instance, function, call)
        relay.reset()
        for call in range(2, 2 + calls):
            account.call(instance, function, call)
        return relay.requests / calls, relay.sent / calls, relay.received / calls


class Ai:
    """A server that implements OpenAI's chat completions. It streams pieces, and records when it sends each piece."""

    def __init__(self, pieces, pause):
        self.sent = []
        ai = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                # Without TCP_NODELAY, the measurement could include a delay of this server.
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for number in range(pieces):
                    time.sleep(pause)
                    ai.sent.append(time.perf_counter())
                    self.event({"choices": [{"index": 0, "delta": {"content": f"w{number} "}, "finish_reason": None}]})
                self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
                self.chunk(b"data: [DONE]\n\n")
                self.wfile.write(b"0\r\n\r\n")

            def event(self, data):
                self.chunk(b"data: " + json.dumps(data | {"id": "x", "object": "chat.completion.chunk", "model": "m"}).encode() + b"\n\n")

            def chunk(self, data):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def stream_delays(world, calls):
    """Measures how many seconds pass between the time when the AI sends a piece and the time when the piece reaches the Runtime API.
    Returns the median for first pieces, and the median for all other pieces."""
    account, first, further = world.account(), [], []
    with contextlib.closing(Ai(PIECES, PAUSE)) as ai:
        settings = {"AI_PROVIDER": "openai", "OPENAI_BASE_URL": ai.url, "OPENAI_MODEL": "m"}
        with world.instance("chat_stream", **settings) as instance:
            for call in range(calls + 1):
                ai.sent.clear()
                reply = account.call(instance, "chat_stream", call)
                assert "event: done" in reply.text, reply.text
                arrived = [time_ for time_, piece in reply.pieces if "event: delta" in piece]
                assert len(arrived) == PIECES, reply.pieces
                delays = [time_ - sent for time_, sent in zip(arrived, ai.sent, strict=True)]
                if call:
                    first.append(delays[0])
                    further += delays[1:]
    return statistics.median(first), statistics.median(further)
