# Sourced by `run` and `nightly`: runs their steps, which are functions.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
# Turn off caches that CI wouldn't use: CI never recompiles a crate after a small change, and never
# imports most of the Python tools' modules.
export CARGO_INCREMENTAL=0 SAM_CLI_TELEMETRY=0 PIP_NO_COMPILE=1

# steps STEP..: runs these steps one after the other. After each, calls `passed STEP SECONDS` if the
# script has such a function.
steps() {
  local step began
  for step; do
    declare -F "$step" >/dev/null || { echo "no step $step"; return 2; }
    echo
    echo "== $step ($(date +%H:%M:%S))"
    began=$SECONDS
    "$step"
    if declare -F passed >/dev/null; then passed "$step" $((SECONDS - began)); fi
  done
}

# lanes "STEP.." "STEP..": runs two lists of steps in parallel. Prints the output of the second list
# after that of the first.
lanes() {
  local first second
  read -ra first <<<"$1"
  read -ra second <<<"$2"
  log=$(mktemp)
  # A process group of its own, so that `end_lane` can end all of it.
  set -m
  (steps "${second[@]}") >"$log" 2>&1 </dev/null &
  lane=$!
  set +m
  trap end_lane EXIT
  steps "${first[@]}"
  local result=0
  wait "$lane" || result=$?
  trap - EXIT
  cat "$log"
  rm "$log"
  return "$result"
}

# Ends the second lane after a failure of the first, and shows the end of its output.
end_lane() {
  kill -TERM -- "-$lane" 2>/dev/null || true
  echo "-- meanwhile"
  tail -20 "$log"
  rm "$log"
}
