"""Measures the CPU time, the starts, the memory, the traffic and the delays of functions."""
import contextlib, json, os, pathlib, socket, statistics, subprocess, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from runtime_api import cpu_seconds
from world import Relay

HASHING = ("login", "register")
# The number of pieces in a streamed answer, and the seconds between them, as with a fast model.
PIECES, PAUSE = 20, 0.02


class Loop:
    """The process of the bare hash. It computes the requested number of hashes."""

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
    """Runs the threads of these processes on one processor, and the calling thread on the others. On the
    caller's processor, the woken process would need only a fraction of the time: `hello` takes 42 us there instead of 100. Without this
    function, the scheduler may move the process at any time."""
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
    """Measures the CPU seconds (user and system) and wall-clock seconds of a warm call of each function, and the function's peak memory in
    MiB. The functions take turns, and the round with the lowest figure counts."""
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
        # The first round warms up.
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
    """Measures the seconds from exec to the first request for an event, and the seconds of the first call. Both are medians; the functions
    take turns."""
    taken = {function: [] for function in functions}
    accounts = {function: world.account() for function in functions}
    # The first start of each function doesn't count: it reads the binary from the disk.
    for turn in range(times + 1):
        for function in functions:
            with world.instance(function) as instance:
                began = time.perf_counter()
                accounts[function].call(instance, function, turn)
                if turn:
                    taken[function].append((instance.start_seconds, time.perf_counter() - began))
    return {function: tuple(map(statistics.median, zip(*pairs))) for function, pairs in taken.items()}


def peak_memory(world, function, calls):
    """Measures the peak memory of an instance in MiB, after this many calls."""
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
    """Counts the round trips of a warm call to the store, and the bytes to and from the store."""
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
    """A server with OpenAI's chat completions. It streams pieces, and records the time at which it sends each piece."""

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
        self.url = "http://127.0.0.1:%d/v1" % self.server.server_port

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def stream_delays(world, calls):
    """Measures the seconds from the time at which the AI sends a piece to its arrival at the Runtime API: the median of all first pieces,
    and the median of all further pieces."""
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
                delays = [time_ - sent for time_, sent in zip(arrived, ai.sent)]
                if call:
                    first.append(delays[0])
                    further += delays[1:]
    return statistics.median(first), statistics.median(further)
