#!/usr/bin/env bash
# Checks the lab itself: what it promises about arguments, output, status, time limits, devices and cleaning up.
# Usage: scripts/lab/selftest.sh [NAME...]     runs all tests, or those named (a test is a function test_NAME below)
set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
LAB="$HERE/../lab.sh"
PASSED=0 FAILED=0

WORK="$(mktemp -d)"
trap 'rm -rf "$WORK"' EXIT
# Its own folder for what labs leave behind, so that a leftover is seen and another person's lab is not mistaken for one.
mkdir "$WORK/tmp" "$WORK/out"
export TMPDIR="$WORK/tmp" XINIM_LAB_OUT="$WORK/out"

# A guest without what most tests do not need boots a little sooner. The limit is for a host that is busy with other work.
small_lab() {
  "$LAB" --timeout 200 --no-devices --memory 1G --hugepages 0 "$@"
}

expect() {
  local what="$1" wanted="$2" got="$3"
  if [[ "$got" == "$wanted" ]]; then
    PASSED=$((PASSED + 1))
    printf '  ok      %s\n' "$what"
  else
    FAILED=$((FAILED + 1))
    printf '  FAILED  %s: wanted %q, got %q\n' "$what" "$wanted" "$got"
  fi
}

# True when a lab of ours has left a process or a file. Every process of a lab names the scratch folder or is a child.
leftovers() {
  local found=''
  found+="$(ls -A "$WORK/tmp")"
  # The pattern comes from a file, else grep would find itself.
  found+="$(grep -lsF -f <(printf '%s' "$WORK/tmp") /proc/[0-9]*/cmdline || true)"
  printf '%s' "$found"
}

test_status() {
  local status=0
  small_lab -- sh -c 'exit 7' || status=$?
  expect "a command's own status" 7 "$status"
  status=0
  # shellcheck disable=SC2016
  small_lab -- sh -c 'kill -9 $$' || status=$?
  expect "a command that a signal ended" 137 "$status"
  status=0
  small_lab -- /nonexistent/command 2>/dev/null || status=$?
  expect "a command that does not exist" 127 "$status"
}

test_arguments() {
  local folder="$WORK/a folder, with 'quotes' and \$x" got wanted
  mkdir "$folder"
  # shellcheck disable=SC2016,SC1003
  got="$(cd "$folder" && XINIM_TEST=$'two\nlines' DOTNET_TEST=d OTHER=o small_lab --env 'EXTRA=a "b" c' -- \
    bash -c 'printf "<%s>" "$PWD" "$@" "$XINIM_TEST" "$DOTNET_TEST" "${OTHER-unset}" "$EXTRA"' name \
    '' 'a  b' "it's" '"x"' '$HOME' '*' $'line\nbreak' -- '\')"
  # shellcheck disable=SC2016,SC1003
  wanted="$(printf '<%s>' "$folder" '' 'a  b' "it's" '"x"' '$HOME' '*' $'line\nbreak' -- '\' $'two\nlines' d unset \
    'a "b" c')"
  expect "folder, arguments and variables" "$wanted" "$got"
}

test_output() {
  local got status=0 first
  # shellcheck disable=SC2016
  got="$(small_lab -- sh -c 'echo out; echo err >&2; echo part > /dev/stdout; sleep 1000 & echo more' 2>"$WORK/err")"
  expect "stdout, with a process left running" $'out\npart\nmore' "$got"
  expect "stderr" err "$(<"$WORK/err")"

  # Made here: the guest would take long to count so far.
  { seq 14000000 || true; } | head -c 104857600 >"$WORK/source"
  # shellcheck disable=SC2016
  small_lab -- sh -c 'cat "$0"; tail -c 7000000 "$0" >&2; exit 3' "$WORK/source" 2>"$WORK/err" >"$WORK/big" || status=$?
  expect "status after 100 MiB of output" 3 "$status"
  expect "100 MiB of stdout" same "$(cmp "$WORK/source" "$WORK/big" && echo same)"
  expect "7 MB of stderr" same "$(tail -c 7000000 "$WORK/source" | cmp - "$WORK/err" && echo same)"
  rm "$WORK/big" "$WORK/source"

  # More than fits a pipe is still on its way when this command ends.
  # shellcheck disable=SC2016
  small_lab -- sh -c 'head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero' 2>"$WORK/err" >"$WORK/big"
  expect "the last bytes of both streams" "3000000 3000000" "$(stat -c %s "$WORK/err" "$WORK/big" | xargs)"

  # The file appears when the line is read here, and ends the command: without streaming the time would run out.
  # shellcheck disable=SC2016
  first="$(small_lab --timeout 60 -- \
    sh -c 'echo first; until [ -e "$XINIM_LAB_OUT/seen" ]; do sleep 0.1; done; echo last' |
    while read -r line; do
      touch "$WORK/out/seen"
      printf '%s ' "$line"
    done)" || true
  expect "output arrives while the command runs" "first last " "$first"
}

test_out_folder() {
  # shellcheck disable=SC2016
  small_lab -- sh -c 'mkdir -p "$XINIM_LAB_OUT/deep"; seq 300000 > "$XINIM_LAB_OUT/deep/file"; echo lost > "$HOME/.xinim-lost"'
  expect "a file in XINIM_LAB_OUT" "$(seq 300000 | sha256sum)" "$(sha256sum <"$WORK/out/deep/file")"
  expect "a file elsewhere stays in the guest" no "$([[ -e "$HOME/.xinim-lost" ]] && echo yes || echo no)"
}

test_failures() {
  local status=0 message
  message="$("$LAB" --no-devices --timeout 12 -- sleep 1000 2>&1)" || status=$?
  expect "status when the time is up" 124 "$status"
  expect "message when the time is up" "lab: time is up: the guest was stopped after 12 s" "${message##*$'\n'}"
  status=0
  message="$(small_lab -- sh -c 'echo c > /proc/sysrq-trigger; sleep 60' 2>&1)" || status=$?
  expect "status of a panic" 125 "$status"
  expect "message of a panic" "lab: the guest's kernel panicked" "${message##*$'\n'}"
  status=0
  small_lab --qemu '-device no-such-device' -- true 2>/dev/null || status=$?
  expect "status of a QEMU that does not start" 125 "$status"
  status=0
  "$LAB" --no-such-option 1 -- true 2>/dev/null || status=$?
  expect "status of wrong usage" 2 "$status"
  expect "nothing left" "" "$(leftovers)"
}

test_signals() {
  local signal lab status
  for signal in INT TERM; do
    # A job in the background has SIGINT ignored, which no shell can undo; env can.
    env --default-signal=INT "$LAB" --timeout 200 -- sh -c 'echo started; sleep 1000' >"$WORK/started" &
    lab=$!
    until [[ -s "$WORK/started" ]] || ! kill -0 "$lab" 2>/dev/null; do sleep 0.2; done
    kill "-$signal" "$lab"
    status=0
    wait "$lab" || status=$?
    expect "status after SIG$signal" "$([[ $signal == INT ]] && echo 130 || echo 143)" "$status"
    expect "nothing left after SIG$signal" "" "$(leftovers)"
    : >"$WORK/started"
  done
  "$LAB" --timeout 200 -- yes 2>/dev/null | head -n 1 >"$WORK/started" || true
  expect "nothing left when the reader went away" "" "$(leftovers)"
}

# A cache of its own, with the kernel of the real one but no initramfs yet.
copy_cache() {
  local cache="${XINIM_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xinim/lab}"
  cp -a "$cache" "$1"
  rm -rf "$1"/kernel-*/initramfs-* "$1"/build.*
}

test_at_once() {
  local one two status_one=0 status_two=0
  copy_cache "$WORK/cache"
  XINIM_LAB_CACHE="$WORK/cache" small_lab -- sh -c 'echo one; exit 1' >"$WORK/one" &
  one=$!
  XINIM_LAB_CACHE="$WORK/cache" small_lab -- sh -c 'echo two; exit 2' >"$WORK/two" &
  two=$!
  wait "$one" || status_one=$?
  wait "$two" || status_two=$?
  expect "two labs at once, from a cache to be completed" "1 one, 2 two" \
    "$status_one $(<"$WORK/one"), $status_two $(<"$WORK/two")"
  rm -rf "$WORK/cache"
}

test_ordinary_user() {
  local got home="$WORK/home"
  if ((EUID != 0)); then return; fi
  mkdir "$home"
  copy_cache "$home/cache"
  mkdir "$home/out" "$home/tmp"
  cp -r "$HERE/.." "$home/scripts"
  chmod 755 "$WORK"
  chown -R 65534:65534 "$home"
  # shellcheck disable=SC2016
  got="$(cd "$home" && env -i PATH=/usr/bin:/bin HOME="$home" TMPDIR="$home/tmp" XINIM_LAB_CACHE="$home/cache" \
    XINIM_LAB_OUT="$home/out" setpriv --reuid 65534 --regid 65534 --clear-groups scripts/lab.sh --timeout 200 -- \
    sh -c 'id -u; echo made > "$XINIM_LAB_OUT/made"; modprobe vfio-pci && ls /dev/vfio; cat /etc/shadow' 2>/dev/null)" || true
  expect "an ordinary user is root in the guest" $'0\nvfio' "$got"
  expect "an ordinary user's file comes back as theirs" "65534 made" \
    "$(stat -c %u "$home/out/made") $(<"$home/out/made")"
  rm -rf "$home"
}

# Prints one line for each thing that holds; runs in the guest.
guest_checks() {
  local device=/sys/bus/pci/devices/0000:00:02.0 group
  echo "host name $(hostname)"
  echo "loopback $(ip -o -4 address show lo | awk '{print $4}')"
  echo "huge pages $(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages) $(stat -f -c %T /dev/hugepages)"
  echo "date $([[ "$(date +%s)" -gt "$(stat -c %Y /.xinim-lab/settings)" ]] && echo right)"
  echo "user namespace $(unshare -Ur id -u)"
  modprobe vfio-pci
  echo vfio-pci >"$device/driver_override"
  echo 0000:00:02.0 >/sys/bus/pci/drivers_probe
  group="$(basename "$(readlink "$device/iommu_group")")"
  echo "e1000 in /dev/vfio $([[ -c "/dev/vfio/$group" ]] && echo yes)"
  modprobe e1000
  ip link set eth0 up
  ip address add 10.0.2.15/24 dev eth0
  echo "ping $(ping -c 1 -W 10 10.0.2.2 | grep -o '1 received')"
  modprobe ahci
  modprobe sd_mod
  modprobe sr_mod
  modprobe virtio_blk
  modprobe virtio_console
  sleep 2
  # Sorted, because disks on different ports may be found in any order.
  echo "disks $(for disk in sda sdb sr0 vda; do head -n 1 "/dev/$disk" | cut -d ' ' -f 3; done | sort | xargs)"
  exec {echo_port}<>/dev/vport*p1
  echo hello >&"$echo_port"
  read -r -t 10 line <&"$echo_port"
  echo "echo port $line"
  if command -v dotnet >/dev/null; then echo "dotnet $(dotnet --version)"; fi
}

test_machine() {
  local got wanted
  got="$("$LAB" --timeout 300 -- bash -c "$(declare -f guest_checks); guest_checks" 2>"$WORK/err")" || true
  wanted='host name xinim-lab
loopback 127.0.0.1/8
huge pages 128 hugetlbfs
date right
user namespace 0
e1000 in /dev/vfio yes
ping 1 received
disks cd0 disk0 disk1 vdisk0
echo port hello'
  if command -v dotnet >/dev/null; then wanted+=$'\n'"dotnet $(dotnet --version)"; fi
  expect "devices and services of the guest" "$wanted" "$got"
}

test_without_iommu() {
  expect "with an IOMMU" yes "$(small_lab -- sh -c '[ -e /sys/kernel/iommu_groups/0 ] && echo yes || echo no')"
  expect "--no-iommu" no "$(small_lab --no-iommu -- sh -c '[ -e /sys/kernel/iommu_groups/0 ] && echo yes || echo no')"
}

# Runs in the guest: asks QEMU something and prints its answer to it.
ask_qemu() {
  local line
  exec 3<>/dev/ttyS1
  stty -F /dev/ttyS1 raw -echo
  printf '\xff\n{"execute": "qmp_capabilities", "id": "selftest"}\n' >&3
  while read -r -t 20 line <&3; do
    if [[ "$line" == *'"id": "selftest"'* ]]; then printf '%s %s' "$XINIM_LAB_QMP" "${line%$'\r'}" && return; fi
  done
}

test_guest_qmp() {
  expect "--guest-qmp" '1 {"return": {}, "id": "selftest"}' "$(small_lab --guest-qmp -- bash -c "$(declare -f ask_qemu); ask_qemu")"
}

main() {
  local test
  if (($# == 0)); then set -- status arguments output out_folder failures signals at_once ordinary_user machine without_iommu guest_qmp; fi
  for test in "$@"; do
    printf '%s\n' "$test"
    "test_$test"
  done
  printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
  ((FAILED == 0))
}

main "$@"
