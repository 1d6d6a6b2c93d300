#!/usr/bin/env bash
# Installs the Debian packages that building, testing and measuring Xinim need.
# Only what is missing is installed; when nothing is missing neither root nor the network is needed.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: scripts/install.sh GROUP...

Groups:
  build    what .NET Native AOT links with: a C compiler, zlib, the kernel's headers for user space
  lab      what scripts/lab.sh boots its guest with: QEMU, busybox, kernel module tools
  remote   QEMU and DPDK, for the device models and back ends that the tests reach over sockets
  bench    what Xinim is measured against: DPDK, fio and their helpers
  lint     shellcheck
  all      every group above
USAGE
}

fail() {
  printf 'install: %s\n' "$*" >&2
  exit 1
}

have_package() {
  [[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

# The packages of one group, one a line.
packages_of() {
  case "$1" in
    build)
      # Native AOT takes clang or gcc, whichever is there; gcc is the smaller one to add.
      if ! command -v clang >/dev/null && ! command -v gcc >/dev/null; then echo gcc; fi
      printf '%s\n' binutils libc6-dev linux-libc-dev zlib1g-dev
      ;;
    lab)
      printf '%s\n' qemu-system-x86 qemu-utils seabios ipxe-qemu busybox-static kmod cpio xz-utils \
        zstd iproute2 iputils-ping pciutils util-linux systemd
      ;;
    remote) printf '%s\n' qemu-system-x86 qemu-system-common qemu-utils seabios ipxe-qemu dpdk-dev iproute2 ;;
    bench) printf '%s\n' dpdk dpdk-dev fio qemu-utils qemu-system-x86 iproute2 ethtool ;;
    lint) echo shellcheck ;;
    all)
      local group
      for group in build lab remote bench lint; do packages_of "$group"; done
      ;;
    *) return 1 ;;
  esac
}

# Runs apt-get as root: directly, or through a sudo that asks for nothing unless somebody sits at a terminal.
as_root() {
  if ((EUID == 0)); then
    "$@"
  elif [[ -t 0 ]]; then
    sudo -- "$@"
  else
    sudo -n -- "$@"
  fi
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 \
    -o DPkg::Lock::Timeout=300 --no-install-recommends install "$@" </dev/null
}

# True when apt knows a candidate for every package, so that no update is needed first.
apt_knows() {
  local package
  for package in "$@"; do
    apt-cache policy "$package" 2>/dev/null | grep -q '^  Candidate: [^(]' || return 1
  done
}

install_missing() {
  local log
  command -v apt-get >/dev/null || fail "this is not a Debian system; install by hand: $*"
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    fail "neither root nor sudo here; have an administrator run: apt-get install $*"
  fi
  log="$(mktemp)"
  apt_knows "$@" || as_root apt-get -qq update >"$log" 2>&1 || true
  if ! apt_install "$@" >"$log" 2>&1; then
    # The lists may be older than the archive: one more try with fresh ones.
    if ! { as_root apt-get -qq update && apt_install "$@"; } >"$log" 2>&1; then
      tail -n 5 "$log" >&2
      rm -f "$log"
      fail "could not install: $*"
    fi
  fi
  rm -f "$log"
}

main() {
  local group package listed missing=()
  if (($# == 0)); then
    usage >&2
    exit 2
  fi
  for group in "$@"; do
    if [[ "$group" == --help || "$group" == -h ]]; then
      usage
      exit 0
    fi
    listed="$(packages_of "$group")" || fail "unknown group '$group' (see --help)"
    for package in $listed; do
      if ! have_package "$package" && [[ " ${missing[*]-} " != *" $package "* ]]; then
        missing+=("$package")
      fi
    done
  done
  ((${#missing[@]} == 0)) || install_missing "${missing[@]}"
}

main "$@"
