"""The environment of the measured functions: the embedded store, accounts in it, and API Gateway events."""

import json
import os
import pathlib
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from runtime_api import Instance

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The number of calls in callgrind's short run, which uses each token once. The additional calls of the long run therefore use only
# tokens that the instance already knows.
TOKENS = 20
CHATS = 20
# These settings raise limits that a measurement would otherwise reach.
SETTINGS = {"FIRST_GRANT": "1000000", "CHATS_PER_MINUTE": "10000", "AI_PROVIDER": "echo"}


def sample(name, **changes):
    """Returns the event in `events/<name>.json` with some strings replaced: each keyword is a string in the event, and its value is the
    replacement."""
    text = (ROOT / f"events/{name}.json").read_text()
    event = json.dumps(json.loads(text), separators=(",", ":"))
    for old, new in changes.items():
        assert old in event, f"events/{name}.json has no {old}"
        event = event.replace(old, new)
    return event.encode()


class Account:
    """An account: its name, its access tokens and its refresh token."""

    def __init__(self, name, tokens, refresh):
        self.name, self.tokens, self.refresh = name, tokens, refresh

    def event(self, function, call):
        """Returns the event for the function's call with this number. The calls take turns using the access tokens."""
        token = self.tokens[call % len(self.tokens)]
        match function:
            case "login":
                return sample("login", ann=self.name)
            case "register":
                return sample("register", ann=f"{self.name}x{call:04}")
            case "token_refresh":
                return sample("token_refresh", REFRESH_TOKEN=self.refresh)
            case "not_found":
                return sample("not_found")
            case "hello":
                return sample("balance", ACCESS_TOKEN=token)
            case "get_item":
                return sample("balance", ACCESS_TOKEN=self.name)
            case _:
                return sample(function, ACCESS_TOKEN=token)

    def call(self, instance, function, call):
        """Calls the function, checks the reply, and stores the data that the next call needs."""
        reply = instance.call(self.event(function, call))
        expected = {"not_found": 404, "register": 201}.get(function, 200)
        assert reply.status == expected, f"{function}: {reply.status} {reply.text} {instance.logged()}"
        if function == "token_refresh":
            self.refresh = reply.json()["refresh"]
        if function == "chat_history":
            assert len(reply.json()) == CHATS, reply.text
        return reply


def start_local(folder, *command):
    """Starts the local server, or only the part of it that `command` names. Returns the process and its port. If `FAREBOX` is set, it is
    the path of a built server; otherwise `cargo run` builds the server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    program = [os.environ["FAREBOX"]] if os.environ.get("FAREBOX") else ["cargo", "run", "--quiet", "--bin", "farebox", "--"]
    if not shutil.which(program[0]):
        raise SystemExit(f"{program[0]} is missing or is not a program: install Rust, or set FAREBOX to the program farebox")
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [*program, *command, "--port", str(port), "--data", str(folder / "data")], cwd=ROOT, env=os.environ | SETTINGS, stdout=log, stderr=log
        )
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, port
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the local server did not start:\n" + (folder / "log").read_text())


def start_store(folder):
    """Starts the embedded store. Returns its process, its port, and the environment of functions that use it."""
    process, port = start_local(folder, "dynamodb")
    settings = folder / "data/lambda.env"
    while not (settings.exists() and settings.read_text().endswith("\n")):
        if process.poll() is not None:
            raise SystemExit("the embedded store did not start:\n" + (folder / "log").read_text())
        time.sleep(0.05)
    return process, port, dict(line.split("=", 1) for line in settings.read_text().splitlines())


class World:
    """The embedded store, and the built functions that use it."""

    def __init__(self, binaries):
        self.binaries, self.accounts = binaries, 0
        self.folder = tempfile.TemporaryDirectory(prefix="farebox-bench-")
        self.lock = threading.Lock()
        self.store, self.port, self.environment = start_store(pathlib.Path(self.folder.name))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.store.terminate()
        self.store.wait()
        self.folder.cleanup()

    def instance(self, function, under=(), **settings):
        return Instance(self.binaries[function], self.environment | settings, under)

    def account(self, tokens=TOKENS):
        """Creates an account with `CHATS` messages and this many access tokens, by calling the functions."""
        with self.lock:
            self.accounts += 1
            name = f"bench{self.accounts:05}"
        with self.instance("register") as register:
            reply = register.call(sample("register", ann=name))
            assert reply.status == 201, reply.text
        given = reply.json()
        account = Account(name, [given["access"]], given["refresh"])
        with self.instance("token_refresh") as refresh:
            for call in range(1, tokens):
                account.tokens.append(account.call(refresh, "token_refresh", call).json()["access"])
        with self.instance("chat") as chat:
            for call in range(CHATS):
                account.call(chat, "chat", call)
        return account


class Relay:
    """A relay to the store that counts requests and bytes. The relay listens on the store's port at a different address, because the store
    accepts only requests that name the store's port."""

    ADDRESS = "127.0.0.2"

    def __init__(self, port):
        self.port, self.lock = port, threading.Lock()
        self.listener = socket.create_server((self.ADDRESS, port))
        self.reset()
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self):
        self.requests = self.sent = self.received = 0

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client):
        with client, socket.create_connection(("127.0.0.1", self.port)) as store:
            last = b""
            while True:
                ready, _, _ = select.select([client, store], [], [])
                for source in ready:
                    data = source.recv(1 << 18)
                    if not data:
                        return
                    if source is client:
                        # Each round trip is a POST. Its first line may arrive in pieces.
                        data_with_last = last + data
                        with self.lock:
                            self.requests += data_with_last.count(b"POST / HTTP/1.1\r\n")
                            self.sent += len(data)
                        last = data_with_last[-16:]
                        store.sendall(data)
                    else:
                        with self.lock:
                            self.received += len(data)
                        client.sendall(data)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
