"""Checks the commands and conditions in .github/workflows. scripts/check/workflows only checks
their syntax."""

import json
import re
import shlex
import subprocess

from suites.stacks.templates import ROOT, script, yaml_parse

earlier_release = script("release/earlier")


def workflow(name):
    return yaml_parse((ROOT / f".github/workflows/{name}.yml").read_text())


def steps(job, part):
    """Returns the steps whose command contains this string."""
    return [step for step in job["steps"] if part in step.get("run", "")]


def printed(step):
    """Returns the `sam deploy` command that this step runs."""
    words = shlex.split(step["run"])
    assert words[0] == "scripts/deploy", step
    return json.loads(subprocess.check_output([ROOT / words[0], "--print", *words[1:]], text=True))


def check_rollback(deploy):
    # A run with an id is a rollback, which doesn't wait for a release.
    assert deploy["concurrency"] == {"group": "${{ inputs.run && 'rollback' || 'release' }}", "cancel-in-progress": False}, deploy["concurrency"]
    jobs = deploy["jobs"]
    assert jobs["build"]["if"] == jobs["rehearse"]["if"] == "inputs.run == ''", "a rollback builds or rehearses"
    job = jobs["production"]
    # This environment requires an approval.
    assert job["environment"] == "production"
    release, rollback = steps(job, "scripts/deploy")
    assert (release["if"], rollback["if"]) == ("inputs.run == ''", "inputs.run != ''"), (release, rollback)
    for step, moves in ((release, "Canary10Percent5Minutes"), (rollback, "AllAtOnce")):
        command = printed(step)
        assert f"DeploymentPreference={moves}" in command and command[-1] == "--no-confirm-changeset", command
    assert "--earlier" in rollback["run"], "the files of a rollback are of another commit than the one checked out"
    (smoke,) = steps(job, "scripts/smoke")
    assert "The release is deployed" in smoke["run"], "a failed check hides that the deployment is done"
    (checkout,) = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout")]
    assert checkout["with"]["fetch-depth"] == 0, "scripts/smoke can't read the routes of an earlier commit"


def check_rehearsal(job):
    first, second = [shlex.split(step["run"].strip().splitlines()[-1]) for step in steps(job, "scripts/deploy")]
    for words in (first, second):
        command = json.loads(subprocess.check_output([ROOT / words[0], "--print", *words[1:]], text=True))
        assert "DeploymentPreference=Canary10Percent5Minutes" in command and "Protection=off" in command, command
    (lost,) = [step for step in job["steps"] if "::warning::" in step.get("run", "")]
    assert lost["if"] == "steps.before.outputs.kept == 'nothing'", lost
    for step in job["steps"]:
        if "before" in json.dumps(step.get("with", {})) or "unpack before" in step.get("run", ""):
            assert "kept == 'artefact'" in step["if"], step


def check_files(jobs):
    """Every file that a job unpacks has a digest from another place, and every package that it installs
    has one in .ci/requirements.txt. The lists of crates include the program."""
    pack, lists = steps(jobs["build"], "sha256sum release.tar.gz"), steps(jobs["build"], "scripts/release/crates functions ")
    assert len(pack) == len(lists) == 1 and '"::notice title=release.tar.gz::$digest"' in pack[0]["run"], pack
    assert earlier_release.JOB == jobs["build"]["name"] and earlier_release.FILE in pack[0]["run"]
    assert steps(jobs["program"], 'scripts/release/crates local "$CRATES"') and "${{ env.CRATES }}" in json.dumps(jobs["program"]["steps"])
    digests = {
        "rehearse": ["${{ steps.before.outputs.digest }}", "${{ needs.build.outputs.digest }}"],
        "production": ["${{ needs.build.outputs.digest || steps.earlier.outputs.digest }}"],
    }
    for name, expected in digests.items():
        unpacks, published = steps(jobs[name], "artefacts unpack"), steps(jobs[name], "scripts/release/published")
        assert [step["env"]["DIGEST"] for step in unpacks] == expected, unpacks
        for step in [*unpacks, *published]:
            assert '"$DIGEST"' in step["run"] and step["env"]["DIGEST"], step
        assert len(published) == 1 and jobs[name]["permissions"]["checks"] == "read"
    for name, job in jobs.items():
        for step in steps(job, "--requirement"):
            assert "--no-deps --require-hashes " in step["run"], step
            has_credentials = any("aws-actions/" in other.get("uses", "") for other in job["steps"])
            assert ("--only-binary :all:" in step["run"]) == has_credentials, name
    chosen = (ROOT / ".ci/requirements.in").read_text().split()
    pinned = re.findall(r"^([\w.-]+==[\w.]+).*\\\n((?:    --hash=sha256:[0-9a-f]{64}.*\n)+)", (ROOT / ".ci/requirements.txt").read_text(), re.MULTILINE)
    assert set(chosen) <= {name for name, _ in pinned}, "run the command at the beginning of .ci/requirements.txt"


def check_publishing(jobs):
    program, publish = jobs["program"], jobs["publish"]
    assert {each["processor"] for each in program["strategy"]["matrix"]["include"]} == {"x86_64", "aarch64"}
    assert program["if"] == "inputs.run == '' && github.ref_type == 'tag'", program["if"]
    assert steps(program, "scripts/release/program")
    for job in (program, jobs["build"]):
        attests = [step for step in job["steps"] if step.get("uses", "").startswith("actions/attest@")]
        assert attests and all(step["if"] == "github.event.repository.visibility == 'public'" for step in attests), attests
    assert {"build", "program", "rehearse"} <= set(publish["needs"]) and publish["permissions"] == {"contents": "write"}, publish
    assert steps(publish, "sha256sum") and steps(publish, 'gh release create "$TAG"'), publish
    # Production doesn't wait for these jobs.
    assert jobs["production"]["needs"] == ["build", "rehearse"], jobs["production"]["needs"]


def check_advisories():
    for name, event in (("ci", "push"), ("nightly", "schedule")):
        found = workflow(name)
        # YAML reads the word `on` as true.
        assert event in found.get("on", found.get(True)), name
        assert any(steps(job, "cargo deny --all-features --locked check") for job in found["jobs"].values()), f"{name}.yml checks no advisories"


def affected(step, *paths):
    """Returns true if a change of these files can affect a step."""
    said = subprocess.check_output([ROOT / ".ci/affected", step], input="\n".join(paths), text=True).strip()
    assert said in ("true", "false"), said
    return said == "true"


def check_skips():
    jobs = workflow("ci")["jobs"]
    names = [*jobs["run"]["strategy"]["matrix"]["step"], "dependencies"]
    for path, expected in (
        ("docs/use/failures.md", ["lint", "test", "package"]),
        ("site/chat/app.js", ["lint", "test", "package", "pages", "gateways"]),
        ("functions/src/pages/site.rs", names),
        (".ci/run", names),
    ):
        found = [name for name in names if affected(name, path)]
        assert found == expected, (path, found)
    assert all(affected(name, "README.md", "site/chat/app.js", "shared/src/lib.rs") for name in names)
    for job in (jobs["run"], jobs["dependencies"]):
        guarded = [step["if"] for step in job["steps"] if "run" in step and step.get("id") != "affected"]
        assert set(guarded) == {"steps.affected.outputs.runs == 'true'"}, guarded


def check():
    deploy = workflow("deploy")
    check_rollback(deploy)
    check_rehearsal(deploy["jobs"]["rehearse"])
    check_publishing(deploy["jobs"])
    check_files(deploy["jobs"])
    check_advisories()
    check_skips()
    print("the workflows roll back without waiting, publish the program, check advisories every night, and skip only what a change can't affect")
