"""Reads template.yaml and samconfig.toml for the operators' scripts. PyYAML comes with
aws-sam-cli."""

import functools
import pathlib
import re
import shlex
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
# CloudFormation accepts fractions and exponents for a number, but the functions don't.
WHOLE = "0|[1-9][0-9]*"


# The loader in C takes a seventh of the time, but PyYAML may be built without it.
class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads CloudFormation's short forms: `!Ref x` becomes {"Ref": "x"}, `!If [..]` becomes {"If":
    [..]}."""


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


def parsed(body):
    """Parses a stack's template, which AWS returns as text or, if the text is JSON, as its value."""
    return yaml.load(body, Loader) if isinstance(body, str) else body


def routes_of(template):
    """The functions that the API calls, as (method, path, logical id), where the method is in
    uppercase or `ANY`."""
    for path, methods in template["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"].items():
        for method, operation in methods.items():
            ((_, uri),) = operation["x-amazon-apigateway-integration"]["uri"].items()
            yield "ANY" if method.startswith("x-") else method.upper(), path, re.search(r"/functions/\$\{(\w+)\.Arn\}", uri)[1]


def check_parameters(template, parameters):
    """Exits if a parameter doesn't exist, or if CloudFormation or the functions would refuse its
    value."""
    unknown = [name for name in parameters if name not in template["Parameters"]]
    if unknown:
        sys.exit(f"template.yaml has no parameter {', '.join(unknown)}")
    for name, value in parameters.items():
        if why := refusal(template["Parameters"][name], value):
            sys.exit(f'{name} must be {why} (got "{value if len(value) < 100 else value[:80] + ".."}")')


def refusal(parameter, value):
    """Says what a parameter's value must be. Returns None if the value is valid.
    tests/project/parameters.rs tests the template's rules."""
    values = value.split(",") if parameter["Type"] == "CommaDelimitedList" else [value]
    pattern, allowed = parameter.get("AllowedPattern"), parameter.get("AllowedValues")
    if pattern and not all(re.fullmatch(pattern, one.strip()) for one in values):
        return parameter.get("ConstraintDescription", f"a text that matches {pattern}")
    if allowed and value not in map(str, allowed):
        return f"one of {', '.join(map(str, allowed))}"
    if len(value) > parameter.get("MaxLength", len(value)):
        return f"a text of at most {parameter['MaxLength']} characters"
    if parameter["Type"] == "Number" and not re.fullmatch(WHOLE, value):
        return "a whole number in digits, such as 20"
    least, most = parameter.get("MinValue"), parameter.get("MaxValue")
    if least is not None and int(value) < least or most is not None and int(value) > most:
        return f"a number from {least} to {most}" if most is not None else f"a number from {least}"
    return None


def profile_of(name):
    """Returns a profile's settings in samconfig.toml. Exits if there is no such profile."""
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
    """Returns a profile's parameters in samconfig.toml."""
    listed = profile_of(profile).get("parameter_overrides", [])
    return dict(each.split("=", 1) for each in (shlex.split(listed) if isinstance(listed, str) else listed))
