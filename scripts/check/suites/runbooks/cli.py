"""The AWS CLI, loaded once. Each call of bin/aws sends its arguments, its environment and its files
here, and runs in a process of its own. Without this, loading the AWS CLI would take most of the
check's time.

usage: python -m suites.runbooks.cli SOCKET
"""

import contextlib
import json
import os
import socket
import sys

from awscli.clidriver import create_clidriver

from suites.runbooks.cases import NEVER, NOT_IN_MOTO

CLI = create_clidriver()
# The folder of AWS's models, which the AWS CLI sets in its own environment.
OWN = {"AWS_DATA_PATH": os.environ["AWS_DATA_PATH"]}


def run(arguments):
    """Runs one call. Returns its exit code."""
    # Only version 2 of the AWS CLI has this option, and the next command.
    if "--cli-binary-format" in arguments:
        at = arguments.index("--cli-binary-format")
        arguments = arguments[:at] + arguments[at + 2 :]
    if arguments[:2] == ["configure", "export-credentials"]:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            print(f"export {name}={os.environ[name]}")
        return 0
    if arguments[: len(NEVER)] == NEVER:
        return 0
    if arguments[:2] in NOT_IN_MOTO:
        arguments = [*arguments, "--generate-cli-skeleton", "output"]
    # For SQS, the AWS CLI ignores the variable.
    return CLI.main([*arguments, "--endpoint-url", os.environ["AWS_ENDPOINT_URL"]])


def answer(connection):
    """Runs a call with the files and in the folder of its caller, and sends back the exit code."""
    said, files, _, _ = socket.recv_fds(connection, 1, 3)
    call = json.loads(connection.makefile().read())
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"] | OWN)
    try:
        code = run(call["arguments"])
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(str(code or 0).encode())


def main(path):
    # Load the names of all commands before the first call.
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(sys.stderr):
        CLI.main(["--version"])
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                # A child of a child needs no parent that waits for it.
                if os.fork() == 0:
                    answer(connection)
                os._exit(0)
            os.wait()
            connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
