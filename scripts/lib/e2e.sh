# Sourced by the other scripts: starts the embedded DynamoDB in a temporary folder and programs in the background, which end with the script,
# and runs the end-to-end tests.

data=$(mktemp -d)
started=()
stop() {
  for pid in "${started[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  wait
  rm -rf "$data"
}
trap stop EXIT

# run PROGRAM ARGUMENT..: in a process group of its own. A file has its output, and is shown if something fails.
run() {
  setsid "$@" >>"$data/log" 2>&1 &
  started+=($!)
}

# A free port, below those that the system gives to outgoing connections.
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

# start_dynamodb ADDRESS: with the scripted AI of the tests.
start_dynamodb() {
  cargo build --quiet --bin local
  AI_PROVIDER=scripted AI_TIMEOUT_SECONDS=2 run target/debug/local dynamodb --host "$1" --port 8000 --data "$data"
  for _ in $(seq 50); do [ -s "$data/sam.json" ] && break; sleep 0.2; done
  [ -s "$data/sam.json" ] || { cat "$data/log"; return 1; }
  set -a
  source "$data/lambda.env"
  set +a
}

# test_against URL [ARGUMENT..]: runs the tests of front doors (tests/portable.rs), or what the arguments select.
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
