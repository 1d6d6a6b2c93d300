#!/usr/bin/env bash
# The demonstration itself: scripts/demo.sh runs it, in the lab's guest (vfio) or on the host (remote).
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)"
XINIM="$ROOT/artifacts/bin/xinim"
WHERE="$1"
SCRATCH="$(mktemp -d)"
DAEMON=''
CLIENT=()
readonly ROOT XINIM WHERE SCRATCH

finish() {
  [[ -z "$DAEMON" ]] || kill "$DAEMON" 2>/dev/null || true
  wait
  rm -rf "$SCRATCH"
}
trap finish EXIT

title() { printf '\n== %s\n' "$*"; }

# A daemon that is root gives its clients to an ordinary user; a daemon that is not serves its own.
configure() {
  local device='{ "device": "0000:00:02.0" }' group=''
  if [[ "$WHERE" == remote ]]; then device='{ "device": "remote:e1000", "netdev": "user" }'; fi
  if ((EUID == 0)); then
    group='"socketGroup": "nogroup", '
    CLIENT=(setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs)
    chmod 755 "$SCRATCH"
  fi
  printf '{ "socket": "%s/run/xinim.sock", %s"devices": [ %s ] }\n' "$SCRATCH" "$group" "$device" >"$SCRATCH/xinim.json"
  export XINIM_SOCKET="$SCRATCH/run/xinim.sock"
}

start_daemon() {
  if [[ "$WHERE" == vfio ]]; then
    modprobe vfio-pci
    "$XINIM" list
  fi
  "$XINIM" daemon --config "$SCRATCH/xinim.json" >"$SCRATCH/daemon.log" 2>&1 &
  DAEMON=$!
  await_generation 1
  cat "$SCRATCH/daemon.log"
}

# Waits until the driver's Nth life is ready; bounded.
await_generation() {
  local deadline=$((SECONDS + 30))
  until [[ -S "$XINIM_SOCKET" ]] && "$XINIM" status --json 2>/dev/null | grep -q '"state": "Ready"' &&
    "$XINIM" status --json | grep -q "\"generation\": $1,"; do
    if ((SECONDS > deadline)) || ! kill -0 "$DAEMON" 2>/dev/null; then
      cat "$SCRATCH/daemon.log" >&2
      echo "demo: the driver did not become ready" >&2
      exit 1
    fi
    sleep 0.1
  done
}

# What a process is and what it holds, as the kernel tells it.
holdings() {
  local role="$1" pid="$2"
  printf '%-8s process %s, user %s, capabilities %s\n' "$role" "$pid" \
    "$(awk '/^Uid:/ {print $2}' "/proc/$pid/status")" "$(awk '/^CapEff:/ {print $2}' "/proc/$pid/status")"
  find "/proc/$pid/fd" -type l -printf '%l\n' 2>/dev/null | sed -E 's/ \(deleted\)//; s/:\[[0-9]+\]//' |
    grep -E 'vfio|memfd|socket|eventfd' | sort | uniq -c | awk '{printf "         %d x %s\n", $1, $2}'
}

show_processes() {
  local driver burst deadline=$((SECONDS + 20))
  driver="$("$XINIM" status --json | awk -F'[:,]' '/"pid"/ {print $2; exit}' | tr -d ' ')"
  "${CLIENT[@]}" "$XINIM" net send net0 --seconds 3 >"$SCRATCH/burst" 2>&1 &
  burst=$!
  until grep -qs xinim-net-tx "/proc/$burst/maps" || ((SECONDS > deadline)); do sleep 0.1; done
  holdings daemon "$DAEMON"
  holdings driver "$driver"
  holdings client "$burst"
  title "A burst of 60-byte frames: client -> ring -> driver -> device"
  wait "$burst" || { cat "$SCRATCH/burst" >&2; exit 1; }
  cat "$SCRATCH/burst"
}

configure
title "The daemon takes the NIC and starts its driver"
start_daemon
title "A client in a third process pings the gateway"
"${CLIENT[@]}" "$XINIM" ping net0 10.0.2.2 --count 5 --interval 0.2
title "Who holds what while a client sends"
show_processes
title "The driver is killed, and the next one serves"
kill -9 "$("$XINIM" status --json | awk -F'[:,]' '/"pid"/ {print $2; exit}' | tr -d ' ')"
await_generation 2
"${CLIENT[@]}" "$XINIM" ping net0 10.0.2.2 --count 3 --interval 0.2
"$XINIM" status
title "The daemon stops"
kill "$DAEMON"
wait "$DAEMON"
DAEMON=''
tail -n 3 "$SCRATCH/daemon.log"
echo "demo: all of it worked"
