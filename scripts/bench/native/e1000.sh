#!/usr/bin/env bash
# Start-up and memory of the driver natively, on QEMU's model over the Remote back end. Prints raw values.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)"
ROUNDS="$1"
XINIM="$ROOT/artifacts/bin/xinim"
SCRATCH="$(mktemp -d)"
export XINIM_SOCKET="$SCRATCH/run/xinim.sock"
printf '{ "socket": "%s", "devices": [ { "device": "remote:e1000", "restart": { "quietPeriod": 0 } } ] }\n' "$XINIM_SOCKET" >"$SCRATCH/xinim.json"
# A start is from the making of the process on: nothing is kept ready.
mkdir "$SCRATCH/drivers"
sed "s|\"executable\": \"|\"standby\": false, &$ROOT/artifacts/bin/|" "$ROOT/artifacts/bin/drivers/e1000.json" >"$SCRATCH/drivers/e1000.json"
chmod -R a+rX "$SCRATCH"
"$XINIM" daemon --config "$SCRATCH/xinim.json" --drivers "$SCRATCH/drivers" >"$SCRATCH/log" 2>&1 &
DAEMON=$!
trap 'kill "$DAEMON"; wait "$DAEMON"; rm -rf "$SCRATCH"' EXIT

value() { "$XINIM" status --json | awk -F'[:,]' -v key="\"$1\"" '$1 ~ key {gsub(/[ "]/, "", $2); print $2; exit}'; }

await() {
  local deadline=$((SECONDS + 20))
  until "$XINIM" status --json 2>/dev/null | grep -q "\"generation\": $1," && [[ "$(value state)" == Ready ]]; do
    ((SECONDS < deadline)) || { cat "$SCRATCH/log" >&2 && exit 1; }
    sleep 0.05
  done
}

# Several lives a round: one start takes milliseconds.
for ((generation = 1; generation <= ROUNDS * 4; generation++)); do
  await "$generation"
  printf 'start.native\t%s\n' "$(value startMilliseconds)"
  printf 'rss.native\t%s\n' "$(awk '/^VmRSS/ {printf "%.1f", $2 / 1024}' "/proc/$(value pid)/status")"
  kill -9 "$(value pid)"
done
