# Sourced first by the bash scripts. Answers --help with the comment at the top of a script, and
# changes to the root of the repository.

this=$(cd "$(dirname "$0")" && echo "$PWD/${0##*/}")
called_in=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

# manual: prints the comment, and a usage line if the comment lacks one.
manual() {
  sed -n '2,${/^#/!q;s/^# \{0,1\}//p;}' "$this"
  grep -q "^# usage: " "$this" || printf "\nusage: %s\n" "${this#"$PWD/"}"
}
case ${1:-} in -h | --help) manual; exit ;; esac

# fail SENTENCE: ends the script.
fail() {
  echo "$1" >&2
  exit 1
}

# wrong SENTENCE: ends the script because of its arguments.
wrong() {
  echo "$1" >&2
  manual | sed -n '/^usage: /p' >&2
  exit 2
}

# no_arguments ARGUMENT..: refuses the arguments of a script that takes none.
no_arguments() {
  [ $# = 0 ] || wrong "unknown argument $1: this script takes none"
}

# from_caller FILE: prints the path of FILE, resolved against the folder from which the script was
# called.
from_caller() {
  case $1 in /*) echo "$1" ;; *) echo "$called_in/$1" ;; esac
}

# packed_into FILE: sets `file` to the path of the file that a script will write. FILE is the
# script's only argument.
packed_into() {
  [[ $# = 1 && $1 = [!-]* ]] || wrong "name the file to write"
  file=$(from_caller "$1")
  [ -d "$(dirname "$file")" ] && [ ! -d "$file" ] || wrong "$1 can't be written: name a file in a folder that exists"
}

# needs PROGRAM..: ends the script if one of these programs is missing.
needs() {
  local program how
  for program; do
    command -v "$program" >/dev/null && continue
    case $program in
      cargo | rustc) how="install Rust (https://rustup.rs)" ;;
      cargo-lambda | ruff | sam | shellcheck) how="python3 -m pip install --no-deps --requirement .ci/requirements.txt" ;;
      gh) how="install the GitHub CLI (https://cli.github.com)" ;;
      node | npm) how="install Node (https://nodejs.org)" ;;
      *) how="install it" ;;
    esac
    fail "$program is missing: $how"
  done
}

# node_packages SUITE FOLDER: installs the packages of scripts/check/suites/SUITE in a folder.
node_packages() {
  needs node npm
  mkdir -p "$2"
  cp "scripts/check/suites/$1"/{package.json,package-lock.json,.npmrc} "$2"
  npm ci --prefix "$2" --ignore-scripts --loglevel=error --no-audit --no-fund >/dev/null
}
