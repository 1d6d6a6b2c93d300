# shellcheck shell=bash
# The guest's kernel, its modules and the initramfs, kept in a cache. Sourced by lab.sh.
#
#   CACHE/kernel-RELEASE/    vmlinuz, lib/modules/RELEASE, release, in-use (a lock that every running lab shares)
#   CACHE/kernel-RELEASE/initramfs-HASH    HASH is of what goes into it
#   CACHE/current            symbolic link to the kernel in use
#
# Everything is built beside its place and renamed into it, under one lock, so that labs may run at the same time.

# The package whose kernel boots the lab. Names carry a version that changes weekly: they are looked up, never written down.
# 6.12 from Debian's updates is preferred (virtio_pci built in, Landlock, ublk), else what Debian calls its kernel.
# The cloud flavour lacks e1000 and AHCI, and no pattern here matches it.
kernel_package() {
  local names found
  names="$(apt_run apt-cache pkgnames linux-image-)"
  found="$(grep -E '^linux-image-6\.12\.[0-9]+\+deb12-amd64-unsigned$' <<<"$names" | sort -V | tail -n 1)" || true
  if [[ -z "$found" ]]; then
    found="$(apt_run apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: //p' | head -n 1)"
    if grep -qxF -- "$found-unsigned" <<<"$names"; then found+=-unsigned; fi
  fi
  [[ -n "$found" ]] && echo "$found"
}

# Runs apt with lists of our own when APT_STATE is set: neither root nor the system's lists are needed then.
apt_run() {
  local tool="$1"
  shift
  if [[ -n "${APT_STATE:-}" ]]; then
    "$tool" -o "Dir::State::Lists=$APT_STATE/lists" -o "Dir::Cache=$APT_STATE/cache" "$@"
  else
    "$tool" "$@"
  fi
}

download_kernel() {
  local package
  package="$(kernel_package)" || return 1
  note "fetching $package"
  (cd "$1" && apt_run apt-get -qq download "$package") >"$1/apt.log" 2>&1
}

# Puts the kernel's package into the folder $1: from the system's lists, or, where they are missing or stale, from fresh ones.
fetch_kernel_package() {
  local APT_STATE=
  download_kernel "$1" && return
  APT_STATE="$1/apt"
  mkdir -p "$APT_STATE/lists/partial" "$APT_STATE/cache/archives/partial"
  apt_run apt-get -qq update >"$1/apt.log" 2>&1 || true
  download_kernel "$1" || {
    tail -n 3 "$1/apt.log" >&2
    fail "cannot fetch a kernel package from Debian"
  }
}

# Unpacks the package into kernel-RELEASE and makes it the current one.
build_kernel() {
  local build="$1" tree="$1/tree" kernel="$1/kernel" release
  fetch_kernel_package "$build"
  dpkg-deb -x "$build"/linux-image-*.deb "$tree"
  mkdir -p "$kernel/lib"
  if [[ -d "$tree/usr/lib/modules" ]]; then
    mv "$tree/usr/lib/modules" "$kernel/lib/modules"
  else
    mv "$tree/lib/modules" "$kernel/lib/modules"
  fi
  release="$(ls "$kernel/lib/modules")"
  mv "$tree/boot/vmlinuz-$release" "$kernel/vmlinuz"
  depmod -b "$kernel" "$release"
  echo "$release" >"$kernel/release"
  : >"$kernel/in-use"
  chmod -R go+rX "$kernel"

  # A lab may be running from it.
  if [[ ! -e "$CACHE/kernel-$release" ]]; then mv -T "$kernel" "$CACHE/kernel-$release"; fi
  ln -s "kernel-$release" "$build/current"
  mv -T "$build/current" "$CACHE/current"
}

# Kernels that are neither current nor in use by a running lab.
remove_old_kernels() {
  local current old
  current="$(readlink "$CACHE/current")"
  for old in "$CACHE"/kernel-*; do
    if [[ "${old##*/}" != "$current" ]] && flock -n -x "$old/in-use" true; then rm -rf "$old"; fi
  done
}

# The modules that mounting the root takes, in the order of loading; those built into the kernel fall out.
root_modules() {
  local module
  for module in virtio_pci 9p 9pnet_virtio overlay; do
    modprobe -d "$KERNEL" -S "$RELEASE" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
  done | awk '!seen[$0]++'
}

add_module() {
  local plain="${1##*/}"
  plain="${plain%.ko*}.ko"
  case "$1" in
    *.xz) xz -dc "$1" ;;
    *.zst) zstd -qdc "$1" ;;
    *.gz) gzip -dc "$1" ;;
    *) cat "$1" ;;
  esac >"$2/modules/$plain"
  echo "$plain" >>"$2/modules/order"
}

build_initramfs() {
  local build="$1" root="$1/root" module
  mkdir -p "$root/bin" "$root/modules"
  cp "$BUSYBOX" "$root/bin/busybox"
  ln -s busybox "$root/bin/sh"
  cp "$LAB_DIR/init" "$root/init"
  chmod 755 "$root/init" "$root/bin/busybox"
  : >"$root/modules/order"
  for module in $(root_modules); do add_module "$module" "$root"; done
  (cd "$root" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$build/initramfs"
  mv -T "$build/initramfs" "$INITRAMFS"
}

# Runs "$@ FOLDER" with a scratch folder inside the cache, and removes the folder whatever happens.
with_build_folder() (
  local build
  build="$(mktemp -d "$CACHE/build.XXXXXX")"
  # shellcheck disable=SC2064 # the folder's name is to be taken now
  trap "rm -rf -- '${build//\'/\'\\\'\'}'" EXIT
  "$@" "$build"
)

choose_cache() {
  CACHE="${XINIM_LAB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/xinim/lab}"
  if mkdir -p "$CACHE" 2>/dev/null && [[ -w "$CACHE" ]]; then return; fi
  CACHE="${TMPDIR:-/tmp}/xinim-lab-cache-$EUID"
  mkdir -m 700 "$CACHE" 2>/dev/null || true
  [[ -O "$CACHE" ]] || fail "no folder for the kernel: set XINIM_LAB_CACHE to one that can be written"
}

# Sets CACHE, KERNEL, RELEASE and INITRAMFS; fetches and builds what is missing, or a newer kernel if $1 is 1.
prepare_kernel() {
  local refresh="$1" hash
  choose_cache
  exec {CACHE_LOCK}>"$CACHE/lock"
  flock "$CACHE_LOCK"
  if [[ ! -e "$CACHE/current/vmlinuz" || "$refresh" == 1 ]]; then
    with_build_folder build_kernel
    remove_old_kernels
  fi
  KERNEL="$(readlink -f "$CACHE/current")"
  RELEASE="$(<"$KERNEL/release")"
  # Held until this lab and its QEMU have ended.
  exec {IN_USE}<"$KERNEL/in-use"
  flock -s "$IN_USE"
  BUSYBOX="$(command -v busybox)"
  hash="$(cat "$LAB_DIR/init" "$LAB_DIR/kernel.sh" "$BUSYBOX" | sha256sum | cut -c1-16)"
  INITRAMFS="$KERNEL/initramfs-$hash"
  if [[ ! -e "$INITRAMFS" ]]; then with_build_folder build_initramfs; fi
  exec {CACHE_LOCK}>&-
}
