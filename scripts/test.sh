#!/usr/bin/env bash
# Builds once, runs the tests, and ends with one line: N passed, N failed, N skipped. The status is 0 when something
# passed and nothing failed. A runner that crashes, or leaves no result, counts as a failure.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly RESULTS=artifacts/test-results
readonly LAB=Xinim.Lab.Tests
# Seconds that a fault campaign may take with its build and its guest's boot: many times what it takes. One that hangs is a failure.
readonly CAMPAIGN_LIMIT=900
# Seconds after which a test that still runs is named, so that one that never ends can be found.
readonly LONG_RUNNING=180
PASSED=0 FAILED=0 SKIPPED=0

usage() {
  cat <<'USAGE'
Usage: scripts/test.sh [unit|native|lab|all]

  unit     what needs neither root, nor QEMU, nor the network
  native   what runs device models and back ends of QEMU and DPDK in other processes (trait needs=qemu), and fault campaigns
  lab      tests/Xinim.Lab.Tests, on VFIO in a virtual machine and in one without IOMMU, and a small fault campaign
  all      every test (default)

Results are in artifacts/test-results, one XML file a project.
USAGE
}

finish() {
  printf '%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
  ((FAILED == 0 && PASSED > 0))
}

# Counts what is wrong apart from a test, and says what it is.
problem() {
  FAILED=$((FAILED + 1))
  printf 'FAILED: %s\n' "$*"
}

# A step without which no test makes sense.
require() {
  "$@" && return
  problem "$* (status $?)"
  finish
  exit 1
}

build() {
  rm -rf "$RESULTS"
  mkdir -p "$RESULTS"
  require dotnet build Xinim.sln --verbosity quiet --nologo
}

# These are compiled as drivers are: in a driver's room there is no runtime to load.
publish() {
  require scripts/build.sh
  require dotnet publish tests/Xinim.HostileDriver --configuration Release --output artifacts/tests/hostile-driver --verbosity quiet --nologo
  require dotnet publish tests/Xinim.TestDriver --configuration Release --output artifacts/tests/test-driver --verbosity quiet --nologo
}

install_group() {
  if [[ -x scripts/install.sh ]]; then require scripts/install.sh "$1"; fi
}

has_tests() {
  grep -rqE --include='*.cs' '\[(Fact|Theory)\b' "tests/$1"
}

# Adds a run's counts. $1: project, $2: its result file, $3: the runner's status.
count() {
  local head passed failed skipped errors
  head="$(grep -o '<assembly [^>]*>' "$2" 2>/dev/null | head -n 1 || true)"
  passed="$(attribute passed "$head")" failed="$(attribute failed "$head")"
  skipped="$(attribute skipped "$head")" errors="$(attribute errors "$head")"
  if [[ -z "$passed" || -z "$failed" || -z "$skipped" ]]; then
    problem "$1: the runner ended with status $3 and left no result"
    return
  fi
  PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed + ${errors:-0})) SKIPPED=$((SKIPPED + skipped))
  if (($3 != 0 && failed + ${errors:-0} == 0)); then problem "$1: the runner ended with status $3"; fi
}

attribute() {
  if [[ "$2" =~ \ $1=\"([0-9]+)\" ]]; then printf '%s' "${BASH_REMATCH[1]}"; fi
}

# Runs a project's tests here. $1: project, the rest: filters.
run() {
  local project="$1" result="$PWD/$RESULTS/$1.xml" status=0
  shift
  has_tests "$project" || return 0
  printf '%s\n' "$project"
  "artifacts/bin/$project/debug/$project" "$@" -longRunning "$LONG_RUNNING" -noColor -noLogo -reporter quiet -xml "$result" </dev/null || status=$?
  count "$project" "$result" "$status"
}

run_here() {
  local folder
  for folder in tests/*.Tests; do
    [[ "${folder##*/}" == "$LAB" ]] || run "${folder##*/}" "$@"
  done
}

# On VFIO; of disks and virtio drivers storms of kills. What was written to disks is read by the kernel's driver afterwards.
campaigns_in_lab() {
  campaign lab --target vfio --count 100 --duration 20
  campaign lab-virtio-net --target vfio --device virtio-net --kinds kill --count 30
  campaign lab-virtio-blk --target vfio --device virtio-blk --kinds kill --count 30
  campaign lab-virtio-console --target vfio --device virtio-console --kinds kill --count 20
  campaign lab-ahci --target vfio --device ahci --kill-every 1 --duration 12
}

# Runs the lab's tests in one guest. $1: name of the result, the rest: filters, "--", options of lab.sh.
run_guest() {
  local name="$1" status=0 filters=()
  shift
  while [[ "$1" != -- ]]; do filters+=("$1") && shift; done
  shift
  printf '%s\n' "$name"
  # shellcheck disable=SC2016 # expanded in the guest
  XINIM_LAB_OUT="$PWD/$RESULTS/lab" scripts/lab.sh "$@" -- sh -c \
    'runner="$1" name="$2"; shift 2; exec "$runner" "$@" -noColor -noLogo -reporter quiet -xml "$XINIM_LAB_OUT/$name.xml"' \
    sh "$PWD/artifacts/bin/$LAB/debug/$LAB" "$name" -longRunning "$LONG_RUNNING" "${filters[@]}" </dev/null || status=$?
  count "$name" "$RESULTS/lab/$name.xml" "$status"
}

run_in_lab() {
  has_tests "$LAB" || return 0
  install_group lab
  mkdir -p "$RESULTS/lab"
  # 6 GiB: with less there is no whole free GiB for a page of that size.
  run_guest "$LAB" -trait- needs=no-iommu -trait- needs=faulty-disks -trait- needs=tap-queues -- --guest-qmp --memory 6G --timeout 1200
  run_guest "$LAB.FaultyDisks" -trait needs=faulty-disks -- --guest-qmp --faulty-disks
  run_guest "$LAB.TapQueues" -trait needs=tap-queues -- --guest-qmp --tap-queues 4
  run_guest "$LAB.NoIommu" -trait needs=no-iommu -- --no-iommu
}

# A fault campaign counts as one test. $1: its name; the rest: for scripts/faults.sh.
campaign() {
  local log="$RESULTS/faults-$1.log" status=0
  printf 'fault campaign: %s\n' "$1"
  mkdir -p "$RESULTS"
  timeout --kill-after=30 "$CAMPAIGN_LIMIT" scripts/faults.sh "${@:2}" >"$log" 2>"$log.progress" </dev/null || status=$?
  tail -n 1 "$log"
  if ((status == 0)); then
    PASSED=$((PASSED + 1))
  else
    grep BROKEN "$log" | head -n 20 || tail -n 5 "$log.progress"
    if ((status == 124 || status == 137)); then printf 'it did not end within %d s\n' "$CAMPAIGN_LIMIT"; fi
    problem "fault campaign $1: status $status; see $log"
  fi
}

campaigns_here() {
  campaign native --count 1000 --duration 50
  campaign models --target model --count 20000 --duration 30
  campaign models-virtio-net --target model --device virtio-net --count 5000 --duration 15
  campaign models-virtio-blk --target model --device virtio-blk --count 5000 --duration 15
  campaign models-virtio-console --target model --device virtio-console --count 20000 --duration 15
  campaign models-ahci --target model --device ahci --count 5000 --duration 15
  campaign virtio-net --device virtio-net --count 1000 --duration 20
  campaign virtio-console --device virtio-console --count 1000 --duration 15
  campaign virtio-blk --device virtio-blk --count 1000 --duration 20
  campaign vhost-user-blk --device vhost-user-blk --count 1000 --duration 15
}

case "${1:-all}" in
  unit)
    build
    run_here -trait- needs=qemu -trait- needs=guest
    ;;
  native)
    install_group remote
    build
    publish
    run_here -trait needs=qemu
    campaigns_here
    ;;
  lab)
    build
    publish
    run_in_lab
    campaigns_in_lab
    ;;
  all)
    install_group remote
    build
    publish
    run_here -trait- needs=guest
    campaigns_here
    run_in_lab
    campaigns_in_lab
    ;;
  -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac
finish
