"""The AWS region of the operators' scripts, from the environment.

boto3 and SAM CLI read AWS_DEFAULT_REGION; the AWS CLI and `manage` read AWS_REGION first. If only
one of them were set, parts of a deployment could use a different region, such as the one in
~/.aws/config.
"""

import os
import sys

NAMES = ("AWS_REGION", "AWS_DEFAULT_REGION")


def choose():
    """Returns the region in either variable, sets both variables, and prints the region. Exits if
    neither is set or if they differ."""
    regions = {os.environ[name] for name in NAMES if os.environ.get(name)}
    if not regions:
        sys.exit("no region is set: export AWS_REGION, such as AWS_REGION=eu-central-1")
    if len(regions) > 1:
        sys.exit(" and ".join(f"{name} is {os.environ[name]}" for name in NAMES) + ": set both to the region that you mean")
    region = regions.pop()
    os.environ.update(dict.fromkeys(NAMES, region))
    print(f"region {region}", file=sys.stderr)
    return region
