"""Hooks that supply the facts that Schemathesis can't find in the document: the caller and existing
ids. scripts/check/schemathesis loads them.

A request that should be accepted gets values that only this API can issue: ids, cursors, tokens
from e-mails, passwords. All other values stay as Schemathesis generated them. A request that ends a
session or an account gets its own session or account, and administrators' requests change users of
their own.
"""

import base64
import itertools
import json
import os
import pathlib
import re
import time
import unicodedata
import uuid
from datetime import date, timedelta

import requests
import schemathesis
from schemathesis import GenerationMode

API = os.environ["FAREBOX_API"]
MAILS = pathlib.Path(os.environ["FAREBOX_DATA"]) / "mail"
COMMON = set((pathlib.Path(__file__).parents[4] / "shared/src/passwords/common.txt").read_text().splitlines())
PASSWORD = "a-password-of-tests"
FORM = "application/x-www-form-urlencoded"
numbers = itertools.count()


# The ids of users that other requests must not change.
OURS = set()


def call(method, path, account=None, headers=None, **more):
    headers = (headers or {}) | ({"Authorization": f"Bearer {account['token']}"} if account else {})
    reply = requests.request(method, API + path, headers=headers, timeout=30, **more)
    reply.raise_for_status()
    return reply


def register(**more):
    name = f"somebody-{next(numbers)}"
    account = call("POST", "/api/register/", json={"username": name, "password": PASSWORD, **more}).json()
    OURS.add(account["id"])
    return account


def token_of_mail(address, nth=0):
    """Returns the token from an e-mail to an address: the first e-mail with a token, or a later one
    (`nth`)."""
    for _ in range(100):
        mails = (mail.read_text() for mail in sorted(MAILS.glob("*.txt")))
        tokens = [re.search(r"(?:^|token=)([A-Za-z0-9_-]{43})$", mail, re.M) for mail in mails if mail.startswith(f"To: {address}\n")]
        found = [token[1] for token in tokens if token]
        if len(found) > nth:
            return found[nth]
        time.sleep(0.1)
    raise TimeoutError(f"no mail to {address}")


MAIN = register(email="main@example.com")
CLAIMS = MAIN["token"].split(".")[1]
SESSION = json.loads(base64.urlsafe_b64decode(CLAIMS + "=" * (-len(CLAIMS) % 4)))["sid"]
ADMINISTRATOR = call("POST", "/api/login/", json={"username": os.environ["ADMIN"], "password": os.environ["ADMIN_PASSWORD"]}).json()
OURS.add(ADMINISTRATOR["user"]["id"])


def adjust(user):
    call("POST", f"/api/admin/users/{user}/adjustments", ADMINISTRATOR, json={"amount": 5, "reason": "a gift"})


# Fill several pages of the trail.
for _ in range(3):
    adjust(MAIN["id"])

# Operations that need a separate account, because they end an account or session that other
# operations need, or request an e-mail soon after a previous one.
OF_ITS_OWN = {"account_delete", "email_resend", "logout", "password_change"}


@schemathesis.auth(refresh_interval=None)
class Caller:
    def get(self, case, context):
        if is_administration(case):
            return ADMINISTRATOR
        return register() if name(case) in OF_ITS_OWN else MAIN

    def set(self, case, account, context):
        case.headers["Authorization"] = f"Bearer {account['token']}"


def name(case):
    return case.operation.definition.raw["operationId"]


def is_administration(case):
    return case.operation.path.startswith("/api/admin/")


def chat():
    return call("POST", "/api/chat/", MAIN, json={"message": "hi"}).json()["id"]


def folder():
    """Returns the id of a folder. An account has at most 30."""
    for known in call("GET", "/api/folders/", MAIN).json():
        return known["id"]
    return call("POST", "/api/folders/", MAIN, json={"name": "Travel"}).json()["id"]


def file():
    files = [{"name": "a.txt", "text": "one"}]
    return call("POST", "/api/chat/", MAIN, json={"message": "hi", "attachments": files}).json()["files"][0]["id"]


def share():
    """Shares a chat. Each author is new, because an account can share only a few chats an hour."""
    author = register()
    message = call("POST", "/api/chat/", author, json={"message": "hi"}).json()
    return call("POST", "/api/user/shares/", author, json={"conversation_id": message["conversation_id"]}).json()


# An address can send only a few reports an hour.
reports = itertools.count()


def reported():
    """Returns the ids of a shared chat and of a report about it."""
    link = share()["link"]
    if next(reports) >= 3:
        return {"id": str(uuid.uuid4()), "report": str(uuid.uuid4())}
    call("POST", f"/api/shares/{link}/reports/", json={"reason": "spam"})
    newest = call("GET", "/api/admin/shares/", ADMINISTRATOR).json()[0]
    return {"id": newest["share_id"], "report": newest["id"]}


def sent_key():
    """Returns the idempotency key of an answered message."""
    key = uuid.uuid4().hex
    call("POST", "/api/chat/", MAIN, json={"message": "hi"}, headers={"Idempotency-Key": key})
    return key


def api_key():
    for key in call("GET", "/api/user/api-keys/", MAIN).json()[40:]:
        call("DELETE", f"/api/user/api-keys/{key['id']}/", MAIN)
    return call("POST", "/api/user/api-keys/", MAIN, json={"name": "a program"}).json()["id"]


# An account remembers fifty ended sessions. A further log-out ends all its sessions.
sessions = itertools.count()


def session():
    if next(sessions) >= 30:
        return str(uuid.uuid4())
    call("POST", "/api/login/", json={"username": MAIN["username"], "password": PASSWORD})
    return call("GET", "/api/user/sessions/?limit=1", MAIN).json()[0]["id"]


def user():
    return register()["id"]


def user_with_address():
    return register(email=f"{uuid.uuid4().hex}@example.com")["id"]


def key_of_user():
    account = register()
    key = call("POST", "/api/user/api-keys/", account, json={"name": "a program"}).json()
    return {"id": account["id"], "key": key["id"]}


# Administrators' operations that change a user. Each request gets a separate user.
CHANGES = {
    "admin_adjustment",
    "admin_api_key_revoke",
    "admin_api_keys_revoke",
    "admin_password_reset",
    "admin_sessions_end",
    "admin_user_change",
    "admin_user_delete",
}

IDS = {
    "admin_adjustment": user,
    "admin_api_key_revoke": key_of_user,
    "admin_api_keys": lambda: MAIN["id"],
    "admin_api_keys_revoke": user,
    "admin_ledger": lambda: MAIN["id"],
    "admin_password_reset": user_with_address,
    "admin_sessions_end": user,
    "admin_share_end": lambda: share()["id"],
    "admin_share_report_dismiss": reported,
    "admin_user": lambda: MAIN["id"],
    "admin_user_change": user,
    "admin_user_delete": user,
    "api_key_revoke": api_key,
    "chat_delete": chat,
    "chat_read": chat,
    "file_read": file,
    "conversation": chat,
    "conversation_delete": chat,
    "conversation_rename": chat,
    "folder_change": folder,
    "folder_delete": folder,
    "session_end": session,
    "share": lambda: {"link": share()["link"]},
    "share_report": lambda: {"link": share()["link"]},
    "model": lambda: "echo",
}


# The fields of each operation's body, with their schemas.
FIELDS = {}

# The fields whose values are created by another operation, according to the document's links: that
# operation's path and example, and the value's place in the reply, such as
# `$response.body#/codes/0`.
CREATIONS = {}


def create(path, example, place):
    """Returns a new value for a field in CREATIONS."""
    value = call("POST", path, ADMINISTRATOR if path.startswith("/api/admin/") else MAIN, json=example).json()
    for name in place.split("/")[1:]:
        value = value[int(name) if isinstance(value, list) else name]
    return value


def fit(password):
    """Returns a valid new password, as similar to this one as possible."""
    password = password.encode()[:256].decode(errors="ignore")
    return f"{password[:-4]}#x7Q" if len(password) < 8 or password.lower() in COMMON else password


def verification():
    address = f"{uuid.uuid4().hex}@example.com"
    register(email=address)
    return token_of_mail(address)


def reset():
    address = f"{uuid.uuid4().hex}@example.com"
    account = register(email=address)
    call("POST", "/api/user/email/verify/", account, json={"token": token_of_mail(address)})
    call("POST", "/api/password/reset/", json={"email": address})
    return token_of_mail(address, 1)


# The headers of a page whose browser keeps its tokens in cookies.
KEPT = {"X-Refresh-Token": "cookie", "X-Page-Key": "0" * 32}


def kept():
    """Returns a refresh token as a browser stores it in a cookie."""
    credentials = {"username": MAIN["username"], "password": PASSWORD}
    return call("POST", "/api/login/", json=credentials, headers=KEPT).cookies["farebox_refresh"]


def search(operation, query):
    """Adds to a query the values that no schema can describe."""
    if query.get("user_id") and next(numbers) % 2:
        query["user_id"] = MAIN["id"]
    if query.get("q") and next(numbers) % 2:
        query["q"] = "somebody"
    # A query for a single message contains only the message and its user.
    if operation == "admin_chats" and query.get("chat_id"):
        query = {name: value for name, value in query.items() if name not in ("q", "from", "to", "model")} | {"user_id": MAIN["id"]}
    # A search can't be sorted.
    if query.get("sort"):
        query.pop("q", None)
    for day in ("from", "to", "last_message_from", "last_message_to"):
        if query.get(day):
            query[day] = max(query[day], "1970-01-01")
    if query.get("from"):
        query["to"] = max(query.get("to") or str(date.today()), query["from"])
    # An export of addresses needs the ids of users.
    if operation == "admin_export":
        query["users"] = MAIN["id"]
    if operation == "admin_figures" and query.get("from"):
        query["from"] = max(query["from"], str(date.fromisoformat(query["to"]) - timedelta(days=365)))
    return query


def complete(operation, body):
    """Adds to a body the values that no schema can describe."""
    # No pattern can describe the characters in an address, because they may belong to any writing
    # system.
    addressed = ("register", "profile_change", "password_reset", "admin_user_create")
    if operation in addressed and not (body.get("email") or "").isascii():
        body["email"] = f"{uuid.uuid4().hex}@example.com"
    # The limit on instructions is in bytes.
    if isinstance(body.get("instructions"), str):
        body["instructions"] = body["instructions"].encode()[:2000].decode(errors="ignore")
    # A user can be created only once, so each request gets a new address.
    if operation == "admin_user_create" and (body.get("email") or "").strip():
        body["email"] = f"{uuid.uuid4().hex}@example.com"
    if operation in ("register", "admin_user_create"):
        plain = all(unicodedata.normalize("NFKC", c).isalpha() or c.isascii() for c in body["username"])
        body["username"] = (body["username"] if plain else "name") + f"-{next(numbers)}"
        # A username with an `@` would also be the e-mail address.
        body["username"] = body["username"].replace("@", "+")[-150:]
        for field in ("password", "password1"):
            if isinstance(body.get(field), str):
                body[field] = fit(body[field])
        if body.get("password2") is not None and operation == "register":
            body["password2"] = body["password1"] if body.get("password") is None else body["password"]
    if operation in ("login", "login_token") and next(numbers) % 2:
        body |= {"username": MAIN["username"], "password": PASSWORD}
    if operation in ("password_change", "profile_change"):
        body["current_password"] = PASSWORD
    if operation == "password_change":
        body["new_password"] = fit(body["new_password"])
    if operation == "account_delete":
        body["password"] = PASSWORD
    if operation == "token_verify":
        body["token"] = MAIN["token"]
    if operation == "token_blacklist":
        body["refresh"] = register()["refresh"]
    if operation == "email_verify":
        body |= {"token": verification(), "password": fit(body.get("password") or PASSWORD)}
    if operation == "password_reset_confirm":
        body["token"] = reset()
        for field in ("password", "new_password"):
            if isinstance(body.get(field), str):
                body[field] = fit(body[field])
    for field, schema in FIELDS[operation].items():
        # A day in a body is a last day, which must not be in the past.
        if schema.get("format") == "date" and body.get(field):
            body[field] = str(date.today() + timedelta(days=365))
        # One in eight requests sends the document's example, which is unknown.
        if (operation, field) in CREATIONS:
            body[field] = create(*CREATIONS[operation, field]) if next(numbers) % 8 else schema["examples"][0]
    if operation == "purchase_create" and next(numbers) % 2:
        body["pack"] = "small"
    # There is no price list, so a key can't be restricted to its models.
    if operation == "api_key_create":
        body.pop("models", None)
    if operation == "admin_models_change":
        body["list"] = None
    # No pattern can describe a PNG.
    if operation == "admin_brand_change" and isinstance(body.get("brand"), dict):
        body["brand"] = {field: value for field, value in body["brand"].items() if field != "logo"}
        # Only some pairs of colours can be read.
        if {"color", "dark_color"} & body["brand"].keys():
            body["brand"] |= {"color": "#1a4fa3", "dark_color": "#8ab4f8"}
    if operation == "share_create" and next(numbers) % 2:
        body["conversation_id"] = body["last_message_id"] = chat()
    if operation == "chat_stop" and next(numbers) % 2:
        body["idempotency_key"] = sent_key()
    # The schema can't generate the id of a message that the user has paid for.
    if operation == "admin_adjustment":
        body.pop("chat_id", None)
        if next(numbers) % 2 or "amount" not in body:
            body["amount"] = abs(int(body.get("amount", 0))) % 1000 + 1
    if operation == "admin_grants":
        body["grants"] = [grant | {"amount": int(grant["amount"]) or 1} for grant in body["grants"]]
        if body.get("id") is not None:
            body["id"] = call("POST", "/api/admin/grants/", ADMINISTRATOR, json=body | {"id": None}).json()["id"]
    if operation == "completions":
        # Function calls need results, tool choices need functions, and the `echo` provider doesn't
        # support response formats.
        for field in ("functions", "function_call", "tool_choice", "response_format"):
            body.pop(field, None)
        of_calls = lambda message: message.get("tool_calls") or message.get("function_call") or message["role"] in ("tool", "function")
        has_parts = lambda message: isinstance(message.get("content"), list) and message["role"] != "user"
        body["messages"] = [message for message in body["messages"] if not of_calls(message) and not has_parts(message)]
        # No pattern can describe UTF-8 in Base64.
        for part in (part for message in body["messages"] if isinstance(message.get("content"), list) for part in message["content"]):
            if part["type"] == "file":
                part["file"] = {"file_data": "data:text/plain;base64,aGk="}
        body["messages"].append({"role": "user", "content": "hi"})
        # No schema can say that each custom tool must have its own name.
        for tool in body.get("tools") or []:
            if tool.get("custom"):
                tool["custom"] = {**tool["custom"], "name": f"tool-{next(numbers)}"}
    if operation == "responses":
        # For the same reasons, keep only the items that are messages.
        for field in ("tool_choice", "text"):
            body.pop(field, None)
        items = body["input"] if isinstance(body.get("input"), list) else []
        is_message = lambda item: item.get("type") in (None, "message") and isinstance(item.get("content"), str)
        roles = ("user", "assistant", "system", "developer")
        body["input"] = [item for item in items if is_message(item) and item.get("role") in roles]
        body["input"].append({"role": "user", "content": "hi"})
    if operation == "text_completions":
        # The schema doesn't say that a prompt must not be blank.
        body["prompt"] = "hi"
    if operation.startswith(("messages", "count_tokens")):
        # For the same reasons, keep only the messages that are texts.
        for field in ("tool_choice", "output_config", "output_format", "thinking", "system"):
            body.pop(field, None)
        body["tools"] = [tool for tool in body.get("tools") or [] if tool.get("type") in (None, "custom")]
        is_text = lambda message: isinstance(message.get("content"), str) and message.get("role") in ("user", "assistant", "system")
        body["messages"] = [message for message in body["messages"] if is_text(message)]
        body["messages"].append({"role": "user", "content": "hi"})
    # The schema doesn't say that a file has either a text or a picture, whose bytes are checked.
    if body.get("attachments"):
        body["attachments"] = [{"name": f"{number}.txt", "text": "one"} for number, _ in enumerate(body["attachments"])]
    if operation.startswith("chat") and body.get("conversation_id"):
        body["conversation_id"] = chat()
        # Only the first message of a conversation can choose its folder, or be temporary.
        body.pop("folder_id", None)
        body.pop("temporary", None)
        # A conversation's id is the id of its first message, so it is a valid parent.
        if body.get("after") not in (None, "", "start"):
            body["after"] = body["conversation_id"]
    elif operation.startswith("chat"):
        body.pop("after", None)
    return body


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Adds form bodies to the schema, because the document only mentions them. Fills FIELDS and
    CREATIONS."""
    operations = [(path, operation) for path, methods in raw_schema["paths"].items() for operation in methods.values()]
    for path, operation in operations:
        if "requestBody" not in operation:
            continue
        content = operation["requestBody"]["content"]
        if FORM in operation["description"]:
            content[FORM] = content["application/json"]
        reference = content["application/json"]["schema"].get("$ref", "")
        schema = raw_schema["components"]["schemas"].get(reference.rpartition("/")[2], {})
        FIELDS[operation["operationId"]] = schema.get("properties", {})
        links = [link for reply in operation["responses"].values() for link in reply.get("links", {}).values()]
        for link in links:
            for field, place in link.get("x-body", {}).items():
                CREATIONS[link["operationId"], field] = (path, schema["examples"][0], place)


def form(body):
    """Converts a body to a form's fields: strings, without null values and files."""
    body = {field: value for field, value in body.items() if field != "attachments"}
    texts = {field: value[-1] if isinstance(value, list) and value else value for field, value in body.items()}
    return {field: value if isinstance(value, str) else json.dumps(value) for field, value in texts.items() if value is not None}


def refresh(case):
    """Puts a refresh token into the body, or into the cookie if the header says so."""
    body = case.body if isinstance(case.body, dict) else {}
    if any((case.headers or {}).get(name) != value for name, value in KEPT.items()):
        token = body.get("refresh")
        case.body = {**body, "refresh": register()["refresh"] if not token or next(numbers) % 2 else token}
        case.media_type = "application/json"
    elif not body.get("refresh") and next(numbers) % 4:
        case.cookies = {"farebox_refresh": kept()}


def page(case):
    """Returns the query for the second page, if there is one."""
    account = ADMINISTRATOR if is_administration(case) else MAIN
    query = {name: value for name, value in case.query.items() if name != "cursor"}
    path = case.operation.path.format(**case.path_parameters)
    try:
        following = call("GET", path, account, params=query | {"limit": 1}).links.get("next")
    except requests.HTTPError as error:
        if error.response.status_code != 404:
            raise
        # The path contains an id of the document's examples.
        return query
    cursor = re.search("cursor=([^&]+)", following["url"]).group(1) if following else None
    return query | ({"cursor": cursor} if cursor else {})


@schemathesis.hook
def before_call(context, case, kwargs):
    operation = name(case)
    if operation in CHANGES and case.path_parameters.get("id") in OURS:
        case.path_parameters["id"] = user()
    # Schemathesis also uses ids from replies. This id would end the session of all other requests.
    if operation == "session_end" and case.path_parameters.get("id") == SESSION:
        case.path_parameters["id"] = session()
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    has_cursor = bool((case.query or {}).get("cursor"))
    if operation in IDS and (has_cursor or next(numbers) % 2):
        found = IDS[operation]()
        case.path_parameters |= found if isinstance(found, dict) else {"id": found}
    if "X-Refresh-Token" in (case.headers or {}) and next(numbers) % 2:
        case.headers.update(KEPT)
    if operation == "token_refresh":
        refresh(case)
    elif isinstance(case.body, dict):
        case.body = complete(operation, form(case.body) if case.media_type == FORM else dict(case.body))
    key = (case.headers or {}).get("Idempotency-Key")
    if key:
        case.headers["Idempotency-Key"] = (key + uuid.uuid4().hex)[-255:]
    if case.query or operation == "admin_export":
        case.query = search(operation, dict(case.query or {}))
    if has_cursor:
        case.query = page(case)
