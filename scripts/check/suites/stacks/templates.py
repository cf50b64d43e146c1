"""Returns the templates as they are deployed: expanded by SAM's translator and resolved with given
parameters.

Needs aws-sam-cli, which contains the translator, but no AWS account.
"""

import gc
import importlib.machinery
import importlib.util
import json
import logging
import os
import pathlib
import re
from functools import cache

# The translator copies the whole API for each route. Without garbage collection, the translation
# takes a quarter less time.
gc.disable()
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
logging.disable(logging.WARNING)
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parents[4]
POLICIES = ["service-role/AWSLambdaBasicExecutionRole", "service-role/AWSLambdaDynamoDBExecutionRole", "AWSXRayDaemonWriteAccess", "AWSXrayWriteOnlyAccess"]
# CloudFormation's pseudo parameters. The account is moto's.
PSEUDO = {"AWS::AccountId": "123456789012", "AWS::Region": "us-east-1", "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com", "AWS::StackName": "farebox"}
MADE = f"arn:aws:{{}}:us-east-1:{PSEUDO['AWS::AccountId']}:{{}}"

# Values for all parameters that switch on a part of the template or select a different variant.
EVERYTHING = {
    "DomainName": "api.example.com",
    "CertificateArn": MADE.format("acm", "certificate/0b1c2d3e"),
    "ExecuteApi": "closed",
    "KmsKeyArn": MADE.format("kms", "key/0b1c2d3e"),
    "LogRetentionDays": "365",
    "LogLevel": "warn",
    "TracesEndpoint": "http://127.0.0.1:4318",
    "TracesSampling": "0.5",
    "TracesLayerArn": MADE.format("lambda", "layer:collector:1"),
    "XRay": "Active",
    "AccessLogs": "on",
    "GatewayLogRole": "on",
    "MethodMetrics": "on",
    "FirewallRate": "1000",
    "HashConcurrency": "20",
    "AskConcurrency": "90",
    "ProgramConcurrency": "85",
    "AiProvider": "openai,openai2,anthropic,bedrock",
    "OpenAiModel": "gpt-1",
    "OpenAiKeyArn": MADE.format("secretsmanager", "secret:openai-AbCdEf"),
    "OpenAi2BaseUrl": "https://ai.example.com/v1",
    "OpenAi2Model": "llama",
    "OpenAi2KeyArn": MADE.format("secretsmanager", "secret:openai2-AbCdEf"),
    "AnthropicModel": "claude",
    "AnthropicKeyArn": MADE.format("secretsmanager", "secret:anthropic-AbCdEf"),
    "BedrockModel": "eu.amazon.nova-lite-v1:0",
    "BedrockModelArns": "arn:aws:bedrock:*::foundation-model/amazon.*",
    "AllowedOrigins": "https://app.example.com",
    "MailFrom": "no-reply@example.com",
    "MailConfigurationSet": "letters",
    "MailUrl": "https://app.example.com",
    "LedgerVaultArn": "arn:aws:backup:us-east-1:444455556666:backup-vault:ledger",
    "AlarmTopicArn": MADE.format("sns", "alarms"),
    "MonthlyBudget": "100",
    "Allowance": "1000/day,admin=none",
    "LowBalance": "500",
    "StripeKeyArn": MADE.format("secretsmanager", "secret:stripe-AbCdEf"),
    "StripeWebhookSecretArn": MADE.format("secretsmanager", "secret:webhook-AbCdEf"),
    "StripeReturnUrl": "https://app.example.com/bought",
}
ADOPTED = {f"{table}TableArn": MADE.format("dynamodb", f"table/restored-{table}") for table in ("Users", "Tokens", "Keys", "Chats", "Ledger", "Files")}
ADOPTED["TokensStreamArn"] = ADOPTED["TokensTableArn"] + "/stream/2026-11-22T00:00:00.000"


class Policies:
    """AWS's managed policies, which SAM would otherwise request from IAM."""

    def load(self):
        return {name.split("/")[-1]: f"arn:aws:iam::aws:policy/{name}" for name in POLICIES}


def script(name):
    """Loads a Python script as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("/", "_"), str(ROOT / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@cache
def parsed(text):
    return json.dumps(yaml_parse(text))


def source(text=None, release=1795158000):
    """Returns template.yaml, or a different version of it, as scripts/deploy deploys it."""
    return script("deploy").released(json.loads(parsed(text or (ROOT / "template.yaml").read_text())), release)


def alarm_template(text=None):
    return json.loads(parsed(text or (ROOT / "alarms.yaml").read_text()))


def defaults(template):
    return {name: str(each.get("Default", "")) for name, each in template["Parameters"].items()}


def expansion(text=None, release=1795158000, **values):
    """Returns the template that SAM expands with these parameters. The functions' code is always
    the same."""
    template = source(text, release)
    del template["Globals"]["Function"]["CodeUri"]
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://artefacts/{name}"
    return transform(template, defaults(template) | values, Policies())


def resolved(template, values):
    """Returns the resources in an expanded template with these parameters. References become
    logical ids, and attributes become ARNs."""
    names = PSEUDO | values | {"AWS::NoValue": None}
    lists = [name for name, each in template["Parameters"].items() if each["Type"] == "CommaDelimitedList"]
    names |= {name: names[name].split(",") for name in lists}

    def holds(condition):
        ((kind, of),) = condition.items()
        match kind:
            case "Condition":
                return holds(template["Conditions"][of])
            case "Fn::Equals":
                return str(value(of[0])) == str(value(of[1]))
            case "Fn::Not":
                return not holds(of[0])
            case "Fn::And":
                return all(map(holds, of))
            case "Fn::Or":
                return any(map(holds, of))
        raise ValueError(f"the condition {kind}")

    def attribute(path):
        return MADE.format("attribute", path)

    def substituted(text, own):
        def one(match):
            name = match[1]
            return str(own[name] if name in own else attribute(name) if "." in name else names.get(name, name))

        return re.sub(r"\$\{([\w:.]+)\}", one, text)

    def value(of):
        if isinstance(of, list):
            return [each for each in map(value, of) if each is not None]
        if not isinstance(of, dict):
            return of
        if len(of) == 1:
            ((kind, inner),) = of.items()
            match kind:
                case "Ref":
                    return names.get(inner, inner)
                case "Fn::If":
                    return value(inner[1 if holds({"Condition": inner[0]}) else 2])
                case "Fn::GetAtt":
                    return attribute(".".join(inner))
                case "Fn::Sub":
                    text, own = inner if isinstance(inner, list) else (inner, {})
                    return substituted(text, value(own))
                case "Fn::Join":
                    return inner[0].join(map(str, value(inner[1])))
                case "Fn::Split":
                    return value(inner[1]).split(inner[0])
                case "Fn::Select":
                    return value(inner[1])[int(inner[0])]
            assert not kind.startswith("Fn::"), f"{kind} is not resolved here"
        each = {name: value(inner) for name, inner in of.items()}
        return {name: inner for name, inner in each.items() if inner is not None}

    return {
        name: value(resource) for name, resource in template["Resources"].items() if "Condition" not in resource or holds({"Condition": resource["Condition"]})
    }


def check_choice(template, choices):
    """Checks that each of the template's conditions is true for some of these parameter sets and
    false for others, so that both sides of each condition are checked."""
    every = template | {"Resources": {name: {"Condition": name} for name in template["Conditions"]}}
    holding = [resolved(every, defaults(template) | values).keys() for values in choices]
    for name in template["Conditions"]:
        found = {name in each for each in holding}
        assert len(found) == 2, f"{name} is {found.pop()} in every stack: add a parameter to EVERYTHING of scripts/check/suites/stacks/templates.py"
