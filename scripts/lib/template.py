"""Reads template.yaml for the operators' scripts. PyYAML comes with aws-sam-cli."""
import pathlib
import re
import sys

import yaml

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
