"""Runs all scripts with wrong arguments, and runs the operators' scripts on machines that lack a
program or credentials. Each script must print an error message and no traceback."""

import gzip
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import product
from unittest.mock import patch

from botocore import exceptions

from suites.release.cloud import Cloud, said
from suites.release.deployments import Tree
from suites.stacks.templates import ROOT, script

# Each script, and arguments that would call AWS.
SCRIPTS = {
    "scripts/preflight": ["prod"],
    "scripts/smoke": ["--stack", "farebox-prod"],
    "scripts/restore": ["farebox-prod", "--stop"],
    "scripts/release/delete-rehearsal": ["farebox-rehearsal-1"],
}
# Scripts that pass their arguments to other programs.
PASSING_ON = {"scripts/check/dynamodb-local", "scripts/check/sam", "scripts/check/schemathesis", "scripts/check/watch"}
# Invalid calls, each with a part of the error message.
WRONG = [
    ("scripts/build mips", "arm64 or x86_64, not for mips"),
    ("scripts/deploy --print", "required: profile\n"),
    ("scripts/preflight prod nonsense", "nonsense has not the form PARAMETER=VALUE"),
    ("scripts/smoke nonsense", "nonsense is not a URL"),
    ("scripts/smoke", "give a URL, or --stack"),
    ("scripts/restore farebox-prod yesterday", "'yesterday' is not a time such as"),
    ("scripts/restore farebox-prod 2999-01-01T00:00:00Z", "is in the future"),
    ("scripts/restore farebox-prod 2026-11-21T10:00:00Z --deleted /nonexistent", "/nonexistent can't be read"),
    ("scripts/release/build", "name the file"),
    ("scripts/release/program /nonexistent/x", "in a folder that exists"),
    ("scripts/release/published v1", "a commit"),
    ("scripts/release/crates nowhere release.cdx.json", "nowhere contains no package"),
    ("scripts/release/earlier abc", "abc is not a whole number"),
    ("scripts/check/binaries 0", "0 is not a whole number from 1"),
    ("scripts/check/move-in nonsense", "no part nonsense"),
    ("scripts/check/release nonsense", "no part nonsense"),
    ("scripts/check/runbooks nowhere.md", "no page docs/operate/nowhere.md"),
    ("scripts/check/site --only", "--only takes parts"),
    ("scripts/check/workflows /nonexistent.yml", "no workflow /nonexistent.yml"),
    ("scripts/dev/bench --rounds 0", "0 is not a whole number from 1"),
    ("scripts/dev/bench nonsense", "no function nonsense"),
    ("scripts/dev/dynamodb-local x", "give the port"),
    ("scripts/dev/fuzz x", "a number of seconds"),
    ("scripts/dev/record-store nonsense", "no commit nonsense"),
    ("scripts/dev/site 70000", "one or two ports"),
]
# Calls, each with the program that it needs first.
NEEDS = {
    "scripts/build": "cargo",
    "scripts/release/build release.tar.gz": "cargo",
    "scripts/release/published v1 0abc .": "gh",
    "scripts/release/crates functions release.cdx.json": "cargo",
    "scripts/check/estimates": "rustc",
    "scripts/check/log-in": "cargo",
    "scripts/check/openapi": "cargo",
    "scripts/check/peers": "node",
    "scripts/check/runbooks": "cargo",
    "scripts/check/sam": "cargo",
    "scripts/check/site": "node",
    "scripts/check/workflows": "node",
    "scripts/dev/bench": "valgrind",
    "scripts/dev/bench --server": "cargo",
    "scripts/dev/dynamodb-local 8001": "java",
    "scripts/dev/estimates": "rustc",
    "scripts/dev/fuzz": "cargo",
    "scripts/dev/sam-local-setup": "dockerd",
}
# Use no credentials from files, roles or the machine.
NOTHING = {
    "HOME": "/nonexistent",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_REGION": "eu-central-1",
}
EXPIRED = ("ExpiredToken", "The security token included in the request is expired")


def run(*command, **variables):
    """Returns the exit code and the output. Fails if there is a traceback."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(command, cwd=ROOT, env=kept | NOTHING | variables, capture_output=True, text=True, timeout=60)
    text = done.stdout + done.stderr
    assert "Traceback" not in text and not re.search(r": line \d+: ", text), f"{command}\n{text}"
    return done.returncode, text


def commands():
    """Returns all scripts that people run."""
    folders = [ROOT / "scripts", *(ROOT / "scripts" / folder for folder in ("release", "check", "dev"))]
    return [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file() and os.access(path, os.X_OK)]


def check_help():
    for path in commands():
        for word in ("-h", "--help"):
            code, text = run(path, word)
            assert code == 0 and path.name in text, f"{path} {word}: exit code {code}\n{text}"


def check_readers():
    """A reader such as `head` may end before a script does. The script then ends without a
    traceback."""
    with tempfile.TemporaryDirectory() as folder:
        stub = pathlib.Path(folder, "aws")
        stub.write_text('#!/bin/sh\n[ "$1" != sts ] || { echo \'{"Account": "111122223333"}\'; exit; }\necho "does not exist" >&2; exit 254\n')
        stub.chmod(0o755)
        python = [path for path in commands() if path.read_text().startswith("#!/usr/bin/env python3")]
        calls = [(path, "--help") for path in python] + [(ROOT / "scripts/deploy", "prod", "--print"), (ROOT / "scripts/preflight", "prod")]
        for call, unbuffered in product(calls, ("", "1")):
            read, write = os.pipe()
            os.close(read)
            variables = os.environ | NOTHING | {"PYTHONUNBUFFERED": unbuffered, "PATH": f"{folder}:{os.environ['PATH']}"}
            done = subprocess.run([sys.executable, *call], stdout=write, stderr=subprocess.PIPE, env=variables, cwd=ROOT, text=True, timeout=60)
            os.close(write)
            assert "Error" not in done.stderr, f"{call}: {done.stderr}"


def check_wrong():
    unknown = [(f"{name} --nonsense", "") for path in commands() if (name := str(path.relative_to(ROOT))) not in PASSING_ON]
    for call, sentence in [*unknown, *WRONG]:
        code, text = run(*call.split())
        assert code == 2 and sentence in text and len(text.splitlines()) <= 5, f"{call}: exit code {code}\n{text}"


def check_programs():
    with tempfile.TemporaryDirectory() as few:
        for program in ("bash", "curl", "dirname", "env", "git", "grep", "id", "sed", "uname"):
            os.symlink(shutil.which(program), f"{few}/{program}")
        os.symlink(sys.executable, f"{few}/python3")
        for call, program in NEEDS.items():
            code, text = run(*call.split(), PATH=few, FAREBOX="")
            assert code == 1 and text.startswith(f"{program} is missing") and len(text.splitlines()) == 1, f"{call}: exit code {code}\n{text}"
        # A server that exits immediately.
        with open(f"{few}/farebox", "w") as stub:
            stub.write('#!/bin/sh\n[ "$1" = --version ] && echo "farebox 0.0.0" || { echo "no room"; exit 1; }\n')
        os.chmod(f"{few}/farebox", 0o755)
        began = time.monotonic()
        code, text = run("scripts/dev/postman", FAREBOX=f"{few}/farebox")
        assert code == 1 and "no answer from" in text and "no room" in text and time.monotonic() - began < 60, f"exit code {code}\n{text}"
    code, text = run("scripts/dev/postman", FAREBOX="/bin/false")
    assert code == 1 and "FAREBOX doesn't name the program farebox" in text, text


def check_missing():
    for name, arguments in SCRIPTS.items():
        code, text = run(ROOT / name, *arguments)
        assert code == 1 and ("credentials" in text or "AWS CLI is missing" in text), f"{name} without credentials: exit code {code}\n{text}"
        # Run without the packages that come with aws-sam-cli.
        code, text = run(sys.executable, "-S", "-P", ROOT / name, *arguments)
        assert code == 1 and "is missing: run this script with the Python that has aws-sam-cli" in text, f"{name} without packages: exit code {code}\n{text}"
    code, text = run(sys.executable, "-S", "-P", ROOT / "scripts/deploy", "prod", "--print")
    assert code == 1 and "yaml is missing" in text, text
    code, text = run("scripts/restore", "farebox-prod", "--stop", AWS_ACCESS_KEY_ID="x")
    assert code == 1 and "missing: AWS_SECRET_ACCESS_KEY" in text, text
    code, text = run("scripts/restore", "farebox-prod", "--stop", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_ENDPOINT_URL="nonsense")
    assert code == 1 and "Invalid endpoint: nonsense. Check AWS_ENDPOINT_URL" in text, text
    code, text = run("scripts/release/earlier", "1", GITHUB_API_URL="https://api.github.com", GITHUB_REPOSITORY="")
    assert code == 1 and "set GITHUB_REPOSITORY, GITHUB_TOKEN as" in text, text
    with tempfile.TemporaryDirectory() as nothing:
        code, text = run(sys.executable, ROOT / "scripts/preflight", "prod", PATH=nothing)
    assert code == 1 and "the AWS CLI is missing" in text, text
    for url in ("http://127.0.0.1:1", "http://nowhere.invalid", "http://["):
        code, text = run(ROOT / "scripts/smoke", url)
        assert code == 1 and "gets no reply" in text, f"{url}: exit code {code}\n{text}"


def mains():
    """Yields the main function of each script, with arguments for a stack, to run in this
    process."""
    restore, smoke, delete = script("restore"), script("smoke"), script("release/delete-rehearsal")
    yield "restore", lambda stack: restore.main([stack, "--stop"])
    yield "smoke", lambda stack: smoke.deployed(stack)
    yield "delete-rehearsal", lambda stack: delete.main([f"farebox-rehearsal-{stack}"])


def check_stacks():
    for name, main in mains():
        for refusal, sentence in (
            (EXPIRED, "the AWS credentials have expired"),
            (("InvalidClientTokenId", "x"), "AWS doesn't accept the credentials"),
            (("AccessDenied", "x"), "AWS refuses GetCallerIdentity"),
        ):
            with Cloud(refusals={"GetCallerIdentity": refusal}).replaces_aws():
                code, text = said(main, "farebox-prod")
            assert code == 1 and sentence in text, f"{name}: exit code {code}\n{text}"
        for error in (
            exceptions.NoCredentialsError(),
            exceptions.SSOTokenLoadError(error_msg="x"),
            exceptions.TokenRetrievalError(provider="sso", error_msg="x"),
            exceptions.EndpointConnectionError(endpoint_url="https://sts"),
            exceptions.ProfileNotFound(profile="x"),
            KeyboardInterrupt(),
        ):
            with Cloud().replaces_aws(), patch.object(Cloud, "GetCallerIdentity", side_effect=error):
                code, text = said(main, "farebox-prod")
            assert code == 1 and text.strip(), f"{name}: exit code {code}\n{text}"
        with Cloud(is_foreign=True).replaces_aws():
            code, text = said(main, "shop")
        assert code == 1 and "is not a stack of Farebox" in text, f"{name}: exit code {code}\n{text}"
        if name != "delete-rehearsal":
            with Cloud([]).replaces_aws():
                code, text = said(main, "nowhere")
            assert code == 1 and "here is no stack nowhere in eu-central-1" in text, f"{name}: exit code {code}\n{text}"
    with Cloud(refusals={"GetCallerIdentity": EXPIRED}).replaces_aws(), tempfile.TemporaryDirectory() as folder:
        code, text, changes, _ = Tree(folder).run(Cloud(refusals={"GetCallerIdentity": EXPIRED}), "prod")
    assert code == 1 and not changes and "the AWS credentials have expired" in text, text
    with Cloud().replaces_aws(), tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"SAM": "/nonexistent/sam"}):
        code, text = said(Tree(folder).deploy.main, ["prod"])
    assert code == 1 and "the program /nonexistent/sam is missing" in text, text
    with Cloud([]).replaces_aws():
        code, text = said(script("restore").main, ["nowhere", "2026-11-21T10:00:00Z"])
    assert code == 1 and "Neither a stack nowhere with a UsersTable is in eu-central-1, nor a table nowhere-UsersTable-*" in text, text
    tables = [f"--table={table}Table={table}" for table in ("Users", "Tokens", "Keys", "Chats", "Ledger", "Files")]
    with Cloud(refusals={"DescribeTable": ("ResourceNotFoundException", "x")}).replaces_aws():
        code, text = said(script("restore").main, ["farebox-prod", "--adopt", *tables])
    assert code == 1 and "There is no table Users." in text, text
    with Cloud([]).replaces_aws():
        code, text = said(script("release/delete-rehearsal").main, ["farebox-rehearsal-nowhere"])
    assert code == 0 and "there is no stack farebox-rehearsal-nowhere, and nothing that it left" in text, text
    code, text = said(script("restore").main, ["farebox-prod", "--adopt", "--table", "UsersTable"])
    assert code == 2 and "has not the form TABLE=NAME" in text, text


def check_archives():
    """Checks that unpacking a missing or damaged archive, or one that isn't a build, doesn't change
    the build, because scripts/deploy deploys whatever the folder contains."""
    with tempfile.TemporaryDirectory() as name:
        folder, root = pathlib.Path(name), Tree(pathlib.Path(name) / "tree").root
        artefacts, archive, given = root / "scripts/release/artefacts", folder / "build.tar.gz", folder / "given.tar.gz"
        artefacts.parent.mkdir()
        shutil.copy(ROOT / "scripts/release/artefacts", artefacts)

        def build():
            return {file.relative_to(root): file.read_bytes() for file in (root / ".aws-sam").rglob("*") if file.is_file()}

        code, text = run(artefacts, "pack", archive)
        assert code == 0, text
        packed, whole = build(), archive.read_bytes()
        (root / ".aws-sam/build/COMMIT").write_text("0def")
        before = build()
        unzipped = gzip.decompress(whole)
        damaged, missing = "is damaged", "doesn't exist or can't be read"
        cases = {
            "a missing archive": (None, missing),
            "an empty file": (b"", damaged),
            "half an archive": (whole[: len(whole) // 2], damaged),
            "an archive without its end": (whole[:-4], damaged),
            "a page of an error": (b"<html>not found</html>", damaged),
            "an archive of something else": (gzip.compress(bytes(10240)), "other contents"),
            "a changed file": (gzip.compress(unzipped.replace(b'"Outputs": {}', b'"Outputs": []')), "other contents"),
        }
        for what, (content, part) in cases.items():
            if content is not None:
                given.write_bytes(content)
            code, text = run(artefacts, "unpack", given)
            assert code == 1 and part in text and "is as it was" in text, f"{what}: exit code {code}\n{text}"
            assert build() == before, f"{what} has changed the build"
        code, text = run(artefacts, "unpack", archive.parent)
        assert code == 1 and missing in text and build() == before, f"a folder: exit code {code}\n{text}"
        code, text = run(artefacts, "unpack", archive)
        assert code == 0 and build() == packed, f"exit code {code}\n{text}"


def check_routes():
    """After a rollback, the deployed commit differs from the checked-out commit, and may have other
    routes."""
    smoke = script("smoke")
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()
    with patch.object(smoke, "ROUTES", "LICENSE.json"), patch.object(smoke.subprocess, "check_output", return_value="0abc\n"):
        try:
            smoke.routes_of(head)
        except AssertionError as fault:
            assert f"this clone lacks the commit {head}" in str(fault), fault
        else:
            raise AssertionError("the routes are of the checkout, and not of the deployed commit")
    with patch.object(smoke.subprocess, "check_output", return_value="0abc\n"):
        assert {"method": "POST", "path": "/api/register", "function": "register"} in smoke.routes_of(head)
    assert len(smoke.routes_of("unknown")) > 50


def check():
    check_help()
    check_readers()
    check_wrong()
    check_programs()
    check_archives()
    check_routes()
    check_missing()
    check_stacks()
    print(f"{len(commands())} scripts answer --help, refuse wrong calls, and say what is missing; a damaged archive leaves the build as it was")
