"""Runs the commands in docs/operate in an emulated AWS account, and prints how each went.

usage: python -m suites.runbooks.rehearsal STACK FOLDER [PAGE ..]

STACK is a file with the expanded stack of the profile prod. FOLDER is a temporary folder with a copy
of the tree in `tree`. FAREBOX names the program farebox.
"""

import json
import os
import pathlib
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time

from suites.runbooks import cases
from suites.runbooks.account import Account
from suites.runbooks.estimate import disagreements
from suites.runbooks.fixtures import fixtures
from suites.runbooks.names import unknown
from suites.runbooks.pages import FOLDER, ROOT, commands_of, pages

HERE = pathlib.Path(__file__).resolve().parent
# Where each program that a command calls runs.
PLACES = {"aws": "moto", "farebox": "the program", "sam": "a stand-in for SAM", "gh": "a stand-in for gh", "curl": "the local server"}
# The messages for a command without arguments that it needs. A sentence may name such a command.
INCOMPLETE = re.compile(
    r"arguments? (are|is) required|expected one argument|required arguments were not provided|requires a subcommand|^usage: scripts/", re.MULTILINE
)
FINE = ("runs", "exists", "as above", "can't run", "is refused, as it should be")
# The longest time for the commands of a section.
SECONDS = 300


class Shell:
    """A terminal in which a reader runs the commands of a section."""

    def __init__(self, folder, environment):
        self.tree, self.log, self.environment = folder / "tree", folder / "calls", environment

    def run(self, before, commands):
        """Runs commands after each other in the same shell. Returns what each printed, its exit code
        (None if the shell ended before), and the calls that it made, as (exit code, program, words)."""
        script = [f"exec 9>>{shlex.quote(str(self.log))}", *filter(None, [before])]
        for command in commands:
            script += [command.rstrip("\n"), "printf 'end\\t%s\\n' $? >&9; printf '\\036'"]
        self.log.write_text("")
        output = self.typed("\n".join(["set -u", *script, ""]))
        printed, codes, calls = output.split("\x1e"), [], [[] for _ in commands]
        for line in self.log.read_text().splitlines():
            kind, *rest = line.split("\t")
            if kind == "end":
                codes.append(int(rest[0]))
            elif kind == "call":
                program, call = rest[1], rest[2:4] if rest[1] == "aws" else rest[1:2]
                calls[min(len(codes), len(commands) - 1)].append((int(rest[0]), program, call))
        codes += [None] * (len(commands) - len(codes))
        printed += [""] * (len(commands) - len(printed))
        return list(zip(printed, codes, calls, strict=False))

    def typed(self, script):
        """Runs a script in a terminal, and types answers at its prompts. Returns the output."""
        file = self.tree.parent / "section.sh"
        file.write_text(script)
        process, terminal = pty.fork()
        if process == 0:
            os.chdir(self.tree)
            os.execve("/bin/bash", ["bash", str(file)], self.environment)
        output, until = "", time.monotonic() + SECONDS
        while True:
            ready, _, _ = select.select([terminal], [], [], max(0, until - time.monotonic()))
            if not ready:
                os.killpg(process, signal.SIGKILL)
                output += f"\nstopped after {SECONDS} s"
                break
            try:
                output += os.read(terminal, 65536).decode(errors="replace")
            except OSError:
                break
            for prompt, answer in cases.TYPED.items():
                if re.search(prompt, output):
                    os.write(terminal, f"{answer}\n".encode())
                    output += "\n"
        os.waitpid(process, 0)
        os.close(terminal)
        return output.replace("\r\n", "\n")


def reason(command):
    """Returns the key of the reason why a command can't run here, or None."""
    text = " ".join(command.text.split())
    if command.is_block:
        return next((key for key in cases.CANT_RUN if key[0] == command.page and text.startswith(key[1])), None)
    return next((key for key in cases.CANT_RUN_SPANS if text.startswith(key)), None)


def known(command):
    """Returns what identifies a command in a sentence that needn't run again."""
    return (command.page if "$" in command.text else "", command.text)


def filled(command, account):
    """Returns a command with the values that a reader fills in."""
    text = command.text
    if not command.is_block:
        # Sentences leave out the program or the store.
        text = re.sub(r"^manage ", "farebox manage ", text)
        text = re.sub(r"^(?:farebox|cargo run --) manage (?!--stack|--data|--help)", "farebox manage --stack farebox-prod ", text)
    of = [cases.VALUES.get(key, {}) for key in (f"{command.page}#{command.section}", command.page, "")]
    for pattern, value in [pair for values in of for pair in values.items()]:
        if re.search(pattern, text):
            text = re.sub(pattern, value if isinstance(value, str) else value(account).replace("\\", r"\\"), text)
    return text


def judge(command, printed, code, calls):
    """Sets a command's result, and where it ran."""
    failed = [program for status, program, call in calls if status and call not in cases.MISSING]
    refusal = cases.REFUSED.get((command.page, command.text))
    if code is None:
        command.result = "not reached"
    elif not command.is_block and code and INCOMPLETE.search(printed):
        command.result, command.places = "exists", ["its usage"]
        return
    elif refusal:
        command.result = "is refused, as it should be" if code and refusal in printed else "isn't refused"
    elif code or failed:
        command.result = f"fails with {code}" + (f", {failed[0]} failed" if failed else "")
    else:
        command.result = "runs"
    places = ["AWS's models" if call in cases.NOT_IN_MOTO else PLACES[call[0] if call[0] in PLACES else "aws"] for _, _, call in calls]
    if re.search(r"scripts/(deploy|preflight|restore|smoke|release/delete)", command.text):
        places.append("moto")
    command.places = list(dict.fromkeys(places)) or ["the shell"]


def sections(commands):
    """Groups commands that follow each other in the same section."""
    groups = []
    for command in commands:
        if not groups or (groups[-1][-1].page, groups[-1][-1].section) != (command.page, command.section):
            groups.append([])
        groups[-1].append(command)
    return groups


class Rehearsal:
    def __init__(self, of, folder, names):
        self.folder, self.tree = folder, folder / "tree"
        self.pages = pages(names)
        self.prologue = next(command for command in commands_of(FOLDER / cases.PROLOGUE) if command.is_block)
        self.processes = []
        port = int(os.environ["PORT"])
        self.account = Account(of, f"http://127.0.0.1:{port}")
        secret = folder / "signing-secret"
        secret.write_text(self.account.signing_secret)
        secret.chmod(0o600)
        (folder / "described.json").write_text(json.dumps(self.account.described(secret), default=str))
        url = self.account.services.url
        keys = {"AWS_ACCESS_KEY_ID": "rehearsal", "AWS_SECRET_ACCESS_KEY": "rehearsal", "AWS_REGION": cases.REGION, "AWS_DEFAULT_REGION": cases.REGION}
        self.environment = {
            **keys,
            "PATH": f"{HERE}/bin:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "TERM": "dumb",
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PROGRAMS": f"{HERE}/bin",
            "FAREBOX": os.environ["FAREBOX"],
            "SAM": f"{HERE}/bin/sam",
            "AWS_CLI": str(folder / "aws.sock"),
            "AWS_ENDPOINT_URL": url,
            "DYNAMODB_ENDPOINT": url,
            "DESCRIBED": str(folder / "described.json"),
            "CALLS": str(folder / "calls"),
            "API": f"http://127.0.0.1:{port}",
            "RELEASE": str(folder / "release"),
            "STRIPE_URL": f"{url}/stripe",
            "STRIPE_API_KEY": "rk_test_key",
            "STRIPE_MODE": "test",
        }
        self.start([sys.executable, "-m", "suites.runbooks.cli", self.environment["AWS_CLI"]], cwd=ROOT / "scripts/check")
        tables = {f"{name.removesuffix('Table').upper()}_TABLE": value for name, value in self.account.tables.items()}
        own = {"SIGNING_SECRET": f"file://{secret}", "AI_PROVIDER": "echo", "DYNAMODB_ENDPOINT": url}
        self.start([os.environ["FAREBOX"], "--port", str(port), "--data", str(folder / "api")], env=os.environ | keys | own | tables)
        fixtures(self)

    def start(self, command, **options):
        log = (self.folder / "log").open("ab")
        self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options))

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait()

    def run(self):
        """Runs the commands of all pages. Returns them."""
        every, seen = [command for path in self.pages for command in commands_of(path)], set()
        for group in sections(every):
            ready = []
            for command in group:
                if key := reason(command):
                    command.result, command.places = "can't run", [(cases.CANT_RUN | cases.CANT_RUN_SPANS)[key]]
                elif not command.is_block and known(command) in seen:
                    command.result = "as above"
                elif not command.is_block and re.fullmatch(r"scripts/[a-z/-]+", command.text):
                    is_there = os.access(ROOT / command.text, os.X_OK)
                    command.result, command.places = ("exists" if is_there else "doesn't exist"), ["the tree"]
                else:
                    ready.append(command)
                seen.add(known(command))
            if ready:
                self.run_section(ready)
        return every

    def run_section(self, commands):
        key = f"{commands[0].page}#{commands[0].section}"
        needs = commands[0].page == cases.PROLOGUE and self.prologue not in commands
        before = [filled(self.prologue, self.account)] if needs else []
        self.account.has_production(commands[0].page != cases.PROLOGUE)
        shell = Shell(self.folder, self.environment)
        texts = [filled(command, self.account) for command in commands]
        results = shell.run("\n".join([*before, cases.BEFORE.get(key, "")]), texts)
        for command, text, (printed, code, calls) in zip(commands, texts, results, strict=True):
            judge(command, printed, code, calls)
            if command.result not in FINE:
                print(f"\n{command.where} [{command.section}]\n{text}\n---\n{printed[-1000:]}\n---", flush=True)


def stale(commands):
    """Returns the entries in cases.py that no command uses any more."""
    sections = {f"{each.page}#{each.section}" for each in commands} | {each.page for each in commands} | {""}
    used = {reason(each) for each in commands}
    keys = [str(key) for key in [*cases.CANT_RUN, *cases.CANT_RUN_SPANS] if key not in used]
    keys += [str(key) for key in cases.REFUSED if key not in {(each.page, each.text) for each in commands}]
    return keys + [key for key in [*cases.VALUES, *cases.BEFORE] if key not in sections]


def table(commands):
    rows = [("page", "section", "command", "ran on", "result")]
    rows += [(each.page, each.section, each.title, ", ".join(each.places), each.result) for each in commands if each.result != "as above"]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows)


def every():
    return [command for path in pages() for command in commands_of(path)]


def main(stack, folder, *names):
    of = json.loads(pathlib.Path(stack).read_text())
    rehearsal = Rehearsal(of, pathlib.Path(folder), names)
    try:
        commands = rehearsal.run()
    finally:
        rehearsal.stop()
    print(table(commands))
    wrong = [f"{each.where}: {each.title}: {each.result}" for each in commands if each.result not in FINE]
    wrong += [f"{key}: no command uses this entry of scripts/check/suites/runbooks/cases.py" for key in stale(every())]
    wrong += unknown(of["resolved"]) + disagreements(os.environ["FAREBOX"])
    print("\n".join(["", *wrong]) if wrong else f"\n{len(commands)} commands")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
