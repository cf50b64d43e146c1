"""A stub of the Lambda Runtime API. It passes events to a function one at a time, as Lambda does."""

import json
import select
import signal
import socket
import subprocess
import tempfile
import time

ZEROS = b"\0" * 8
TIMEOUT_SECONDS = 120


class Closed(Exception):
    """The function closed the connection."""


class Connection:
    """A connection from the function to the Runtime API. It records when each piece of a body arrives."""

    def __init__(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.buffer = sock, b""

    def read_more(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise Closed
        self.buffer += data

    def read_until(self, mark):
        while mark not in self.buffer:
            self.read_more()
        before, _, self.buffer = self.buffer.partition(mark)
        return before

    def read_exactly(self, size):
        while len(self.buffer) < size:
            self.read_more()
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def read_request(self):
        """Returns the next request: its first line, its headers, and the pieces of its body, each with the time when the piece was
        complete."""
        line, *lines = self.read_until(b"\r\n\r\n").decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        pieces = []
        if headers.get("transfer-encoding") == "chunked":
            while size := int(self.read_until(b"\r\n"), 16):
                piece = self.read_exactly(size + 2)[:-2]
                pieces.append((time.perf_counter(), piece))
            self.read_exactly(2)
        elif size := int(headers.get("content-length", 0)):
            piece = self.read_exactly(size)
            pieces.append((time.perf_counter(), piece))
        return line, headers, pieces


class Reply:
    """The function's reply to an event: its status, its text, and the pieces of the text, each with the time when it arrived."""

    def __init__(self, line, headers, pieces):
        body = b"".join(piece for _, piece in pieces)
        self.pieces = []
        if headers.get("lambda-runtime-function-response-mode") == "streaming":
            head, _, text = body.partition(ZEROS)
            self.status, self.text = json.loads(head)["statusCode"], text.decode()
            passed = 0
            for at, piece in pieces:
                # The bytes up to the end of the zeros are the head of the reply. Its text follows.
                rest = piece[max(0, len(head) + len(ZEROS) - passed) :]
                passed += len(piece)
                if rest:
                    self.pieces.append((at, rest.decode(errors="replace")))
        elif line.split(" ")[1].endswith("/response"):
            reply = json.loads(body)
            self.status, self.text = reply["statusCode"], reply["body"]
            self.pieces = [(pieces[0][0], self.text)]
        else:
            self.status, self.text = 500, body.decode()

    def json(self):
        return json.loads(self.text)


class Instance:
    """An instance of a function, from its start until `end`."""

    def __init__(self, binary, environment, under=()):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.connections, self.calls = [], 0
        environment = environment | {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.listener.getsockname()[1]}",
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_GROUP_NAME": "f",
            "AWS_LAMBDA_LOG_STREAM_NAME": "f",
        }
        self.log = tempfile.TemporaryFile()
        began = time.perf_counter()
        self.process = subprocess.Popen([*under, str(binary)], env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            self._wait_for_next()
        except BaseException:
            self.kill()
            raise
        self.start_seconds = time.perf_counter() - began

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def _request(self):
        """Returns the next request from any connection of the function, together with that connection."""
        while True:
            waiting = next((connection for connection in self.connections if connection.buffer), None)
            if waiting is None:
                sources = {connection.socket: connection for connection in self.connections}
                for _ in range(TIMEOUT_SECONDS):
                    ready, _, _ = select.select([self.listener, *sources], [], [], 1)
                    if ready:
                        break
                    if self.process.poll() is not None:
                        raise RuntimeError(self._exit_message())
                else:
                    raise TimeoutError(f"the function sent no request for {TIMEOUT_SECONDS} seconds")
                if self.listener in ready:
                    self.connections.append(Connection(self.listener.accept()[0]))
                    continue
                waiting = sources[ready[0]]
            try:
                return waiting, waiting.read_request()
            except Closed:
                waiting.socket.close()
                self.connections.remove(waiting)

    def _exit_message(self):
        return f"the function ended with status {self.process.returncode}: {self.logged()}"

    def logged(self):
        """Returns the last 4 KB of the log."""
        self.log.seek(max(0, self.log.seek(0, 2) - 4096))
        return self.log.read().decode(errors="replace")

    def _wait_for_next(self):
        self.asking, (line, _, _) = self._request()
        assert "/invocation/next" in line, line

    def call(self, event):
        """Passes an event to the function. Returns the reply once the function asks for the next event."""
        self.calls += 1
        head = (
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(event)}\r\n"
            f"lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-{self.calls:012}\r\n"
            f"lambda-runtime-deadline-ms: {int(time.time() * 1000) + 28_000}\r\n"
            "lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:123456789012:function:f\r\n"
            "lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0\r\n\r\n"
        )
        self.asking.socket.sendall(head.encode() + event)
        connection, (line, headers, pieces) = self._request()
        reply = Reply(line, headers, pieces)
        connection.socket.sendall(b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        self._wait_for_next()
        return reply

    def end(self):
        """Stops the function with SIGTERM, as Lambda does."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()
        for connection in self.connections:
            connection.socket.close()
        self.listener.close()
        self.log.close()


def cpu_seconds(pid):
    """Returns the CPU seconds of a process, to the nanosecond. They cover all its threads, including threads that have ended."""
    return time.clock_gettime((~pid << 3) | 2)  # the kernel's MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)
