"""Rehearses scripts/restore: runs the real script, with the real `manage` command, over moto, which
emulates AWS.

API is the URL of an API that writes its data to the embedded DynamoDB in the folder DATA. Like
DynamoDB, moto restores tables without their settings, but it can only restore their current items.
The rehearsal therefore keeps the items of the chosen second and writes them to the restored tables.
It reads each table while messages are settled, which splits more transactions than a backup can.
AGAIN is the URL of a second API, with the folder DATA_AGAIN, which gets the restored items.
"""

import contextlib
import http.client
import importlib.machinery
import importlib.util
import io
import json
import logging
import os
import pathlib
import threading
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import boto3
from moto.server import ThreadedMotoServer

API, AGAIN = os.environ["API"], os.environ["AGAIN"]
STACK, BUSY = "farebox-test", 4

SCRIPTS = pathlib.Path(__file__).resolve().parents[3]
script = importlib.machinery.SourceFileLoader("restore", str(SCRIPTS / "restore"))
restore = importlib.util.module_from_spec(importlib.util.spec_from_loader("restore", script))
script.exec_module(restore)


def embedded(folder):
    """Returns a client of the embedded DynamoDB in a data folder."""
    url = urlsplit((pathlib.Path(folder) / "dynamodb-url").read_text().strip())
    session = boto3.Session(url.username, url.password, region_name="us-east-1")
    return session.client("dynamodb", endpoint_url=f"http://{url.hostname}:{url.port}")


def items(dynamodb, table):
    return [item for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True) for item in page["Items"]]


def replace(dynamodb, table, wanted):
    """Replaces all items in a table by these items."""
    keys = [part["AttributeName"] for part in dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]]
    for item in items(dynamodb, table):
        dynamodb.delete_item(TableName=table, Key={key: item[key] for key in keys})
    for item in wanted:
        dynamodb.put_item(TableName=table, Item=item)


def call(api, method, path, token=None, **body):
    """Sends a request. Returns the status and the parsed reply."""
    connection = http.client.HTTPConnection(urlsplit(api).netloc, timeout=30)
    headers = ({"Content-Type": "application/json"} if body else {}) | ({"Authorization": f"Bearer {token}"} if token else {})
    connection.request(method, path, json.dumps(body) if body else None, headers)
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())


def ok(answer, *statuses):
    assert answer[0] in (statuses or (200,)), answer
    return answer[1]


class Person:
    def __init__(self, name):
        self.login = {"username": name, "password": "secret123"}
        self.token = ok(call(API, "POST", "/api/register/", **self.login), 201)["token"]

    def call(self, method, path, **body):
        return call(API, method, path, self.token, **body)


def rehearse():
    aws = boto3.client("dynamodb")
    template = restore.Template({"Protection": "on"})
    tables = {table: f"{STACK}-{table}-1" for table in template.tables}
    for table, properties in template.tables.items():
        kinds = ["BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"]
        made = {kind: properties[kind] for kind in kinds if kind in properties}
        aws.create_table(TableName=tables[table], Tags=[{"Key": "team", "Value": "chat"}], **made)
        restore.set_up(aws, tables[table], properties)
    store = embedded(os.environ["DATA"])

    ann, ben, fay = (Person(name) for name in ["ann", "ben", "fay"])
    key = ok(ann.call("POST", "/api/user/api-keys/", name="a program"), 201)
    phone = ok(call(API, "POST", "/api/login/", **ann.login))["token"]
    ok(fay.call("POST", "/api/chat/", message="do not lose this"))

    # Choose the second to restore while the API is under load.
    busy, over = [Person(f"busy-{number}") for number in range(BUSY)], threading.Event()

    def load(person):
        while not over.is_set():
            ok(person.call("POST", "/api/chat/", message="hi"))

    threads = [threading.Thread(target=load, args=[person]) for person in busy]
    for thread in threads:
        thread.start()
    archive = {}
    # Read the ledger first, so that messages settled between the reads have no ledger row.
    for table in sorted(tables, key=lambda table: table != "LedgerTable"):
        archive[tables[table]] = items(store, table)
        settled = ok(busy[0].call("GET", "/api/tokens/"))["tokens"]
        while ok(busy[0].call("GET", "/api/tokens/"))["tokens"] == settled:
            pass
    second = datetime.now(UTC).replace(microsecond=0)
    over.set()
    for thread in threads:
        thread.join()

    # After the chosen second, revoke a key, end a session and delete an account, and also delete an
    # item as if by mistake.
    ok(ann.call("DELETE", f"/api/user/api-keys/{key['id']}/"))
    ok(call(API, "POST", "/api/logout/", phone))
    ok(ben.call("DELETE", "/api/user/", password="secret123"), 202)
    store.delete_item(TableName="UsersTable", Key={"pk": {"S": "user:fay"}})
    for table, name in tables.items():
        replace(aws, name, items(store, table))

    begin, restore.PAUSE = restore.restore_table, 0

    def restore_table(dynamodb, source, target, moment):
        assert moment == second, moment
        begin(dynamodb, source, target, moment)
        replace(dynamodb, target, archive[source])

    restore.restore_table = restore_table
    restore.restorable = lambda dynamodb, table: (second, second)
    restore.stack_of = lambda stack: ({"Protection": "on"}, tables | {"Commit": "0123abc"})
    for attempt in ["the first run", "a second run"]:
        print(f"{attempt}:", flush=True)
        restore.main([STACK, second.isoformat()])

    restored = {table: f"{STACK}-{table.removesuffix('Table').lower()}-{second:%Y%m%dT%H%M%SZ}" for table in tables}
    for table, properties in template.tables.items():
        is_set_up(aws, restored[table], properties)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        restore.main([STACK, "--adopt", *(f"--table={table}={name}" for table, name in restored.items())])
    assert all(f"table/{name}" in printed.getvalue() for name in restored.values()), printed.getvalue()
    # A canary deployment would be rolled back while the functions are stopped, and another release
    # might not be able to read the restored items.
    assert f"--stack {STACK} --at-once" in printed.getvalue(), printed.getvalue()
    assert "git checkout 0123abc, then scripts/build" in printed.getvalue(), printed.getvalue()

    # Run the API on the restored items.
    other = embedded(os.environ["DATA_AGAIN"])
    for table, name in restored.items():
        for item in items(aws, name):
            other.put_item(TableName=table, Item=item)
    ok(call(AGAIN, "GET", "/api/user/profile/", ann.token))
    ok(call(AGAIN, "GET", "/api/user/profile/", phone), 401)
    ok(call(AGAIN, "GET", "/v1/models", key["key"]), 401)
    ok(call(AGAIN, "POST", "/api/login/", **ben.login), 401)
    ok(call(AGAIN, "POST", "/api/login/", **fay.login))
    assert ok(call(AGAIN, "GET", "/api/chat/", fay.token))[0]["message"] == "do not lose this"
    for person in [ann, fay, *busy]:
        ok(call(AGAIN, "POST", "/api/chat/", person.token, message="go on"))


def is_set_up(aws, table, properties):
    """Asserts that a restored table has all settings from the template and the tags of the original
    table."""
    found = aws.describe_table(TableName=table)["Table"]
    ends = aws.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert ends.get("AttributeName") == properties.get("TimeToLiveSpecification", {}).get("AttributeName"), ends
    view = found.get("StreamSpecification", {}).get("StreamViewType")
    assert view == properties.get("StreamSpecification", {}).get("StreamViewType"), found
    assert found["DeletionProtectionEnabled"], found
    recovery = aws.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED", recovery
    assert aws.list_tags_of_resource(ResourceArn=found["TableArn"])["Tags"] == [{"Key": "team", "Value": "chat"}], table


# Without this, werkzeug logs a line for each request.
logging.getLogger("werkzeug").setLevel(logging.ERROR)
moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
moto.start()
url = "http://{}:{}".format(*moto.get_host_and_port())
os.environ |= {"AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
os.environ |= {"AWS_ACCESS_KEY_ID": "rehearsal", "AWS_SECRET_ACCESS_KEY": "rehearsal", "DYNAMODB_ENDPOINT": url}
started = time.monotonic()
rehearse()
moto.stop()
print(f"restored, adopted and in use after {time.monotonic() - started:.0f} s")
