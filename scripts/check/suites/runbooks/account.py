"""The AWS account in which the commands run. moto emulates AWS. The account contains a deployment of
the profile prod, whose tables contain the recorded release's store (tests/recorded)."""

import copy
import json
import re
import threading
import time
import warnings
from datetime import UTC, datetime
from unittest.mock import patch

from moto import mock_aws
from moto.awslambda import models as functions
from moto.cloudformation import cloudformation_backends, models
from moto.cloudformation.responses import CloudFormationResponse
from moto.dynamodb.models import DynamoDBBackend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sns.models import sns_backends
from werkzeug.serving import WSGIRequestHandler, make_server

from suites.runbooks.cases import ACCOUNT, OWN, REGION
from suites.runbooks.pages import ROOT
from suites.stacks.rehearsal import BUCKET, Stack, check_resolved
from suites.stacks.resources import client

# Replies to calls that moto doesn't know, by path.
LIMITS = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000, "TotalCodeSize": 80530636800}
REPLIES = {
    "/2016-08-19/account-settings": {"AccountLimit": LIMITS, "AccountUsage": {"TotalCodeSize": 2000000000}},
    "/v2/email/account": {
        "ProductionAccessEnabled": True,
        "SendingEnabled": True,
        "EnforcementStatus": "HEALTHY",
        "SendQuota": {"Max24HourSend": 50000, "MaxSendRate": 14},
    },
    "/foundation-model-availability/": {
        "regionAvailability": "AVAILABLE",
        "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE",
        "agreementAvailability": {"status": "AVAILABLE"},
    },
    # Stripe's lists.
    "/stripe/v1/": {"object": "list", "data": [], "has_more": False},
}
PROTECTED = "<UpdateTerminationProtectionResponse><UpdateTerminationProtectionResult/></UpdateTerminationProtectionResponse>"
REHEARSAL = {"Protection": "off", "AskConcurrency": "0", "ProgramConcurrency": "0", "HashConcurrency": "0"}
KEYS = {"KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}]}


class Quiet(WSGIRequestHandler):
    def log(self, *_):
        pass


class Services:
    """Serves moto, and the replies that moto lacks."""

    def __init__(self):
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=Quiet)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __call__(self, environment, start):
        path = environment["PATH_INFO"]
        reply = next((reply for begin, reply in REPLIES.items() if path.startswith(begin)), None)
        if reply is None:
            return self.moto(environment, start)
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(reply).encode()]


def restorable(backend, table):
    """Describes a table's backups. In moto, a table can only be restored to the moment at which its
    recovery was turned on."""
    found = backend.get_table(table).continuous_backups
    recovery = found["PointInTimeRecoveryDescription"]
    if recovery["PointInTimeRecoveryStatus"] == "ENABLED":
        recovery |= {"EarliestRestorableDateTime": time.time() - 3600, "LatestRestorableDateTime": time.time()}
    return found


class Account:
    """The account, with the stacks farebox-prod and farebox-old, and the stack of a rehearsal."""

    def __init__(self, of, api):
        warnings.simplefilter("ignore")
        check_resolved()
        # moto lists resources whose condition is false, and can then describe none.
        models.Stack.stack_resources = property(lambda stack: [each for each in stack.resource_map.values() if each])
        # moto would run functions in Docker. A result is its text, whether it failed, and its log.
        functions.LambdaFunction._invoke_lambda = lambda *_, **__: ("null", False, "")
        DynamoDBBackend.describe_continuous_backups = restorable
        CloudFormationResponse.update_termination_protection = lambda _: PROTECTED
        mock_aws().start()
        client("s3").create_bucket(Bucket=BUCKET)
        topic = client("sns").create_topic(Name="farebox-alarms")["TopicArn"]
        assert topic == OWN["AlarmTopicArn"], topic
        client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="you@example.com")
        policy = {"Statement": [{"Principal": {"Service": ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]}}]}
        sns_backends[ACCOUNT][REGION].topics[topic].subscriptions_confimed = 1
        client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(policy))
        of["template"]["Outputs"]["Url"]["Value"] = api
        rehearsal = copy.deepcopy(of) | {"name": "rehearsal-0", "parameters": of["parameters"] | REHEARSAL}
        # As in suites/stacks/rehearsal.py.
        with patch.object(models.yaml, "load", lambda text, Loader: json.loads(text)):
            self.prod = Stack(of)
            Stack(rehearsal)
        # moto returns a list's parameter as Python prints it.
        for stack in cloudformation_backends[ACCOUNT][REGION].stacks.values():
            values = stack.resource_map.resolved_parameters
            values.update({name: ",".join(value) for name, value in values.items() if isinstance(value, list)})
        self.fill()
        old = {"Resources": {"UsersTable": {"Type": "AWS::SNS::Topic"}}}
        client("cloudformation").create_stack(StackName="farebox-old", TemplateBody=json.dumps(old))
        self.spares = 0
        self.services = Services()

    def fill(self):
        """Puts the recorded items into the tables."""
        for line in (ROOT / "tests/recorded/store.jsonl").open():
            recorded = json.loads(line)
            if "item" in recorded:
                client("dynamodb").put_item(TableName=self.tables[recorded["in"]], Item=recorded["item"])
            elif "signing_secret" in recorded:
                self.signing_secret = recorded["signing_secret"]

    @property
    def tables(self):
        return {name: value for name, value in self.prod.outputs.items() if name.endswith("Table")}

    def described(self, secret):
        """Returns what DescribeStacks says to the program `farebox`. The program would call AWS
        itself, so two outputs name moto and the file with the signing secret instead."""
        (stack,) = client("cloudformation").describe_stacks(StackName=self.prod.name)["Stacks"]
        outputs = [each for each in stack["Outputs"] if each["OutputKey"] != "SigningSecret"]
        own = {"DynamodbEndpoint": self.services.url, "SigningSecret": f"file://{secret}"}
        outputs += [{"OutputKey": name, "OutputValue": value} for name, value in own.items()]
        return {"Stacks": [{key: stack.get(key, []) for key in ("StackName", "StackId", "Parameters")} | {"Outputs": outputs}]}

    def has_production(self, is_so):
        """Sets whether the stack farebox-prod reserves its function instances. The first deployment
        begins in an empty account."""
        reserved = sum(int(each["Properties"].get("ReservedConcurrentExecutions", 0)) for each in self.prod.of["resolved"].values())
        LIMITS["UnreservedConcurrentExecutions"] = LIMITS["ConcurrentExecutions"] - (reserved if is_so else 0)

    def account_id(self, name):
        """Returns the id of the account with this username."""
        return client("dynamodb").get_item(TableName=self.tables["UsersTable"], Key={"pk": {"S": f"user:{name}"}})["Item"]["id"]["S"]

    def spare_table(self):
        """Creates a table that a command may change or delete."""
        self.spares += 1
        name, own = f"spare-{self.spares}", {"BillingMode": "PAY_PER_REQUEST", **KEYS}
        index = {"IndexName": "by_time", "KeySchema": KEYS["KeySchema"], "Projection": {"ProjectionType": "ALL"}}
        client("dynamodb").create_table(TableName=name, GlobalSecondaryIndexes=[index], DeletionProtectionEnabled=True, **own)
        return name

    def spare_secret(self):
        return client("secretsmanager").create_secret(Name="spare", SecretString="x")["ARN"]

    def certificate(self):
        return client("acm").request_certificate(DomainName="api.example.com")["CertificateArn"]

    def function(self):
        """Returns the name of a function with an alias."""
        return self.prod.ids["ChatFunction"]

    def spare_version(self):
        """Publishes a version of this function that no alias uses, and returns its number."""
        of = client("lambda")
        of.update_function_configuration(FunctionName=self.function(), Description=self.now())
        return of.publish_version(FunctionName=self.function())["Version"]

    def now(self):
        return re.sub(r"\.\d+\+00:00$", "Z", datetime.now(UTC).isoformat())

    def batches(self):
        """Returns the ids of all batches of vouchers."""
        items = client("dynamodb").scan(TableName=self.tables["TokensTable"])["Items"]
        return {item["pk"]["S"].removeprefix("vouchers:") for item in items if item["pk"]["S"].startswith("vouchers:")}

    def replaced_key(self):
        """Returns the id of a public key that doesn't belong to the signing key."""
        items = client("dynamodb").scan(TableName=self.tables["KeysTable"])["Items"]
        return min(items, key=lambda item: int(item["from"]["N"]))["kid"]["S"]
