#!/usr/bin/env bash
# Injects faults into running drivers and checks that nobody else is harmed; docs/RELIABILITY.md says how.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
readonly ROOT
readonly TOOL="$ROOT/artifacts/bin/Xinim.Faults/release/Xinim.Faults"
readonly FAULTY="$ROOT/artifacts/faults/bin/xinim-driver-faulty"
readonly STAMP="$ROOT/artifacts/faults/.stamp"
readonly INPUTS=(src tests/Xinim.Faults tests/Xinim.FaultyDriver tests/Xinim.TestKit Directory.Build.props Directory.Packages.props)

usage() {
  cat <<'USAGE'
Usage: scripts/faults.sh [OPTION...]

Starts the daemon with drivers under traffic, injects one fault after another and reports what each kind did, how long
recovery took and whether any invariant broke. The last line is the verdict; the status is 1 when an invariant broke.

  --target T        remote: QEMU's device models, here (default)
                    model: device models of the tests and the driver's code in one process; tens of thousands a minute
                    vfio: two NICs whose cables are connected, or a disk, in the lab's guest
  --count N         faults (default 500)
  --seed S          chooses kinds and places (default 1)
  --first N         number of the first fault: repeats a part of a campaign
  --kinds A,B,...   only these kinds; an unknown name lists them
  --device NAME     device model (default remote:e1000e; with --recovery remote:e1000), virtio-net, virtio-blk, virtio-console,
                    vhost-user-blk or ahci; in the guest virtio-net, virtio-blk, virtio-console, ahci, two PCI addresses A,B of which
                    the first is the one that suffers, or one of a disk or console; on models e1000, virtio-net,
                    virtio-blk, virtio-console or ahci
  --duration S      end after so many seconds
  --jobs N          N campaigns beside each other, each with its part of the numbers; one result (only with --target model)
  --per-driver N    faults without effect until a driver is replaced (default 10; 1: effects are of that very fault)
  --kill-every S    instead: a transfer under one kill every S seconds, beside an undisturbed one before and after; S,S,… for several
  --recovery        instead: kill -9 to the next driver's first frame, with its parts, --count times
  --json            print the result as JSON too
  --help

Memory faults write through /proc/PID/mem: run as root, or as a user whose drivers are dumpable and who may trace them.
Every fault, what it did and the daemon's log are left in artifacts/faults. XINIM_FAULTS_TIMEOUT ends the guest (seconds).
USAGE
}

# Folders count as well as files, so that a deleted file is a change.
is_current() {
  [[ -x "$TOOL" && -x "$FAULTY" && -f "$STAMP" ]] && [[ -z "$(find "${INPUTS[@]}" -newer "$STAMP" -print -quit)" ]]
}

build() {
  "$ROOT/scripts/build.sh"
  if is_current; then return; fi
  mkdir -p "$(dirname "$STAMP")"
  touch "$STAMP.started"
  dotnet build tests/Xinim.Faults --configuration Release --verbosity quiet --nologo
  dotnet publish tests/Xinim.FaultyDriver --configuration Release --output artifacts/faults/publish --verbosity quiet --nologo
  install -D -m 755 artifacts/faults/publish/xinim-driver-faulty "$FAULTY"
  mv "$STAMP.started" "$STAMP"
}

TARGET=remote DEVICE='' previous=''
for argument in "$@"; do
  case "$previous $argument" in
    *' -h' | *' --help') usage && exit 0 ;;
    '--target '*) TARGET="$argument" ;;
    *' --target='*) TARGET="${argument#*=}" ;;
    '--device '*) DEVICE="$argument" ;;
    *' --device='*) DEVICE="${argument#*=}" ;;
  esac
  previous="$argument"
done

cd "$ROOT"
if [[ "${XINIM_LAB-}" == 1 ]]; then
  # In the lab's guest everything is there already, and what is written vanishes.
  modprobe vfio-pci
  exec "$TOOL" "$@"
fi
"$ROOT/scripts/install.sh" build remote
build
[[ "$TARGET" == vfio ]] || exec "$TOOL" "$@"
"$ROOT/scripts/install.sh" lab
export XINIM_LAB_OUT="$ROOT/artifacts/faults/lab"
mkdir -p "$XINIM_LAB_OUT"
# The guest has two NICs with a cable between them; two of its virtio NICs get one.
cable=()
if [[ "$DEVICE" == virtio-net ]]; then cable=(--nic-backend 'virtio-packed=hubport,hubid=1' --nic-backend 'virtio-plain=hubport,hubid=1'); fi
exec "$ROOT/scripts/lab.sh" --timeout "${XINIM_FAULTS_TIMEOUT:-1800}" "${cable[@]}" \
  -- "$ROOT/scripts/faults.sh" "$@"
