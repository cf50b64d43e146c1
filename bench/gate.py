"""Compares the instruction counts of the hottest calls with recorded counts."""

import json
import pathlib
import platform
import re
import subprocess

import callgrind

FILE = pathlib.Path(__file__).resolve().parent / "instructions.json"
FUNCTIONS = ["balance", "chat_history", "chat", "login", "token_refresh"]
LIMIT = 0.02
# The limit that applies if the compiler, the C library, valgrind or another tool differs from the recorded version.
LIMIT_OTHER_TOOLS = 0.10


def tools():
    """Returns the tools that the counts depend on, in addition to the sources, the profile and the lock file."""

    def version(*command):
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return re.search(r"\d+\.\d+(\.\d+)?", output)[0]

    return {
        "rustc": version("rustc", "--version"),
        "cargo-lambda": version("cargo", "lambda", "--version"),
        "valgrind": version("valgrind", "--version"),
        "libc": " ".join(platform.libc_ver()),
        # valgrind emulates the same processor on every machine with AVX2: one without SHA instructions or AVX-512.
        "processor": platform.machine() + (" with AVX2" if "avx2" in pathlib.Path("/proc/cpuinfo").read_text().split() else ""),
    }


def record(world):
    """Records the instruction counts of the functions."""
    counts = {name: round(count) for name, count in callgrind.per_call(world, FUNCTIONS).items()}
    FILE.write_text(json.dumps({"tools": tools(), "instructions": counts}, indent=2, sort_keys=True) + "\n")
    for name, count in counts.items():
        print(f"{name:16} {count:14,}")
    print(f"recorded in {FILE.relative_to(FILE.parent.parent)}")


def check(world):
    """Returns whether every call stays within its instruction limit. If a call needs far fewer instructions, asks for the new counts to be
    recorded."""
    recorded, current = json.loads(FILE.read_text()), tools()
    changed = {tool: (was, current[tool]) for tool, was in recorded["tools"].items() if current[tool] != was}
    limit = LIMIT_OTHER_TOOLS if changed else LIMIT
    for tool, (was, now) in changed.items():
        print(f"recorded with {tool} {was}, counted with {now}: up to {limit:.0%} more instructions are allowed")
    counts = callgrind.per_call(world, FUNCTIONS)
    failed = fewer = False
    for name, count in counts.items():
        more = count / recorded["instructions"][name] - 1
        failed |= more > limit
        fewer |= more < -LIMIT
        print(f"{name:16} {count:14,.0f} instructions   {more:+.2%}{'   OVER THE LIMIT' if more > limit else ''}")
    if failed or fewer or changed:
        print("`scripts/dev/bench --record` records these numbers. Say in the commit message why they changed.")
    return not failed
