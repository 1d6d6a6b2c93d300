#!/usr/bin/env bash
# Runs inside the lab's guest: a disk under Linux's driver and fio, and under Xinim, in turns; writes raw values to $XINIM_LAB_OUT/disk.tsv.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)"
ROUNDS="${XINIM_BENCH_ROUNDS:-3}" SECONDS_EACH="${XINIM_BENCH_SECONDS:-4}"
DISK="${XINIM_BENCH_DISK:-0000:00:08.0}"
XINIM="$ROOT/artifacts/bin/xinim"
OUT="$XINIM_LAB_OUT/disk.tsv"
DAEMON=''

record() { printf '%s\t%s\n' "$1" "$2" | tee -a "$OUT"; }

give_to() {
  local driver="$1" device="/sys/bus/pci/devices/$DISK"
  [[ ! -e "$device/driver" ]] || echo "$DISK" >"$device/driver/unbind"
  modprobe "$driver"
  echo "$driver" >"$device/driver_override"
  echo "$DISK" >/sys/bus/pci/drivers_probe
}

fio_iops() {
  fio --name=bench --filename="$1" --ioengine=io_uring --direct=1 --rw=randread --bs=4096 --iodepth="$2" \
    --runtime="$SECONDS_EACH" --time_based --output-format=json | awk -F'[:,]' '/"iops" :/ {printf "%.0f", $2; exit}'
}

linux() {
  give_to virtio-pci
  modprobe virtio_blk
  local node
  node="/dev/$(basename "$(find "/sys/bus/pci/devices/$DISK/" -maxdepth 3 -path '*/block/*' | head -n 1)")"
  record blk.linux.1 "$(fio_iops "$node" 1)"
  record blk.linux.32 "$(fio_iops "$node" 32)"
}

xinim_iops() { "$XINIM" disk bench disk0 --depth "$1" --block-size 4096 --seconds "$SECONDS_EACH" --json | awk -F'[:,]' '/"requestsPerSecond"/ {for (i = 1; i < NF; i++) if ($i ~ /"requestsPerSecond"/) {printf "%.0f", $(i + 1); exit}}'; }

ours() {
  give_to vfio-pci
  printf '{ "devices": [ { "device": "%s" } ] }\n' "$DISK" >/tmp/xinim.json
  "$XINIM" daemon --config /tmp/xinim.json >/tmp/daemon.log 2>&1 &
  DAEMON=$!
  local deadline=$((SECONDS + 30))
  until "$XINIM" status --json 2>/dev/null | grep -q '"state": "Ready"'; do
    ((SECONDS < deadline)) || { cat /tmp/daemon.log >&2 && exit 1; }
    sleep 0.1
  done
  record blk.xinim.1 "$(xinim_iops 1)"
  record blk.xinim.32 "$(xinim_iops 32)"
  kill "$DAEMON"
  wait "$DAEMON" || true
}

: >"$OUT"
for ((round = 1; round <= ROUNDS; round++)); do
  linux
  ours
done
