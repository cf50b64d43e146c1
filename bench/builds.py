"""Builds the functions as deployed, and the bare programs that they are compared with."""

import json
import os
import pathlib
import shutil
import subprocess
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BARE = ROOT / "bench/bare"


def target():
    output = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version=1"], cwd=ROOT, capture_output=True, check=True).stdout
    return pathlib.Path(json.loads(output)["target_directory"])


def functions(names):
    """Builds these functions as `sam build` does, with the release profile."""
    subprocess.run(["cargo", "lambda", "build", "--quiet", "--release", *bins(names)], cwd=ROOT, check=True)
    return {name: target() / "lambda" / name / "bootstrap" for name in names}


def with_symbols(names):
    """Builds these functions with the release profile and symbols, which cargo-lambda would strip."""
    environment = os.environ | variables({"strip": "none"})
    subprocess.run(["cargo", "build", "--quiet", "--release", *bins(names)], cwd=ROOT, env=environment, check=True)
    return {name: target() / "release" / name for name in names}


def bins(names):
    return [argument for name in names for argument in ("--bin", name)]


def bare(names):
    """Builds `hello` and `get_item` with the functions' profile and dependency versions. `argon2id` is compiled for speed, because log-ins
    are compared with it."""
    shutil.copy(ROOT / "Cargo.lock", BARE)
    profile = tomllib.loads((ROOT / "Cargo.toml").read_text())["profile"]["release"]
    # cargo has no environment variables for the optimization levels of individual packages.
    levels = [f'profile.release.package."{name}".opt-level={json.dumps(level["opt-level"])}' for name, level in profile.pop("package").items()]
    levels = [argument for level in levels for argument in ("--config", level)]
    folder = target() / "bare"
    built = {}
    for name in names:
        level = {"opt_level": 3} if name == "argon2id" else {}
        features = ["--features", name] if name == "get_item" else []
        subprocess.run(
            ["cargo", "lambda", "build", "--quiet", "--release", *levels, *features, "--bin", name],
            cwd=BARE,
            check=True,
            env=variables(profile) | os.environ | {"CARGO_TARGET_DIR": str(folder)} | variables(level),
        )
        built[name] = folder / "lambda" / name / "bootstrap"
    return built


def variables(profile):
    """Returns the environment variables that set these values in cargo's release profile."""
    texts = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in profile.items()}
    return {f"CARGO_PROFILE_RELEASE_{key.upper().replace('-', '_')}": value for key, value in texts.items()}
