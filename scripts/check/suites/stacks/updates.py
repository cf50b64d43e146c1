"""Finds the resources that CloudFormation replaces in an update, and the permissions that it needs,
in cfn-lint's resource schemas."""

import sys
from functools import cache

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

# Further properties that must not change, according to AWS's documentation. A change of the
# secret's property keeps the secret but replaces its value.
FURTHER = {"AWS::DynamoDB::Table": ["LocalSecondaryIndexes"], "AWS::SecretsManager::Secret": ["GenerateSecretString"]}


@cache
def create_only(kind):
    """Returns the paths of the properties that can only be set at creation."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    paths = schema.get("createOnlyProperties", []) + schema.get("conditionalCreateOnlyProperties", [])
    return [path.removeprefix("/properties/").split("/") for path in paths] + [[name] for name in FURTHER.get(kind, [])]


def actions_for(kind):
    """Returns the actions that CloudFormation performs for resources of a type, with the
    permissions of the deploying role."""
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema.get("handlers")
    if not handlers:
        sys.exit("this cfn-lint doesn't know what CloudFormation calls: python3 -m pip install --no-deps --requirement .ci/requirements.txt")
    return {action for handler in handlers.values() for action in handler["permissions"]}


def at(path, properties):
    for name in path:
        properties = properties.get(name) if isinstance(properties, dict) else None
    return properties


def replacing(kind, before, after):
    """Returns a resource's changed properties that make CloudFormation replace the resource."""
    changed = ["/".join(path) for path in create_only(kind) if at(path, before) != at(path, after)]
    if kind == "AWS::DynamoDB::Table":
        # A change of an attribute's type also counts.
        types = [{each["AttributeName"]: each["AttributeType"] for each in of["AttributeDefinitions"]} for of in (before, after)]
        changed += [f"AttributeDefinitions/{name}" for name in types[0] if types[1].get(name, types[0][name]) != types[0][name]]
    return changed


def replaced(before, after):
    """Returns the resources of a resolved template that the next template replaces, with the
    reason: a different type or these properties."""
    found = {}
    for name in before.keys() & after.keys():
        one, other = before[name], after[name]
        if one["Type"] != other["Type"]:
            found[name] = ["Type"]
        elif changed := replacing(one["Type"], one.get("Properties", {}), other.get("Properties", {})):
            found[name] = changed
    return found
