"""The function instances that a deployment reserves, and whether the AWS account has room for them.
template.yaml says which functions reserve instances, and which parameter contains their number."""

from template import load_template

# AWS always keeps this many instances for functions without reserved instances.
UNRESERVED = 100
# The quota that AWS grants most accounts on request.
USUAL = 1000
# The parameter for functions that hash passwords. The other functions that reserve instances wait
# for the AI.
HASHING = "HashConcurrency"


def parameter_of_each(template):
    """Returns the parameter that contains the number of a function's reserved instances, by the
    function's logical id."""
    found = {}
    for name, resource in template["Resources"].items():
        reserved = resource.get("Properties", {}).get("ReservedConcurrentExecutions")
        if reserved is not None:
            # !If [HasAskConcurrency, !Ref AskConcurrency, !Ref AWS::NoValue]
            ((_, choice),) = reserved.items()
            found[name] = choice[1]["Ref"]
    return found


def request(quota):
    """Returns the command that asks AWS for a quota of instances."""
    return f"aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value {quota}"


class Reservations:
    """The reservations of a deployment with these parameters. A parameter that is missing has its
    default. The template is the one in the checkout, unless another one is given."""

    def __init__(self, parameters, template=None):
        template = template or load_template()
        self.parameters = parameter_of_each(template)
        used = [name for name in template.get("Parameters", {}) if name in self.parameters.values()]
        self.functions = {name: list(self.parameters.values()).count(name) for name in used}
        self.instances = {name: int(parameters.get(name) or template["Parameters"][name]["Default"]) for name in used}

    def of(self, name):
        """The instances that all functions with this parameter reserve together."""
        return self.instances[name] * self.functions[name]

    @property
    def total(self):
        return sum(map(self.of, self.functions))

    def of_function(self, function):
        """The instances that a function reserves."""
        return self.instances[self.parameters[function]] if function in self.parameters else 0

    def largest(self, name, quota):
        """Returns the largest value of a parameter that fits into a quota, with the present values of
        the other parameters."""
        return max(0, (quota - UNRESERVED - self.total + self.of(name)) // self.functions[name])

    def refusal(self, quota, unreserved=None, deployed=None):
        """Returns a sentence if AWS may refuse the reservations, or None. `unreserved` is the
        account's number of unreserved instances, and `deployed` are the reservations of the stack as
        it is deployed, or None."""
        unreserved = quota - (deployed.total if deployed else 0) if unreserved is None else unreserved
        others = elsewhere(quota, unreserved, deployed)
        if self.total and self.total + others + UNRESERVED > quota:
            return self.too_many(quota, others)
        if deployed:
            return self.too_many_meanwhile(quota, unreserved, deployed)
        return None

    def too_many(self, quota, elsewhere):
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

    def too_many_meanwhile(self, quota, unreserved, deployed):
        """CloudFormation may raise some reservations before it lowers others. Returns a sentence if
        AWS may refuse one of them meanwhile, or None."""
        rising = sum(max(0, self.of_function(name) - deployed.of_function(name)) for name in self.parameters)
        if not rising or unreserved - rising >= UNRESERVED:
            return None
        lower = {}
        for function, name in deployed.parameters.items():
            if self.of_function(function) < deployed.of_function(function):
                lower[name] = min(lower.get(name, self.of_function(function)), self.of_function(function))
        return (
            f"While it updates the stack, CloudFormation may reserve {rising} more instances before it gives others back. {unreserved} of {quota} are "
            f"unreserved, and AWS keeps {UNRESERVED} for functions that reserve none, so the deployment would fail. First lower reservations with the "
            f"release that is deployed: {' '.join(f'{name}={value}' for name, value in lower.items())}"
        )


def elsewhere(quota, unreserved, deployed):
    """Returns how many instances other functions reserve. `unreserved` is the account's number of
    unreserved instances, and `deployed` are the reservations of the stack as it is deployed, or
    None."""
    own = deployed.total if deployed else 0
    # While a restore has stopped the stack's functions, they reserve nothing.
    return max(0, quota - unreserved - own)


def recommended(quota, free):
    """Returns values for all parameters that leave one in `free` instances unreserved. Functions that
    hash passwords get few instances, and all others share the rest equally."""
    counts = Reservations({}).functions
    hashing = quota // 50
    rest = quota - quota // free - hashing * counts[HASHING]
    asking = sum(count for name, count in counts.items() if name != HASHING)
    return {name: hashing if name == HASHING else rest // asking for name in counts}
