"""Runs scripts/release/earlier against a stand-in for GitHub's API, and scripts/release/published
with a stand-in for GitHub's CLI."""

import hashlib
import http.server
import io
import json
import os
import pathlib
import subprocess
import tarfile
import tempfile
import threading

from suites.stacks.templates import ROOT

REPOSITORY = "/repos/ann/farebox"
RUNS = f"{REPOSITORY}/actions"
DIGEST = "0a" * 32
REPLIES = {}


class GitHub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        reply = REPLIES.get(self.path.split("?")[0])
        self.send_response(200 if reply is not None else 404)
        self.end_headers()
        self.wfile.write(json.dumps(reply).encode())

    def log_message(self, *_):
        pass


def run(number, workflow="deploy.yml", event="push", repository="ann/farebox", expired=False, kept=True, tag="v1.0.0"):
    found = {
        "id": number,
        "path": f".github/workflows/{workflow}@refs/tags/{tag}",
        "event": event,
        "head_branch": tag,
        "head_repository": {"full_name": repository},
        "head_sha": "0abc",
        "created_at": "2026-11-20",
    }
    REPLIES[f"{RUNS}/runs/{number}"] = found
    REPLIES[f"{RUNS}/runs/{number}/artifacts"] = {"artifacts": [{"name": "release", "expired": expired}] if kept else []}
    return found


def notices(number, *messages):
    """Gives a run's job these notices about release.tar.gz."""
    REPLIES[f"{RUNS}/runs/{number}/jobs"] = {"jobs": [{"id": 70 + number, "name": "Rehearse"}, {"id": 80 + number, "name": "Build and test"}]}
    found = [{"title": "release.tar.gz", "message": message} for message in messages]
    REPLIES[f"{REPOSITORY}/check-runs/{80 + number}/annotations"] = [{"title": "", "message": "Node 20 is deprecated"}, *found] if found else []


def check_published():
    """A file with another digest than the run's, and a build of a different commit, must not be
    deployed."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with tarfile.open(folder / "packed", "w:gz") as archive:
            member = tarfile.TarInfo("./COMMIT")
            member.size = len(b"0abc\n")
            archive.addfile(member, io.BytesIO(b"0abc\n"))
        digest = hashlib.sha256((folder / "packed").read_bytes()).hexdigest()
        # Its last argument is the folder.
        (folder / "gh").write_text(f'#!/bin/sh\nfor last; do :; done\nmkdir -p "$last"\ncp "{folder}/packed" "$last/release.tar.gz"\n')
        (folder / "gh").chmod(0o755)
        for words, refusal in (
            (["0abc"], None),
            (["0abc", ""], None),
            (["0abc", digest], None),
            (["0def", digest], "is a build of the commit 0abc, not of 0def"),
            (["0abc", DIGEST], f"has the digest {digest}, but the run that built it has recorded {DIGEST}"),
        ):
            commit, *digests = words
            done = subprocess.run(
                [ROOT / "scripts/release/published", "v1.0.0", commit, folder / "found", *digests],
                capture_output=True,
                text=True,
                env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
            )
            assert (done.returncode == 1) == (refusal is not None) and (refusal or "") in done.stderr, done
            assert (folder / "found/release.tar.gz").exists() == (refusal is None), done


def check():
    check_published()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = os.environ | {"GITHUB_API_URL": f"http://127.0.0.1:{server.server_port}", "GITHUB_REPOSITORY": "ann/farebox", "GITHUB_TOKEN": "none"}

    def earlier(*words):
        done = subprocess.run([ROOT / "scripts/release/earlier", *words], env=environment, capture_output=True, text=True)
        return done.returncode, dict(line.split("=", 1) for line in done.stdout.splitlines()), done.stderr

    run(1)
    run(2, workflow="ci.yml", event="pull_request")
    run(3, repository="eve/farebox")
    run(4, event="pull_request")
    run(5, expired=True, tag="v0.9.0")
    run(6, kept=False, tag="v0.8.0")
    REPLIES["/repos/ann/farebox/releases/tags/v0.9.0"] = {"assets": [{"name": "farebox.tar.gz"}, {"name": "release.tar.gz"}]}
    REPLIES["/repos/ann/farebox/releases/tags/v0.8.0"] = {"assets": [{"name": "farebox.tar.gz"}]}
    assert earlier("1")[:2] == (0, {"run": "1", "commit": "0abc", "digest": "", "kept": "artefact"}), earlier("1")
    for messages, digest in (((), ""), ((DIGEST,), DIGEST), (("none", DIGEST), DIGEST), ((f"{DIGEST}\nkept=release",), "")):
        notices(1, *messages)
        assert earlier("1")[1] == {"run": "1", "commit": "0abc", "digest": digest, "kept": "artefact"}, earlier("1")
    for stranger in "234":
        code, found, error = earlier(stranger)
        assert code == 1 and not found and "is not a deployment of this repository" in error, error
    notices(5, DIGEST)
    assert earlier("5")[:2] == (0, {"run": "5", "commit": "0abc", "digest": DIGEST, "kept": "release", "tag": "v0.9.0"}), earlier("5")
    code, found, error = earlier("6")
    assert code == 1 and "git checkout 0abc" in error, "files that are lost must be built again"
    assert earlier("7")[0] == 1 and "there is no run 7" in earlier("7")[2], earlier("7")
    REPLIES[f"{RUNS}/runs/8"] = ""
    code, _, error = earlier("8")
    assert code == 1 and "GitHub answers 200" in error and "Traceback" not in error, error
    assert earlier("1/../2")[0] == 2

    latest = REPLIES[f"{RUNS}/workflows/deploy.yml/runs"] = {"workflow_runs": []}
    assert earlier("--latest")[:2] == (0, {"run": ""}), earlier("--latest")
    for number, kept in ((1, "artefact"), (5, "release"), (6, "nothing")):
        latest["workflow_runs"] = [REPLIES[f"{RUNS}/runs/{number}"]]
        code, found, _ = earlier("--latest")
        assert (code, found["run"], found["kept"]) == (0, str(number), kept), found
    server.shutdown()
    print("the files of earlier releases are found, also after GitHub has deleted a run's files")
