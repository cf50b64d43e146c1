# client.sh SESSION HOST FOLDER NAME PASSWORD NEWCOMER: an old client. Runs the session's curl
# commands, and keeps the replies in the folder. NAME is an existing user's name, and NEWCOMER is
# the name of a user who registers.
set -euo pipefail
SESSION=$1 HOST=$2 FOLDER=$3 NAME=$4 PASSWORD=$5 NEWCOMER=$6
suite=$(dirname "$0")
mkdir -p "$FOLDER"

# keep REPLY FIELD..: keeps a reply from the standard input. Fails if it lacks a field that the
# client reads.
keep() { "$PYTHON" -IS "$suite/keep.py" "$FOLDER/$1.json" "${@:2}"; }

# kept REPLY FIELD: prints a field of a reply.
kept() { "$PYTHON" -IS -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$FOLDER/$1.json" "$2"; }

# shellcheck source=simple_jwt/session.sh
source "$suite/$SESSION/session.sh"
