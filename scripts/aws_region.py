"""The AWS region of the operators' scripts, from the environment.

boto3 and SAM CLI read AWS_DEFAULT_REGION, the AWS CLI reads AWS_REGION first, and `manage` does too. If only one of them were set, parts
of one deployment could go to two regions, such as the one of ~/.aws/config.
"""
import os
import sys

NAMES = ("AWS_REGION", "AWS_DEFAULT_REGION")


def choose():
    """Returns the region that the environment names by either variable, sets the other one too, and prints it. Ends if there is none, or two
    different ones."""
    regions = {os.environ[name] for name in NAMES if os.environ.get(name)}
    if not regions:
        sys.exit("no region is set: export AWS_REGION, such as AWS_REGION=eu-central-1")
    if len(regions) > 1:
        sys.exit(" and ".join(f"{name} is {os.environ[name]}" for name in NAMES) + ": set both to the region that you mean")
    region = regions.pop()
    os.environ.update(dict.fromkeys(NAMES, region))
    print(f"region {region}", file=sys.stderr)
    return region
