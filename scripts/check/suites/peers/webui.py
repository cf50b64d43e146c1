"""Open WebUI as a server with one user. Its settings are the lines in docs/use/clients.md, and what
keeps it from downloading models. The user sends messages and files as Open WebUI's page does."""

import http.client
import json
import os
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from coding_agents import PEERS
from scripted import BASE_URL, call, equal, free_port

# The settings that save tokens.
SAVING = {f"ENABLE_{task}_GENERATION": "False" for task in ["TITLE", "TAGS", "FOLLOW_UP", "RETRIEVAL_QUERY"]}
SAVING |= {"DEFAULT_MODEL_PARAMS": '{"function_calling": "legacy"}', "RAG_EMBEDDING_BATCH_SIZE": "50"}
MODEL = "quick"


@contextmanager
def started(key, **settings):
    """Starts Open WebUI in an empty folder, and ends it. All its users pay with this API key."""
    port = free_port()
    access = {"OPENAI_API_BASE_URL": BASE_URL, "OPENAI_API_KEY": key}
    vectors = {"RAG_EMBEDDING_ENGINE": "openai", "RAG_EMBEDDING_MODEL": "vectors", "RAG_OPENAI_API_BASE_URL": BASE_URL, "RAG_OPENAI_API_KEY": key}
    with tempfile.TemporaryDirectory() as home:
        log = Path(home, "log")
        settings = os.environ | {"HOME": home, "DATA_DIR": home, "OFFLINE_MODE": "True"} | access | vectors | settings
        command = [PEERS / "open-webui/bin/open-webui", "serve", "--host", "127.0.0.1", "--port", str(port)]
        with open(log, "wb") as file:
            process = subprocess.Popen(command, cwd=home, env=settings, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        url = f"http://127.0.0.1:{port}"

        def answers():
            assert process.poll() is None, log.read_text()[-2000:]
            with suppress(OSError):
                return call(url, "GET", "/health")[0] == 200

        try:
            until(answers, seconds=400)
            yield Site(url)
        finally:
            process.terminate()
            process.wait()


def until(ready, seconds=60):
    """Calls `ready` until it returns something, and returns that."""
    deadline = time.monotonic() + seconds
    while not (result := ready()):
        assert time.monotonic() < deadline, f"nothing after {seconds} s"
        time.sleep(0.1)
    return result


class Site:
    """A running Open WebUI with its first user."""

    def __init__(self, url):
        self.url, self.token = url, None
        self.version = self.call("GET", "/api/version")["version"]
        person = {"name": "Ann", "email": "ann@example.com", "password": "secret123"}
        self.token = self.call("POST", "/api/v1/auths/signup", person)["token"]

    def call(self, method, path, body=None):
        status, reply = call(self.url, method, path, body, self.token)
        equal((path, status), (path, 200))
        return reply

    def ask(self, question, files=(), after=None):
        """Sends a message, in a new chat or after an answer. Waits until Open WebUI has sent all requests
        that follow from the message. Returns the stored answer."""
        message = {
            "id": str(uuid4()),
            "parentId": after and after["id"],
            "childrenIds": [],
            "role": "user",
            "content": question,
            "files": list(files),
            "models": [MODEL],
        }
        new = {} if after else {"title_generation": True, "tags_generation": True}
        form = {"stream": True, "model": MODEL, "files": list(files), "session_id": str(uuid4()), "id": str(uuid4()), "user_message": message}
        form |= {"chat_id": after and after["chat"], "parent_id": message["parentId"], "background_tasks": new | {"follow_up_generation": True}}
        chat = self.call("POST", "/api/chat/completions", form)["chat_id"]

        def answered():
            busy = self.call("GET", f"/api/tasks/chat/{chat}")["task_ids"]
            stored = self.call("GET", f"/api/v1/chats/{chat}")
            # Open WebUI asks for the title at the same time as for the answer.
            if not busy and stored["title"] != "New Chat":
                return stored["chat"]["history"]["messages"][form["id"]] | {"chat": chat}

        return until(answered)

    def upload(self, name, text):
        """Uploads a file. Waits until its text has been embedded, or until that failed. Returns the
        file as messages refer to it."""
        head = f'content-disposition: form-data; name="file"; filename="{name}"\r\ncontent-type: text/plain'
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        headers = {"Content-Type": "multipart/form-data; boundary=edge", "Authorization": f"Bearer {self.token}"}
        connection.request("POST", "/api/v1/files/", f"--edge\r\n{head}\r\n\r\n{text}\r\n--edge--\r\n", headers)
        file = json.loads(connection.getresponse().read())

        def processed():
            status = self.call("GET", f"/api/v1/files/{file['id']}/process/status")["status"]
            return status if status in ["completed", "failed"] else None

        return {"type": "file", "id": file["id"], "url": file["id"], "name": name, "file": file, "status": until(processed)}
