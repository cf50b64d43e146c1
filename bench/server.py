"""Measures the local server (`cargo run`) with parallel clients."""

import json
import pathlib
import socket
import tempfile
import threading
import time

from measures import memory_mib, peak_mib
from runtime_api import cpu_seconds
from world import start_local

CLIENTS = 8
PARALLEL_REGISTRATIONS = 200


class Client:
    """A client that sends all its requests over one connection."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.token, self.host = b"", None, f"127.0.0.1:{port}"

    def ask(self, method, path, body=None):
        text = b"" if body is None else json.dumps(body).encode()
        authorization = f"authorization: Bearer {self.token}\r\n" if self.token else ""
        self.socket.sendall(
            f"{method} {path} HTTP/1.1\r\nhost: {self.host}\r\ncontent-type: application/json\r\n{authorization}content-length: {len(text)}\r\n\r\n".encode()
            + text
        )
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        size = int(next(line for line in lines if line.startswith("content-length:")).split(":")[1])
        while len(rest) < size:
            self.buffer = rest
            self._more()
            rest = self.buffer
        self.buffer = rest[size:]
        status = int(lines[0].split(" ")[1])
        assert status < 300, f"{method} {path}: {lines[0]} {rest[:size]}"
        return json.loads(rest[:size])

    def _more(self):
        data = self.socket.recv(1 << 16)
        assert data, "the server closed the connection"
        self.buffer += data

    def register(self, name):
        self.token = self.ask("POST", "/api/register", {"username": name, "password": "secret123"})["access"]


def in_parallel(work, clients):
    """Calls `work` with each client. Each call runs in a separate thread."""
    failures = []

    def one(client):
        try:
            work(client)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=one, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def lines(rounds, calls, registrations):
    """Returns the lines of the report."""
    with tempfile.TemporaryDirectory(prefix="farebox-bench-") as folder:
        process, port = start_local(pathlib.Path(folder))
        try:
            clients = [Client(port) for _ in range(CLIENTS)]
            for number, client in enumerate(clients):
                client.register(f"client{number}")
            chat = lambda client: client.ask("POST", "/api/chat", {"message": "Hello!"})
            balance = lambda client: client.ask("GET", "/api/tokens")
            best = {}
            # The first round is a warm-up.
            for round_ in range(rounds + 1):
                for name, ask in (("chat", chat), ("balance", balance)):
                    before, began = cpu_seconds(process.pid), time.perf_counter()
                    in_parallel(lambda client, ask=ask: [ask(client) for _ in range(calls)], clients)
                    requests = CLIENTS * calls
                    took = ((cpu_seconds(process.pid) - before) / requests, (time.perf_counter() - began) / requests)
                    if round_:
                        best[name] = tuple(map(min, best.get(name, took), took))
            for name, (cpu, wall) in best.items():
                yield f"local server, {CLIENTS} clients, {name}: {cpu * 1e3:.2f} ms CPU per request, {1 / wall:,.0f} requests a second"
            before = memory_mib(process.pid, "VmRSS")
            clients = [Client(port) for _ in range(PARALLEL_REGISTRATIONS)]
            each = registrations // PARALLEL_REGISTRATIONS
            numbers = {client: number for number, client in enumerate(clients)}
            in_parallel(lambda client: [client.register(f"many{numbers[client]}x{turn}") for turn in range(each)], clients)
            time.sleep(2)
            yield (
                f"local server, {each * PARALLEL_REGISTRATIONS:,} registrations, {PARALLEL_REGISTRATIONS} at a time: {before:.0f} MiB before, "
                f"{memory_mib(process.pid, 'VmRSS'):.0f} MiB after, {peak_mib(process.pid):.0f} MiB at most"
            )
        finally:
            process.terminate()
            process.wait()
