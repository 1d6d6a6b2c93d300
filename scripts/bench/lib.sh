# shellcheck shell=bash disable=SC2034
# For the benchmarks of this folder: options, raw values, medians, figures. Raw values are lines "name<TAB>value" in $RAW.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)"
ROUNDS=5 SECONDS_EACH=4
export XINIM_LAB_OUT="$ROOT/artifacts/bench"
RAW="$XINIM_LAB_OUT/raw.tsv"

bench_options() {
  while (($# > 0)); do
    case "$1" in
      --rounds) ROUNDS="$2" && shift 2 ;;
      --seconds) SECONDS_EACH="$2" && shift 2 ;;
      *) echo "bench: unknown option '$1'" >&2 && exit 2 ;;
    esac
  done
  mkdir -p "$XINIM_LAB_OUT"
  : >"$RAW"
}

# The median of a name's values; empty where there are none.
median() {
  awk -F'\t' -v name="$1" '$1 == name {print $2}' "$RAW" | sort -g |
    awk '{v[NR] = $1} END {if (NR) print (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2)}'
}

# figure TITLE OURS PEER WHICH GOAL: names of raw values; prints the line that the documents quote.
figure() {
  local ours peer ratio
  ours="$(median "$2")" peer="$(median "$3")"
  ratio="$(awk -v a="$ours" -v b="$peer" 'BEGIN {if (a != "" && b != "" && b != 0) printf "%.2f", a / b; else print "none"}')"
  printf '%s: ours %s, peer %s (%s), ratio %s, goal %s\n' "$1" "${ours:-not measured}" "${peer:-not measured}" "$4" "$ratio" "$5"
}

# disk_figures TITLE WORKLOAD DEPTH:GOAL…: a disk under our driver beside Linux's and fio, by the values of guest/disk.sh.
disk_figures() {
  local title="$1" workload="$2" pair
  shift 2
  for pair in "$@"; do
    figure "guest $title, depth ${pair%%:*}, IOPS" "blk.xinim.$workload:${pair%%:*}" "blk.linux.$workload:${pair%%:*}" 'Linux driver, fio io_uring' "${pair##*:} x"
    figure "guest $title, depth ${pair%%:*}, interrupts a request" "irq.xinim.$workload:${pair%%:*}" "irq.linux.$workload:${pair%%:*}" 'Linux driver' 'none'
  done
}
