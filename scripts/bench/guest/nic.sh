#!/usr/bin/env bash
# Runs inside the lab's guest: one of transmit, receive, ping, on one NIC; writes raw values to $XINIM_LAB_OUT/WHAT.tsv.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)"
WHAT="$1"
ROUNDS="${XINIM_BENCH_ROUNDS:-3}" SECONDS_EACH="${XINIM_BENCH_SECONDS:-4}"
XINIM="$ROOT/artifacts/bin/xinim"
NIC="${XINIM_BENCH_NIC:-0000:00:02.0}" LINUX="${XINIM_BENCH_LINUX:-e1000}"
OUT="$XINIM_LAB_OUT/$WHAT.tsv"
DAEMON=''

record() { printf '%s\t%s\n' "$1" "$2" | tee -a "$OUT"; }

# --- the device goes from one driver to the next ---

give_to() {
  local driver="$1" device="/sys/bus/pci/devices/$NIC"
  [[ ! -e "$device/driver" ]] || echo "$NIC" >"$device/driver/unbind"
  modprobe "$driver"
  echo "$driver" >"$device/driver_override"
  echo "$NIC" >/sys/bus/pci/drivers_probe
}

# Of a virtio device it is a device of its own below the function.
interface() {
  [[ "$LINUX" != virtio-pci ]] || modprobe virtio_net
  basename "$(find "/sys/bus/pci/devices/$NIC/" -maxdepth 3 -path '*/net/*' | head -n 1)"
}

# --- Xinim ---

# $1: more of the device's configuration.
start_xinim() {
  give_to vfio-pci
  printf '{ "devices": [ { "device": "%s"%s } ] }\n' "$NIC" "${1:+, $1}" >/tmp/xinim.json
  "$XINIM" daemon --config /tmp/xinim.json >/tmp/daemon.log 2>&1 &
  DAEMON=$!
  local deadline=$((SECONDS + 30))
  until "$XINIM" status --json 2>/dev/null | grep -q '"state": "Ready"'; do
    ((SECONDS < deadline)) || { cat /tmp/daemon.log >&2 && exit 1; }
    sleep 0.1
  done
}

stop_xinim() {
  kill "$DAEMON"
  wait "$DAEMON" || true
  DAEMON=''
}

status_value() { "$XINIM" status --json | awk -F'[:,]' -v key="\"$1\"" '$1 ~ key {gsub(/[ "]/, "", $2); print $2; exit}'; }
json_value() { awk -F'[:,]' -v key="\"$1\"" '$0 ~ key {for (i = 1; i < NF; i++) if ($i ~ key) {gsub(/[ "}]/, "", $(i + 1)); print $(i + 1); exit}}'; }

driver_pid() { status_value pid; }

# Moves this shell to the processor where testpmd has its one thread.
on_one() { taskset -cp 1 $BASHPID >/dev/null; }

# The arguments: more options.
xinim_sends() { "$XINIM" net send net0 --size 60 "$@" --seconds "$SECONDS_EACH" --json | json_value packetsPerSecond | awk '{printf "%.3f", $1 / 1e6}'; }

xinim_transmit() {
  # Twice the frames that the device's queue holds: more of them keep the client on the processor for longer than that queue lasts.
  start_xinim '"processors": [1]'
  record tx.one "$(on_one && xinim_sends --buffers 512)"
  stop_xinim
  start_xinim
  record tx.xinim "$(xinim_sends)"
  record rss.guest "$(awk '/^VmRSS/ {printf "%.1f", $2 / 1024}' "/proc/$(driver_pid)/status")"
  record start.guest "$(status_value startMilliseconds)"
  stop_xinim
}

# System calls that the driver makes while frames flow: strace slows them down, it does not change their number.
xinim_syscalls() {
  start_xinim
  local before after calls
  "$XINIM" net send net0 --size 60 --seconds 6 --json >/tmp/send.json &
  sleep 2
  before="$(status_value txFrames)"
  timeout -s INT 2 strace -f -c -o /tmp/strace.txt -p "$(driver_pid)" 2>/dev/null || true
  sleep 1.2
  after="$(status_value txFrames)"
  wait $!
  calls="$(awk '/total$/ {print $4}' /tmp/strace.txt)"
  cat /tmp/strace.txt >"$XINIM_LAB_OUT/strace.txt"
  record syscalls "$(awk -v c="${calls:-0}" -v a="$after" -v b="$before" 'BEGIN {printf "%.3f", 1000 * c / (a - b)}')"
  stop_xinim
}

xinim_receives() { "$XINIM" net receive net0 --seconds "$SECONDS_EACH" --json | json_value packetsPerSecond | awk '{printf "%.1f", $1 / 1e3}'; }

xinim_receive() {
  start_xinim '"processors": [1]'
  record rx.one "$(on_one && xinim_receives)"
  stop_xinim
  start_xinim
  record rx.xinim "$(xinim_receives)"
  stop_xinim
}

ping_every_10_ms() { "$XINIM" ping net0 10.0.2.2 --count 200 --interval 0.01 --json | json_value rttMedian; }

xinim_ping() {
  start_xinim '"poll": true'
  record ping.poll "$(ping_every_10_ms)"
  stop_xinim
  start_xinim
  record ping.xinim "$(ping_every_10_ms)"
  record pingpong.xinim "$("$XINIM" ping net0 10.0.2.2 --count 1000 --interval 0 --json | json_value rttMedian)"
  stop_xinim
}

# --- DPDK ---

# The median of the rates that testpmd prints once a second, without those of its start and the last.
testpmd() {
  local mode="$1" rate="$2"
  give_to vfio-pci
  timeout -s INT $((SECONDS_EACH + 10)) dpdk-testpmd -l 0,1 -n 1 -a "$NIC" --no-telemetry -- --forward-mode="$mode" --txpkts=60 \
    --stats-period 1 --txd=1024 --rxd=1024 --burst=32 --total-num-mbufs=8192 --nb-cores=1 >/tmp/testpmd.log 2>&1 < <(sleep $((SECONDS_EACH + 13))) || true
  grep -aoE "$rate: +[0-9]+" /tmp/testpmd.log | awk '$2 > 0 {print $2}' | sed '1d;$d' | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}

# --- Linux ---

pktgen() {
  give_to "$LINUX"
  modprobe pktgen
  local nic
  nic="$(interface)"
  ip link set "$nic" up
  sleep 3 # without a carrier nothing is sent
  echo "rem_device_all" >/proc/net/pktgen/kpktgend_0
  echo "add_device $nic" >/proc/net/pktgen/kpktgend_0
  local setting
  for setting in 'count 150000' 'pkt_size 60' 'delay 0' 'clone_skb 1000' 'dst_mac 02:00:00:00:00:01'; do echo "$setting" >"/proc/net/pktgen/$nic"; done
  echo start >/proc/net/pktgen/pgctrl
  grep -oE '[0-9]+pps' "/proc/net/pktgen/$nic" | tr -d ps
}

linux_receive() {
  give_to "$LINUX"
  local nic before after
  nic="$(interface)"
  ip link set "$nic" up promisc on
  sleep 2
  before="$(cat "/sys/class/net/$nic/statistics/rx_packets")"
  sleep "$SECONDS_EACH"
  after="$(cat "/sys/class/net/$nic/statistics/rx_packets")"
  awk -v a="$after" -v b="$before" -v s="$SECONDS_EACH" 'BEGIN {printf "%.1f", (a - b) / s / 1000}'
}

linux_ping() {
  give_to "$LINUX"
  local nic
  nic="$(interface)"
  ip addr add 10.0.2.15/24 dev "$nic"
  ip link set "$nic" up
  sleep 2
  ping -c 200 -i 0.01 10.0.2.2 | grep -oE 'time=[0-9.]+' | cut -d= -f2 | sort -g | awk '{v[NR] = $1} END {printf "%.1f", v[int((NR + 1) / 2)] * 1000}'
}

linux_pingpong() {
  ping -c 1000 -A 10.0.2.2 | grep -oE 'time=[0-9.]+' | cut -d= -f2 | sort -g | awk '{v[NR] = $1} END {printf "%.1f", v[int((NR + 1) / 2)] * 1000}'
}

# --- in turns ---

: >"$OUT"
for ((round = 1; round <= ROUNDS; round++)); do
  case "$WHAT" in
    transmit)
      record tx.testpmd "$(testpmd txonly Tx-pps | awk '{printf "%.3f", $1 / 1e6}')"
      xinim_transmit
      record tx.pktgen "$(pktgen | awk '{printf "%.3f", $1 / 1e6}')"
      ;;
    receive)
      record rx.testpmd "$(testpmd rxonly Rx-pps | awk '{printf "%.1f", $1 / 1e3}')"
      xinim_receive
      record rx.linux "$(linux_receive)"
      ;;
    ping)
      record ping.linux "$(linux_ping)"
      record pingpong.linux "$(linux_pingpong)"
      xinim_ping
      ;;
  esac
done
if [[ "$WHAT" == transmit ]]; then xinim_syscalls; fi
