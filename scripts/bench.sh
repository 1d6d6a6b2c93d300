#!/usr/bin/env bash
# Measures Xinim beside its peers, in turns, and prints one line a figure.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
readonly ROOT

names() { find "$ROOT/scripts/bench" -maxdepth 1 -name '*.sh' ! -name 'lib.sh' -printf '%f\n' | sed 's/\.sh$//' | sort | paste -sd ' '; }

usage() {
  cat <<USAGE
Usage: scripts/bench.sh NAME [--rounds N] [--seconds S]

Runs our code and its peer in turns on the same device in the same guest, and prints for each figure
  FIGURE: ours A, peer B (which), ratio R, goal G
Medians over the rounds; raw values in artifacts/bench. The machine should be idle otherwise.
'isolation' needs no guest: it runs client and driver's end in one process and in two, in turns.

Names: $(names)
USAGE
}

case "${1-}" in
  '' | -h | --help) usage; [[ -n "${1-}" ]] && exit 0; exit 2 ;;
esac
NAME="$1"
shift
if [[ ! -x "$ROOT/scripts/bench/$NAME.sh" || "$NAME" == lib ]]; then
  echo "bench: there is no benchmark '$NAME'; there are: $(names)" >&2
  exit 2
fi
exec "$ROOT/scripts/bench/$NAME.sh" "$@"
