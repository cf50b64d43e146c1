"""Uses the client that openapi-python-client generates. A type checker also checks this script."""

import os
import re
from uuid import UUID

from farebox_client import AuthenticatedClient, Client
from farebox_client.api.accounts import register
from farebox_client.api.chat import chat, chat_history
from farebox_client.api.sessions import login, token_verify
from farebox_client.models import ChatRequest, LoggedIn, LogIn, LoginResponse401, Nothing, OpenedAccount, PaidChat, Registration, Verification

API = os.environ["API"]
NAME, PASSWORD = f"ann-{os.getpid()}", "secret123"


def main() -> None:
    client = Client(base_url=API)
    opened = register.sync(client=client, body=Registration(username=NAME, password=PASSWORD))
    assert isinstance(opened, OpenedAccount), opened
    refused = login.sync(client=client, body=LogIn(username=NAME, password="another"))
    assert isinstance(refused, LoginResponse401) and refused.status == 401, refused
    session = login.sync(client=client, body=LogIn(username=NAME, password=PASSWORD))
    assert isinstance(session, LoggedIn), session
    verified = token_verify.sync(client=client, body=Verification(token=session.access))
    assert isinstance(verified, Nothing), verified

    ann = AuthenticatedClient(base_url=API, token=session.access)
    ids: list[UUID] = []
    for message in ["one", "two", "three"]:
        paid = chat.sync(client=ann, body=ChatRequest(message=message))
        assert isinstance(paid, PaidChat) and paid.response == f"You said: {message}", paid
        ids.insert(0, paid.id)

    first = chat_history.sync_detailed(client=ann, limit=2)
    cursor = re.search(r"[?&]cursor=([^&>]+)", first.headers["link"])
    assert isinstance(first.parsed, list) and cursor, first
    second = chat_history.sync_detailed(client=ann, limit=2, cursor=cursor[1])
    assert isinstance(second.parsed, list) and "link" not in second.headers, second
    assert [one.id for one in first.parsed + second.parsed] == ids


main()
