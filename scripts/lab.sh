#!/usr/bin/env bash
# Runs a command in a virtual machine that has an IOMMU, VFIO and real device models, on any host.
#
# The guest sees the host's whole file system (its own writes stay in memory), so nothing is copied into an image: the
# command, its working folder and every tool are where they are on the host. Needs neither KVM, nor VFIO, nor root.
#
# The standard machine (docs/X86_64_QEMU_GUIDE.md says more):
#
#   address  device           id         notes
#   00:02.0  e1000            8086:100e  82540EM, user network
#   00:03.0  e1000-82545em    8086:100f
#   00:04.0  e1000-82544gc    8086:100c
#   00:05.0  e1000e           8086:10d3  82574L
#   00:06.0  ich9-ahci        8086:2922  port 0: 64 MiB disk, port 1: 32 MiB disk, port 2: CD of 8 MiB
#   00:07.0  virtio-net       1af4:1041
#   00:08.0  virtio-blk       1af4:1042  64 MiB
#   00:09.0  virtio-serial    1af4:1043  port 0: console, port 1: echo, named xinim.echo
#   00:0a.0  pcie-root-port   1b36:000c  empty, id hotplug0
#   00:0b.0  pcie-root-port   1b36:000c  empty, id hotplug1
#   00:0c.0  e1000            8086:100e  82540EM, connected to the next
#   00:0d.0  e1000e           8086:10d3  82574L, connected to the one before
#   00:0e.0  virtio-net       1af4:1041  packed queues
#   00:0f.0  virtio-net       1af4:1041  without merged buffers, event index and indirect descriptors
#   00:10.0  virtio-blk       1af4:1042  32 MiB, packed queues, four of them
#   00:13.0  pci-testdev      1b36:0005  a function that no driver is for
#   00:14.0  ich9-ahci        8086:2922  only with --faulty-disks: disks that fail, that are slow, that are huge, that give space back
#   00:15.0  virtio-net       1af4:1041  only with --tap-queues: several pairs of queues, on a TAP of its own
#   00:16.0  virtio-net       1af4:1041  the same with packed queues
#   03:00.0  virtio-net       1af4:1041  behind a root port (00:11.0)
#   04:00.0  virtio-blk       1af4:1042  32 MiB in blocks of 4096 bytes, without event index and indirect descriptors, behind a root port (00:12.0)
#   00:1b.0 to 00:1d.0  virtio-9p  1af4:1009  the lab's own: leave them alone
set -euo pipefail

# An ordinary user's PATH may lack the folders of depmod and modprobe.
PATH="$PATH:/usr/sbin:/sbin"
LAB_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")/lab" && pwd -P)"
readonly LAB_DIR

# NO_READER is what the shell says of a command that SIGPIPE ended.
readonly LAB_FAILED=125 TIMED_OUT=124 NO_READER=141
# Blocks of 1 KiB that a command may write to each of stdout and stderr.
readonly OUTPUT_LIMIT=$((4 * 1024 * 1024))

readonly MAX_BOOTS=3

TIMEOUT=600 BOOTS=0 MEMORY=4G CPUS=2 HUGEPAGES=128 IOMMU=1 DEVICES=1 FAULTY_DISKS=0 TAP_QUEUES=0 VERBOSE=0 REFRESH=0
ACCEL=auto QMP='' GUEST_QMP=0 APPEND='' SERIAL_LOG=''
EXTRA_QEMU=() EXTRA_ENV=() COMMAND=()
SCRATCH='' PIDS=()
# What makes the network that QEMU is started in; empty: the host's.
NAMESPACE=()

usage() {
  cat <<'USAGE'
Usage: scripts/lab.sh [OPTION...] -- COMMAND [ARGUMENT...]

Runs COMMAND as root in a QEMU guest with an emulated IOMMU, in the same working folder, and exits with its status.
Files that it writes beneath $XINIM_LAB_OUT come back to the host (default: artifacts/lab-out); all others vanish.

  --timeout S           end the guest after S seconds (default 600)
  --env NAME=VALUE      set a variable for COMMAND; PATH, HOME, LANG, LC_*, TZ, XINIM_* and DOTNET_* are passed anyway
  --memory SIZE         the guest's memory (default 4G)
  --cpus N              its processors (default 2)
  --hugepages N         2 MiB pages reserved at boot (default 128), mounted at /dev/hugepages
  --no-iommu            a machine without IOMMU
  --no-devices          a machine without the standard devices
  --nic-backend [NIC=]B what a network card is connected to: none, user, or -netdev arguments such as
                        socket,udp=127.0.0.1:7001,localaddr=127.0.0.1:7002
                        NIC: e1000 (default), e1000-82545em, e1000-82544gc, e1000e, virtio-net, virtio-packed,
                        virtio-plain, virtio-port, cable0, cable1
  --disk-backend B      file (default: sparse images that vanish) or null (1 GiB of zeroes, no
                        medium: for benchmarks)
  --faulty-disks        one more AHCI controller, for tests of what disks do wrong
  --tap-queues N        two network cards, virtio-mq and virtio-mq-packed, with N (2 to 8) pairs of queues on TAP interfaces; for those QEMU has a network namespace
                        of its own, so no back end reaches the host's network (XINIM_LAB_TAP_QUEUES=N tells COMMAND)
  --console-backend B   -chardev arguments for the virtio console (default: null), e.g. file,path=/tmp/console
  --qmp PATH            QEMU's control socket, for hot-plug from the host
  --guest-qmp           the same in the guest, as /dev/ttyS1, with a network (net-plug), a disk (disk-plug) and a port that echoes (echo-plug) for devices to be plugged
                        (XINIM_LAB_QMP=1 tells COMMAND; who has it can do to the host what QEMU can)
  --qemu 'ARGS'         more arguments for QEMU, split like a shell would (quotes work, nothing is expanded)
  --append 'ARGS'       more arguments for the guest's kernel
  --accel kvm|tcg       instead of probing for a KVM that works
  --serial FILE         keep the serial console's log
  --verbose             all kernel messages in that log
  --refresh             fetch the newest kernel even if one is cached
  --help

Exit status: COMMAND's own; 124 when the time was up; 125 when the lab itself failed (panic, QEMU); 2 for wrong usage.
USAGE
}

note() {
  printf 'lab: %s\n' "$*" >&2
}

fail() {
  note "$*"
  exit "$LAB_FAILED"
}

wrong_usage() {
  note "$* (see --help)"
  exit 2
}

set_nic_backend() {
  local nic=e1000 backend="$1"
  if [[ -n "${NIC_BACKEND[${1%%=*}]+known}" && "$1" == *=* ]]; then
    nic="${1%%=*}"
    backend="${1#*=}"
  fi
  [[ -n "$backend" ]] || wrong_usage "--nic-backend needs a back end"
  NIC_BACKEND[$nic]="$backend"
}

# Splits like a shell, with quotes and backslashes, but expands nothing.
add_qemu_arguments() {
  local -a words
  mapfile -d '' words < <(xargs printf '%s\0' <<<"$1")
  EXTRA_QEMU+=("${words[@]}")
}

need_number() {
  [[ "$2" =~ ^[0-9]+$ ]] || wrong_usage "$1 takes a number, not '$2'"
}

parse_option_with_value() {
  case "$1" in
    --timeout) need_number "$1" "$2" && TIMEOUT="$2" ;;
    --cpus) need_number "$1" "$2" && CPUS="$2" ;;
    --tap-queues) [[ "$2" =~ ^[2-8]$ ]] || wrong_usage "--tap-queues takes 2 to 8, not '$2'" && TAP_QUEUES="$2" ;;
    --hugepages) need_number "$1" "$2" && HUGEPAGES="$2" ;;
    --memory) MEMORY="$2" ;;
    --env) [[ "$2" == ?*=* ]] || wrong_usage "--env takes NAME=VALUE" && EXTRA_ENV+=("$2") ;;
    --nic-backend) set_nic_backend "$2" ;;
    --disk-backend) [[ "$2" == file || "$2" == null ]] || wrong_usage "--disk-backend is file or null" && DISK_BACKEND="$2" ;;
    --console-backend) CONSOLE_BACKEND="$2" ;;
    --qmp) QMP="$2" ;;
    --qemu) add_qemu_arguments "$2" ;;
    --append) APPEND+=" $2" ;;
    --accel) [[ "$2" == kvm || "$2" == tcg ]] || wrong_usage "--accel is kvm or tcg" && ACCEL="$2" ;;
    --serial) SERIAL_LOG="$2" ;;
    *) wrong_usage "unknown option '$1'" ;;
  esac
}

parse_arguments() {
  while (($# > 0)); do
    case "$1" in
      --help | -h) usage && exit 0 ;;
      --no-iommu) IOMMU=0 && shift ;;
      --no-devices) DEVICES=0 && shift ;;
      --guest-qmp) GUEST_QMP=1 && shift ;;
      --faulty-disks) FAULTY_DISKS=1 && shift ;;
      --verbose) VERBOSE=1 && shift ;;
      --refresh) REFRESH=1 && shift ;;
      --) shift && COMMAND=("$@") && break ;;
      --*)
        (($# > 1)) || wrong_usage "$1 needs a value or is unknown"
        parse_option_with_value "$1" "$2"
        shift 2
        ;;
      *) wrong_usage "COMMAND follows after --, got '$1'" ;;
    esac
  done
  ((${#COMMAND[@]} > 0)) || wrong_usage "no COMMAND given"
}

check_tools() {
  local tool missing=0
  for tool in qemu-system-x86_64 busybox depmod modprobe cpio setpriv unshare flock ip xz; do
    command -v "$tool" >/dev/null || missing=1
  done
  if ((missing)); then "$LAB_DIR/../install.sh" lab || exit "$LAB_FAILED"; fi
}

choose_out() {
  local default
  default="$(dirname "$LAB_DIR")/../artifacts/lab-out"
  OUT="${XINIM_LAB_OUT:-$default}"
  if ! mkdir -p "$OUT" 2>/dev/null || [[ ! -w "$OUT" ]]; then
    [[ -z "${XINIM_LAB_OUT:-}" ]] || fail "cannot write to XINIM_LAB_OUT, $OUT"
    # Somebody else's checkout.
    OUT="${TMPDIR:-/tmp}/xinim-lab-out-$EUID"
    mkdir -p "$OUT"
  fi
  OUT="$(cd "$OUT" && pwd -P)"
}

# The variables for COMMAND, each ended by a NUL.
guest_environment() {
  local name
  printf '%s\0' "PATH=$PATH" "HOME=${HOME:-/root}" USER=root LOGNAME=root SHELL=/bin/bash TERM=dumb XINIM_LAB=1
  for name in $(compgen -e); do
    case "$name" in
      XINIM_LAB | XINIM_LAB_OUT | XINIM_LAB_QMP | XINIM_LAB_TAP_QUEUES) ;;
      XINIM_* | DOTNET_* | LANG | LC_* | TZ) printf '%s\0' "$name=${!name}" ;;
    esac
  done
  if ((GUEST_QMP)); then printf '%s\0' XINIM_LAB_QMP=1; fi
  if ((TAP_QUEUES)); then printf '%s\0' "XINIM_LAB_TAP_QUEUES=$TAP_QUEUES"; fi
  printf '%s\0' "XINIM_LAB_OUT=$OUT" "${EXTRA_ENV[@]}"
}

# Root makes a network namespace; others one in a user namespace in which they are root.
choose_namespace() {
  local way error=''
  for way in --net '--user --map-root-user --net'; do
    # shellcheck disable=SC2206 # words
    NAMESPACE=(unshare $way -- "$LAB_DIR/tap.sh" "${TAPS[@]}" --)
    if error="$("${NAMESPACE[@]}" true 2>&1)"; then return; fi
  done
  fail "no TAP with several queues can be made here (${error//$'\n'/; }): run as root or allow user namespaces, and have /dev/net/tun (modprobe tun)"
}

# What guest.sh reads. It is a copy: an edit does not reach a guest that is booting.
fill_control_share() {
  local control="$1"
  mkdir "$control"
  cp "$LAB_DIR/guest.sh" "$control/guest.sh"
  printf '%s\0' "${COMMAND[@]}" >"$control/arguments"
  guest_environment >"$control/environment"
  printf '%s=%q\n' LAB_CWD "$PWD" LAB_OUT "$OUT" LAB_RELEASE "$RELEASE" LAB_OUTPUT_LIMIT "$OUTPUT_LIMIT" \
    LAB_MODULES "$KERNEL/lib/modules/$RELEASE" >"$control/settings"
  : >"$control/stdout"
  : >"$control/stderr"
}

# Starts "$@" in the background; it dies with this script, even if the script is killed.
start() {
  setpriv --pdeathsig KILL "$@" </dev/null &
  STARTED=$!
  PIDS+=("$STARTED")
}

stop_all() {
  local pid
  for pid in "${PIDS[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  for pid in "${PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
  PIDS=()
}

# shellcheck disable=SC2317 # a trap calls it
cleanup() {
  trap '' INT TERM HUP
  stop_all
  if [[ -n "$SERIAL_LOG" && -e "$SCRATCH/serial.log" ]]; then cp "$SCRATCH/serial.log" "$SERIAL_LOG" || true; fi
  if [[ -n "$SCRATCH" ]]; then rm -rf "$SCRATCH"; fi
  if [[ -n "$QMP" ]]; then rm -f "$QMP"; fi
}

show_tail() {
  local log
  for log in "$SCRATCH/qemu.log" "$SCRATCH/serial.log"; do
    if [[ -s "$log" ]]; then tail -n 20 "$log" | tr -d '\r' | sed 's/^/  | /' >&2; fi
  done
}

# Waits until QEMU has ended and all output has been passed on. Returns 0, TIMED_OUT, or NO_READER.
watch_guest() {
  local qemu="$1" timer="$2" ended
  shift 2
  # The shell would report here that a process was killed; run_guest does, in its own words.
  wait -n -p ended "$qemu" "$timer" "$@" 2>/dev/null || true
  if kill -0 "$qemu" 2>/dev/null; then
    if [[ "$ended" == "$timer" ]]; then return "$TIMED_OUT"; fi
    return "$NO_READER"
  fi
  # They end by themselves once QEMU is gone and they have read everything.
  wait "$@" || return "$NO_READER"
}

# Says why there is no status, and exits.
explain_failure() {
  local outcome="$1" qemu_status="$2"
  show_tail
  if ((outcome == TIMED_OUT)); then
    note "time is up: the guest was stopped after $TIMEOUT s"
    exit "$TIMED_OUT"
  fi
  if panicked; then fail "the guest's kernel panicked"; fi
  if ((qemu_status > 128)); then fail "QEMU was killed by signal $((qemu_status - 128)); is the host out of memory?"; fi
  fail "the guest ended without a status; QEMU exited with $qemu_status"
}

run_guest() {
  local control="$SCRATCH/control" qemu timer readers=() outcome=0 qemu_status=0
  start "${NAMESPACE[@]}" qemu-system-x86_64 "${QEMU_ARGS[@]}" >"$SCRATCH/qemu.log" 2>&1
  qemu="$STARTED"
  start tail -q -c +1 -s 0.05 -f --pid="$qemu" "$control/stdout"
  readers+=("$STARTED")
  start tail -q -c +1 -s 0.05 -f --pid="$qemu" "$control/stderr" >&2
  readers+=("$STARTED")
  start sleep "$TIMEOUT"
  timer="$STARTED"
  watch_guest "$qemu" "$timer" "${readers[@]}" || outcome=$?

  if ((outcome == NO_READER)); then exit "$NO_READER"; fi
  if [[ -s "$control/status" ]]; then exit "$(<"$control/status")"; fi
  if ((outcome != TIMED_OUT)); then wait "$qemu" 2>/dev/null || qemu_status=$?; fi
  stop_all
  if ((BOOTS < MAX_BOOTS && outcome != TIMED_OUT)) && [[ ! -e "$control/started" ]] && panicked; then
    note "the guest's kernel panicked while it booted, as it does now and then on a busy host; booting again"
    return
  fi
  explain_failure "$outcome" "$qemu_status"
}

panicked() { grep -q 'Kernel panic' "$SCRATCH/serial.log" 2>/dev/null; }

main() {
  # shellcheck source=scripts/lab/kernel.sh
  source "$LAB_DIR/kernel.sh"
  # shellcheck source=scripts/lab/accel.sh
  source "$LAB_DIR/accel.sh"
  # shellcheck source=scripts/lab/machine.sh
  source "$LAB_DIR/machine.sh"
  parse_arguments "$@"
  trap cleanup EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  check_tools
  if ((TAP_QUEUES)); then choose_namespace; fi
  choose_out
  prepare_kernel "$REFRESH"
  SCRATCH="$(mktemp -d "${TMPDIR:-/tmp}/xinim-lab.XXXXXX")"
  choose_accel "$SCRATCH"
  fill_control_share "$SCRATCH/control"
  describe_machine "$SCRATCH" "$SCRATCH/control" "$OUT"
  # Returns only to boot once more.
  while ((++BOOTS)); do run_guest; done
}

main "$@"
