#!/usr/bin/env bash
# The AHCI driver beside Linux's, on the same emulated controller in the same guest, in turns. The medium is QEMU's null-co, which costs nothing.
set -euo pipefail
# shellcheck source=scripts/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bench_options "$@"
"$ROOT/scripts/install.sh" build lab bench
"$ROOT/scripts/build.sh"

readonly WORKLOADS=(read:4k:1 read:4k:32 write:4k:1 write:4k:32 seqread:128k:32)
XINIM_BENCH_ROUNDS="$ROUNDS" XINIM_BENCH_SECONDS="$SECONDS_EACH" XINIM_BENCH_DISK=0000:00:06.0 XINIM_BENCH_LINUX=ahci XINIM_BENCH_LINUX_DISKS=sd_mod XINIM_BENCH_NAME=sata0.0 \
  "$ROOT/scripts/lab.sh" --timeout $((180 + ROUNDS * (SECONDS_EACH * 12 + 80))) --disk-backend null -- "$ROOT/scripts/bench/guest/disk.sh" "${WORKLOADS[@]}"
cat "$XINIM_LAB_OUT/disk.tsv" >>"$RAW"

disk_figures "4 KiB random read" read:4k 1:1.5 32:3
disk_figures "4 KiB random write" write:4k 1:1.5 32:3
disk_figures "128 KiB sequential read" seqread:128k 32:1
