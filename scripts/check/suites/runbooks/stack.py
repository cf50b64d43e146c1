"""Prints the stack of the profile prod, which SAM's own translator expands. Needs aws-sam-cli."""

import json
import sys

sys.path.insert(0, "../lib")
from suites.runbooks.cases import OWN
from suites.stacks.templates import alarm_template, defaults, expansion, resolved
from template import parameters_of

values = parameters_of("prod") | OWN
template = expansion(None, 1795158001, **values)
parameters = defaults(template) | values
stack = {"name": "prod", "template": template, "alarms": alarm_template(), "parameters": parameters, "resolved": resolved(template, parameters)}
json.dump(stack, sys.stdout)
