"""usage: bad_rows.py FOLDER: inserts rows that can't be imported between the rows of the dump
`good.json`. The import must report each of them by line and key, and must create the same store as
an import of the good rows."""

import copy
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from stores import assert_same, write_items_of_folder

USER, CHAT = "token_header.user", "token_header.chat"
folder = pathlib.Path(sys.argv[1])
good = json.loads((folder / "good.json").read_text())
users = [row for row in good if row["model"] == USER]
chats = [row for row in good if row["model"] == CHAT]
GONE = object()
TOO_LATE = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
PHC = "argon2$argon2id$v=19$"
MD5, SHA1 = "7eb1c5b8dd5a4ddd6ee0a3a1d1b6e4f5", "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"
SHA256, SHA512 = "cx7E8y+IfA6yqWWuYRFuQtXzVbyNkvXrHmw1rcm6bG8", "A" * 86


def row(model, pk, **changes):
    """Returns a good row with these changes. GONE removes a field."""
    made = copy.deepcopy((users if model == USER else chats)[0])
    made["pk"] = pk
    if model == USER:
        made["fields"] |= {"username": f"person-{pk}", "email": ""}
    made["fields"] = {name: value for name, value in (made["fields"] | changes).items() if value is not GONE}
    return made


# Users with an invalid field, each with a pattern that the reason must match.
WRONG_USERS = [
    *[(r"tokens|balance", {"tokens": tokens}) for tokens in [-1, -(2**70), 2**53, 10**30, 12.5, "12.50", "many", None, [], True, GONE]],
    *[(r"name", {"username": name}) for name in ["a b", "@ann", "", "x" * 151, "ann\0", "ann\u202e", "😀", "a/b", None, 5, GONE]],
    *[(r"address|e-?mail", {"email": email}) for email in ["nobody", "a b@example.com", "a@evil.example/x?y=", "@example.com", 5]],
    *[
        (r"joined|time|date", {"date_joined": time})
        for time in [TOO_LATE, "2004-12-31T23:59:59.999Z", "2999-01-01T00:00:00Z", "yesterday", "2024-02-30T10:00:00Z", 5]
    ],
    *[
        (r"password|hash", {"password": password})
        for password in [
            "!WZ3JFnkGrqdcDzV5RTjJRz5ubNsTfbDm0D6Bv8sN", "!", "", None, GONE, "secret123",
            f"md5$salt${MD5}", MD5, f"unsalted_md5$${MD5}", f"sha1$salt${SHA1}", f"sha1$${SHA1}", f"unsalted_sha1$${SHA1}", "crypt$$abJnggxhB/yWI",
            f"pbkdf2_sha256$100000000$salt${SHA256}=", f"pbkdf2_sha256$0$salt${SHA256}=", f"pbkdf2_sha256$-1$salt${SHA256}=",
            f"pbkdf2_sha256$many$salt${SHA256}=", "pbkdf2_sha256$1000$salt", "pbkdf2_sha256$1000$salt$", "pbkdf2_sha256$1000$salt$#",
            "pbkdf2_sha256$1000$salt$AAAA", "pbkdf2_sha1$100000000$salt$cx7E8y+IfA6yqWWuYRFuQtXzVbw=",
            f"{PHC}m=1024,t=1,p=1$c2FsdHNhbHQ", f"{PHC}m=1024$c2FsdHNhbHQ$cx7E8y",
            f"{PHC}m=4294967295,t=1,p=1$c2FsdHNhbHRzYWx0${SHA256}", f"{PHC}m=1024,t=4294967295,p=1$c2FsdHNhbHRzYWx0${SHA256}",
            "bcrypt$$2b$31$abcdefghijklmnopqrstuuxQ0SxlAE5kJmYbaDDzRvzLlFnmE9Xme", "bcrypt$$2b$04$short", "bcrypt_sha256$$2b$04$",
            "bcrypt_sha256$2b$04$", f"scrypt$1073741824$salt$8$5${SHA512}==", "scrypt$16384$salt$8$5", f"scrypt$15000$salt$8$5${SHA512}==",
        ]
    ],
]  # fmt: skip
# Pairs of users that can't both be imported, each with a pattern that the reason must match.
PAIRS = [
    (r"name", {"username": "Gemma"}, {"username": "gemma"}),
    (r"name", {"username": "stra\u00dfe"}, {"username": "STRASSE"}),
    (r"name", {"username": "\uff41\uff42\uff43"}, {"username": "abc"}),
    (r"address|e-?mail", {"email": "gemma@example.com"}, {"email": "Gemma@Example.COM"}),
    (r"address|e-?mail|name", {"username": "otto@example.com", "email": "otto@example.com"}, {"email": "otto@example.com"}),
]
WRONG_CHATS = [
    (r"user", {"user": 999_999}),
    (r"user", {"user": None}),
    (r"user", {"user": GONE}),
    (r"message|text", {"message": GONE}),
    (r"message|text", {"message": None}),
    (r"message|text|NUL", {"message": "before\0after"}),
    (r"message|large|long|KB|bytes|size", {"message": "x" * 600_000}),
    (r"response|answer|large|long|KB|bytes|size", {"response": "\u20ac" * 200_000}),
    (r"timestamp|time|date", {"timestamp": "2024-02-30T10:00:00Z"}),
    (r"timestamp|time|date", {"timestamp": "yesterday"}),
    (r"timestamp|time|date", {"timestamp": "2999-01-01T00:00:00Z"}),
    (r"timestamp|time|date", {"timestamp": None}),
    (r"timestamp|time|date", {"timestamp": GONE}),
]


def bad_rows():
    """Yields groups of bad rows, each row with a pattern that the reason must match. The two rows
    of a pair are only bad together."""
    pk = 10_000
    for reason, changes in WRONG_USERS:
        pk += 1
        yield [(row(USER, pk, **changes), reason)]
        if pk % 10 == 0:
            # A chat whose user is refused.
            yield [(row(CHAT, pk, user=pk), "user")]
    for reason, *pair in PAIRS:
        pk += 2
        yield [(row(USER, pk + number, **changes), reason) for number, changes in enumerate(pair)]
    pk = 20_000
    for reason, changes in WRONG_CHATS:
        pk += 1
        yield [(row(CHAT, pk, **({"user": users[1]["pk"]} | changes)), reason)]
    for model, key in [(USER, "username"), (CHAT, "message")]:
        pk += 1
        yield [(row(model, pk, **{key: f"twice-{number}"}), "twice|pk|key|id|same|again|duplicate") for number in (1, 2)]


def write(file, rows):
    """Writes a dump as `dumpdata --indent 2` does. Returns the lines on which each row starts."""
    line, lines, texts = 2, [], []
    for number, made in enumerate(rows):
        # In every seventh row, characters outside ASCII are written as escapes.
        text = json.dumps(made, indent=2, ensure_ascii=number % 7 == 0)
        texts.append(text)
        lines.append(range(line, line + text.count("\n") + 1))
        line = lines[-1].stop
    file.write_text("[\n" + ",\n".join(texts) + "\n]\n")
    return lines


def manage(data, dump, *arguments):
    command = [os.environ["FAREBOX"], "manage", "import", "django", dump, "--name", "old", "--data", data, *arguments]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode in (0, 1), (run.returncode, run.stderr)
    return run


def refused(data, dump, *arguments):
    """Imports a dump. Returns the lines of its report."""
    report = folder / "report.jsonl"
    manage(data, dump, "--report", report, *arguments)
    return [json.loads(line) for line in report.read_text().splitlines()]


def items_of(data):
    file = folder / f"{data.name}.items"
    write_items_of_folder(data, file)
    return file


# A bad row or a bad pair follows every second good row. The first user comes last, after the chats.
rest, bad = iter([row for row in good if row != users[0]]), list(bad_rows())
rows, expected = [], {}
# The two rows of a pair must not be neighbours.
queue = [made for group in bad for made in group[:1]] + [made for group in bad for made in group[1:]]
for made, reason in queue:
    rows += itertools.islice(rest, 2)
    expected[len(rows)] = reason
    rows.append(made)
rows += [*rest, users[0]]
lines = write(folder / "bad.json", rows)
clean = [made for number, made in enumerate(rows) if number not in expected]
write(folder / "clean.json", clean)
assert len(clean) == len(good), (len(clean), len(good))

store, other = folder / "with-bad-rows", folder / "without"
dry = refused(store, folder / "bad.json")
assert not store.exists() or items_of(store).stat().st_size == 0, "The dry run has written."
for report in [dry, refused(store, folder / "bad.json", "--apply")]:
    wrong, reported = [], set()
    for told in report:
        model, pk, line, reason = (told[name] for name in ("model", "pk", "line", "reason"))
        at = next((number for number, of_row in enumerate(lines) if line in of_row), None)
        if at is None or (rows[at]["model"], str(rows[at]["pk"])) != (model, pk):
            wrong.append(f"The line isn't the row's: {told}")
        elif at not in expected:
            wrong.append(f"A good row is refused: {told}")
        elif not re.search(expected[at], reason, re.IGNORECASE):
            wrong.append(f"The reason doesn't say {expected[at]}: {told}")
        elif at in reported:
            wrong.append(f"Reported twice: {told}")
        reported.add(at)
    unreported = sorted(expected.keys() - reported)
    wrong += [f"Not reported, at line {lines[at].start}: {json.dumps(rows[at])[:300]}" for at in unreported]
    if wrong:
        print(*wrong, sep="\n")
        sys.exit(f"{len(wrong)} of {len(expected)} bad rows aren't reported as they should be")
manage(other, folder / "clean.json", "--apply")
count = assert_same(items_of(store), items_of(other))
print(f"  {len(expected)} bad rows are reported by line and key, and the {count} items of the other {len(clean)} rows are stored")

# Files that are truncated, empty, in a different encoding, or not a dump.
text = (folder / "clean.json").read_bytes()
latin = text.replace(b'"email": ""', b'"email": "\xe4"')
for name, content in [("half.json", text[: len(text) // 2]), ("empty.json", b""), ("other.json", b'{"a": 1}'), ("latin.json", latin)]:
    (folder / name).write_bytes(content)
    for arguments in [[], ["--apply"]]:
        data = folder / f"{name}-{len(arguments)}"
        run = manage(data, folder / name, *arguments)
        assert run.returncode == 1 and run.stdout + run.stderr, (name, run.stdout, run.stderr)
        assert not data.exists() or items_of(data).stat().st_size == 0, f"The import of {name} has written."
run = manage(folder / "none", folder / "none.json", "--apply")
assert run.returncode == 1, run
print("  Nothing is stored from a file that is cut off, empty, in another encoding, or not a dump")
