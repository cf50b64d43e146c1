"""Adds resource types to moto's CloudFormation, which lacks them or ignores some of their
properties.

Each resource is created by a call to the service's API, which moto emulates. botocore therefore
compares all names and types of properties with AWS's models, and moto refuses malformed properties,
such as a policy with an empty resource. An update keeps a resource unless CloudFormation would
replace it (updates.py).
"""

import copy
import json
from functools import cache

import boto3
from moto.core.common_models import CloudFormationModel

from suites.stacks.updates import replacing

REGION, ACCOUNT = "us-east-1", "123456789012"
# The properties of each resource, by resource id.
given = {}


@cache
def client(service):
    return boto3.client(service, region_name=REGION)


def aws(service, operation, properties=None, **further):
    """Calls an operation with the properties of a resource. CloudFormation capitalizes names, and
    accepts strings for numbers."""
    meta = client(service).meta
    model = meta.service_model.operation_model(meta.method_to_api_mapping[operation])
    return getattr(client(service), operation)(**fitting(model.input_shape, (properties or {}) | further, model.name))


def fitting(shape, value, path):
    """Converts a value to a parameter of this shape."""
    match shape.type_name:
        case "structure":
            names = {name.lower(): name for name in shape.members}
            unknown = [name for name in value if name.lower() not in names]
            assert not unknown, f"{path} has no {', '.join(unknown)}"
            return {names[name.lower()]: fitting(shape.members[names[name.lower()]], each, f"{path}.{name}") for name, each in value.items()}
        case "list":
            return [fitting(shape.member, each, path) for each in value]
        case "map":
            return {name: fitting(shape.value, each, f"{path}.{name}") for name, each in value.items()}
        case "integer" | "long":
            return int(value)
        case "double" | "float":
            return float(value)
        case "string":
            return value if isinstance(value, str) else json.dumps(value)
        case "boolean":
            assert isinstance(value, bool), f"{path} is {value!r}"
    return value


class Made(CloudFormationModel):
    """A resource of one of the types below."""

    def __init__(self, physical_resource_id, attributes, properties):
        self.physical_resource_id, self.attributes, self.properties = physical_resource_id, attributes, properties
        given[physical_resource_id] = properties

    def get_cfn_attribute(self, name):
        return self.attributes[name]

    def is_created(self):
        return True

    def delete(self, account, region):
        pass


def made(kind, *attributes):
    """Adds a type to moto. `make` creates a resource with this name, or changes the resource with
    this id, and returns its id and attributes."""

    def register(make):
        def create(cls, resource_name, cloudformation_json, account_id, region_name, **_):
            properties = cloudformation_json["Properties"]
            return Made(*make(resource_name, copy.deepcopy(properties), None), properties)

        def update(cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name):
            properties, before = cloudformation_json["Properties"], original_resource.properties
            if replacing(kind, before, properties):
                return create(cls, new_resource_name, cloudformation_json, account_id, region_name)
            identity, attributes = make(new_resource_name, copy.deepcopy(properties), original_resource)
            return Made(identity, original_resource.attributes | attributes, properties)

        # moto finds types among the subclasses and uses the last one.
        type(
            make.__name__,
            (CloudFormationModel,),
            {
                "cloudformation_type": staticmethod(lambda: kind),
                "cloudformation_name_type": staticmethod(lambda: ""),
                "has_cfn_attr": classmethod(lambda cls, name: name in attributes),
                "create_from_cloudformation_json": classmethod(create),
                "update_from_cloudformation_json": classmethod(update),
            },
        )
        return make

    return register


def arn(service, path):
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{path}"


@made("AWS::DynamoDB::Table", "Arn", "StreamArn")
def table(name, properties, before):
    recovery = properties.pop("PointInTimeRecoverySpecification")
    expiry = properties.pop("TimeToLiveSpecification", None)
    properties["StreamSpecification"] = {"StreamEnabled": "StreamSpecification" in properties, **properties.get("StreamSpecification", {})}
    key = properties.pop("SSESpecification", {"SSEEnabled": False})
    properties["SSESpecification"] = {"Enabled" if word == "SSEEnabled" else word: each for word, each in key.items()}
    if before is None:
        described = aws("dynamodb", "create_table", properties, TableName=name)["TableDescription"]
    else:
        name = before.physical_resource_id
        for unchangeable in ("KeySchema", "LocalSecondaryIndexes"):
            properties.pop(unchangeable, None)
        indexes = {each["IndexName"]: each for each in properties.pop("GlobalSecondaryIndexes", [])}
        existing = {each["IndexName"] for each in before.properties.get("GlobalSecondaryIndexes", [])}
        changes = [{"Create": indexes[index]} for index in indexes.keys() - existing]
        changes += [{"Delete": {"IndexName": index}} for index in existing - indexes.keys()]
        assert len(changes) <= 1, f"CloudFormation adds or removes one index in an update, not {changes}"
        if properties["StreamSpecification"]["StreamEnabled"] == ("StreamSpecification" in before.properties):
            del properties["StreamSpecification"]
        if changes:
            properties["GlobalSecondaryIndexUpdates"] = changes
        described = aws("dynamodb", "update_table", properties, TableName=name)["TableDescription"]
    aws("dynamodb", "update_continuous_backups", TableName=name, PointInTimeRecoverySpecification=recovery)
    if expiry and (before is None or before.properties.get("TimeToLiveSpecification") != expiry):
        aws("dynamodb", "update_time_to_live", TableName=name, TimeToLiveSpecification=expiry)
    return name, {"Arn": described["TableArn"], "StreamArn": described.get("LatestStreamArn")}


@made("AWS::SecretsManager::Secret")
def secret(name, properties, before):
    generated = properties.pop("GenerateSecretString")
    if before is None:
        value = aws("secretsmanager", "get_random_password", generated)["RandomPassword"]
        return aws("secretsmanager", "create_secret", properties, Name=name, SecretString=value)["ARN"], {}
    aws("secretsmanager", "update_secret", properties, SecretId=before.physical_resource_id)
    return before.physical_resource_id, {}


@made("AWS::Logs::LogGroup", "Arn")
def log_group(name, properties, before):
    days = properties.pop("RetentionInDays")
    if before is None:
        aws("logs", "create_log_group", properties, LogGroupName=name)
    else:
        name = before.physical_resource_id
    aws("logs", "put_retention_policy", LogGroupName=name, RetentionInDays=days)
    return name, {"Arn": arn("logs", f"log-group:{name}:*")}


@made("AWS::IAM::ManagedPolicy")
def managed_policy(name, properties, before):
    if before is None:
        return aws("iam", "create_policy", properties, PolicyName=name)["Policy"]["Arn"], {}
    identity = before.physical_resource_id
    aws("iam", "create_policy_version", PolicyArn=identity, PolicyDocument=properties["PolicyDocument"], SetAsDefault=True)
    return identity, {}


@made("AWS::IAM::Role", "Arn")
def role(name, properties, before):
    attached, inline = properties.pop("ManagedPolicyArns", []), properties.pop("Policies", [])
    if before is None:
        aws("iam", "create_role", properties, RoleName=name)
    else:
        name = before.physical_resource_id
        for policy in before.properties.get("ManagedPolicyArns", []):
            aws("iam", "detach_role_policy", RoleName=name, PolicyArn=policy)
        for policy in before.properties.get("Policies", []):
            aws("iam", "delete_role_policy", RoleName=name, PolicyName=policy["PolicyName"])
        aws("iam", "put_role_permissions_boundary", RoleName=name, PermissionsBoundary=properties["PermissionsBoundary"])
    for policy in attached:
        aws("iam", "attach_role_policy", RoleName=name, PolicyArn=policy)
    for policy in inline:
        # SAM's own policies have no version. moto requires a version, but IAM doesn't.
        document = {"Version": "2012-10-17"} | policy["PolicyDocument"]
        aws("iam", "put_role_policy", RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=document)
    return name, {"Arn": f"arn:aws:iam::{ACCOUNT}:role/{name}"}


@made("AWS::Lambda::Function", "Arn")
def function(name, properties, before):
    reserved = properties.pop("ReservedConcurrentExecutions", None)
    properties["Tags"] = {each["Key"]: each["Value"] for each in properties.pop("Tags", [])}
    if before is None:
        aws("lambda", "create_function", properties, FunctionName=name)
    else:
        name = before.physical_resource_id
        code = properties.pop("Code")
        del properties["Tags"]
        aws("lambda", "update_function_code", code, FunctionName=name, Architectures=properties.pop("Architectures"))
        aws("lambda", "update_function_configuration", properties, FunctionName=name)
    if reserved is not None:
        aws("lambda", "put_function_concurrency", FunctionName=name, ReservedConcurrentExecutions=reserved)
    return name, {"Arn": arn("lambda", f"function:{name}")}


@made("AWS::Lambda::Version", "Version")
def version(name, properties, before):
    published = aws("lambda", "publish_version", properties)
    return f"{arn('lambda', 'function:' + properties['FunctionName'])}:{published['Version']}", {"Version": published["Version"]}


@made("AWS::Lambda::Alias")
def alias(name, properties, before):
    return aws("lambda", "update_alias" if before else "create_alias", properties)["AliasArn"], {}


@made("AWS::Lambda::Permission")
def permission(name, properties, before):
    if before:
        return before.physical_resource_id, {}
    # The permission is for an alias or for the function.
    called, _, qualifier = properties.pop("FunctionName").removeprefix(arn("lambda", "function:")).partition(":")
    aws("lambda", "add_permission", properties, FunctionName=called, StatementId=name, **({"Qualifier": qualifier} if qualifier else {}))
    return name, {}


@made("AWS::Lambda::EventInvokeConfig")
def event_invoke_config(name, properties, before):
    aws("lambda", "put_function_event_invoke_config", properties)
    return name, {}


@made("AWS::ApiGateway::RestApi", "RootResourceId")
def rest_api(name, properties, before):
    body = properties.pop("Body")
    # The parameters of the import only repeat EndpointConfiguration.
    properties.pop("Parameters")
    # moto's import reads only the methods of the document, so read its other parts here.
    closed = body["servers"][0]["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"]
    responses = body.pop("x-amazon-apigateway-gateway-responses", {})
    body["paths"] = {
        path: {"any" if method == "x-amazon-apigateway-any-method" else method: about for method, about in methods.items()}
        for path, methods in body["paths"].items()
    }
    if before is None:
        identity = aws("apigateway", "create_rest_api", properties, DisableExecuteApiEndpoint=closed)["id"]
    else:
        identity = before.physical_resource_id
        # moto treats the string "false" as true.
        aws(
            "apigateway",
            "update_rest_api",
            RestApiId=identity,
            PatchOperations=[{"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "true" if closed else ""}],
        )
    aws("apigateway", "put_rest_api", RestApiId=identity, Mode="overwrite", Body=json.dumps(body))
    for kind, response in responses.items():
        aws("apigateway", "put_gateway_response", response, RestApiId=identity, ResponseType=kind)
    return identity, {}


@made("AWS::ApiGateway::Deployment", "DeploymentId")
def deployment(name, properties, before):
    identity = aws("apigateway", "create_deployment", RestApiId=properties["RestApiId"])["id"]
    return identity, {"DeploymentId": identity}


@made("AWS::ApiGateway::Stage")
def stage(name, properties, before):
    settings, logs = properties.pop("MethodSettings"), properties.pop("AccessLogSetting", {})
    of = {"RestApiId": properties["RestApiId"], "StageName": properties["StageName"]}
    changes = [(f"/accessLogSettings/{key[0].lower()}{key[1:]}", value) for key, value in logs.items()]
    paths = {"MetricsEnabled": "metrics/enabled", "ThrottlingRateLimit": "throttling/rateLimit", "ThrottlingBurstLimit": "throttling/burstLimit"}
    for setting in settings:
        method = f"{setting.pop('ResourcePath')}/{setting.pop('HttpMethod')}"
        changes += [(f"{method}/{paths[key]}", value if isinstance(value, str) else json.dumps(value)) for key, value in setting.items()]
    if before is None:
        aws("apigateway", "create_stage", properties)
    else:
        changes += [("/deploymentId", properties["DeploymentId"]), ("/tracingEnabled", json.dumps(properties["TracingEnabled"]))]
        changes += [(f"/variables/{key}", value) for key, value in properties["Variables"].items()]
    aws("apigateway", "update_stage", of, PatchOperations=[{"op": "replace", "path": path, "value": value} for path, value in changes])
    return properties["StageName"], {}


@made("AWS::ApiGateway::Account")
def gateway_account(name, properties, before):
    aws("apigateway", "update_account", PatchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": properties["CloudWatchRoleArn"]}])
    return name, {}


@made("AWS::ApiGateway::DomainName", "RegionalDomainName", "RegionalHostedZoneId")
def domain_name(name, properties, before):
    if before is None:
        aws("apigateway", "create_domain_name", properties)
    # moto doesn't return the domain's target.
    return properties["DomainName"], {"RegionalDomainName": f"d-1.execute-api.{REGION}.amazonaws.com", "RegionalHostedZoneId": "Z1UJRXOUMOOFQ8"}


@made("AWS::ApiGateway::BasePathMapping")
def base_path_mapping(name, properties, before):
    if before is None:
        aws("apigateway", "create_base_path_mapping", properties)
    return properties["DomainName"], {}


@made("AWS::CloudWatch::Alarm", "Arn")
def alarm(name, properties, before):
    name = before.physical_resource_id if before else name
    aws("cloudwatch", "put_metric_alarm", properties, AlarmName=name)
    return name, {"Arn": arn("cloudwatch", f"alarm:{name}")}


@made("AWS::CodeDeploy::Application")
def application(name, properties, before):
    if before is None:
        aws("codedeploy", "create_application", properties, ApplicationName=name)
    return before.physical_resource_id if before else name, {}


@made("AWS::CodeDeploy::DeploymentGroup")
def deployment_group(name, properties, before):
    if before is None:
        aws("codedeploy", "create_deployment_group", properties, DeploymentGroupName=name)
    return before.physical_resource_id if before else name, {}


@made("AWS::WAFv2::WebACL", "Arn")
def web_acl(name, properties, before):
    if before:
        return before.physical_resource_id, {}
    return name, {"Arn": aws("wafv2", "create_web_acl", properties, Name=name)["Summary"]["ARN"]}


@made("AWS::WAFv2::WebACLAssociation")
def web_acl_association(name, properties, before):
    aws("wafv2", "associate_web_acl", properties)
    return name, {}


@made("AWS::Backup::BackupVault", "BackupVaultArn")
def backup_vault(name, properties, before):
    if before:
        return before.physical_resource_id, {}
    return properties["BackupVaultName"], {"BackupVaultArn": aws("backup", "create_backup_vault", properties)["BackupVaultArn"]}


@made("AWS::Backup::BackupPlan")
def backup_plan(name, properties, before):
    plan = properties["BackupPlan"]
    rules = [{"TargetBackupVaultName" if key == "TargetBackupVault" else key: value for key, value in rule.items()} for rule in plan.pop("BackupPlanRule")]
    return aws("backup", "create_backup_plan", BackupPlan=plan | {"Rules": rules})["BackupPlanId"], {}


@made("AWS::Backup::BackupSelection")
def backup_selection(name, properties, before):
    """Compares the properties with AWS's model, because moto doesn't support backup selections."""
    model = client("backup").meta.service_model.operation_model("CreateBackupSelection")
    fitting(model.input_shape, properties, name)
    return name, {}


@made("AWS::Budgets::Budget")
def budget(name, properties, before):
    if before is None:
        aws("budgets", "create_budget", properties, AccountId=ACCOUNT)
    return properties["Budget"]["BudgetName"], {}
