"""Code for the operators' scripts that use AWS: the stack that a command changes, and messages for
calls that AWS refuses. boto3 comes with aws-sam-cli."""

import contextlib
import os
import sys

import boto3
from botocore import exceptions

EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
UNKNOWN = {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure"}


def sentence(error):
    """Returns a sentence that says what a boto3 error means, and what to do."""
    if isinstance(error, exceptions.ClientError):
        code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
        if code in EXPIRED:
            return "the AWS credentials have expired: log in again, such as with `aws sso login`"
        if code in UNKNOWN:
            return "AWS doesn't accept the credentials: check AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN"
        return f"AWS refuses {error.operation_name}: {code}: {message}"
    if isinstance(error, exceptions.NoCredentialsError):
        return "there are no AWS credentials: export AWS_PROFILE, or log in, such as with `aws sso login`"
    if isinstance(error, (exceptions.SSOError, exceptions.LoginError, exceptions.TokenRetrievalError)):
        return "the AWS credentials have expired: log in again, such as with `aws sso login`"
    return f"AWS can't be asked: {error}"


@contextlib.contextmanager
def sentences():
    """Exits with a sentence if AWS can't be reached or refuses a call, or if Ctrl-C is pressed."""
    try:
        yield
    except (exceptions.BotoCoreError, exceptions.ClientError) as error:
        sys.exit(f"error: {sentence(error)}")
    except ValueError as error:
        # This is boto3's only refusal with a different type.
        if "Invalid endpoint" not in str(error):
            raise
        sys.exit(f"error: AWS can't be asked: {error}. Check AWS_ENDPOINT_URL.")
    except KeyboardInterrupt:
        sys.exit("interrupted")


class Stack:
    """A stack as CloudFormation describes it."""

    def __init__(self, described):
        self.name, self.status = described["StackName"], described["StackStatus"]
        self.parameters = {each["ParameterKey"]: each.get("ParameterValue", "") for each in described.get("Parameters", [])}
        self.outputs = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}
        self.is_termination_protected = described.get("EnableTerminationProtection", False)
        self.triggers = [each["Arn"] for each in described.get("RollbackConfiguration", {}).get("RollbackTriggers", [])]

    @property
    def commit(self):
        """The commit that was built, or `unknown`."""
        return self.outputs.get("Commit", "unknown")

    @property
    def is_farebox(self):
        """Returns true if template.yaml created the stack. A stack whose first change set was never
        executed has no parameters."""
        return {"Protection", "ChatPrice"} <= self.parameters.keys() or self.status == "REVIEW_IN_PROGRESS"


def find(name):
    """Returns the stack with this name, or None."""
    try:
        return Stack(boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0])
    except exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError" and "does not exist" in error.response["Error"]["Message"]:
            return None
        raise


def target(name):
    """Prints the account and the stack that a command will use. Returns the stack, or None if it
    doesn't exist. Exits if it isn't Farebox's."""
    account = boto3.client("sts").get_caller_identity()["Account"]
    stack = find(name)
    state = f"{stack.status}, commit {stack.commit}" if stack else "which doesn't exist"
    print(f"account {account}, stack {name}, {state}", file=sys.stderr)
    if stack and not stack.is_farebox:
        sys.exit(f"{name} is not a stack of Farebox, because it lacks the parameters Protection and ChatPrice: nothing was changed")
    return stack


def existing(name):
    """Like `target`, for a command that needs the stack. Exits if it doesn't exist."""
    return target(name) or sys.exit(f"there is no stack {name} in {os.environ['AWS_REGION']}: check the name, AWS_REGION and the account")


def protected_tables(names):
    """Returns the tables that DynamoDB protects from deletion."""
    dynamodb = boto3.client("dynamodb")
    protected = []
    for name in names:
        try:
            if dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
                protected.append(name)
        except dynamodb.exceptions.ResourceNotFoundException:
            pass
    return protected


def protection_of(stack):
    """Returns the reason why the stack's data must be kept, or None if its tables may be
    deleted."""
    if stack.parameters.get("Protection") == "on":
        return f"{stack.name} has Protection=on"
    tables = protected_tables(value for name, value in sorted(stack.outputs.items()) if name.endswith("Table"))
    return f"{stack.name} has protected tables ({', '.join(tables)})" if tables else None
