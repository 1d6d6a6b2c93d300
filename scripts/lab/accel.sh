# shellcheck shell=bash
# Chooses between KVM and software emulation. Sourced by lab.sh.

# /dev/kvm can exist, open, and still fail at the first guest instruction (nested hosts), and QEMU then stops instead of
# falling back. So KVM is used only where this kernel has booted under it: an initramfs-less kernel panics for want of a root
# soon after it has started, which with panic=-1 and -no-reboot ends QEMU.
kvm_boots() (
  local log="$1/probe.log"
  # A QEMU that aborts is an answer here, not something to report or to keep a core of.
  exec 2>/dev/null
  ulimit -c 0
  timeout -k 1 8 qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none \
    -machine q35,kernel-irqchip=split -accel kvm -cpu max -m 256M -kernel "$KERNEL/vmlinuz" \
    -append 'console=ttyS0 panic=-1 quiet' -serial "file:$(escape_commas "$log")" </dev/null >/dev/null &&
    grep -q 'Kernel panic' "$log"
)

# Sets ACCEL. The answer is kept until the host boots again or QEMU changes.
choose_accel() {
  local key answer="$CACHE/accel-$EUID" known=
  if [[ "$ACCEL" != auto ]]; then return; fi
  ACCEL=tcg
  if [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then return; fi
  key="$(</proc/sys/kernel/random/boot_id) $(stat -Lc '%Y %s' "$(command -v qemu-system-x86_64)") ${KERNEL##*/}"
  if [[ -e "$answer" ]]; then known="$(<"$answer")"; fi
  if [[ "${known% *}" == "$key" ]]; then
    ACCEL="${known##* }"
    return
  fi
  if kvm_boots "$1"; then ACCEL=kvm; fi
  echo "$key $ACCEL" >"$answer.$$"
  mv -T "$answer.$$" "$answer"
}
