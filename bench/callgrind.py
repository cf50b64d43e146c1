"""Counts the instructions of a warm call with valgrind's callgrind, as the difference between two runs of one function."""

import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

from world import ROOT, TOKENS

# How many calls the short run and the long run make. Both runs include the start, which cancels out in their difference. The difference
# covers enough calls to even out random variations.
CALLS = {"login": (1, 3), "register": (1, 3)}
CALLS_OF_OTHERS = (TOKENS, TOKENS + 200)


def ensure_valgrind():
    """Installs valgrind on Debian if it is missing."""
    if subprocess.run([ROOT / "scripts/lib/debian", "valgrind", "valgrind", "libc6-dbg"]).returncode:
        raise SystemExit(1)


def run(world, function, calls, tokens=TOKENS, out="/dev/null"):
    """Counts the instructions that an instance executes for this many calls, including its start."""
    account = world.account(tokens)
    with tempfile.NamedTemporaryFile(prefix="farebox-bench-") as log:
        under = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--log-file={log.name}"]
        with world.instance(function, under) as instance:
            for call in range(calls):
                account.call(instance, function, call)
            instance.end()
        return read_count(log.name)


def read_count(log):
    text = open(log).read()
    found = re.search(r"Collected : (\d+)", text)
    assert found, text
    return int(found[1])


def per_call(world, functions, tokens=TOKENS):
    """Counts the instructions of one warm call to each function. Each processor handles one run at a time."""
    with ThreadPoolExecutor(cpu_count()) as pool:
        runs = {}
        for function in functions:
            few, many = CALLS.get(function, CALLS_OF_OTHERS)
            # Begin with the long runs, because a long run at the end would leave other processors idle.
            runs[function] = [(pool.submit(run, world, function, calls, tokens), calls) for calls in (many, few)]
        return {function: difference(*counts) for function, counts in runs.items()}


def difference(many, few):
    (many_run, many_calls), (few_run, few_calls) = many, few
    return (many_run.result() - few_run.result()) / (many_calls - few_calls)


def argon2id(binary):
    """Counts the instructions of one bare hash."""
    counts = {}
    for hashes in (1, 2):
        with tempfile.NamedTemporaryFile(prefix="farebox-bench-") as log:
            command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log.name}", str(binary)]
            subprocess.run(command, input=f"{hashes}\n".encode(), stdout=subprocess.DEVNULL, check=True)
            counts[hashes] = read_count(log.name)
    return counts[2] - counts[1]


def profile(world, function, top=30):
    """Returns lines of text that show where a warm call spends its instructions: per crate, and per function, both without and with its
    callees."""
    few, many = CALLS.get(function, CALLS_OF_OTHERS)
    costs = {}
    with tempfile.TemporaryDirectory(prefix="farebox-bench-") as folder:
        for calls in (few, many):
            run(world, function, calls, out=f"{folder}/{calls}")
            for inclusive in ("no", "yes"):
                costs[calls, inclusive] = annotated_costs(f"{folder}/{calls}", inclusive)
    own, with_callees = (
        {name: (count - costs[few, inclusive].get(name, 0)) / (many - few) for name, count in costs[many, inclusive].items()} for inclusive in ("no", "yes")
    )
    total = sum(own.values())
    crates = {}
    for name, count in own.items():
        crates[crate(name)] = crates.get(crate(name), 0) + count
    yield f"{function}: {total:,.0f} instructions a call"
    for title, cost in (("by crate", crates), ("by function, without callees", own), ("by function, with callees", with_callees)):
        yield f"  {title}"
        # Only a recursive function can cost more than the total, because its calls are counted twice.
        parts = {name: count for name, count in cost.items() if count < total}
        for name, count in sorted(parts.items(), key=lambda item: -item[1])[:top]:
            yield f"  {count / total:7.2%} {count:12,.0f}  {name[:200]}"


def crate(name):
    """Returns a function's crate, which is the first crate in the function's name. For a method, this is the crate of the method's type."""
    if found := re.search(r"([a-z_][a-z0-9_]*)::", name):
        return found[1]
    return (
        "malloc and free"
        if re.match(r"(_int_)?(malloc|free|realloc|calloc)|malloc|unlink_chunk", name)
        else ("aws_lc" if re.search(r"25519|aws_lc|sha512|bignum|pkey", name) else "C")
    )


def annotated_costs(file, inclusive):
    """Returns the instruction count of each function in a callgrind output file."""
    command = ["callgrind_annotate", f"--inclusive={inclusive}", "--threshold=100", "--auto=no", file]
    costs = {}
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        if found := re.match(r"\s*([\d,]+) (?:\([^)]*\))?\s*(?:[^:]*:)(.+?)(?: \[[^]]*\])?$", line):
            name = re.sub(r"::h[0-9a-f]{16}\b", "", found[2])
            costs[name] = costs.get(name, 0) + int(found[1].replace(",", ""))
    return costs
