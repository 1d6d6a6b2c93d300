#!/bin/bash
# Second stage of the guest: process 1, on the host's file system. It runs the command, leaves the command's status in the
# control share and turns the machine off. Its own messages go to the serial console.
set -uo pipefail

readonly CONTROL=/.xinim-lab PIPES=/dev/shm/.xinim-lab BUSYBOX=/run/.xinim-lab/busybox

# Written by the host: LAB_CWD, LAB_OUT, LAB_MODULES, LAB_RELEASE, LAB_OUTPUT_LIMIT.
# shellcheck disable=SC1091
source "$CONTROL/settings"

# A relay between a pipe and a file of the control share: the command sees a pipe, as it would on the host, and a
# "> /dev/stderr" cannot truncate what was written before. The limit keeps a runaway command from filling the host's disk.
# It has to become cat itself: kill_leftovers spares the process that was started here, not a child of it.
relay() {
  ulimit -f "$LAB_OUTPUT_LIMIT"
  exec /bin/cat <"$1" >>"$2"
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
  local out_relay err_relay status
  mapfile -d '' arguments <"$CONTROL/arguments"
  mapfile -d '' environment <"$CONTROL/environment"
  "$BUSYBOX" mkdir -m 700 "$PIPES"
  "$BUSYBOX" mkfifo "$PIPES/out" "$PIPES/err"
  relay "$PIPES/out" "$CONTROL/stdout" &
  out_relay=$!
  relay "$PIPES/err" "$CONTROL/stderr" &
  err_relay=$!

  # From here on the guest is the command's: the host does not boot another one if this one dies.
  : >"$CONTROL/started"
  # A session of its own, so that a "kill 0" reaches neither process 1 nor the relays. The inner shell turns a command that
  # is not found into 127 and one that cannot be run into 126.
  # shellcheck disable=SC2016
  "$BUSYBOX" env -i "${environment[@]}" "$BUSYBOX" setsid /bin/bash -c 'cd -- "$1" && shift && exec "$@"' lab \
    "$LAB_CWD" "${arguments[@]}" </dev/null >"$PIPES/out" 2>"$PIPES/err" &
  wait $!
  status=$?

  kill_leftovers "$out_relay" "$err_relay"
  wait "$out_relay" "$err_relay"
  # Renamed into place: the host never sees half a number.
  echo "$status" >"$CONTROL/status.new" && "$BUSYBOX" mv "$CONTROL/status.new" "$CONTROL/status"
}

run_command
"$BUSYBOX" sync
"$BUSYBOX" umount "$LAB_OUT"
"$BUSYBOX" poweroff -f
# Process 1 must not end: that is a panic, which would hide the status.
while :; do "$BUSYBOX" sleep 1; done
