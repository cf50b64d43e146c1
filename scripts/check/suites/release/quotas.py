"""Compares scripts/deploy with scripts/preflight in accounts that have room for few or many reserved
instances, and checks the numbers in docs/operate."""

import copy
import re
import tempfile
from unittest.mock import patch

from suites.release.cloud import ACCOUNT, REGION, Cloud, said
from suites.release.deployments import Tree
from suites.stacks.templates import ROOT, script
from template import load_template, parameters_of

import reservations

QUOTAS = (10, 1000, 5000)
# The values of AskConcurrency, and the instances that other stacks reserve.
VALUES, OTHERS = (0, 1, 65, 66, 105, 108, 109, 200, 600, 680, 681), (0, 300)


class Reserved(Cloud):
    """An account in which this stack, if it is deployed, reserves the instances of the profile prod,
    and other stacks reserve `others`."""

    def __init__(self, quota, others, is_deployed):
        kept = parameters_of("prod") if is_deployed else {}
        own = reservations.Reservations(kept).total
        super().__init__(["UPDATE_COMPLETE"] if is_deployed else [], kept=kept, quota=quota, unreserved=quota - others - own)


def preflight(cloud, *words):
    """Returns the lines with which scripts/preflight refuses this deployment's reservations."""
    module = script("preflight")

    def aws(service, operation, *_):
        if (service, operation) == ("lambda", "get-account-settings"):
            return cloud.GetAccountSettings()
        if (service, operation) == ("cloudformation", "describe-stacks"):
            if cloud.statuses:
                return cloud.DescribeStacks("farebox-prod")
            raise module.Refused("An error occurred (ValidationError): Stack with id farebox-prod does not exist")
        if operation == "get-caller-identity":
            return {"Account": ACCOUNT}
        raise module.Refused("not asked")

    module.aws = aws
    with patch.dict("os.environ", {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}):
        _, text = said(module.main, ["prod", *words])
    return [line for line in text.splitlines() if line.startswith("!! ") and "the deployment would fail" in line]


def deployment(cloud, *words):
    """Returns the line with which scripts/deploy refuses this deployment, in a list."""
    with tempfile.TemporaryDirectory() as folder:
        code, text, changes, _ = Tree(folder).run(cloud, "prod", "--at-once", *words) if cloud.statuses else Tree(folder).run(cloud, "prod", *words)
    lines = [line for line in text.splitlines() if "the deployment would fail" in line]
    assert bool(lines) == (code == 1) == (not changes), f"exit code {code}, {changes}\n{text}"
    assert not lines or "Nothing was changed." in text, text
    return lines


def check_agreement():
    """Both scripts refuse a deployment if AWS would, with the same sentence. The sentence names the
    largest value that fits."""
    refused = count = 0
    hashing = int(parameters_of("prod")["HashConcurrency"])
    functions = reservations.functions_by_parameter()
    for quota in QUOTAS:
        for others, is_deployed in ((others, is_deployed) for others in OTHERS for is_deployed in (False, True)):
            if quota - others - (reservations.Reservations(parameters_of("prod")).total if is_deployed else 0) < 0:
                continue
            for value in VALUES:
                # AWS's rule, which the scripts must know.
                needs = value * functions["AskConcurrency"] + hashing * functions["HashConcurrency"]
                fits = quota - others - needs >= 100
                cloud, word = Reserved(quota, others, is_deployed), f"AskConcurrency={value}"
                here, there = deployment(cloud, word), preflight(Reserved(quota, others, is_deployed), word)
                assert [f"!! {line}" for line in here] == there, f"{quota}, {others}, {value}: {here}, {there}"
                assert fits == (not here), f"{quota}, {others}, {value}: {here}"
                count, refused = count + 1, refused + len(here)
                if found := re.search(r"The largest AskConcurrency that fits is (\d+)\.", "".join(here)):
                    most = f"AskConcurrency={found[1]}"
                    assert not preflight(Reserved(quota, others, is_deployed), most)
                    assert preflight(Reserved(quota, others, is_deployed), f"AskConcurrency={int(found[1]) + 1}")
    print(f"scripts/deploy and scripts/preflight agree on {count} deployments, and refuse {refused}")


def check_parameters():
    """Each function with reserved instances counts, whatever its parameter is called."""
    counts = reservations.functions_by_parameter()
    text = (ROOT / "template.yaml").read_text()
    for name, count in counts.items():
        assert text.count(f"ReservedConcurrentExecutions: !If [Has{name}, !Ref {name}, ") == count, f"{name}: {count}"
    assert sum(counts.values()) == text.count("ReservedConcurrentExecutions: "), counts
    total = reservations.Reservations(parameters_of("prod")).total
    template = copy.deepcopy(load_template())
    template["Parameters"]["FurtherConcurrency"] = {"Type": "Number", "Default": 3}
    template["Resources"]["HealthFunction"]["Properties"]["ReservedConcurrentExecutions"] = {"If": ["HasFurther", {"Ref": "FurtherConcurrency"}, None]}
    with patch.object(reservations, "load_template", lambda: template):
        more = reservations.Reservations(parameters_of("prod"))
        assert more.functions == counts | {"FurtherConcurrency": 1} and more.total == total + 3
        assert "FurtherConcurrency=3 for each of 1 functions" in more.refusal(900)


def check_documents():
    """In an account with the usual quota, each value in the documents fits, and the largest value that
    they name is the largest that fits."""
    prod = parameters_of("prod")
    reserved = reservations.Reservations(prod)
    largest = reserved.largest("AskConcurrency", reservations.USUAL)
    named, texts = [], {}
    for path in sorted((ROOT / "docs/operate").glob("*.md")):
        text = texts[path.name] = " ".join(path.read_text().split())
        for name, value in re.findall(r"\b(\w+Concurrency)=(\d+)", text):
            why = reservations.Reservations(prod | {name: value}).refusal(reservations.USUAL)
            assert why is None, f"{path.name}: {name}={value}: {why}"
        for value in re.findall(r"largest `AskConcurrency` that fits is (\d+)", text):
            assert int(value) == largest, f"{path.name} names {value}, and the largest AskConcurrency that fits is {largest}"
            named.append(path.name)
    assert set(named) >= {"capacity.md", "runbooks.md"}, f"only {named} name the largest AskConcurrency"
    asking, hashing = (reserved.functions[name] for name in ("AskConcurrency", "HashConcurrency"))
    rest = reserved.of("HashConcurrency") + reservations.UNRESERVED
    for page, sentence in (
        ("capacity.md", f"{asking} functions reserve `AskConcurrency`, and {hashing} others `HashConcurrency`."),
        ("capacity.md", f"needs a quota of {asking} times the value plus {rest}: for 200 instances, {200 * asking + rest:,}."),
        ("capacity.md", reservations.request(200 * asking + rest)),
        ("cost.md", f"Because {asking} functions reserve it,"),
    ):
        assert sentence in texts[page], f"{page} doesn't say {sentence!r}"


def check():
    check_parameters()
    check_agreement()
    check_documents()
