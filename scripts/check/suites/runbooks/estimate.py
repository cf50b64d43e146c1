"""Compares the quotas of instances in `farebox estimate` with those in scripts/lib/reservations.py, by
which scripts/preflight and scripts/deploy refuse a deployment."""

import json
import subprocess
import sys

from suites.runbooks.pages import ROOT

sys.path.insert(0, str(ROOT / "scripts/lib"))
import reservations
from template import parameters_of

QUOTAS = (10, 1000, 5000)
LOAD = ["--users", "1000000", "--chats-per-day", "5", "--ai-seconds", "4", "--streamed", "0.8"]


def disagreements(program):
    """Returns a sentence for each number that differs."""
    prod, wrong = parameters_of("prod"), []
    reserved = reservations.Reservations(prod)
    for quota in QUOTAS:
        words = [program, "estimate", *LOAD, "--instances", str(quota), "--json"]
        estimate = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        found = [each["reservation"] for each in estimate["quotas"] if each.get("reservation")]
        assert {each["parameter"] for each in found} == {"AskConcurrency", "HashConcurrency"}, found
        for each in found:
            name, where = each["parameter"], f"farebox estimate, {quota} instances: {each['parameter']}"
            if each["largest"] != reserved.largest(name, quota):
                wrong.append(f"{where} may be {each['largest']}, and the scripts accept {reserved.largest(name, quota)}")
            needed = reservations.Reservations(prod | {name: int(each["needs"])})
            if needed.refusal(int(each["quota"])) or not needed.refusal(int(each["quota"]) - 1):
                wrong.append(f"{where} needs a quota of {each['quota']}, and the scripts disagree")
    return wrong
