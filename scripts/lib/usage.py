"""For the Python scripts: answers --help, rejects wrong calls, and prints errors without a
traceback."""

import argparse
import atexit
import os
import re
import select
import subprocess
import sys


class Parser(argparse.ArgumentParser):
    """Answers --help with a script's docstring, and a wrong call with the usage line in the
    docstring."""

    def __init__(self, manual):
        usage = re.search(r"^usage: (.+(?:\n .+)*)", manual, re.MULTILINE)
        super().__init__(usage=usage[1] if usage else "%(prog)s", allow_abbrev=False)
        self.manual = manual if usage else f"{manual}\n{self.format_usage()}"

    def format_help(self):
        return self.manual


def count(text):
    """Parses an argument that must be a whole number from 1."""
    if not re.fullmatch("[1-9][0-9]{0,17}", text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return int(text)


def has_reader(file):
    """Returns true if a file still has a reader."""
    try:
        file.flush()
    except BrokenPipeError:
        return False
    poll = select.poll()
    poll.register(file, 0)
    # A file without a buffer has nothing to flush.
    return not any(event & select.POLLERR for _, event in poll.poll(0))


@atexit.register
def is_read():
    """Returns true if the output and the messages still have a reader. If the reader (such as `head`)
    has ended, drops the rest."""
    closed = [file for file in (sys.stdout, sys.stderr) if file and not has_reader(file)]
    for file in closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
    return not closed


def sentence(error):
    """Says what an expected error means, and what to do. Returns None if the error is
    unexpected."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, ModuleNotFoundError):
        return (
            f"the package {error.name} is missing: run this script with the Python that has aws-sam-cli "
            "(python3 -m pip install --no-deps --requirement .ci/requirements.txt)"
        )
    if isinstance(error, FileNotFoundError) and error.filename and not os.path.dirname(error.filename):
        return f"the program {error.filename} is missing: install it"
    if isinstance(error, subprocess.CalledProcessError):
        return f"{error}\n{error.stderr or ''}".strip()
    return None


def say(kind, error, trace):
    """Prints an error that ends the script."""
    if isinstance(error, BrokenPipeError) and not is_read():
        return
    if said := sentence(error):
        print(said, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = say
