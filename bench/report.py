"""Runs all measurements of all functions, and renders the table of docs/internals/performance.md."""

import os
import sys

import callgrind
import measures

HEADINGS = [
    "function",
    "CPU",
    "ratio",
    "instructions",
    "ratio",
    "round trips",
    "bytes to the store",
    "bytes from the store",
    "memory",
    "binary",
    "start",
    "ratio",
    "first call",
]


def step(what):
    print(f"{what} ..", file=sys.stderr, flush=True)


def lines(world, functions, rounds, calls, starts, log_ins):
    """Returns the lines of the report: the table, and the list below it."""
    names = ["hello", "get_item", *functions]
    step("instructions")
    counts = callgrind.per_call(world, names) | {"argon2id": callgrind.argon2id(world.binaries["argon2id"])}
    step("round trips")
    traffic = {name: measures.traffic(world, name, 2 if name in measures.HASHING else 20) for name in names[1:]}
    step("CPU and memory")
    cpu_results = measures.cpu(world, ["argon2id", *names], rounds, calls, 5)
    step("starts")
    start_results = measures.starts(world, names, starts)
    rows = [HEADINGS]
    for name in [*names, "argon2id"]:
        cpu, _, peak = cpu_results[name]
        row = [name, f"{cpu * 1e6:,.0f} us", ratio(cpu, cpu_results["hello"][0])]
        row += [f"{counts[name] / 1e6:,.2f} M", ratio(counts[name], counts["hello"])]
        row += [f"{traffic[name][0]:g}", f"{traffic[name][1]:,.0f}", f"{traffic[name][2]:,.0f}"] if name in traffic else [""] * 3
        row += [f"{peak:.1f} MiB", f"{os.path.getsize(world.binaries[name]) / 2**20:.2f} MiB"]
        if name in start_results:
            start, first = start_results[name]
            row += [f"{start * 1e3:.2f} ms", ratio(start, start_results["hello"][0]), f"{first * 1e3:.1f} ms"]
        rows.append(row + [""] * (len(HEADINGS) - len(row)))
    yield from markdown(rows)
    yield ""
    for name in functions:
        if name in measures.HASHING:
            cpu, count = cpu_results[name][0] / cpu_results["argon2id"][0], counts[name] / counts["argon2id"]
            yield f"- {name}: {cpu:.2f} times the CPU of a bare hash, {count:.2f} times its instructions"
    if "balance" in functions:
        step("a token's first call")
        many = callgrind.CALLS_OF_OTHERS[1]
        new = callgrind.per_call(world, ["balance"], tokens=many)["balance"]
        yield (
            f"- balance, for an access token that the instance has not seen: {new / 1e6:,.2f} M instructions, "
            f"{ratio(new, counts['hello'])} times those of hello"
        )
    if "login" in functions and log_ins:
        step(f"{log_ins} log-ins")
        yield f"- login: {measures.peak_memory(world, 'login', log_ins):.0f} MiB at most in {log_ins:,} calls of one instance"
    if "chat_stream" in functions:
        step("streams")
        first, further = measures.stream_delays(world, 30)
        yield (
            f"- chat_stream: the first piece of an answer reaches the Runtime API {first * 1e3:.2f} ms after the AI sent it; "
            f"each further piece, sent {measures.PAUSE * 1e3:.0f} ms after the one before, {further * 1e3:.2f} ms (medians of 30 calls)"
        )


def ratio(value, base):
    return f"{value / base:.2f}"


def markdown(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [text.ljust(width) if column == 0 else text.rjust(width) for column, (text, width) in enumerate(zip(row, widths, strict=True))]
        yield f"| {' | '.join(cells)} |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) if column == 0 else "-" * (width + 1) + ":" for column, width in enumerate(widths)) + "|"
