"""usage: moved.py store FACTS ITEMS [--superusers]: compares Django's data (the output of its
    command `facts`) with the items in Farebox's store.
moved.py sessions FACTS FOLDER: compares the sessions of old clients at Django and at
    Farebox, in the folders django, first and second.
moved.py api FACTS FOLDER API: reads each history at Farebox's API, tries passwords that
    must be refused, and deletes an account.
moved.py hashes FACTS ITEMS: checks that the people who have logged in since the migration,
    and no others, have lost their Django hashes."""

import json
import pathlib
import re
import sys
import urllib.error
import urllib.request
from collections import Counter
from datetime import datetime

from people import PEOPLE
from stores import read_items

PRICE = 100
BALANCES = {"tokens", "tokens_left", "remaining_tokens"}
# Values that a client only keeps and sends back.
SECRETS = {"token", "access", "refresh"}


def facts(file):
    return [json.loads(line) for line in open(file)]


def value(attribute):
    [(kind, held)] = attribute.items()
    return int(held) if kind == "N" else None if kind == "NULL" else held


def equal(one, other, about):
    assert one == other, f"{about}: Django has {str(one)[:500]}, and Farebox {str(other)[:500]}"


def same_store(users, items, superusers):
    accounts, chats, ledger = {}, {}, {}
    for table, _, item in items:
        if table == "UsersTable" and item["pk"]["S"].startswith("user:"):
            accounts[item["name"]["S"]] = item
        elif table == "ChatsTable" and "message" in item:
            chats.setdefault(item["user_id"]["S"], []).append(item)
        elif table == "LedgerTable":
            ledger.setdefault(item["user_id"]["S"], []).append(item)
    equal(sorted(user["name"] for user in users), sorted(accounts), "usernames")
    for user in users:
        account, name = accounts[user["name"]], user["name"]

        def get(field, default, account=account):
            return value(account[field]) if field in account else default

        equal(user["tokens"], get("tokens", None), f"tokens of {name}")
        equal(user["joined"], get("created", None), f"the registration of {name}")
        equal(user["email"], get("email", ""), f"the address of {name}")
        equal(False, get("email_verified", False), f"the verification of the address of {name}")
        equal(user["first_name"], get("first_name", ""), f"the first name of {name}")
        equal(user["last_name"], get("last_name", ""), f"the last name of {name}")
        equal(user["is_active"], get("active", None), f"the activity of {name}")
        equal("admin" if superusers and user["is_superuser"] else "user", get("role", None), f"the role of {name}")
        of_user = sorted(chats.pop(account["id"]["S"], []), key=lambda chat: chat["chat_id"]["S"], reverse=True)
        found = [[chat["message"]["S"], chat["response"]["S"], value(chat["time"])] for chat in of_user]
        equal(user["chats"], found, f"the chats of {name}")
        for chat in of_user:
            equal(value(chat["time"]), int(chat["chat_id"]["S"].replace("-", "")[:12], 16), "the time in a chat's id")
        rows = ledger.pop(account["id"]["S"], [])
        equal(user["tokens"], sum(value(row["amount"]) for row in rows), f"the statement of {name}")
    equal([{}, {}], [chats, ledger], "other chats and rows")
    print(f"  {len(users):,} accounts and {sum(len(user['chats']) for user in users):,} messages as Django had them")


def millis(text):
    """Returns a time in milliseconds."""
    time = datetime.fromisoformat(text)
    return (int(time.timestamp()) * 1_000_000 + time.microsecond) // 1000


def session(folder):
    return {file.stem: json.loads(file.read_text()) for file in pathlib.Path(folder).iterdir()}


def alike(one, other, about):
    """Asserts that two values have the same type."""
    assert type(one) is type(other), f"{about}: Django sends {one!r}, and Farebox {other!r}"


def same_sessions(users, folder):
    users = {user["name"]: user for user in users}
    for number, person in enumerate(PEOPLE, 1):
        user = users.get(person.username) or users[person.email]
        django, first, second = (session(f"{folder}/{at}/{number}") for at in ["django", "first", "second"])
        [balance] = django["before"].keys() & BALANCES
        paid = django["before"][balance] - django["after"][balance]
        assert paid > 0 and paid % PRICE == 0, paid
        equal(person.tokens, django["before"][balance], "the balance that was seeded")
        equal(user["tokens"], django["after"][balance], "the balance that was moved")
        for earlier, later in [(django, first), (first, second)]:
            equal(earlier["after"][balance], later["before"][balance], f"the balance of {person.username}")
            equal(later["before"][balance] - paid, later["after"][balance], f"the balance of {person.username} after a message")
            equal(django.keys(), later.keys(), "the replies of a session")
        for later in [first, second]:
            for step in django.keys() - {"history"}:
                equal(django[step].keys(), later[step].keys(), step)
                for field, old in django[step].items():
                    new, about = later[step][field], f"{field} of {step}"
                    alike(old, new, about)
                    if field in SECRETS:
                        assert new and new != old, about
                    elif field in ["timestamp", "date_joined"]:
                        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", new), new
                    elif step == "profile" or field == "response" or (step == "chat" and field == "message") or field == "tokens_deducted":
                        equal(old, new, about)
            if "profile" in django:
                equal(millis(django["profile"]["date_joined"]), millis(later["profile"]["date_joined"]), "date_joined")
            for chat in ["chat", "chat_by_body"]:
                for field in BALANCES & later.get(chat, {}).keys():
                    equal(later["before"][balance] - PRICE, later[chat][field], f"{field} of {chat}")
        if "history" in django:
            plain = [[[chat["message"], chat["response"], millis(chat["timestamp"])] for chat in of["history"]] for of in (django, first, second)]
            equal(user["chats"], plain[0], "the history at Django")
            # An old client doesn't ask for pages, and gets the whole history.
            equal(plain[0], plain[1][1:], "the history")
            equal(plain[1], plain[2][1:], "the history after another message")
    print(f"  {len(PEOPLE)} old clients go on: {', '.join(sorted(django))}")


def ask(url, token=None, method=None, **body):
    """Sends a request. Returns the status, the parsed reply and the URL of the next page."""
    headers = ({"Content-Type": "application/json"} if body else {}) | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers, method=method)
    try:
        with urllib.request.urlopen(request) as reply:
            following = re.search(r'<([^>]+)>; rel="next"', reply.headers.get("Link", ""))
            return reply.status, json.load(reply), following and following[1]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), None


def same_api(users, folder, api):
    by_name = {user["name"]: user for user in users}
    for number, person in enumerate(PEOPLE, 1):
        user = by_name.get(person.username) or by_name[person.email]
        sessions = [session(f"{folder}/{at}/{number}") for at in ["django", "first", "second"]]
        # Django's tokens aren't imported.
        for secret in [old[field] for old in sessions[0].values() if isinstance(old, dict) for field in SECRETS & old.keys()]:
            equal(401, ask(f"{api}/api/tokens/", secret)[0], "an old token")
        token = next(sessions[2]["login"][field] for field in ["token", "access"] if field in sessions[2]["login"])
        history, url = [], f"{api}/api/chat/?limit=100"
        while url:
            status, page, url = ask(url if url.startswith("http") else api + url, token)
            equal(200, status, page)
            history += [[chat["message"], chat["response"], millis(chat["timestamp"])] for chat in page]
        times = [chat[2] for chat in history]
        assert times == sorted(times, reverse=True), times
        new = len(history) - len(user["chats"])
        assert new >= 2, new
        equal(user["chats"], history[new:], f"the whole history of {person.username}")
        name = user["name"]
        wrong = [person.password + "x", person.password[:-1] or "y", person.password.swapcase() + "z", user["password"]]
        for password in wrong:
            equal(401, ask(f"{api}/api/login/", username=name, password=password)[0], f"a wrong password of {name}")
    # Users who share a hash share a password.
    shared, many = Counter(user["password"] for user in users), "the password of many"
    active, deactivated = ([user for user in users if shared[user["password"]] > 1 and user["is_active"] is is_active] for is_active in (True, False))
    for user in active[:5]:
        status, reply, _ = ask(f"{api}/api/login/", username=user["name"], password=many)
        equal(200, status, f"a log-in of {user['name']}")
    # The last user deletes the account, and no import may create it again.
    status, reply, _ = ask(f"{api}/api/user/", reply["access"], "DELETE", password=many)
    equal(202, status, reply)
    for user in deactivated[:5] + active[4:5]:
        status, *_ = ask(f"{api}/api/login/", username=user["name"], password=many)
        equal(401, status, f"a log-in of {user['name']}, who is deactivated or gone")
    print(f"  {len(PEOPLE)} whole histories; wrong passwords, old tokens and deactivated users are refused")


def replaced_hashes(users, items):
    """Checks that only the people who have logged in have hashes other than Django's."""
    names = {name for person in PEOPLE for name in (person.username, person.email)}
    hashes = {user["name"]: json.dumps(user["password"]) for user in users}
    kept = 0
    for table, _, item in items:
        if table == "UsersTable" and item["pk"]["S"].startswith("user:") and (name := item.get("name", {}).get("S")) in hashes:
            has_old = hashes[name] in json.dumps(item)
            assert not (has_old and name in names), f"{name} has logged in, and still has the hash of Django"
            kept += has_old
    equal(len(users) - len(PEOPLE) - 5, kept, "the number of hashes that no log-in has used")


command, known, *rest = sys.argv[1:]
if command == "store":
    same_store(facts(known), read_items(rest[0]), "--superusers" in rest)
elif command == "hashes":
    replaced_hashes(facts(known), read_items(rest[0]))
elif command == "sessions":
    same_sessions(facts(known), rest[0])
else:
    same_api(facts(known), *rest)
