# Sourced by `run` and `nightly`: runs their steps, which are functions.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Small changes don't compile a crate twice, and most modules of the Python tools are never imported.
export CARGO_INCREMENTAL=0 SAM_CLI_TELEMETRY=0 PIP_NO_COMPILE=1

# steps STEP..: runs them one after the other.
steps() {
  local step
  for step; do
    echo
    echo "== $step ($(date +%H:%M:%S))"
    "$step"
  done
}

# lanes "STEP.." "STEP..": runs two lists of steps beside each other. The output of the second follows that of the first.
lanes() {
  log=$(mktemp)
  # A process group of its own, so that it ends with this script.
  set -m
  (steps $2) >"$log" 2>&1 </dev/null &
  set +m
  trap 'kill -TERM -- "-$!" 2>/dev/null || true; rm -f "$log"' EXIT
  steps $1
  local result=0
  wait "$!" || result=$?
  cat "$log"
  return "$result"
}
