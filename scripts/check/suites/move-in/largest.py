"""usage: largest.py FOLDER DYNAMODB: imports the file `dump` in the folder into data folders and
into the DynamoDB at this URL. For each kind of store, one import runs undisturbed; another is
killed ten times at different moments, and then finishes. The two resulting stores must be
identical."""

import atexit
import contextlib
import importlib.machinery
import importlib.util
import os
import pathlib
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time

import boto3
from stores import NOTHING_NEW, TABLES, scan, write_items, write_items_of_folder

KILLS = 10
folder, url = pathlib.Path(sys.argv[1]), sys.argv[2]
SUITE = pathlib.Path(__file__).resolve().parent
SCRIPTS = SUITE.parents[2]
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
os.environ |= CREDENTIALS
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


class Embedded:
    """A data folder."""

    name = "the embedded store"

    def __init__(self, which):
        self.folder = folder / which
        self.arguments, self.environment = ["--data", self.folder], {}

    def progress(self):
        """Returns the database's page count, which grows with the stored data."""
        with contextlib.suppress(sqlite3.Error):
            with contextlib.closing(sqlite3.connect(f"file:{self.folder}/dynamodb.sqlite?mode=ro", uri=True)) as database:
                return database.execute("PRAGMA page_count").fetchone()[0]
        return 0

    def write_items(self, file):
        write_items_of_folder(self.folder, file)


class Tables:
    """Tables in an emulator, created from template.yaml."""

    name = "DynamoDB Local"

    def __init__(self, which):
        self.prefix, self.dynamodb = which, boto3.client("dynamodb", endpoint_url=url)
        script = importlib.machinery.SourceFileLoader("restore", str(SCRIPTS / "restore"))
        restore = importlib.util.module_from_spec(importlib.util.spec_from_loader("restore", script))
        script.exec_module(restore)
        kinds = ["BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes", "StreamSpecification"]
        for table, properties in restore.Template({}).tables.items():
            made = {kind: properties[kind] for kind in kinds if kind in properties}
            if "StreamSpecification" in made:
                made["StreamSpecification"] = {"StreamEnabled": True} | made["StreamSpecification"]
            self.dynamodb.create_table(TableName=self.of(table), **made)
        self.arguments = []
        self.environment = {f"{table.removesuffix('Table').upper()}_TABLE": self.of(table) for table in TABLES} | {"DYNAMODB_ENDPOINT": url}

    def of(self, table):
        return f"{self.prefix}-{table}"

    def count(self, table):
        return self.dynamodb.describe_table(TableName=self.of(table))["Table"]["ItemCount"]

    def progress(self):
        """Returns the number of ledger rows."""
        return self.count("LedgerTable")

    def items_of(self, table):
        if table not in ["ChatsTable", "LedgerTable"]:
            yield from scan(self.dynamodb, self.of(table))
            return
        # The emulator needs an hour to scan a large table.
        users = {item["id"]["S"] for item in scan(self.dynamodb, self.of("UsersTable")) if "id" in item}
        count, query = 0, self.dynamodb.get_paginator("query")
        for user in users:
            condition = {"KeyConditionExpression": "user_id = :user", "ExpressionAttributeValues": {":user": {"S": user}}}
            for page in query.paginate(TableName=self.of(table), ConsistentRead=True, **condition):
                count += len(page["Items"])
                yield from page["Items"]
        assert count == self.count(table), "Some items belong to no account."

    def write_items(self, file):
        write_items(file, self.items_of)


def start(store):
    """Starts an import, which ends when this program ends."""
    command = [os.environ["FAREBOX"], "manage", "import", "django", folder / "dump", "--name", "old", "--apply", *store.arguments]
    run = subprocess.Popen(command, env=os.environ | store.environment, stdout=open(folder / "printed", "wb"), stderr=open(folder / "errors", "wb"))
    atexit.register(lambda: run.poll() is None and run.kill())
    return run


def finish(run):
    """Waits for an import to end. Returns its output."""
    code, printed = run.wait(), (folder / "printed").read_text()
    if code != 0:
        sys.exit(f"The import ended with {code}:\n{printed[-3000:]}{(folder / 'errors').read_text()[-3000:]}")
    return printed


def import_at_once(store):
    """Imports in one run. Returns its duration and its processor time, in seconds."""
    began = time.monotonic()
    run = start(store)
    _, status, usage = os.wait4(run.pid, 0)
    run.returncode = os.waitstatus_to_exitcode(status)
    finish(run)
    took = time.monotonic() - began
    worked = usage.ru_utime + usage.ru_stime
    print(f"  {store.name}: imported in {took:.1f} s, {worked:.1f} s of processor time, {usage.ru_maxrss // 1024:,} MiB at most", flush=True)
    return took, worked


def import_with_kills(store, whole, took, worked):
    """Kills runs: the first one soon after its start, the others after they have stored a part of
    the missing items. Then a last run finishes."""
    at = []
    for left in range(KILLS, 0, -1):
        run, begun = start(store), store.progress()
        target = 0 if left == KILLS // 2 else begun + (whole - begun) / (left + 1)
        # The import doesn't take less than its processor time, also if the machine is faster now.
        pause = random.random() * min(took, worked) / (50 if target else 5)
        deadline = time.monotonic() + 20 * took + 60
        while target and run.poll() is None and store.progress() < target:
            assert time.monotonic() < deadline, "The import makes no progress."
            # Don't check more often, because DynamoDB Local counts the items each time.
            time.sleep(took / 500)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(pause)
        if run.poll() is not None:
            finish(run)
            sys.exit(f"The import had finished before it was killed {KILLS} times.")
        run.kill()
        run.wait()
        at.append(f"{100 * store.progress() // whole} %")
    began = time.monotonic()
    finish(start(store))
    print(f"  {store.name}: {KILLS} runs were killed, at {', '.join(at)}; the last run took {time.monotonic() - began:.1f} s", flush=True)
    printed = finish(start(store))
    assert re.search(NOTHING_NEW, printed), printed


for kind, prefix in [(Embedded, ""), (Tables, "tables-")]:
    once, killed = kind(f"{prefix}once"), kind(f"{prefix}killed")
    took, worked = import_at_once(once)
    import_with_kills(killed, once.progress(), took, worked)
    files = [folder / f"{prefix}{which}.items" for which in ("once", "killed")]
    for store, file in zip((once, killed), files, strict=True):
        store.write_items(file)
        audit = [os.environ["FAREBOX"], "manage", "audit", *store.arguments]
        audit = subprocess.run(audit, env=os.environ | store.environment, capture_output=True, text=True)
        assert audit.returncode == 0 and "no difference" in audit.stdout, audit.stdout + audit.stderr
    # Compare in a separate process, because the system counts the memory of the process that starts
    # an import as the import's.
    same = subprocess.run([sys.executable, SUITE / "stores.py", "same", *files], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    print(f"  {store.name}: {same}, and the audit finds no difference", flush=True)
