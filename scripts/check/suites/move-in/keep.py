"""usage: keep.py FILE FIELD..: reads a reply from the standard input, and writes the fields that an
old client reads to the file. If the reply is a list, these are the fields of each item."""

import json
import sys

file, *fields = sys.argv[1:]
text = sys.stdin.read()
try:
    reply = json.loads(text)
    read = [{field: item[field] for field in fields} for item in reply] if isinstance(reply, list) else {field: reply[field] for field in fields}
except (KeyError, TypeError, ValueError):
    sys.exit(f"An old client needs {', '.join(fields)} for {file}, and got: {text[:1000]}")
with open(file, "w") as out:
    json.dump(read, out)
