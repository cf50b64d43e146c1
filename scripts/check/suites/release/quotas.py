"""Compares scripts/deploy with scripts/preflight in accounts that have room for few or many reserved
instances, and checks the numbers in docs/operate."""

import copy
import re
import tempfile
from itertools import product
from unittest.mock import patch

from suites.release.cloud import ACCOUNT, REGION, Cloud, said
from suites.release.deployments import Tree
from suites.stacks.templates import ROOT, script
from template import load_template, parameters_of

import reservations

QUOTAS = (10, 1000, 5000)
# The instances that other stacks reserve.
OTHERS = (0, 300)
ASK, PROGRAM, HASH = "AskConcurrency", "ProgramConcurrency", "HashConcurrency"
# The values of AskConcurrency and ProgramConcurrency. None is the profile's value.
VALUES = (
    *[(value, None) for value in (0, 1, 101, 102, 200, 1435, 1436)],
    *[(None, value) for value in (0, 97, 98, 200, 897, 898)],
    *[(240, 8), (241, 8), (8, 147)],
)


class Reserved(Cloud):
    """An account in which this stack, if it is deployed, reserves the instances of the profile prod,
    and other stacks reserve `others`."""

    def __init__(self, quota, others, is_deployed):
        kept = parameters_of("prod") if is_deployed else {}
        own = reservations.Reservations(kept).total
        super().__init__(["UPDATE_COMPLETE"] if is_deployed else [], kept=kept, quota=quota, unreserved=quota - others - own)


def before_programs():
    """Returns the template of a release before 0.22.0, in which the functions under /v1 reserved
    AskConcurrency, and the one that writes titles reserved nothing."""
    template = copy.deepcopy(load_template())
    del template["Parameters"][PROGRAM]
    for function, name in reservations.parameter_of_each(template).items():
        if name == PROGRAM:
            template["Resources"][function]["Properties"]["ReservedConcurrentExecutions"]["If"][1] = {"Ref": ASK}
    del template["Resources"]["ConversationTitleFunction"]["Properties"]["ReservedConcurrentExecutions"]
    return template


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
        if (service, operation) == ("cloudformation", "get-template"):
            return cloud.GetTemplate("farebox-prod", "Processed")
        if operation == "get-caller-identity":
            return {"Account": ACCOUNT}
        raise module.Refused("not asked")

    module.aws = aws
    with patch.dict("os.environ", {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}):
        _, text = said(module.main, ["prod", *words])
    return [line for line in text.splitlines() if line.startswith("!! ") and "the deployment would fail" in line]


def deployment(cloud, *words, template=None):
    """Returns the line with which scripts/deploy refuses this deployment, in a list."""
    at_once = ["--at-once"] if cloud.statuses else []
    with tempfile.TemporaryDirectory() as folder:
        code, text, changes, _ = Tree(folder, template=template).run(cloud, "prod", *at_once, *words)
    lines = [line for line in text.splitlines() if "the deployment would fail" in line]
    assert bool(lines) == (code == 1) == (not changes), f"exit code {code}, {changes}\n{text}"
    assert not lines or "Nothing was changed." in text, text
    return lines


def check_agreement():
    """Both scripts refuse a deployment if AWS may, with the same sentence. The sentence names the
    largest value that fits, or the reservations to lower first."""
    refused = count = 0
    own = {name: int(parameters_of("prod")[name]) for name in (ASK, PROGRAM, HASH)}
    functions = {ASK: 3, PROGRAM: 5, HASH: 7}
    assert reservations.Reservations({}).functions == functions
    for quota, others, is_deployed, values in product(QUOTAS, OTHERS, (False, True), VALUES):
        if quota - others - (sum(own[name] * functions[name] for name in own) if is_deployed else 0) < 0:
            continue
        wanted = own | {name: value for name, value in zip((ASK, PROGRAM), values, strict=True) if value is not None}
        # AWS's rule, which the scripts must know. In the worst case, CloudFormation raises all
        # reservations before it lowers others.
        kept = own if is_deployed else dict.fromkeys(own, 0)
        worst = sum(max(wanted[name], kept[name]) * functions[name] for name in own)
        lowest = {name: wanted[name] for name in own if wanted[name] < kept[name]}
        words = [f"{name}={wanted[name]}" for name in (ASK, PROGRAM)]
        here, there = deployment(Reserved(quota, others, is_deployed), *words), preflight(Reserved(quota, others, is_deployed), *words)
        assert [f"!! {line}" for line in here] == there, f"{quota}, {others}, {words}: {here}, {there}"
        assert (quota - others - worst >= 100) == (not here), f"{quota}, {others}, {words}: {here}"
        count, refused = count + 1, refused + len(here)
        if found := re.search(r"The largest (\w+) that fits is (\d+)\.", "".join(here)):
            most = int(found[2])
            assert reservations.Reservations(wanted | {found[1]: most}).total + others + 100 <= quota
            assert reservations.Reservations(wanted | {found[1]: most + 1}).total + others + 100 > quota
        if found := re.search(r"First lower reservations with the release that is deployed: (.*)", "".join(here)):
            assert found[1].split() == [f"{name}={value}" for name, value in lowest.items()]
            lowered = Cloud(kept=parameters_of("prod") | {name: str(value) for name, value in lowest.items()}, quota=quota)
            lowered.unreserved = quota - others - reservations.Reservations(lowered.parameters).total
            assert not deployment(lowered, *words)
    print(f"scripts/deploy and scripts/preflight agree on {count} deployments, and refuse {refused}")


def check_upgrade():
    """The first deployment with ProgramConcurrency reserves instances for one more function, so a
    stack whose functions reserve 105 each must lower them first. A rollback reserves what the earlier
    release's template says."""
    earlier = before_programs()
    prod = parameters_of("prod")

    def stack(**values):
        kept = {"AskConcurrency": "105", "HashConcurrency": "20"} | values
        own = reservations.Reservations(kept, earlier).total
        return Cloud(kept=kept, unreserved=1000 - own, template=earlier)

    (refused,) = deployment(stack())
    assert refused.endswith(f"First lower reservations with the release that is deployed: AskConcurrency={prod[ASK]}"), refused
    assert preflight(stack()) == [f"!! {refused}"]
    assert not deployment(stack(AskConcurrency=prod[ASK])) and not preflight(stack(AskConcurrency=prod[ASK]))
    assert not deployment(stack(), f"AskConcurrency={prod[ASK]}", template=earlier)
    own = reservations.Reservations(prod).total
    later = {"kept": prod, "unreserved": 1000 - own}
    assert not deployment(Cloud(**later), "--earlier", template=earlier)
    (refused,) = deployment(Cloud(**later), "--earlier", "AskConcurrency=120", template=earlier)
    assert "The largest AskConcurrency that fits is 108." in refused, refused


def check_parameters():
    """Each function with reserved instances counts, whatever its parameter is called."""
    counts = reservations.Reservations({}).functions
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
    counts = reserved.functions
    named, texts = [], {}
    for path in sorted((ROOT / "docs/operate").glob("*.md")):
        text = texts[path.name] = " ".join(path.read_text().split())
        # Values beside each other belong to the same deployment.
        for words in re.findall(r"(?:\b\w+Concurrency=\d+ ?)+", text):
            why = reservations.Reservations(prod | dict(word.split("=") for word in words.split())).refusal(reservations.USUAL)
            assert why is None, f"{path.name}: {words}: {why}"
        largest = re.findall(r"largest `(\w+)` that fits is (\d+)", text)
        # The example of `farebox estimate`.
        largest += re.findall(r"(\w+): \d+ functions reserve it, so a quota of 1,000 instances has room for (\d+)\.", text)
        for name, value in largest:
            most = reserved.largest(name, reservations.USUAL)
            assert int(value) == most, f"{path.name} names {value}, and the largest {name} that fits is {most}"
            named.append((path.name, name))
    assert {(page, name) for page in ("capacity.md", "runbooks.md") for name in (ASK, PROGRAM)} | {("cost.md", ASK)} <= set(named), f"only {named}"
    rest = reservations.UNRESERVED + reserved.total - reserved.of(ASK)
    for page, sentence in (
        ("capacity.md", f"{counts[ASK]} functions reserve `AskConcurrency`, {counts[PROGRAM]} `ProgramConcurrency`, and {counts[HASH]} `HashConcurrency`."),
        ("capacity.md", f"needs a quota of {counts[ASK]} times the value plus {rest:,}: for 200 instances, {200 * counts[ASK] + rest:,}."),
        ("capacity.md", reservations.request(200 * counts[ASK] + rest)),
        ("cost.md", f"Because {counts[ASK]} functions reserve it,"),
    ):
        assert sentence in texts[page], f"{page} doesn't say {sentence!r}"


def check():
    check_parameters()
    check_agreement()
    check_upgrade()
    check_documents()
