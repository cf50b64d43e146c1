# Functions for the other scripts, which source this file. They start the embedded DynamoDB in a temporary folder and programs in the
# background, which end with the script, and run the end-to-end tests.

data=$(mktemp -d)
started=()
stop() {
  for pid in "${started[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  wait
  rm -rf "$data"
}
trap stop EXIT

# run PROGRAM ARGUMENT..: starts a program in its own process group. Its output goes to a log file, which is shown after a failure.
run() {
  setsid "$@" >>"$data/log" 2>&1 &
  started+=($!)
}

# Prints a free port below the range that the system uses for outgoing connections.
free_port() {
  python3 -c '
import random, socket
while True:
    try:
        print(socket.create_server(("127.0.0.1", random.randrange(20000, 32000))).getsockname()[1])
        break
    except OSError:
        pass'
}

# start_api PORT BINARY ARGUMENT..: serves the API on this port, and sets `api` to its URL.
start_api() {
  api=http://127.0.0.1:$1
  run "${@:2}" --port "$1"
  for _ in $(seq 100); do curl -fs "$api/api/health" >/dev/null && return; sleep 0.2; done
  tail -50 "$data/log"
  return 1
}

# start_dynamodb ADDRESS: starts the embedded DynamoDB, with the settings of the tests' scripted AI.
start_dynamodb() {
  cargo build --quiet --bin local
  AI_PROVIDER=scripted AI_TIMEOUT_SECONDS=2 run target/debug/local dynamodb --host "$1" --port 8000 --data "$data"
  for _ in $(seq 50); do [ -s "$data/sam.json" ] && break; sleep 0.2; done
  [ -s "$data/sam.json" ] || { cat "$data/log"; return 1; }
  set -a
  source "$data/lambda.env"
  set +a
}

# test_against URL [ARGUMENT..]: runs the tests for front doors (tests/portable.rs), or the tests that the arguments select.
test_against() {
  local url=$1
  shift
  for _ in $(seq 300); do curl -fs "$url/api/health" >/dev/null && break; sleep 1; done
  curl -fsS "$url/api/health" || { tail -50 "$data/log"; return 1; }
  echo " $url"
  export MAIL_FOLDER=$data/mail
  [ $# -gt 0 ] || set -- portable::
  API_URL=$url timeout 2400 cargo test --quiet -p local --test api -- "$@" || { tail -50 "$data/log"; return 1; }
}
