"""Builds for checks that rehearse a deployment: the parts of a template that scripts/deploy reads,
without the functions' code."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "lib"))
from template import load_template


def built(template=None):
    """Returns the aliases and the reservations in a template, as `sam build` writes them."""
    template = template or load_template()
    functions = {}
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        own = {"AutoPublishAlias": properties["AutoPublishAlias"]} if "AutoPublishAlias" in properties else {}
        if reserved := properties.get("ReservedConcurrentExecutions"):
            own["ReservedConcurrentExecutions"] = {"Fn::If": reserved["If"]}
        if own:
            functions[name] = {"Properties": own}
    parameters = {name: each for name, each in template["Parameters"].items() if name.endswith("Concurrency")}
    return {"Parameters": parameters, "Resources": functions, "Outputs": {}}
