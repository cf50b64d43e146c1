"""Checks that the names in the blocks of docs/operate exist: parameters, outputs, resources, tables,
indexes, functions, settings, and the log's messages."""

import re
import sys

from suites.runbooks.pages import FOLDER, ROOT, blocks_of, commands_of, pages

sys.path.insert(0, str(ROOT / "scripts/lib"))
from template import load_template, routes_of

SOURCES = ("functions/src", "local/src", "shared/src")


def settings():
    """Returns the names of all settings, as docs/operate/configuration.md lists them."""
    text = (FOLDER / "configuration.md").read_text()
    return set(re.findall(r"^\| `([A-Z0-9_]+)`", text, re.MULTILINE))


def functions_in(text):
    """Returns the functions in a query's patterns, such as /(Sweep|Erase)Function/."""
    for group in re.findall(r"\(([A-Za-z|]+)\)Function", text):
        yield from (f"{name}Function" for name in group.split("|"))
    yield from re.findall(r"/(\w+Function)/", text)


def loops(text):
    """Returns the loops over tables, as the names and what becomes of them."""
    for variable, names, body in re.findall(r"for (\w+) in ([\w ]+); do(.*?)done", text, re.DOTALL):
        if f"${{{variable}}}Table" in body:
            yield [f"{name}Table" for name in names.split()]


def unknown(resources):
    """Returns a sentence for each unknown name. `resources` are the resources of the deployed
    stack."""
    template = load_template()
    tables = {name: each["Properties"] for name, each in resources.items() if each["Type"] == "AWS::DynamoDB::Table"}
    indexes = {index["IndexName"] for of in tables.values() for kind in ("Global", "Local") for index in of.get(f"{kind}SecondaryIndexes", [])}
    source = "\n".join(path.read_text() for folder in SOURCES for path in sorted((ROOT / folder).rglob("*.rs")))
    known = {
        "parameter": (template["Parameters"], r"(?<![\w.-])([A-Z][a-z]\w+)=(?!=)(?=[\w.\"'$*:/-])"),
        "output": (template["Outputs"] | {"Commit": ""}, r"OutputKey=='([A-Z]\w+)'|\(output (\w+)\)"),
        "stack's parameter": (template["Parameters"], r"ParameterKey=='(\w+)'"),
        "resource": (resources, r"(?:--logical-resource-id|--resources-to-skip|\(resource) ([A-Z]\w+)"),
        "index": (indexes | {"INDEX"}, r'"IndexName": "(\w+)"'),
        "setting": (settings() | OF_OTHERS, r"(?:^|[ (])([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)=(?=\S+ .*(?:cargo run|farebox)|sk-)"),
    }
    lambdas = {name for name, each in resources.items() if each["Type"] == "AWS::Lambda::Function"}
    background = lambdas - {name for _, _, name in routes_of(template)}
    wrong = []
    for path in pages():
        for command in commands_of(path):
            for kind, (names, pattern) in known.items():
                if kind == "parameter" and not re.search(r"scripts/(deploy|preflight)|sam deploy|rehearse|cure", command.text):
                    continue
                found = [next(filter(None, groups)) if isinstance(groups, tuple) else groups for groups in re.findall(pattern, command.text, re.MULTILINE)]
                wrong += [f"{command.where}: there is no {kind} {name}" for name in found if name not in names]
            for names in loops(command.text) if command.is_block else ():
                if sorted(names) != sorted(tables):
                    wrong.append(f"{command.where}: the loop is over {', '.join(names)}, and the stack has {', '.join(tables)}")
        for line, _, text in blocks_of(path, "text"):
            where = f"docs/operate/{path.name}:{line}"
            named = set(functions_in(text))
            wrong += [f"{where}: there is no function {name}" for name in sorted(named - lambdas)]
            # A query about background work names all of its functions.
            if len(named & background) > 2 and (missing := sorted(background - named)):
                wrong.append(f"{where}: the query leaves out {', '.join(missing)}")
            for message in re.findall(r'message = "([^"]+)"', text):
                if f'"{message}"' not in source:
                    wrong.append(f'{where}: no function logs "{message}"')
    return wrong


# Settings of other programs, and names that a block defines for itself.
OF_OTHERS = {"AWS_REGION", "AWS_DEFAULT_REGION"}
