#!/usr/bin/env bash
# The virtio drivers beside DPDK's, Linux's and fio: over vhost-user on this machine, and over VFIO on the same emulated devices in the same guest, in turns.
set -euo pipefail
# shellcheck source=scripts/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

guest() {
  local script="$1" what="$2" arguments
  read -ra arguments <<<"$3"
  shift 3
  XINIM_BENCH_ROUNDS="$ROUNDS" XINIM_BENCH_SECONDS="$SECONDS_EACH" XINIM_BENCH_NIC=0000:00:07.0 XINIM_BENCH_LINUX=virtio-pci \
    "$ROOT/scripts/lab.sh" --timeout $((180 + ROUNDS * (SECONDS_EACH * 10 + 50))) "$@" -- "$ROOT/scripts/bench/guest/$script.sh" "${arguments[@]}"
  cat "$XINIM_LAB_OUT/$what.tsv" >>"$RAW"
}

bench_options "$@"
cd "$ROOT"
"$ROOT/scripts/install.sh" build lab bench remote
"$ROOT/scripts/build.sh"
dotnet build tests/Xinim.Benchmarks --configuration Release --verbosity quiet --nologo

"$ROOT/scripts/bench/native/virtio.sh" "$ROUNDS" "$SECONDS_EACH" >>"$RAW"
guest nic transmit transmit --nic-backend virtio-net=none
guest disk disk 'read:4k:1 read:4k:32' --disk-backend null

for layout in split packed; do
  for direction in transmit receive; do
    figure "vhost-user $direction 60 B, $layout, driver and client in one thread, Mpps" "vhost.$direction.$layout.mpps" "vhost.$direction.testpmd.$layout" 'DPDK net_virtio_user, same back end' '1 x'
    figure "vhost-user $direction, $layout, cycles of the driver a packet" "vhost.$direction.$layout.cycles" none 'none' 'at most 94'
  done
done
for where in '' '.one'; do
  processors="$([[ -z "$where" ]] || echo ', driver and client on one processor')"
  figure "vhost-user transmit 60 B, client in another process$processors, Mpps" "vhost.transmit.client$where" vhost.transmit.packed.mpps 'driver and client in one thread' '0.8 x'
  figure "vhost-user transmit 60 B, client in another process$processors, beside DPDK, Mpps" "vhost.transmit.client$where" vhost.transmit.testpmd.packed 'DPDK net_virtio_user, same back end' 'none'
done
figure 'guest transmit 60 B, Mpps' tx.xinim tx.testpmd 'DPDK testpmd txonly' '1 x'
figure 'guest transmit 60 B, driver and client on one processor, Mpps' tx.one tx.testpmd 'DPDK testpmd txonly' '1 x'
figure 'guest transmit 60 B beside Linux, Mpps' tx.xinim tx.pktgen 'Linux pktgen' 'none'
disk_figures '4 KiB random read' read:4k 1:1.5 32:3
for depth in 1 32; do
  figure "vhost-user 4 KiB random read, depth $depth, IOPS" "vub.xinim.iops.$depth" "vub.fio.iops.$depth" 'fio over NBD, same storage daemon' 'none'
  figure "vhost-user 4 KiB random read, depth $depth, p99.9 us" "vub.xinim.p999.$depth" "vub.fio.p999.$depth" 'fio over NBD, same storage daemon' 'none'
done
