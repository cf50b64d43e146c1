"""Deploys the stacks of scripts/check/stacks into moto, and compares the resources in moto's
services with the expected ones."""

import json
import os
import re
import sys
import warnings

os.environ |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1", "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
from moto import mock_aws
from moto.cloudformation import models, parsing

from suites.stacks.resources import arn, client, given

BUCKET = "artefacts"
# The keys of each table, and the attribute with its TTL. An update may add indexes, but it must not
# change the keys or the TTL.
TABLES = {
    "UsersTable": (["pk"], None),
    "TokensTable": (["pk"], "expires_at"),
    "KeysTable": (["kid"], "until"),
    "ChatsTable": (["user_id", "chat_id"], "expires_at"),
    "LedgerTable": (["user_id", "entry_id"], None),
    "FilesTable": (["pk"], "expires_at"),
}
# Resources that an update replaces intentionally: each release creates new versions, and a changed
# API gets a new deployment. moto also replaces the nested stack, which contains only alarms, and a
# schedule whose target changes.
MADE_AGAIN = {"AWS::Lambda::Version", "AWS::ApiGateway::Deployment", "AWS::CloudFormation::Stack", "AWS::Events::Rule"}
# Placeholders that CloudFormation should have replaced. Policies may contain variables of their
# own, and WAF has an action named `None`.
UNRESOLVED = re.compile(r'\$\{(?!aws:)|"(Ref|Fn::\w+)": |\bNone\b(?!": )')


def every(service, operation, key, **further):
    return [one for page in client(service).get_paginator(operation).paginate(**further) for one in page[key]]


def plain(what, value):
    text = json.dumps(value, default=str)
    found = UNRESOLVED.search(text)
    assert not found, f"{what} has {found[0]} in {text[max(0, found.start() - 80) : found.end() + 80]}"
    return value


def without_nothing(value):
    if isinstance(value, list):
        return [without_nothing(each) for each in value if each is not None]
    return {name: without_nothing(each) for name, each in value.items()} if isinstance(value, dict) else value


def check_resolved():
    """Makes moto refuse resources with unresolved placeholders, and resources of unknown types,
    which it would skip. Removes AWS::NoValue from lists, where moto leaves it."""
    parse = parsing.parse_resource

    def parse_resource(resource, resources_map):
        made = parse(resource, resources_map)
        assert made, f"nothing makes a {resource['Type']}"
        of, resolved, kind = made
        resolved["Properties"] = plain(kind, without_nothing(resolved.get("Properties", {})))
        if kind == "AWS::Lambda::Function":
            # CloudFormation passes a parameter's number as a string.
            variables = resolved["Properties"]["Environment"]["Variables"]
            variables.update({name: str(value) for name, value in variables.items()})
        return of, resolved, kind

    parsing.parse_resource = parse_resource


class Stack:
    """A deployed stack."""

    def __init__(self, of, over=None):
        self.of, self.template, self.parameters = of, of["template"], of["parameters"]
        self.name = over or f"farebox-{of['name']}"
        resources = self.template["Resources"]
        s3 = client("s3")
        for resource in resources.values():
            if resource["Type"] == "AWS::Lambda::Function":
                s3.put_object(Bucket=BUCKET, Key=resource["Properties"]["Code"]["S3Key"], Body=b"code")
        # Upload the templates as `sam deploy` does.
        resources["AlarmStack"]["Properties"]["TemplateURL"] = f"https://{BUCKET}.s3.amazonaws.com/alarms"
        for key, template in (("alarms", of["alarms"]), ("template", self.template)):
            s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(template).encode())
        deploy = client("cloudformation").update_stack if over else client("cloudformation").create_stack
        deploy(
            StackName=self.name,
            TemplateURL=f"https://{BUCKET}.s3.amazonaws.com/template",
            Capabilities=["CAPABILITY_IAM"],
            # moto treats a list's default as a string.
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()],
        )
        (described,) = client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        assert described["StackStatus"] == ("UPDATE_COMPLETE" if over else "CREATE_COMPLETE"), described
        self.outputs = {each["OutputKey"]: plain("an output", each["OutputValue"]) for each in described["Outputs"]}
        self.ids = self.ids_of(self.name)

    @staticmethod
    def ids_of(name):
        listed = every("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=name)
        # moto also lists resources whose condition is false, without a name.
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in listed if each["LogicalResourceId"]}

    def on(self, name):
        return self.parameters[name] == "on"

    def type_of(self, name):
        return self.template["Resources"][name]["Type"]

    def named(self, kind):
        return {name: each for name, each in self.ids.items() if self.type_of(name) == kind}

    def check(self):
        """Compares all resources with the expected ones. Prints their number."""
        assert self.ids.keys() == self.of["resolved"].keys(), f"differs from the template: {sorted(self.ids.keys() ^ self.of['resolved'].keys())}"
        assert all(self.ids.values()), self.ids
        if self.of["name"] == "everything":
            assert self.ids.keys() == self.template["Resources"].keys(), sorted(self.template["Resources"].keys() - self.ids.keys())
        self.tables = self.check_tables()
        self.check_secret_and_logs()
        self.check_functions()
        self.check_routes()
        alarms = self.check_alarms()
        print(
            f"{self.of['name']}: {len(self.ids)} resources, {len(self.named('AWS::Lambda::Function'))} functions, "
            f"{len(self.of['routes'])} methods, {alarms} alarms"
        )

    def check_tables(self):
        """Returns the names of the tables that the functions use."""
        adopted = {name: self.parameters[f"{name}Arn"].rpartition("/")[2] for name in TABLES}
        own = set(self.named("AWS::DynamoDB::Table"))
        assert own == (set() if any(adopted.values()) else set(TABLES)), f"the stack has the tables {own}"
        if any(adopted.values()):
            return adopted
        for name, (keys, expiring) in TABLES.items():
            dynamodb, table = client("dynamodb"), self.ids[name]
            described = plain(name, dynamodb.describe_table(TableName=table)["Table"])
            assert [each["AttributeName"] for each in described["KeySchema"]] == keys, f"{name} has the keys {described['KeySchema']}"
            assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST", name
            protected = described["DeletionProtectionEnabled"]
            recovery = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
            recovers = recovery["PointInTimeRecoveryStatus"] == "ENABLED"
            assert (protected, recovers) == (self.of["name"] != "dev",) * 2, f"{name} is protected: {protected}, and recovers: {recovers}"
            expires = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"].get("AttributeName")
            assert expires == expiring, f"items of {name} expire by {expires}"
            stream = described.get("StreamSpecification", {}).get("StreamViewType")
            assert stream == ("KEYS_ONLY" if name == "TokensTable" else None), f"{name} has a stream of {stream}"
            key = described.get("SSEDescription", {}).get("KMSMasterKeyArn", "")
            assert key == self.parameters["KmsKeyArn"], f"{name} is encrypted with {key}"
            indexes = {each["IndexName"] for kind in ("Global", "Local") for each in described.get(f"{kind}SecondaryIndexes", [])}
            properties = self.template["Resources"][name]["Properties"]
            listed = {each["IndexName"] for kind in ("Global", "Local") for each in properties.get(f"{kind}SecondaryIndexes", [])}
            assert indexes == listed, f"{name} has the indexes {indexes}"
        return {name: self.ids[name] for name in TABLES}

    def check_secret_and_logs(self):
        secret = client("secretsmanager").describe_secret(SecretId=self.ids["SigningSecret"])
        assert len(client("secretsmanager").get_secret_value(SecretId=secret["ARN"])["SecretString"]) == 64
        (group,) = client("logs").describe_log_groups(logGroupNamePrefix=self.ids["LogGroup"])["logGroups"]
        assert group["retentionInDays"] == int(self.parameters["LogRetentionDays"]), group
        for what, key in (("secret", secret), ("log group", group)):
            assert (key.get("KmsKeyId") or key.get("kmsKeyId") or "") == self.parameters["KmsKeyArn"], f"the {what} is encrypted otherwise: {key}"

    def check_functions(self):
        iam, functions = client("iam"), client("lambda")
        for name, function in self.named("AWS::Lambda::Function").items():
            about = plain(name, functions.get_function_configuration(FunctionName=function) | {"SnapStart": {}})
            role = plain(name, iam.get_role(RoleName=about["Role"].rpartition("/")[2])["Role"])
            assert role["RoleName"] == self.ids[f"{name}Role"], f"{name} has the role {role['RoleName']}"
            boundary = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
            assert boundary == self.ids["FunctionBoundary"], f"{name} has the boundary {boundary}"
            attached = {each["PolicyArn"] for each in iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]}
            assert "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole" in attached, f"{name} may write no logs: {attached}"
            unknown = [each for each in attached if ":aws:policy/" not in each and each not in self.ids.values()]
            assert not unknown, f"{name} has {unknown}, which the stack has not made"
            for policy in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
                plain(name, iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy)["PolicyDocument"])
            variables = about["Environment"]["Variables"]
            assert sum(len(key) + len(value) for key, value in variables.items()) <= 4096, f"{name} has a larger environment than Lambda takes"
            self.check_variables(name, variables)
            # moto doesn't return the logging configuration, so compare the configuration in the
            # template.
            logging = given[function]["LoggingConfig"]
            assert logging == {"LogFormat": "JSON", "LogGroup": self.ids["LogGroup"]}, f"{name} logs to {logging}"
            assert about["Architectures"] == [self.parameters["Architecture"]], about["Architectures"]
            reserved = functions.get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions", 0)
            wanted = int(self.of["resolved"][name]["Properties"].get("ReservedConcurrentExecutions", 0))
            assert reserved == wanted, f"{name} reserves {reserved}, not {wanted}"
            layers = [each["Arn"] for each in about.get("Layers", [])]
            assert layers == list(filter(None, [self.parameters["TracesLayerArn"]])), f"{name} has the layers {layers}"

    def check_variables(self, name, variables):
        """Asserts that variables contain the values of their parameters, the names of their tables,
        and the ARN of the secret."""
        declared = self.template["Resources"][name]["Properties"]["Environment"]["Variables"]
        assert variables.keys() == declared.keys(), f"{name} has the variables {variables.keys() ^ declared.keys()} or not"
        for variable, value in declared.items():
            source = value.get("Ref") if isinstance(value, dict) else None
            table = "".join(variable.title().split("_"))
            expected = (
                self.tables[table]
                if table in TABLES
                else self.parameters[source]
                if source in self.parameters
                else self.name
                if source == "AWS::StackName"
                else self.ids[source]
                if source
                else self.parameters["AiProvider"]
                if variable == "AI_PROVIDER"
                else value
            )
            assert variables[variable] == expected, f"{name} has {variable}={variables[variable]}, not {expected}"

    def check_routes(self):
        """Asserts that each method of each path calls its function, through the alias if there is
        one, and that API Gateway may call it."""
        gateway, functions = client("apigateway"), client("lambda")
        api, stage = self.ids["Api"], self.parameters["StageName"]
        found = {}
        for resource in every("apigateway", "get_resources", "items", restApiId=api, embed=["methods"]):
            for method, about in resource.get("resourceMethods", {}).items():
                found[resource["path"], method] = plain(resource["path"], about)["methodIntegration"]["uri"]
        expected = {}
        for path, method, function, alias in self.of["routes"]:
            called = arn("lambda", f"function:{self.ids[function]}") + (f":{alias}" if alias else "")
            invocation = (
                "2021-11-15/functions/{}/response-streaming-invocations"
                if "streaming" in found.get((path, method), "")
                else "2015-03-31/functions/{}/invocations"
            )
            expected[path, method] = f"arn:aws:apigateway:us-east-1:lambda:path/{invocation.format(called)}"
            policy = functions.get_policy(FunctionName=self.ids[function], **({"Qualifier": alias} if alias else {}))["Policy"]
            assert f"{api}/" in policy and "apigateway.amazonaws.com" in policy, f"API Gateway may not call {function}: {policy}"
        wrong = {route: uri for route, uri in found.items() if expected.get(route) != uri}
        assert found == expected, f"missing: {expected.keys() - found.keys()}, otherwise: {wrong}"
        about = plain("the stage", gateway.get_stage(restApiId=api, stageName=stage))
        assert about["deploymentId"] in self.ids.values(), "the stage shows another deployment"
        settings = about["methodSettings"]["*/*"]
        assert settings["throttlingRateLimit"] == int(self.parameters["RequestRate"]), settings
        assert ("accessLogSettings" in about) == self.on("AccessLogs"), about
        assert about["tracingEnabled"] == (self.parameters["XRay"] == "Active"), about
        assert bool(about.get("webAclArn")) == (self.parameters["FirewallRate"] != "0"), about
        if domain := self.parameters["DomainName"]:
            (mapping,) = gateway.get_base_path_mappings(domainName=domain)["items"]
            assert (mapping["restApiId"], mapping["stage"], mapping["basePath"]) == (api, stage, "(none)"), mapping
            assert gateway.get_domain_name(domainName=domain)["regionalCertificateArn"] == self.parameters["CertificateArn"]
            assert "DomainTarget" in self.outputs
        closed = self.parameters["ExecuteApi"] == "closed"
        assert gateway.get_rest_api(restApiId=api)["disableExecuteApiEndpoint"] == closed, f"execute-api is not {self.parameters['ExecuteApi']}"
        url = f"https://{domain}" if closed else f"https://{api}.execute-api.us-east-1.amazonaws.com/{stage}"
        assert self.outputs["Url"] == url, self.outputs["Url"]

    def check_alarms(self):
        """Asserts that every alarm watches an existing resource and notifies the topic. Returns the
        number of alarms."""
        ids = dict(self.ids)
        if "AlarmStack" in self.ids:
            ids |= {f"alarms.{name}": each for name, each in self.ids_of(self.ids["AlarmStack"]).items()}
            dashboard = client("cloudwatch").get_dashboard(DashboardName=self.name)["DashboardBody"]
            assert not re.search(r"\$\{", dashboard) and json.loads(dashboard)["widgets"]
        listed = {each["AlarmName"]: each for each in every("cloudwatch", "describe_alarms", "MetricAlarms")}
        kinds = {f"alarms.{name}": each["Type"] for name, each in self.of["alarms"]["Resources"].items()}
        kinds |= {name: self.type_of(name) for name in self.ids}
        alarms = {name: listed[each] for name, each in ids.items() if kinds[name] == "AWS::CloudWatch::Alarm"}
        assert bool(alarms) == (self.on("Alarms") or self.parameters["DeploymentPreference"] != "AllAtOnce"), alarms.keys()
        existing = {
            "FunctionName": self.named("AWS::Lambda::Function").values(),
            "TableName": self.tables.values(),
            "QueueName": [self.ids["FailureQueue"].rpartition("/")[2]],
        }
        watched = set()
        for name, alarm in alarms.items():
            plain(name, alarm)
            topic = [] if name.endswith("Canary") else list(filter(None, [self.parameters["AlarmTopicArn"]]))
            assert alarm["AlarmActions"] == topic, f"{name} tells {alarm['AlarmActions']}"
            metrics = [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", []) if "MetricStat" in each] or [alarm]
            for dimension in (each for metric in metrics for each in metric.get("Dimensions", [])):
                kind, of = dimension["Name"], dimension["Value"]
                assert kind not in existing or of in existing[kind] or of == "unused", f"{name} watches the {kind} {of}"
                watched.add(of)
        if self.on("Alarms"):
            missing = set(existing["FunctionName"]) - watched
            assert not missing, f"no alarm watches {missing}"
        return len(alarms)


def update(before, after):
    """Updates the stack `before` to `after`, and back. Asserts that resources with data keep their
    ids and data."""
    first = Stack(before)
    item = {"pk": {"S": "user:ann"}, "balance": {"N": "4000"}}
    client("dynamodb").put_item(TableName=first.ids["UsersTable"], Item=item)
    value = client("secretsmanager").get_secret_value(SecretId=first.ids["SigningSecret"])["SecretString"]
    then = Stack(after, over=first.name)
    then.check()
    moved = {name: (each, then.ids.get(name)) for name, each in first.ids.items() if then.ids.get(name, each) != each and first.type_of(name) not in MADE_AGAIN}
    assert not moved, f"the update has replaced {moved}"
    kept = {name for name in first.ids if name in TABLES or name in ("SigningSecret", "LogGroup", "FailureQueue", "Api")}
    assert len(kept) == len(TABLES) + 4 and kept <= then.ids.keys(), kept
    assert client("dynamodb").get_item(TableName=then.ids["UsersTable"], Key={"pk": item["pk"]})["Item"] == item
    assert client("secretsmanager").get_secret_value(SecretId=then.ids["SigningSecret"])["SecretString"] == value
    print(f"from {before['name']} to {after['name']}: {len(first.ids)} resources, of which {len(first.ids.keys() & then.ids.keys())} stay")
    back = Stack(before, over=first.name)
    back.check()
    assert all(back.ids[name] == first.ids[name] for name in kept), "the rollback has replaced resources with data"


def prepare(of):
    """Creates the resources that a stack expects in the account, because moto refuses a function if
    its layer or event source doesn't exist."""
    parameters = of["parameters"]
    if parameters["TracesLayerArn"]:
        client("lambda").publish_layer_version(LayerName="collector", Content={"ZipFile": b"code"})
    if parameters["TokensTableArn"]:
        table = client("dynamodb").create_table(
            TableName="restored-Tokens",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        )
        parameters["TokensStreamArn"] = table["TableDescription"]["LatestStreamArn"]


def main():
    warnings.simplefilter("ignore")
    check_resolved()
    # Parse the templates as JSON, because they are valid JSON here and moto's YAML parser takes
    # seconds for each of them.
    models.yaml.load = lambda text, Loader: json.loads(text)
    with open(sys.argv[1]) as file:
        stacks = {each["name"]: each for each in json.load(file)}
    recorded = stacks.pop("recorded")
    with mock_aws():
        client("s3").create_bucket(Bucket=BUCKET)
        for of in stacks.values():
            prepare(of)
            Stack(of).check()
        update(recorded, stacks["defaults"])


if __name__ == "__main__":
    main()
