"""Programs that are a script of this folder with a library, or another command."""

import os
import subprocess
import tempfile

from scripted import API_WIRE, BASE_URL


def printed(command, home, **settings):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    done = subprocess.run(
        command, cwd=home, env=kept | {"HOME": home, "PWD": home} | settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr


def library(*command):
    def ask(key):
        with tempfile.TemporaryDirectory() as home:
            return printed(command, home, BASE_URL=BASE_URL, ANTHROPIC_URL=API_WIRE, KEY=key)

    return ask
