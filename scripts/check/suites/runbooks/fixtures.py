"""The files and the data that the commands in docs/operate expect."""

import base64
import json
import platform
import re
import shutil
import sqlite3
import struct
import subprocess
import time
import urllib.request
import zlib

from suites.release.built import built
from suites.runbooks.cases import OWN
from suites.runbooks.pages import FOLDER, ROOT, blocks_of

COPIED = ["alarms.yaml", "deploy", "functions/routes.json", "samconfig.toml", "scripts", "template.yaml"]
# Stands in for scripts/build: a build of this commit for arm64, with the template beside the tree.
BUILD = r"""#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .aws-sam/build/ChatFunction
printf '\177ELF%014d\xb7\0' 0 >.aws-sam/build/ChatFunction/bootstrap
cp ../built.json .aws-sam/build/template.yaml
scripts/lib/commit >.aws-sam/build/COMMIT
"""
HASH = f"pbkdf2_sha256$1000000$c2FsdHNhbHRzYWx0${base64.b64encode(bytes(32)).decode()}"
USER = {"username": "gus", "password": HASH, "email": "gus@example.com", "is_active": True, "is_superuser": False, "date_joined": "2024-01-01T00:00:00Z"}
USER |= {"first_name": "", "last_name": "", "tokens": 900}
MESSAGE = {"message": "Hello?", "response": "Hello!", "created_at": "2024-01-02T00:00:00Z"}
SQL = """
create table chat_user(id integer primary key, username text unique, password text, email text, is_active bool, is_superuser bool,
  date_joined datetime, first_name text, last_name text, tokens integer);
create table chat_chat(id integer primary key, message text, response text, created_at datetime, user_id integer references chat_user(id));
"""


def logo():
    """Returns a PNG of 64 x 64 pixels."""
    rows = b"".join(b"\0" + b"\x1a\x4f\xa3" * 64 for _ in range(64))
    parts = ((b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts)


def first_example(page):
    """Returns the first JSON of a page."""
    return next(text for _, _, text in blocks_of(FOLDER / page, "json"))


def tree(rehearsal):
    """Creates a repository with the scripts, as an operator's copy, with a release v1.2.3."""
    root = rehearsal.tree
    for name in COPIED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, root / name)
    (root / "scripts/build").write_text(BUILD)
    (root.parent / "built.json").write_text(json.dumps(built()))
    profiles = root / "samconfig.toml"
    text = re.sub(
        r"(?s)(\[prod\..*?parameter_overrides = \[)",
        lambda found: found[1] + "".join(f'"{name}={value}", ' for name, value in OWN.items()),
        profiles.read_text(),
    )
    further = [block for path in sorted(FOLDER.glob("*.md")) for _, _, block in blocks_of(path, "toml") if ".deploy.parameters]" in block]
    profiles.write_text("\n".join([text, *further]))

    def git(*words):
        subprocess.run(["git", "-C", root, "-c", "user.name=ann", "-c", "user.email=ann@example.com", *words], check=True, capture_output=True)

    origin = root.parent / "origin"
    subprocess.run(["git", "init", "--quiet", "--bare", origin], check=True)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "A release")
    git("tag", "v1.2.3")
    git("remote", "add", "origin", str(origin))
    subprocess.run([root / "scripts/build"], check=True)


def files(rehearsal):
    """Writes the files that commands read."""
    root = rehearsal.tree
    for page, names in {"prices.md": ["prices.json", "earlier.json"], "sell.md": ["packs.json"], "brand.md": ["brand.json"]}.items():
        for name in names:
            (root / name).write_text(first_example(page))
    (root / "logo.png").write_bytes(logo())
    row = json.loads(first_example("import-users.md"))
    (root / "users.jsonl").write_text(json.dumps(row | {"username": "ben-imported", "email": "ben@example.org", "password": HASH}) + "\n")
    for name, username in (("dump.json", "gus"), ("first.json", "first")):
        user = USER | {"username": username, "email": f"{username}@example.com"}
        rows = [{"model": "chat.user", "pk": 1, "fields": user}, {"model": "chat.chat", "pk": 1, "fields": MESSAGE | {"user": 1}}]
        (root / name).write_text(json.dumps(rows))
    database = sqlite3.connect(root / "db.sqlite3")
    database.executescript(SQL)
    database.execute(f"insert into chat_user values (1, {', '.join('?' * len(USER))})", list(USER.values()))
    database.execute("insert into chat_chat values (1, ?, ?, ?, 1)", list(MESSAGE.values()))
    database.commit()
    database.close()
    (root / "policy.json").write_text(first_example("first-deployment.md"))
    release = root.parent / "release"
    release.mkdir()
    subprocess.run([root / "scripts/release/artefacts", "pack", release / "release.tar.gz"], check=True, capture_output=True)
    program = f"farebox-v1.2.3-linux-{platform.machine()}.tar.gz"
    subprocess.run(["tar", "--create", "--gzip", "--file", release / program, "--directory", rehearsal.environment["PROGRAMS"], "farebox"], check=True)
    with (release / "SHA256SUMS").open("w") as sums:
        subprocess.run(["sha256sum", program, "release.tar.gz"], cwd=release, check=True, stdout=sums)


def store(rehearsal):
    """Puts two batches of vouchers and an administrator into the deployed stack's tables, and an account into the
    folder `../trial`. Sets TOKEN to the administrator's token."""
    of_manage = rehearsal.environment | {"CALLS": "/dev/null", "PASSWORD": "a-long-password"}

    def manage(*words):
        subprocess.run([f"{of_manage['PROGRAMS']}/farebox", "manage", *words], cwd=rehearsal.tree, env=of_manage, check=True, capture_output=True)

    def post(path, **body):
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        return json.load(urllib.request.urlopen(urllib.request.Request(api + path, json.dumps(body).encode(), headers)))

    # The first import into a deployed stack waits for a minute. It runs while the first pages do, so
    # that the documented imports needn't wait.
    first = ["--stack", "farebox-prod", "import", "django", "first.json", "--name", "first", "--apply", "--yes"]
    rehearsal.start([f"{of_manage['PROGRAMS']}/farebox", "manage", *first], cwd=rehearsal.tree, env=of_manage)
    before = rehearsal.account.batches()
    manage("--stack", "farebox-prod", "vouchers", "create", "500", "--name", "Spring")
    (rehearsal.account.batch,) = rehearsal.account.batches() - before
    manage("--stack", "farebox-prod", "create-admin", "runbook", "--password-env", "PASSWORD")
    manage("--data", "../trial", "create-admin", "runbook", "--password-env", "PASSWORD")
    api = rehearsal.environment["API"]
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{api}/api/health")
            break
        except OSError:
            time.sleep(0.2)
    token = None
    token = rehearsal.environment["TOKEN"] = post("/api/login/", username="runbook", password="a-long-password")["access"]
    post("/api/admin/vouchers/", tokens=500, name="Spring", count=1)


def fixtures(rehearsal):
    tree(rehearsal)
    files(rehearsal)
    store(rehearsal)
