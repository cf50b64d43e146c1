# Sourced, after usage.sh, by scripts that start the local server or the embedded DynamoDB, and run
# tests against them. `data` is a temporary folder. Programs started by `run` end when the script
# ends.

needs curl python3
# The local server: the binary that FAREBOX names, or this tree's binary.
[ -n "${FAREBOX:-}" ] || { needs cargo && cargo build --quiet --bin farebox; }
FAREBOX=$(realpath "${FAREBOX:-${CARGO_TARGET_DIR:-target}/debug/farebox}" 2>/dev/null) || true
[[ "$("$FAREBOX" --version 2>/dev/null)" = farebox\ * ]] || fail "FAREBOX doesn't name the program farebox: unset it, and this tree's program is built"

data=$(mktemp -d)
started=()
stop() {
  for pid in "${started[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  wait
  rm -rf "$data"
}
trap stop EXIT

# run PROGRAM ARGUMENT..: starts a program in a process group of its own, and adds its output to
# $data/log.
run() {
  setsid "$@" >>"$data/log" 2>&1 &
  started+=($!)
}

# end_server: ends the program that was started last, and waits for it.
end_server() {
  local pid=${started[-1]}
  unset 'started[-1]'
  kill -TERM -- "-$pid" 2>/dev/null || true
  wait "$pid" || true
}

# alive: succeeds if all programs that were started are still running.
alive() {
  local pid
  for pid in "${started[@]}"; do kill -0 "$pid" 2>/dev/null || return 1; done
}

# answers URL SECONDS [--fail]: waits until a server answers, or with --fail until it answers
# without an error. Prints the log's last lines and fails after SECONDS, or if a program has ended.
answers() {
  for _ in $(seq $(($2 * 5))); do
    curl -s "${@:3}" "$1" >/dev/null && return
    alive || break
    sleep 0.2
  done
  echo "no answer from $1:" >&2
  tail -50 "$data/log" >&2
  return 1
}

# free_port: prints a free port below the range that the system uses for outgoing connections.
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

# start_api PORT ARGUMENT..: starts the local server on this port, and sets `api` to its URL. The
# offline echo answers unless AI_PROVIDER is set, even if a model server runs on this machine.
start_api() {
  api=http://127.0.0.1:$1
  AI_PROVIDER=${AI_PROVIDER:-echo} run "$FAREBOX" "${@:2}" --port "$1"
  answers "$api/api/health" 120 --fail
}

# start_dynamodb ADDRESS: starts the embedded DynamoDB with the tests' scripted AI, and sets the
# functions' variables.
start_dynamodb() {
  AI_PROVIDER=scripted AI_TIMEOUT_SECONDS=2 run "$FAREBOX" dynamodb --host "$1" --port "$(free_port)" --data "$data"
  for _ in $(seq 600); do
    if [ -s "$data/sam.json" ] || ! alive; then break; fi
    sleep 0.2
  done
  [ -s "$data/sam.json" ] || { cat "$data/log" >&2; return 1; }
  set -a
  # shellcheck source=/dev/null
  source "$data/lambda.env"
  set +a
}

# test_against URL [ARGUMENT..]: runs tests/portable against this URL, or the tests that the
# arguments select.
test_against() {
  local url=$1
  shift
  answers "$url/api/health" 300 --fail || return 1
  curl -fsS "$url/api/health"
  echo " $url"
  export MAIL_FOLDER=$data/mail
  [ $# -gt 0 ] || set -- portable::
  API_URL=$url timeout --foreground 2400 cargo test --quiet --workspace --test api -- "$@" || { tail -50 "$data/log"; return 1; }
}
