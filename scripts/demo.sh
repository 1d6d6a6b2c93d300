#!/usr/bin/env bash
# Xinim in one command: a NIC's driver in a process of its own answers real traffic.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
readonly ROOT

usage() {
  cat <<'USAGE'
Usage: scripts/demo.sh [--native]

Builds Xinim and shows it at work: the daemon takes an e1000 NIC, starts its driver as a separate unprivileged process, and a
client in a third process pings the gateway and sends a burst of frames over shared-memory rings. Then the driver is killed.

  (default)   in a QEMU guest with an emulated IOMMU, through vfio-pci; needs no special hardware
  --native    on this machine, with QEMU's e1000 model as the device; seconds, and no root

USAGE
}

case "${1-}" in
  '') WHERE=guest ;;
  --native) WHERE=native ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac

cd "$ROOT"
"$ROOT/scripts/build.sh"
if [[ "$WHERE" == guest ]]; then
  exec "$ROOT/scripts/lab.sh" --timeout 170 -- "$ROOT/scripts/demo/story.sh" vfio
fi
"$ROOT/scripts/install.sh" remote
exec "$ROOT/scripts/demo/story.sh" remote
