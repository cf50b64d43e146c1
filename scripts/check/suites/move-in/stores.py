"""usage: stores.py items FOLDER FILE: writes the items in a data folder's store to a file, one per
    line.
stores.py same FILE FILE: compares two such files, and fails with the differences.
stores.py nothing-new: prints the expression that matches the output of an import that finds
    nothing new."""

import base64
import collections
import contextlib
import json
import os
import pathlib
import subprocess
import sys
from urllib.parse import urlsplit

TABLES = ["UsersTable", "TokensTable", "KeysTable", "ChatsTable", "LedgerTable", "FilesTable"]
# The output of an import that finds nothing new.
NOTHING_NEW = r"\b0 accounts with 0 tokens and 0 messages imported\b"
# The record of imports. It contains random strings: each change's version, the key that selects
# decoys, and the decoys.
RECORD, RANDOM = "imports:all", {"version", "key", "decoy"}
KEYS = {"KeysTable": ["kid"], "ChatsTable": ["user_id", "chat_id"], "LedgerTable": ["user_id", "entry_id"]}


@contextlib.contextmanager
def serving(folder):
    """Yields a client of the store in a data folder. No other process may have the folder open."""
    import boto3  # Takes half a second, and most commands don't need it.

    # With port 0, the system chooses a free port.
    command = [os.environ["FAREBOX"], "dynamodb", "--port", "0", "--data", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            if not server.stdout.readline().startswith("The embedded DynamoDB listens"):
                sys.exit(f"The store in {folder} can't be opened")
            at = urlsplit((pathlib.Path(folder) / "dynamodb-url").read_text().strip())
            session = boto3.Session(at.username, at.password, region_name="us-east-1")
            yield session.client("dynamodb", endpoint_url=f"http://{at.hostname}:{at.port}")
        finally:
            server.terminate()
            server.stdout.read()


def plain(value):
    """Converts an attribute value to a form that JSON can represent."""
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def without(names, value):
    """Removes these attributes from a value, including its maps and lists."""
    if isinstance(value, dict):
        return {name: without(names, held) for name, held in value.items() if name not in names}
    return [without(names, held) for held in value] if isinstance(value, list) else value


def scan(dynamodb, table):
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]


def write_items(file, items_of):
    """Writes all items of all tables to a file, sorted. `items_of` reads a table."""
    with open(file, "wb") as out, subprocess.Popen(["sort"], stdin=subprocess.PIPE, stdout=out, env=os.environ | {"LC_ALL": "C"}) as sort:
        for table in TABLES:
            for item in items_of(table):
                key = [item[part]["S"] for part in KEYS.get(table, ["pk"])]
                line = json.dumps([table, key, without(RANDOM, item) if key == [RECORD] else item], sort_keys=True, default=plain)
                sort.stdin.write(line.encode() + b"\n")
        sort.stdin.close()
    assert sort.returncode == 0


def write_items_of_folder(folder, file):
    with serving(folder) as dynamodb:
        write_items(file, lambda table: scan(dynamodb, table))


def read_items(file):
    """Reads the items in a file: lists of a table, a key and an item."""
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def assert_same(one, other):
    """Fails if the items of two files differ in any attribute."""
    lines = [set(open(file, "rb")) for file in (one, other)]
    only = [{(table, *key): item for table, key, item in map(json.loads, these - those)} for these, those in (lines, lines[::-1])]
    if not any(only):
        return len(lines[0])
    kinds = collections.defaultdict(list)
    for key in sorted(only[0].keys() | only[1].keys()):
        items = [side.get(key) for side in only]
        if None in items:
            kinds[f"{key[0]}: only in the {'second' if items[0] is None else 'first'}"].append((key, items))
        else:
            names = sorted(name for name in items[0].keys() | items[1].keys() if items[0].get(name) != items[1].get(name))
            kinds[f"{key[0]}: {', '.join(names)}"].append((key, [{name: item.get(name) for name in names} for item in items]))
    for kind, found in kinds.items():
        print(f"{kind}: {len(found)} items, such as")
        for key, items in found[:3]:
            print(f"  {key}: {json.dumps(items)[:1000]}")
    sys.exit(f"{one} and {other} differ")


if __name__ == "__main__":
    if sys.argv[1] == "items":
        write_items_of_folder(*sys.argv[2:])
    elif sys.argv[1] == "nothing-new":
        print(NOTHING_NEW)
    else:
        print(f"{assert_same(*sys.argv[2:]):,} items are the same")
