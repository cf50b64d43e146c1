"""Holds the instructions of the hottest calls to recorded numbers."""
import json, pathlib, platform, re, subprocess

import callgrind

FILE = pathlib.Path(__file__).resolve().parent / "instructions.json"
FUNCTIONS = ["balance", "chat_history", "chat", "login", "token_refresh"]
# As scripts/e2e-sam builds what it tries, so that CI builds nothing twice.
LTO = "off"
LIMIT = 0.02
# Where another compiler, C library or valgrind counts.
LIMIT_ELSEWHERE = 0.10


def tools():
    """What the counts depend on beside the sources, their profile and their lock file."""
    def version(*command):
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return re.search(r"\d+\.\d+(\.\d+)?", said)[0]

    return {
        "rustc": version("rustc", "--version"),
        "cargo-lambda": version("cargo", "lambda", "--version"),
        "valgrind": version("valgrind", "--version"),
        "libc": " ".join(platform.libc_ver()),
        # Of one with AVX2 valgrind makes the same processor whatever else it has, without SHA instructions and AVX-512.
        "processor": platform.machine() + (" with AVX2" if " avx2 " in pathlib.Path("/proc/cpuinfo").read_text() else ""),
    }


def record(world, lto):
    """Records the instructions of the release profile with this link-time optimisation."""
    counts = {name: round(count) for name, count in callgrind.per_call(world, FUNCTIONS).items()}
    recorded = json.loads(FILE.read_text()) if FILE.exists() else {}
    recorded[f"lto {lto}"] = {"tools": tools(), "instructions": counts}
    FILE.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n")
    for name, count in counts.items():
        print(f"{name:16} {count:14,}")
    print(f"recorded in {FILE.relative_to(FILE.parent.parent)}")


def held(world, lto):
    """Whether no call takes more instructions than recorded. A call that takes far fewer is to be recorded, but doesn't fail."""
    recorded, here = json.loads(FILE.read_text())[f"lto {lto}"], tools()
    others = {tool: (was, here[tool]) for tool, was in recorded["tools"].items() if here[tool] != was}
    limit = LIMIT_ELSEWHERE if others else LIMIT
    for tool, (was, now) in others.items():
        print(f"recorded with {tool} {was}, counted with {now}: up to {limit:.0%} more is allowed")
    counts = callgrind.per_call(world, FUNCTIONS)
    failed = fewer = False
    for name, count in counts.items():
        more = count / recorded["instructions"][name] - 1
        failed |= more > limit
        fewer |= more < -LIMIT
        print(f"{name:16} {count:14,.0f} instructions   {more:+.2%}{'   OVER THE LIMIT' if more > limit else ''}")
    if failed or fewer or others:
        print(f"`scripts/bench --record{'' if lto == LTO else f' --lto {lto}'}` records these numbers. Say in the commit why they changed.")
    return not failed
