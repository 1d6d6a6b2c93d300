#!/usr/bin/env bash
# Makes TAP interfaces with several queues and becomes the command behind them: tap.sh NAME... -- COMMAND [ARGUMENT...]
# Runs in a network namespace of its own, which ends with its last process, and the interfaces with it: nothing of the host's
# network can collide with them, and nothing has to be taken away, however the command ends.
#
# The first has the address 10.0.100.1/24, the next 10.0.101.1/24, and so on: there the kernel answers ARP, ping, and by a
# reset what TCP has no socket for.
set -euo pipefail

PATH="$PATH:/usr/sbin:/sbin"

main() {
  local subnet=100
  while [[ "$1" != -- ]]; do
    ip tuntap add dev "$1" mode tap vnet_hdr multi_queue
    # No frames but those that somebody asked for.
    ip link set dev "$1" addrgenmode none
    ip address add "10.0.$subnet.1/24" dev "$1"
    ip link set dev "$1" up
    subnet=$((subnet + 1))
    shift
  done
  shift
  exec "$@"
}

main "$@"
