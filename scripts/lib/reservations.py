"""The function instances that a deployment reserves, and whether the AWS account has room for them.
template.yaml says which functions reserve instances, and which parameter contains their number."""

from template import load_template

# AWS always keeps this many instances for functions without reserved instances.
UNRESERVED = 100
# The quota that AWS grants most accounts on request.
USUAL = 1000


def functions_by_parameter():
    """Returns how many functions reserve the number of instances in a parameter, by parameter."""
    template, counts = load_template(), {}
    for resource in template["Resources"].values():
        reserved = resource.get("Properties", {}).get("ReservedConcurrentExecutions")
        if reserved is not None:
            # !If [HasAskConcurrency, !Ref AskConcurrency, !Ref AWS::NoValue]
            name = reserved["If"][1]["Ref"]
            counts[name] = counts.get(name, 0) + 1
    return {name: counts[name] for name in template["Parameters"] if name in counts}


def request(quota):
    """Returns the command that asks AWS for a quota of instances."""
    return f"aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value {quota}"


class Reservations:
    """The reservations of a deployment with these parameters. A parameter that is missing has its
    default."""

    def __init__(self, parameters):
        defaults = load_template()["Parameters"]
        self.functions = functions_by_parameter()
        self.instances = {name: int(parameters.get(name) or defaults[name]["Default"]) for name in self.functions}

    def of(self, name):
        """The instances that all functions with this parameter reserve together."""
        return self.instances[name] * self.functions[name]

    @property
    def total(self):
        return sum(map(self.of, self.functions))

    def largest(self, name, quota):
        """Returns the largest value of a parameter that fits into a quota, with the present values of
        the other parameters."""
        return max(0, (quota - UNRESERVED - self.total + self.of(name)) // self.functions[name])

    def refusal(self, quota, elsewhere=0):
        """Returns a sentence if the reservations don't fit, or None. `elsewhere` is the number of
        instances that other functions in the account and region reserve."""
        if self.total == 0 or self.total + elsewhere + UNRESERVED <= quota:
            return None
        used = [name for name in self.functions if self.instances[name]]
        parts = [f"{name}={self.instances[name]} for each of {self.functions[name]} functions" for name in used]
        others = f", other functions reserve {elsewhere}" if elsewhere else ""
        most = max(used, key=self.of)
        largest = self.largest(most, quota - elsewhere)
        fitting = f"The largest {most} that fits is {largest}" if largest else f"No reservation fits: set {' and '.join(f'{name}=0' for name in used)}"
        return (
            f"{' and '.join(parts)} reserve {self.total} of {quota} instances{others}, and AWS keeps {UNRESERVED} for functions that reserve none, so "
            f"the deployment would fail. {fitting}. For more, ask for a higher quota, and wait until AWS has granted it: "
            f"{request(max(USUAL, self.total + elsewhere + UNRESERVED))}"
        )


def elsewhere(quota, unreserved, deployed):
    """Returns how many instances other functions reserve. `unreserved` is the account's number of
    unreserved instances, and `deployed` the parameters of the stack as it is deployed, or None."""
    own = Reservations(deployed).total if deployed is not None else 0
    # While a restore has stopped the stack's functions, they reserve nothing.
    return max(0, quota - unreserved - own)


def recommended(quota, free):
    """Returns values for all parameters that leave one in `free` instances unreserved. Functions that
    hash passwords get few instances, and all others share the rest equally."""
    counts = functions_by_parameter()
    hashing = quota // 50
    rest = quota - quota // free - hashing * counts["HashConcurrency"]
    asking = sum(count for name, count in counts.items() if name != "HashConcurrency")
    return {name: hashing if name == "HashConcurrency" else rest // asking for name in counts}
