"""Reads the commands in docs/operate: the fenced shell blocks, and the commands in sentences and
tables."""

import itertools
import pathlib
import re
import textwrap
from dataclasses import dataclass, field

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[4]
FOLDER = ROOT / "docs/operate"
FENCE = re.compile(r"^( *)```(\w*)$")
# A command in a sentence or a table cell, which may begin with a variable's assignment.
COMMAND = re.compile(r"([A-Z]+=\$\()?(farebox |manage |cargo run -- |aws |scripts/)|[A-Z]+=\$\((output|resource) ")
# The functions that docs/operate/first-deployment.md defines.
FUNCTION = re.compile(r"(rehearse|cure|alarm|stops)\b(?! is)")


@dataclass
class Command:
    """A block, or a command in a sentence. `text` is the command as the page shows it."""

    page: str
    section: str
    line: int
    text: str
    is_block: bool
    result: str = ""
    places: list = field(default_factory=list)

    @property
    def where(self):
        return f"docs/operate/{self.page}:{self.line}"

    @property
    def title(self):
        """The beginning of the command, in one line."""
        return " ".join(self.text.split())[:60]


def lines_of(path):
    """Yields each line of a page, with its number, its section, and the language of its block or
    None."""
    section, language = "", None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if fence and language is None:
            language = fence[2] or "text"
            continue
        if fence and not fence[2]:
            language = None
        elif language is not None:
            yield number, section, language, line
        else:
            if line.startswith("#"):
                section = line.lstrip("# ")
            yield number, section, None, line


def blocks_of(path, *languages):
    """Yields each block in one of these languages: its first line, its section and its text."""
    for language, lines in itertools.groupby(lines_of(path), key=lambda each: each[2]):
        if language in languages:
            lines = list(lines)
            number, section, _, _ = lines[0]
            yield number, section, textwrap.dedent("\n".join(line for *_, line in lines)) + "\n"


def spans_of(path):
    """Yields each code span that is a command: its line, its section and its text."""
    prose = [(number, section, line) for number, section, language, line in lines_of(path) if language is None]
    text = "\n".join(line for _, _, line in prose)
    starts, at = [], 0
    for _, _, line in prose:
        starts.append(at)
        at += len(line) + 1
    for span in re.finditer(r"(?<!`)`([^`]+)`(?!`)", text):
        if "\n\n" in span[1]:
            continue
        shown = " ".join(span[1].split()).replace("\\|", "|")
        if COMMAND.match(shown) or path.name == "first-deployment.md" and FUNCTION.match(shown):
            number, section, _ = prose[max(index for index, start in enumerate(starts) if start <= span.start())]
            yield number, section, shown


def builds_of(path):
    """Yields the commands of each CodeBuild project that a page shows."""
    for line, section, text in blocks_of(path, "yaml"):
        project = yaml.safe_load(text)
        variables = [f"export {name}={value}" for name, value in project["env"]["variables"].items()]
        yield line, section, " &&\n".join([*variables, *project["phases"]["build"]["commands"]]) + "\n"


def commands_of(path):
    """Returns a page's commands, in order."""
    blocks = [Command(path.name, section, line, text, True) for line, section, text in [*blocks_of(path, "sh"), *builds_of(path)]]
    spans = [Command(path.name, section, line, text, False) for line, section, text in spans_of(path)]
    return sorted(blocks + spans, key=lambda each: each.line)


def pages(names=()):
    """Returns the pages with these names, or all."""
    found = sorted(FOLDER.glob("*.md"))
    return [path for path in found if path.name in names] if names else found
