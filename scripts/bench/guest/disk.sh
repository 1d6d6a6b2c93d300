#!/usr/bin/env bash
# Runs inside the lab's guest: a disk under Linux's driver and fio, and under Xinim, in turns; writes raw values to $XINIM_LAB_OUT/disk.tsv.
# Arguments: workloads, each OPERATION:BLOCK:DEPTH with OPERATION read, write (both random) or seqread.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)"
ROUNDS="${XINIM_BENCH_ROUNDS:-3}" SECONDS_EACH="${XINIM_BENCH_SECONDS:-4}"
DISK="${XINIM_BENCH_DISK:-0000:00:08.0}"
# Linux's driver of the device, the module that makes disks of it, and the name that the daemon gives the disk.
LINUX="${XINIM_BENCH_LINUX:-virtio-pci}" LINUX_DISKS="${XINIM_BENCH_LINUX_DISKS:-virtio_blk}" NAME="${XINIM_BENCH_NAME:-disk0}"
XINIM="$ROOT/artifacts/bin/xinim"
OUT="$XINIM_LAB_OUT/disk.tsv"
DAEMON=''

record() { printf '%s\t%s\n' "$1" "$2" | tee -a "$OUT"; }

# Waits until a command succeeds. $1: what for, the rest: the command.
await() {
  local deadline=$((SECONDS + 30)) what="$1"
  shift
  until "$@"; do
    ((SECONDS < deadline)) || { echo "bench: $what: not within 30 s" >&2 && return 1; }
    sleep 0.1
  done
}

give_to() {
  local driver="$1" device="/sys/bus/pci/devices/$DISK"
  [[ ! -e "$device/driver" ]] || echo "$DISK" >"$device/driver/unbind"
  modprobe "$driver"
  echo "$driver" >"$device/driver_override"
  echo "$DISK" >/sys/bus/pci/drivers_probe
}

# The first disk that Linux has on the device.
node() { find "/sys/bus/pci/devices/$DISK/" -maxdepth 9 -path '*/block/*' -prune -printf '/dev/%f\n' 2>/dev/null | sort | grep -m 1 .; }

has_node() { [[ -b "$(node)" ]]; }

fio_iops() {
  local operation="$1" block="$2" depth="$3" direction='read'
  [[ "$operation" != write ]] || direction='write'
  [[ "$operation" == seqread ]] || operation="rand$operation"
  fio --name=bench --filename="$(node)" --ioengine=io_uring --direct=1 --rw="${operation/seqread/read}" --bs="$block" --iodepth="$depth" \
    --runtime="$SECONDS_EACH" --time_based --allow_mounted_write=0 --output-format=json |
    awk -F'[:,]' -v part="\"$direction\"" '$0 ~ part " : {" {found = 1} found && /"iops" :/ {printf "%.0f", $2; exit}'
}

xinim_iops() {
  local operation="$1" options=()
  [[ "$operation" != write ]] || options+=(--write --yes-destroy-data)
  [[ "$operation" != seqread ]] || options+=(--sequential)
  "$XINIM" disk bench "$NAME" --block-size "$2" --depth "$3" "${options[@]}" --seconds "$SECONDS_EACH" --json | grep -o '"requestsPerSecond": *[0-9.]*' | awk -F: '{printf "%.0f", $2}'
}

# $1: who, $2: the function that measures.
measure() {
  local workload
  for workload in "${WORKLOADS[@]}"; do
    # shellcheck disable=SC2086 # three words
    record "blk.$1.$workload" "$("$2" ${workload//:/ })"
  done
}

linux() {
  give_to "$LINUX"
  modprobe "$LINUX_DISKS"
  await "a disk under $LINUX" has_node
  measure linux fio_iops
}

is_ready() { "$XINIM" status --json 2>/dev/null | grep -q '"state": "Ready"'; }

ours() {
  give_to vfio-pci
  printf '{ "devices": [ { "device": "%s", "name": "%s" } ] }\n' "$DISK" "${NAME%%.*}" >/tmp/xinim.json
  "$XINIM" daemon --config /tmp/xinim.json >/tmp/daemon.log 2>&1 &
  DAEMON=$!
  await 'the daemon' is_ready || { cat /tmp/daemon.log >&2 && exit 1; }
  measure xinim xinim_iops
  kill "$DAEMON"
  wait "$DAEMON" || true
}

WORKLOADS=("$@")
: >"$OUT"
for ((round = 1; round <= ROUNDS; round++)); do
  linux
  ours
done
