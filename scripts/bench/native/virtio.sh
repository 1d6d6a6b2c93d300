#!/usr/bin/env bash
# The virtio drivers over vhost-user, on this machine: beside DPDK's net_virtio_user against the same testpmd, and beside fio on the same
# storage daemon. Prints raw values. Two processors: the back end has one, what sends the other.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)"
ROUNDS="$1" SECONDS_EACH="$2"
XINIM="$ROOT/artifacts/bin/xinim"
SCRATCH="$(mktemp -d)"
export XINIM_SOCKET="$SCRATCH/run/xinim.sock"
PIDS=()

finish() {
  stop_all
  rm -rf "$SCRATCH"
}

stop_all() {
  ((${#PIDS[@]} == 0)) || kill "${PIDS[@]}" 2>/dev/null || true
  wait
  PIDS=()
}
trap finish EXIT

record() { printf '%s\t%s\n' "$1" "$2"; }

await_file() {
  local deadline=$((SECONDS + 20))
  until [[ -S "$1" ]]; do
    ((SECONDS < deadline)) || { echo "bench: $1 does not appear" >&2 && exit 1; }
    sleep 0.1
  done
}

# testpmd without devices but the one given. $1: prefix, $2: processor, $3: virtual device, $4: forwarding mode; statistics in $SCRATCH/$1.log.
testpmd() {
  dpdk-testpmd --no-huge -m 512 --no-pci --no-telemetry --file-prefix="$1$$" --lcores "0@$2,1@$2" --vdev "$3" -- \
    --forward-mode="$4" --txpkts=60 --stats-period 1 --txd=1024 --rxd=1024 --burst=32 --total-num-mbufs=16384 --nb-cores=1 --no-mlockall \
    >"$SCRATCH/$1.log" 2>&1 < <(sleep 3600) &
  PIDS+=($!)
}

back_end() {
  rm -f "$SCRATCH/net.sock"
  testpmd back 1 "net_vhost0,iface=$SCRATCH/net.sock,queues=1" "$1"
  await_file "$SCRATCH/net.sock"
}

# The median of a second's rates, without those of start and end.
rate() { grep -aoE "$2: +[0-9]+" "$SCRATCH/$1.log" | awk '$2 > 0 {print $2}' | sed '1d;$d' | sort -n | awk '{v[NR] = $1} END {printf "%.3f", v[int((NR + 1) / 2)] / 1e6}'; }

# $1: transmit or receive; $2: 1 for packed queues.
peer() {
  local theirs=txonly its=rxonly which=Tx-pps
  if [[ "$1" == receive ]]; then theirs=rxonly its=txonly which=Rx-pps; fi
  back_end "$its"
  sleep 1
  testpmd user 0 "net_virtio_user0,path=$SCRATCH/net.sock,queues=1,queue_size=1024,packed_vq=$2" "$theirs"
  sleep $((SECONDS_EACH + 4))
  record "vhost.$1.testpmd.$([[ "$2" == 1 ]] && echo packed || echo split)" "$(rate user "$which")"
  stop_all
}

ours() {
  local its=rxonly
  [[ "$1" == transmit ]] || its=txonly
  back_end "$its"
  sleep 1
  dotnet "$ROOT/artifacts/bin/Xinim.Benchmarks/release/Xinim.Benchmarks.dll" vhost --socket "$SCRATCH/net.sock" --direction "$1" --seconds "$SECONDS_EACH" \
    --packed "$([[ "$2" == 1 ]] && echo true || echo false)"
  stop_all
}

start_daemon() {
  printf '{ "socket": "%s", "devices": [ %s ] }\n' "$XINIM_SOCKET" "$1" >"$SCRATCH/xinim.json"
  "$XINIM" daemon --config "$SCRATCH/xinim.json" >"$SCRATCH/daemon.log" 2>&1 &
  PIDS+=($!)
  local deadline=$((SECONDS + 30))
  until "$XINIM" status --json 2>/dev/null | grep -q '"state": "Ready"'; do
    ((SECONDS < deadline)) || { cat "$SCRATCH/daemon.log" >&2 && exit 1; }
    sleep 0.1
  done
}

json_value() { awk -F'[:,]' -v key="\"$1\"" '$0 ~ key {for (i = 1; i < NF; i++) if ($i ~ key) {gsub(/[ "}]/, "", $(i + 1)); print $(i + 1); exit}}'; }

xinim_sends() { "$XINIM" net send net0 --batch 32 --seconds "$SECONDS_EACH" --json | json_value packetsPerSecond | awk '{printf "%.3f", $1 / 1e6}'; }

# Client, driver and back end: three processes that do not sleep, on two processors; then with client and driver where net_virtio_user was.
through_a_client() {
  back_end rxonly
  start_daemon "{ \"device\": \"vhost-user-net:$SCRATCH/net.sock\" }"
  record vhost.transmit.client "$(xinim_sends)"
  stop_all
  back_end rxonly
  start_daemon "{ \"device\": \"vhost-user-net:$SCRATCH/net.sock\", \"processors\": [0] }"
  record vhost.transmit.client.one "$(taskset -cp 0 $BASHPID >/dev/null && xinim_sends)"
  stop_all
}

storage() {
  rm -f "$SCRATCH"/blk.sock "$SCRATCH"/nbd.sock
  qemu-storage-daemon --blockdev driver=null-co,node-name=disk,size=1073741824,read-zeroes=on \
    --export "type=vhost-user-blk,id=vub,node-name=disk,writable=on,addr.type=unix,addr.path=$SCRATCH/blk.sock" \
    --nbd-server "addr.type=unix,addr.path=$SCRATCH/nbd.sock" --export type=nbd,id=nbd,node-name=disk,writable=off,name=disk &
  PIDS+=($!)
  await_file "$SCRATCH/blk.sock"
  await_file "$SCRATCH/nbd.sock"
  start_daemon "{ \"device\": \"vhost-user-blk:$SCRATCH/blk.sock\" }"
  local depth out
  for depth in 1 32; do
    out="$("$XINIM" disk bench disk0 --depth "$depth" --block-size 4096 --seconds "$SECONDS_EACH" --json)"
    record "vub.xinim.iops.$depth" "$(json_value requestsPerSecond <<<"$out" | awk '{printf "%.0f", $1}')"
    record "vub.xinim.p999.$depth" "$(json_value p999 <<<"$out")"
    fio --name=bench --ioengine=nbd --uri="nbd+unix:///disk?socket=$SCRATCH/nbd.sock" --rw=randread --bs=4096 --iodepth="$depth" --size=1G \
      --runtime="$SECONDS_EACH" --time_based --output-format=json >"$SCRATCH/fio.json"
    record "vub.fio.iops.$depth" "$(awk -F'[:,]' '/"iops" :/ {printf "%.0f", $2; exit}' "$SCRATCH/fio.json")"
    record "vub.fio.p999.$depth" "$(awk -F'[:,]' '/"99.900000"/ {printf "%.1f", $2 / 1000; exit}' "$SCRATCH/fio.json")"
  done
  stop_all
}

for ((round = 1; round <= ROUNDS; round++)); do
  for direction in transmit receive; do
    for packed in 0 1; do
      peer "$direction" "$packed"
      ours "$direction" "$packed"
    done
  done
  through_a_client
  storage
done
