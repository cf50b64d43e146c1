"""A stand-in for the AWS services that the operators' scripts call. Checks the parameters of each
call and the fields of each reply against AWS's models."""

import contextlib
import io
import json
import os
import sys
from unittest.mock import patch

from botocore.client import BaseClient
from botocore.validate import validate_parameters

from suites.release.built import built

ACCOUNT, REGION = "111122223333", "eu-central-1"
ENVIRONMENT = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}


def conforms(shape, value, path):
    """Asserts that AWS's model defines all fields of a reply."""
    if shape.type_name == "structure":
        for name, one in value.items():
            assert name in shape.members, f"{path} has no {name}"
            conforms(shape.members[name], one, f"{path}.{name}")
    elif shape.type_name == "list":
        for one in value:
            conforms(shape.member, one, path)


class Refused(Exception):
    """A refusal by AWS, with its code and its message."""


class Cloud:
    """One stack, its tables, and the calls that change them. Each read returns the next status;
    after the last one, the status no longer changes."""

    def __init__(
        self,
        statuses=("UPDATE_COMPLETE",),
        protection="on",
        tables=(),
        after_cancel=(),
        after_continue=(),
        refusals=(),
        triggers=(),
        is_protected=False,
        is_foreign=False,
        kept=(),
        quota=1000,
        unreserved=None,
        template=None,
    ):
        self.statuses, self.tables, self.triggers, self.is_protected = list(statuses), tables, triggers, is_protected
        self.after = {"CancelUpdateStack": after_cancel, "ContinueUpdateRollback": after_continue}
        self.parameters = {"Owner": "ann"} if is_foreign else {"Protection": protection, "ChatPrice": "100"} | dict(kept)
        self.quota, self.unreserved = quota, quota if unreserved is None else unreserved
        self.template = template
        self.commit, self.url = "0abc", None
        # The calls that AWS refuses, and the calls that change something, in the order in which
        # they are made.
        self.refusals, self.changes, self.looks = dict(refusals), [], 0

    def call(self, client, operation, parameters):
        model = client.meta.service_model.operation_model(operation)
        validate_parameters(parameters, model.input_shape)
        try:
            if operation in self.refusals:
                raise Refused(*self.refusals[operation])
            reply = getattr(self, operation)(**parameters) or {}
        except Refused as refused:
            code, message = refused.args
            raise client.exceptions.from_code(code)({"Error": {"Code": code, "Message": message}}, operation) from None
        if model.output_shape:
            conforms(model.output_shape, reply, operation)
        return reply

    def GetCallerIdentity(self):
        return {"Account": ACCOUNT}

    def GetAccountSettings(self):
        return {"AccountLimit": {"ConcurrentExecutions": self.quota, "UnreservedConcurrentExecutions": self.unreserved}}

    def DescribeStacks(self, StackName):
        if not self.statuses:
            raise Refused("ValidationError", f"Stack with id {StackName} does not exist")
        status = self.statuses[0]
        self.looks += 1
        assert self.looks < 50, f"{StackName} is {status} for ever"
        if len(self.statuses) > 1:
            self.statuses.pop(0)
        outputs = {"Commit": self.commit} | ({"Url": self.url} if self.url else {}) | {"UsersTable": f"{StackName}-users", "LedgerTable": f"{StackName}-ledger"}
        return {
            "Stacks": [
                {
                    "StackName": StackName,
                    "StackStatus": status,
                    "EnableTerminationProtection": self.is_protected,
                    "RollbackConfiguration": {"RollbackTriggers": [{"Arn": each, "Type": "AWS::CloudWatch::Alarm"} for each in self.triggers]},
                    "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()],
                    "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()],
                }
            ]
        }

    def GetTemplate(self, StackName, TemplateStage):
        return {"TemplateBody": json.dumps(built(self.template))}

    def DescribeTable(self, TableName):
        return {"Table": {"TableName": TableName, "DeletionProtectionEnabled": TableName in self.tables}}

    def ListTables(self):
        return {"TableNames": []}

    def ListStackResources(self, StackName):
        raise Refused("ValidationError", f"Stack with id {StackName} does not exist")

    def GetResources(self, **_):
        return {"ResourceTagMappingList": []}

    def CancelUpdateStack(self, StackName):
        self.changes.append("cancel")
        self.statuses = list(self.after["CancelUpdateStack"])

    def ContinueUpdateRollback(self, StackName):
        self.changes.append("continue")
        self.statuses = list(self.after["ContinueUpdateRollback"])

    def UpdateTerminationProtection(self, StackName, EnableTerminationProtection):
        self.changes.append("protect")
        self.is_protected = EnableTerminationProtection

    @contextlib.contextmanager
    def replaces_aws(self):
        with patch.dict(os.environ, ENVIRONMENT), patch.object(BaseClient, "_make_api_call", lambda client, *words: self.call(client, *words)):
            yield


def said(call, *words):
    """Runs a script's function. Returns its exit code and everything that it prints, with
    its exit message."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            code = call(*words) or 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
            if not isinstance(left.code, int):
                print(left.code, file=sys.stderr)
    return code, printed.getvalue()
