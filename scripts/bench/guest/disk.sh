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

linux_iops() {
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

# Requests that Linux' driver has completed, and interrupts that it has taken for them.
linux_events() {
  local vectors=("/sys/bus/pci/devices/$DISK/msi_irqs/"*) requests
  [[ -e "${vectors[0]}" ]] || vectors=("$(cat "/sys/bus/pci/devices/$DISK/irq")")
  requests="$(awk '{print $1 + $5}' "/sys/class/block/$(basename "$(node)")/stat")"
  printf '%s\n' "${vectors[@]##*/}" |
    awk -v requests="$requests" 'NR == FNR {mine[$1 ":"]; next} $1 in mine {for (i = 2; $i ~ /^[0-9]+$/; i++) sum += $i} END {print requests, sum + 0}' - /proc/interrupts
}

# The same of ours, as the driver counts them once a second.
xinim_events() {
  sleep 1.5
  "$XINIM" status --json | awk -F'[:,]' '/"(reads|writes)":/ {requests += $2} /"interrupts":/ {sum += $2} END {print requests, sum + 0}'
}

# $1: who; "$1"_iops measures, "$1"_events counts.
measure() {
  local workload before after
  for workload in "${WORKLOADS[@]}"; do
    before="$("$1_events")"
    # shellcheck disable=SC2086 # three words
    record "blk.$1.$workload" "$("$1_iops" ${workload//:/ })"
    after="$("$1_events")"
    record "irq.$1.$workload" "$(awk -v before="$before" -v after="$after" 'BEGIN {split(before, b); split(after, a); printf "%.3f", (a[2] - b[2]) / (a[1] - b[1])}')"
  done
}

linux() {
  give_to "$LINUX"
  modprobe "$LINUX_DISKS"
  await "a disk under $LINUX" has_node
  measure linux
}

is_ready() { "$XINIM" status --json 2>/dev/null | grep -q '"state": "Ready"'; }

ours() {
  give_to vfio-pci
  printf '{ "devices": [ { "device": "%s", "name": "%s" } ] }\n' "$DISK" "${NAME%%.*}" >/tmp/xinim.json
  "$XINIM" daemon --config /tmp/xinim.json >/tmp/daemon.log 2>&1 &
  DAEMON=$!
  await 'the daemon' is_ready || { cat /tmp/daemon.log >&2 && exit 1; }
  measure xinim
  kill "$DAEMON"
  wait "$DAEMON" || true
}

WORKLOADS=("$@")
: >"$OUT"
for ((round = 1; round <= ROUNDS; round++)); do
  linux
  ours
done
