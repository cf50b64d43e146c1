"""Reads template.yaml and samconfig.toml for the operators' scripts. PyYAML comes with aws-sam-cli."""
import functools
import pathlib
import re
import shlex
import sys

try:
    import yaml
except ImportError:
    sys.exit("PyYAML is missing: run this script with the Python that has aws-sam-cli, or install PyYAML (python3 -m pip install PyYAML)")

ROOT = pathlib.Path(__file__).resolve().parents[2]
# CloudFormation accepts fractions and exponents for a number, but the functions don't.
WHOLE = "0|[1-9][0-9]*"


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms: `!Ref x` becomes {"Ref": "x"}, `!If [..]` becomes {"If": [..]}."""


def short_form(loader, name, node):
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    construct = loader.construct_sequence if isinstance(node, yaml.SequenceNode) else loader.construct_mapping
    return {name: construct(node, deep=True)}


Loader.add_multi_constructor("!", short_form)


@functools.cache
def load_template():
    """Parses template.yaml."""
    return yaml.load((ROOT / "template.yaml").read_text(), Loader)


def check_parameters(template, parameters):
    """Exits if a parameter doesn't exist, or if a number is not whole."""
    unknown = [name for name in parameters if name not in template["Parameters"]]
    if unknown:
        sys.exit(f"template.yaml has no parameter {', '.join(unknown)}")
    for name, value in parameters.items():
        if template["Parameters"][name]["Type"] == "Number" and not re.fullmatch(WHOLE, value):
            sys.exit(f'{name} must be a whole number in digits, such as 20 (got "{value}")')


def profile_of(name):
    """The settings of a profile in samconfig.toml. Exits if there is no such profile."""
    try:
        import tomllib
    except ImportError:
        sys.exit(f"this is Python {sys.version_info.major}.{sys.version_info.minor}, which can't read samconfig.toml: use Python 3.11 or later")
    profiles = tomllib.loads((ROOT / "samconfig.toml").read_text())
    found = profiles.get(name)
    if not isinstance(found, dict) or "deploy" not in found:
        sys.exit(f"samconfig.toml has no profile {name}, only {', '.join(each for each in profiles if each != 'version')}")
    return found["deploy"]["parameters"]


def parameters_of(profile):
    """The parameters of a profile in samconfig.toml."""
    listed = profile_of(profile).get("parameter_overrides", [])
    return dict(each.split("=", 1) for each in (shlex.split(listed) if isinstance(listed, str) else listed))
