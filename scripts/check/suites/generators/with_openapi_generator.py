"""Uses the client that OpenAPI Generator generates for Python. A type checker also checks this
script."""

import os
import re
from collections.abc import Mapping
from uuid import UUID

from farebox import AccountsApi, ApiClient, ChatApi, ChatRequest, Configuration, LogIn, Registration, SessionsApi, Verification
from farebox.exceptions import UnauthorizedException

API = os.environ["API"]
NAME, PASSWORD = f"ben-{os.getpid()}", "secret123"


def link(headers: Mapping[str, str] | None) -> str:
    """Returns the `Link` header. The header's name may be in any case."""
    return {name.lower(): value for name, value in (headers or {}).items()}.get("link", "")


def main() -> None:
    anybody = ApiClient(Configuration(host=API))
    opened = AccountsApi(anybody).register(Registration(username=NAME, password=PASSWORD))
    sessions = SessionsApi(anybody)
    try:
        sessions.login(LogIn(username=NAME, password="another"))
    except UnauthorizedException as refused:
        assert refused.status == 401, refused
    else:
        raise AssertionError("logged in with a wrong password")
    session = sessions.login(LogIn(username=NAME, password=PASSWORD))
    sessions.token_verify(Verification(token=session.access))
    assert session.user.id == opened.user.id, session

    chats = ChatApi(ApiClient(Configuration(host=API, access_token=session.access)))
    ids: list[UUID] = []
    for message in ["one", "two", "three"]:
        paid = chats.chat(ChatRequest(message=message))
        assert paid.response == f"You said: {message}", paid
        ids.insert(0, paid.id)

    first = chats.chat_history_with_http_info(limit=2)
    cursor = re.search(r"[?&]cursor=([^&>]+)", link(first.headers))
    assert cursor, first
    second = chats.chat_history_with_http_info(limit=2, cursor=cursor[1])
    assert not link(second.headers), second
    assert [one.id for one in first.data + second.data] == ids


main()
