#!/usr/bin/env bash
# The E1000 driver beside DPDK's and Linux's: the same emulated NIC, in the same guest, in turns.
set -euo pipefail
# shellcheck source=scripts/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

FLOOD_PID=''
trap '[[ -z "$FLOOD_PID" ]] || kill "$FLOOD_PID" 2>/dev/null || true' EXIT

guest() {
  local what="$1"
  shift
  XINIM_BENCH_ROUNDS="$ROUNDS" XINIM_BENCH_SECONDS="$SECONDS_EACH" \
    "$ROOT/scripts/lab.sh" --timeout $((180 + ROUNDS * (SECONDS_EACH * 8 + 50))) "$@" -- "$ROOT/scripts/bench/guest/nic.sh" "$what"
  cat "$XINIM_LAB_OUT/$what.tsv" >>"$RAW"
}

flood() {
  dotnet "$ROOT/artifacts/bin/Xinim.Benchmarks/release/Xinim.Benchmarks.dll" flood --port 7702 --rate 200000 &
  FLOOD_PID=$!
}

bench_options "$@"
cd "$ROOT"
"$ROOT/scripts/install.sh" build lab bench remote
"$ROOT/scripts/build.sh"
dotnet build tests/Xinim.Benchmarks --configuration Release --verbosity quiet --nologo

guest transmit --nic-backend none
flood
guest receive --nic-backend socket,udp=127.0.0.1:7701,localaddr=127.0.0.1:7702
kill "$FLOOD_PID"
FLOOD_PID=''
guest ping
"$ROOT/scripts/bench/native/e1000.sh" "$ROUNDS" >>"$RAW"

figure 'transmit 60 B, Mpps' tx.xinim tx.testpmd 'DPDK testpmd txonly' '1.1 x'
figure 'transmit 60 B, driver and client on one processor, Mpps' tx.one tx.testpmd 'DPDK testpmd txonly' 'none'
figure 'transmit 60 B beside Linux, Mpps' tx.xinim tx.pktgen 'Linux pktgen' 'none'
figure 'receive 60 B, kpps' rx.xinim rx.testpmd 'DPDK testpmd rxonly' '1 x'
figure 'receive 60 B, driver and client on one processor, kpps' rx.one rx.testpmd 'DPDK testpmd rxonly' '1 x'
figure 'receive 60 B beside Linux, kpps' rx.xinim rx.linux 'Linux driver' 'none'
figure 'ping round trip every 10 ms, median us' ping.xinim ping.linux 'Linux driver, ping -i 0.01' 'at most 1 x'
figure 'ping round trip every 10 ms, driver spins, median us' ping.poll ping.linux 'Linux driver, ping -i 0.01' 'none'
figure 'ping round trip back to back, median us' pingpong.xinim pingpong.linux 'Linux driver, ping -A' 'at most 1 x'
figure 'driver memory in the guest, MiB' rss.guest none 'none' 'at most 16'
figure 'driver memory natively, MiB' rss.native none 'none' 'at most 16'
figure 'start to Ready in the guest, ms' start.guest none 'none' 'at most 200'
figure 'start to Ready natively, ms' start.native none 'none' 'at most 15'
figure 'system calls per 1000 frames sent' syscalls none 'none' 'well below 1000'
