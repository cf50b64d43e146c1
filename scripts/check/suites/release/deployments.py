"""Rehearses scripts/deploy, and compares its parameters with the template that SAM expands."""

import json
import os
import pathlib
import subprocess
import tempfile
from unittest.mock import patch

import canary
from suites.release.built import built
from suites.release.cloud import Cloud, said
from suites.stacks.templates import ROOT, defaults, expansion, resolved, script

CANARY, AT_ONCE = "DeploymentPreference=Canary10Percent5Minutes", "DeploymentPreference=AllAtOnce"
UPDATING, ROLLED_BACK = "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"
# The statuses that CloudFormation shows while it cancels an update.
CANCELLED = ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", ROLLED_BACK]
DENIED = ("AccessDenied", "User: ann is not authorized to perform: cloudformation:CancelUpdateStack")
REFUSED = "refused"


class Tree:
    """A folder that contains a build of a commit, from which scripts/deploy deploys. The build's
    template is the one in the checkout, unless another one is given."""

    def __init__(self, folder, commit=None, template=None):
        self.root, self.deploy = pathlib.Path(folder), script("deploy")
        build = self.root / ".aws-sam/build"
        (build / "ChatFunction").mkdir(parents=True)
        # The beginning of an ELF file for arm64.
        (build / "ChatFunction/bootstrap").write_bytes(b"\x7fELF".ljust(18, b"0") + b"\xb7\0")
        (build / "template.yaml").write_text(json.dumps(built(template)))
        (self.root / "scripts/lib").mkdir(parents=True)
        (self.root / "scripts/lib/commit").write_text("#!/bin/sh\necho 0abc\n")
        (self.root / "scripts/lib/commit").chmod(0o755)
        (build / "COMMIT").write_text(commit or "0abc")
        self.deploy.ROOT, self.deploy.BUILD, self.deploy.PAUSE = self.root, build, 0

    def run(self, cloud, *arguments):
        """Runs scripts/deploy. Returns its exit code, its output, and the changes that it made,
        including `sam deploy`."""
        run, sent = subprocess.run, []

        def instead(command, **options):
            if command[1:2] != ["deploy"]:
                return run(command, **options)
            assert (self.deploy.BUILD / "release.yaml").exists()
            cloud.changes.append("sam")
            cloud.statuses = ["UPDATE_COMPLETE"]
            sent.extend(command)
            return subprocess.CompletedProcess(command, 0)

        with cloud.replaces_aws(), patch.dict(os.environ, {"SAM": "true"}), patch("subprocess.run", instead):
            code, text = said(self.deploy.main, list(arguments))
        return code, text, cloud.changes, sent


def printed(*arguments):
    """Returns the parameters in the `sam deploy` command that scripts/deploy prints."""
    command = json.loads(subprocess.check_output([ROOT / "scripts/deploy", *arguments, "--print"], text=True))
    return dict(each.split("=", 1) for each in command[command.index("--parameter-overrides") + 1 :] if "=" in each)


# Each case has a name, a stack, the build's commit, the arguments, the changes in order (or
# REFUSED), and a part of the output.
CASES = [
    ("a release", Cloud(), "0abc", ["prod"], ["sam", "protect"], "termination protection"),
    ("a release of a protected stack", Cloud(is_protected=True), "0abc", ["prod"], ["sam"], "commit 0abc"),
    ("a new stack", Cloud([], protection="off"), "0abc", ["dev"], ["sam"], "creates the stack farebox-dev"),
    ("a release during another", Cloud([UPDATING]), "0abc", ["prod"], REFUSED, "farebox-prod is UPDATE_IN_PROGRESS: wait"),
    ("a release after a failed rollback", Cloud(["UPDATE_ROLLBACK_FAILED"]), "0abc", ["prod"], REFUSED, "with --at-once or --earlier"),
    ("a stack whose first deployment failed", Cloud(["ROLLBACK_COMPLETE"]), "0abc", ["prod"], REFUSED, "delete it first"),
    ("a build of another commit", Cloud(), "0def", ["prod"], REFUSED, "pass --earlier"),
    ("a rollback", Cloud(), "0def", ["prod", "--earlier"], ["sam", "protect"], "deploying 0def all at once, without alarms"),
    (
        "a rollback during a canary",
        Cloud([UPDATING], after_cancel=CANCELLED),
        "0def",
        ["prod", "--earlier"],
        ["cancel", "sam", "protect"],
        "cancelling the update",
    ),
    (
        "a canary that is cancelled to the same release",
        Cloud([UPDATING], after_cancel=CANCELLED),
        "0abc",
        ["prod", "--earlier"],
        ["cancel"],
        "farebox-prod runs the commit 0abc again, which is this build: nothing else is needed",
    ),
    (
        "a cancelled canary that is rolled back at once",
        Cloud([UPDATING], after_cancel=[ROLLED_BACK]),
        "0abc",
        ["prod", "--earlier"],
        ["cancel"],
        "nothing else is needed",
    ),
    ("an update that alarms roll back to the same release", Cloud(CANCELLED[1:]), "0abc", ["prod", "--earlier"], [], "nothing else is needed"),
    ("the same, with a parameter", Cloud(CANCELLED[1:]), "0abc", ["prod", "--earlier", "ChatPrice=7"], ["sam", "protect"], "all at once"),
    ("the same release at rest", Cloud([ROLLED_BACK]), "0abc", ["prod", "--earlier"], ["sam", "protect"], "all at once"),
    (
        "a correction during a canary",
        Cloud([UPDATING], after_cancel=CANCELLED),
        "0abc",
        ["prod", "--at-once"],
        ["cancel", "sam", "protect"],
        "cancelling the update",
    ),
    ("a correction of a parameter", Cloud(), "0abc", ["prod", "--at-once", "AskConcurrency=101"], ["sam", "protect"], "all at once"),
    (
        "more reserved instances than there is room for, during a canary",
        Cloud([UPDATING]),
        "0abc",
        ["prod", "--at-once", "AskConcurrency=200"],
        REFUSED,
        "The largest AskConcurrency that fits is 101.",
    ),
    ("no permission to read the quota", Cloud(refusals={"GetAccountSettings": DENIED}), "0abc", ["prod"], ["sam", "protect"], "quota of instances can't"),
    ("a correction of another commit", Cloud(), "0def", ["prod", "--at-once"], REFUSED, "pass --earlier"),
    (
        "a rollback of a stack with triggers",
        Cloud(triggers=["arn:aws:cloudwatch:eu-central-1:111122223333:alarm:own"]),
        "0def",
        ["prod", "--earlier"],
        ["sam", "protect"],
        "alarm:own, which may stop this deployment",
    ),
    (
        "a failed rollback",
        Cloud(["UPDATE_ROLLBACK_FAILED"], after_continue=CANCELLED[1:]),
        "0def",
        ["prod", "--earlier"],
        ["continue", "sam", "protect"],
        "continuing it",
    ),
    (
        "a rollback that fails twice",
        Cloud(["UPDATE_ROLLBACK_FAILED"], after_continue=["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED"]),
        "0def",
        ["prod", "--earlier"],
        ["continue"],
        "runbooks.md#a-rollback-that-fails",
    ),
    (
        "a cancelled canary whose rollback fails",
        Cloud([UPDATING], after_cancel=["UPDATE_ROLLBACK_FAILED"], after_continue=[ROLLED_BACK]),
        "0def",
        ["prod", "--earlier"],
        ["cancel", "continue", "sam", "protect"],
        "has failed: continuing it",
    ),
    (
        "an update that ends before it is cancelled",
        Cloud([UPDATING, UPDATING, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"], refusals={"CancelUpdateStack": ("ValidationError", "ended")}),
        "0def",
        ["prod", "--earlier"],
        ["sam", "protect"],
        "deploying 0def",
    ),
    (
        "a cancellation that AWS refuses",
        Cloud([UPDATING], refusals={"CancelUpdateStack": DENIED}),
        "0def",
        ["prod", "--earlier"],
        REFUSED,
        "AWS refuses CancelUpdateStack: AccessDenied",
    ),
    ("a rollback of no stack", Cloud([]), "0def", ["prod", "--earlier"], REFUSED, "there is no stack farebox-prod in eu-central-1"),
    ("a rollback of a new stack", Cloud(["CREATE_IN_PROGRESS"]), "0def", ["prod", "--earlier"], REFUSED, "no release yet"),
    ("an earlier build with a canary", Cloud([], protection="off"), "0def", ["dev", "--earlier", CANARY], ["sam"], "creates the stack"),
    ("an earlier build with a canary, during another", Cloud([UPDATING]), "0def", ["prod", "--earlier", CANARY], REFUSED, "wait until"),
    ("a correction with a canary", Cloud(), "0abc", ["prod", "--at-once", CANARY], REFUSED, "--at-once deploys with DeploymentPreference=AllAtOnce"),
    ("dev over production", Cloud(), "0abc", ["dev", "--stack", "farebox-prod"], REFUSED, "farebox-prod has Protection=on, and this deployment"),
    (
        "dev over protected tables",
        Cloud(protection="off", tables=["farebox-dev-ledger"]),
        "0abc",
        ["dev"],
        REFUSED,
        "farebox-dev has protected tables (farebox-dev-ledger)",
    ),
    ("dev over its own stack", Cloud(protection="off"), "0abc", ["dev"], ["sam"], "account 111122223333, stack farebox-dev, UPDATE_COMPLETE"),
    ("a parameter that removes protection", Cloud(), "0abc", ["prod", "Protection=off"], REFUSED, "Nothing was changed"),
    (
        "a parameter that the stack keeps",
        Cloud(kept={"AiSystemPrompt": "x" * 481}),
        "0abc",
        ["prod"],
        REFUSED,
        "farebox-prod keeps AiSystemPrompt, which must be",
    ),
    (
        "a kept parameter that is replaced",
        Cloud(kept={"AiSystemPrompt": "x" * 481}),
        "0abc",
        ["prod", "AiSystemPrompt="],
        ["sam", "protect"],
        "now refuses to delete",
    ),
    ("a rollback that removes protection", Cloud([UPDATING]), "0abc", ["dev", "--earlier", "--stack", "farebox-prod"], REFUSED, "Nothing was changed"),
    ("the stack of another project", Cloud(is_foreign=True), "0abc", ["dev", "--stack", "shop"], REFUSED, "shop is not a stack of Farebox"),
    ("no permission to protect the stack", Cloud(refusals={"UpdateTerminationProtection": DENIED}), "0abc", ["prod"], ["sam"], "is deployed, but"),
]


def check_cases():
    for what, cloud, commit, arguments, changes, part in CASES:
        with tempfile.TemporaryDirectory() as folder:
            code, text, changed, sent = Tree(folder, commit).run(cloud, *arguments)
        if changes == REFUSED:
            assert code in (1, 2) and not changed, f"{what}: exit code {code}, {changed}\n{text}"
        else:
            # CloudFormation gives up on a rollback that fails again.
            assert (code == 1) == (changes == ["continue"]) and changed == changes, f"{what}: exit code {code}, {changed}\n{text}"
        assert part in text, f"{what} does not say {part!r}\n{text}"
        is_at_once = {"--earlier", "--at-once"} & set(arguments) and CANARY not in arguments
        if sent:
            assert (AT_ONCE in sent) == bool(is_at_once or arguments[0] == "dev" and CANARY not in arguments), f"{what}: {sent}"
    print(f"{len(CASES)} deployments change what they should, in this order")


def check_next():
    """After a rollback, the stack has AllAtOnce. The next deployment must not keep this value,
    whatever the profile lists."""
    for profile, words in (("prod", []), ("prod", ["ChatPrice=7"])):
        assert printed(profile, *words)["DeploymentPreference"] == "Canary10Percent5Minutes", profile
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(folder)
        own = {"Protection": "on", "LogRetentionDays": "90"}
        with (
            patch.object(tree.deploy, "parameters_of", lambda profile: dict(own)),
            patch.object(tree.deploy, "profile_of", lambda profile: {"stack_name": "shop"}),
        ):
            _, _, _, sent = tree.run(Cloud(), "shop")
    assert CANARY in sent, sent
    assert printed("dev")["DeploymentPreference"] == "AllAtOnce"


def groups(parameters):
    """Returns the configuration and the alarms of each deployment group in the expanded template
    with these parameters."""
    template = expansion(**parameters)
    for name, resource in resolved(template, defaults(template) | parameters).items():
        if resource["Type"] == "AWS::CodeDeploy::DeploymentGroup":
            alarms = resource["Properties"].get("AlarmConfiguration", {})
            yield name, resource["Properties"]["DeploymentConfigName"], alarms


def check_expansion():
    cure = printed("prod", "--earlier")
    assert cure == printed("prod", "--at-once") == printed("prod", "--earlier", "--at-once"), cure
    found = list(groups(cure))
    assert len(found) == len(canary.REQUESTS), found
    for name, moves, alarms in found:
        # CodeDeploy keeps a group's alarms if the template says nothing about them. An empty
        # configuration removes them
        # (https://github.com/aws/serverless-application-model/pull/2453).
        assert (moves, alarms) == ("CodeDeployDefault.LambdaAllAtOnce", {}), f"{name} moves by {moves} and stops by {alarms}"
    for name, moves, alarms in groups(printed("prod")):
        assert moves == "CodeDeployDefault.LambdaCanary10Percent5Minutes" and alarms["Enabled"] and len(alarms["Alarms"]) == 2, f"{name}: {alarms}"
    print("a rollback and a correction have no alarms, and the next deployment has them again")


def check():
    check_cases()
    check_next()
    check_expansion()
