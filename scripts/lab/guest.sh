#!/bin/bash
# Second stage of the guest: process 1, on the host's file system. It finishes the mounts, runs the command, leaves the
# command's status in the control share and turns the machine off. Its own messages go to the serial console.
set -uo pipefail

readonly CONTROL=/.xinim-lab
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Written by the host: LAB_CWD, LAB_OUT, LAB_MODULES, LAB_RELEASE, LAB_OUTPUT_LIMIT.
# shellcheck disable=SC1091
source "$CONTROL/settings"

power_off() {
  sync
  umount "$LAB_OUT"
  busybox poweroff -f
}

mount_modules() {
  # Before /run is covered: the cache may be anywhere.
  local target="/lib/modules/$LAB_RELEASE"
  mkdir -p "$target"
  mount --bind "$LAB_MODULES" "$target"
}

mount_kernel_file_systems() {
  mkdir -p /dev/pts /dev/shm /dev/hugepages /dev/mqueue
  mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
  mount -t tmpfs -o mode=1777 tmpfs /dev/shm
  mount -t hugetlbfs -o pagesize=2M hugetlbfs /dev/hugepages
  mount -t mqueue mqueue /dev/mqueue
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mount -t debugfs debugfs /sys/kernel/debug
  mount -t tracefs tracefs /sys/kernel/tracing
  ln -sfn /proc/self/fd /dev/fd
  ln -sfn /proc/self/fd/0 /dev/stdin
  ln -sfn /proc/self/fd/1 /dev/stdout
  ln -sfn /proc/self/fd/2 /dev/stderr
}

# The host's sockets and lock files in /run belong to processes that do not exist here. /tmp is left as the overlay shows
# it, so that work beneath it is found.
mount_run() {
  case "$LAB_CWD/" in
    /run/* | /var/run/*) ;;
    *) mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/lock ;;
  esac
}

mount_out() {
  mkdir -p "$LAB_OUT"
  # cache=mmap: nothing is held back from the host, yet files can be mapped shared.
  mount -t 9p -o rw,trans=virtio,version=9p2000.L,msize=524288,cache=mmap xinim-out "$LAB_OUT"
}

# A relay between a pipe and a file of the control share: the command sees a pipe, as it would on the host, and a
# "> /dev/stderr" cannot truncate what was written before. The limit keeps a runaway command from filling the host's disk.
relay() {
  (
    ulimit -f "$LAB_OUTPUT_LIMIT"
    exec cat
  ) <"$1" >>"$2"
}

# What the command left running would keep the pipes open for ever.
kill_leftovers() {
  local entry pid
  for entry in /proc/[0-9]*; do
    pid="${entry#/proc/}"
    case "$pid" in
      1 | "$1" | "$2") ;;
      *) kill -KILL "$pid" 2>/dev/null ;;
    esac
  done
}

run_command() {
  local -a arguments environment
  local pipes=/dev/shm/.xinim-lab out_relay err_relay status
  mapfile -d '' arguments <"$CONTROL/arguments"
  mapfile -d '' environment <"$CONTROL/environment"
  mkdir -m 700 "$pipes"
  mkfifo "$pipes/out" "$pipes/err"
  relay "$pipes/out" "$CONTROL/stdout" &
  out_relay=$!
  relay "$pipes/err" "$CONTROL/stderr" &
  err_relay=$!

  # A session of its own, so that a "kill 0" reaches neither process 1 nor the relays. The inner shell turns a command that
  # is not found into 127 and one that cannot be run into 126.
  # shellcheck disable=SC2016
  env -i "${environment[@]}" setsid /bin/bash -c 'cd -- "$1" && shift && exec "$@"' lab "$LAB_CWD" \
    "${arguments[@]}" </dev/null >"$pipes/out" 2>"$pipes/err" &
  wait $!
  status=$?

  kill_leftovers "$out_relay" "$err_relay"
  wait "$out_relay" "$err_relay"
  # Renamed into place: the host never sees half a number.
  echo "$status" >"$CONTROL/status.new" && mv "$CONTROL/status.new" "$CONTROL/status"
}

echo xinim-lab >/proc/sys/kernel/hostname
mount_modules
mount_kernel_file_systems
mount_run
mount_out
ip link set lo up
run_command
power_off
# Process 1 must not end: that is a panic, which would hide the status.
while :; do sleep 1; done
