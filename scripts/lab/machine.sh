# shellcheck shell=bash disable=SC2054 # the commas are QEMU's
# The guest's machine, as arguments for QEMU. Sourced by lab.sh, whose header lists the addresses.

# What each network card is connected to: none (transmit vanishes at once, nothing is received), user (a gateway at
# 10.0.2.2 that answers ARP, DHCP, DNS and ping), or the arguments of a -netdev. cable0 and cable1 are connected to each other.
declare -A NIC_BACKEND=([e1000]=user [e1000-82545em]=user [e1000-82544gc]=user [e1000e]=user [virtio-net]=user [virtio-packed]=user
  [virtio-plain]=user [virtio-port]=user
  [cable0]=hubport,hubid=0 [cable1]=hubport,hubid=0)
DISK_BACKEND='file'
CONSOLE_BACKEND=null

# With --tap-queues: of virtio-mq, of virtio-mq-packed, and of a card that a test plugs.
readonly TAPS=(tap-mq tap-packed tap-plug)

QEMU_ARGS=()

# QEMU reads a comma in a value as the end of it unless it is doubled.
escape_commas() {
  printf '%s' "${1//,/,,}"
}

add_core() {
  local accelerator=tcg,thread=multi
  if [[ "$ACCEL" == kvm ]]; then accelerator=kvm; fi
  # The chip set's own AHCI and SMBus share an IOMMU group with the ISA bridge and are of no use to a driver: off.
  QEMU_ARGS+=(-nodefaults -no-user-config -no-reboot -display none
    -machine q35,kernel-irqchip=split,sata=off,smbus=off -accel "$accelerator" -cpu max
    -smp "$CPUS" -m "$MEMORY" -kernel "$KERNEL/vmlinuz" -initrd "$INITRAMFS"
    -append "$(kernel_arguments)" -serial "file:$(escape_commas "$1")")
}

kernel_arguments() {
  # panic=-1 restarts at once, which -no-reboot turns into the end of QEMU. no_timer_check: on a busy host the guest may not
  # get the processor for as long as the kernel waits for its first timer interrupts, and it panics if they are missing.
  printf '%s' 'console=ttyS0 panic=-1 no_timer_check intel_iommu=on mitigations=off audit=0 nowatchdog '
  printf 'hugepagesz=2M hugepages=%s ' "$HUGEPAGES"
  if ((VERBOSE)); then printf 'ignore_loglevel '; else printf 'quiet '; fi
  printf '%s' "$APPEND"
}

add_share() {
  local tag="$1" address="$2" path="$3" access="$4"
  QEMU_ARGS+=(-fsdev "local,id=$tag,path=$(escape_commas "$path"),security_model=none,multidevs=remap$access"
    -device "virtio-9p-pci,fsdev=$tag,mount_tag=$tag,addr=$address")
}

# The lab's own devices, far from those of the standard machine.
add_shares() {
  add_share xinim-root 0x1b / ,readonly=on
  add_share xinim-control 0x1c "$1" ''
  add_share xinim-out 0x1d "$2" ''
}

add_nic() {
  local address="$1" name="$2" device="$3" number="$4"
  local backend="${NIC_BACKEND[$name]}" netdev=
  if [[ "$backend" != none ]]; then
    QEMU_ARGS+=(-netdev "$backend,id=net-$name")
    netdev=",netdev=net-$name"
  fi
  # No option ROM: nothing boots from the network, and scanning them takes time.
  QEMU_ARGS+=(-device "$device,id=$name,addr=$address,mac=52:54:00:78:00:$number,romfile=$netdev")
}

add_disk() {
  local name="$1" device="$2" size="$3" folder="$4" image
  if [[ "$DISK_BACKEND" == null ]]; then
    QEMU_ARGS+=(-blockdev "driver=null-co,node-name=$name,size=$((1 << 30)),read-zeroes=on")
  else
    image="$folder/$name.img"
    printf 'xinim lab %s\n' "$name" >"$image"
    truncate -s "$size" "$image"
    QEMU_ARGS+=(-drive "if=none,id=$name,format=raw,cache=unsafe,file=$(escape_commas "$image")")
  fi
  QEMU_ARGS+=(-device "$device,drive=$name")
}

add_disks() {
  QEMU_ARGS+=(-device ich9-ahci,id=ahci,addr=0x6)
  add_disk disk0 ide-hd,bus=ahci.0,serial=XINIM-DISK0 64M "$1"
  add_disk disk1 ide-hd,bus=ahci.1,serial=XINIM-DISK1 32M "$1"
  add_disk cd0 ide-cd,bus=ahci.2,serial=XINIM-CD0 8M "$1"
  local virtio=disable-legacy=on,iommu_platform=on
  add_disk vdisk0 "virtio-blk-pci,addr=0x8,$virtio,serial=XINIM-VDISK0" 64M "$1"
  add_disk vdisk1 "virtio-blk-pci,addr=0x10,$virtio,serial=XINIM-VDISK1,packed=on,num-queues=4" 32M "$1"
  add_disk vdisk2 "virtio-blk-pci,bus=virtio-port1,addr=0x0,$virtio,serial=XINIM-VDISK2,event_idx=off,indirect_desc=off,logical_block_size=4096,physical_block_size=4096" 32M "$1"
}

# A disk of the second AHCI controller. $1: port, $2: name, $3: size, $4: folder, $5: what a filter between image and disk calls what is below it,
# with a dot; $6: more of the block nodes, $7: more of the device.
add_faulty_disk() {
  local image="$4/$2.img"
  printf 'xinim lab %s\n' "$2" >"$image"
  truncate -s "$3" "$image"
  QEMU_ARGS+=(-blockdev "driver=raw,node-name=$2$6,file.${5}driver=file,file.${5}filename=$(escape_commas "$image")"
    -device "ide-hd,bus=faulty.$1,drive=$2,serial=XINIM-${2^^}$7")
}

# What blkdebug is to do: words of the form EVENT[:SECTOR[:once]].
faults() {
  local fault event sector once number=0
  printf ',file.driver=blkdebug'
  for fault in "$@"; do
    IFS=: read -r event sector once <<<"$fault"
    printf ',file.inject-error.%d.event=%s' "$number" "$event"
    if [[ -n "$sector" ]]; then printf ',file.inject-error.%d.sector=%s' "$number" "$sector"; fi
    if [[ -n "$once" ]]; then printf ',file.inject-error.%d.once=on' "$number"; fi
    number=$((number + 1))
  done
}

# The sectors are those of FaultyDiskLabTests. The throttle group is opened until a test closes it.
add_faulty_disks() {
  QEMU_ARGS+=(-device ich9-ahci,id=faulty,addr=0x14 -object throttle-group,id=slow)
  add_faulty_disk 0 bad 96M "$1" image. "$(faults read_aio:2048 write_aio:4096 \
    read_aio:6144:once write_aio:8192:once read_aio:10240:once write_aio:12288:once flush_to_disk::once)" ''
  add_faulty_disk 1 slow 96M "$1" file. ,file.driver=throttle,file.throttle-group=slow ''
  add_faulty_disk 2 huge 3T "$1" '' '' ,physical_block_size=4096
  add_faulty_disk 3 thin 96M "$1" '' ,discard=unmap ''
  add_faulty_disk 4 broken 96M "$1" image. "$(faults read_aio write_aio)" ''
}

add_serial() {
  # One FIFO for both directions: what the guest writes to the port comes back to it.
  mkfifo "$1/echo.in"
  ln "$1/echo.in" "$1/echo.out"
  QEMU_ARGS+=(-device virtio-serial-pci,id=virtio-serial,addr=0x9,disable-legacy=on,iommu_platform=on
    -chardev "$CONSOLE_BACKEND,id=console"
    -device virtconsole,bus=virtio-serial.0,nr=0,chardev=console
    -chardev "pipe,id=echo,path=$(escape_commas "$1/echo")"
    -device virtserialport,bus=virtio-serial.0,nr=1,name=xinim.echo,chardev=echo)
}

add_standard_devices() {
  local virtio=disable-legacy=on,iommu_platform=on
  add_nic 0x2 e1000 e1000 02
  add_nic 0x3 e1000-82545em e1000-82545em 03
  add_nic 0x4 e1000-82544gc e1000-82544gc 04
  add_nic 0x5 e1000e e1000e 05
  QEMU_ARGS+=(-device pcie-root-port,id=virtio-port0,addr=0x11,chassis=3,slot=3
    -device pcie-root-port,id=virtio-port1,addr=0x12,chassis=4,slot=4)
  add_disks "$1"
  add_nic 0x7 virtio-net "virtio-net-pci,$virtio" 07
  add_nic 0xe virtio-packed "virtio-net-pci,$virtio,packed=on" 0e
  add_nic 0xf virtio-plain "virtio-net-pci,$virtio,mrg_rxbuf=off,event_idx=off,indirect_desc=off" 0f
  add_nic 0x0 virtio-port "virtio-net-pci,$virtio,bus=virtio-port0" 11
  add_serial "$1"
  QEMU_ARGS+=(-device pcie-root-port,id=hotplug0,addr=0xa,chassis=1,slot=1
    -device pcie-root-port,id=hotplug1,addr=0xb,chassis=2,slot=2)
  QEMU_ARGS+=(-device pci-testdev,addr=0x13)
  add_nic 0xc cable0 e1000 0c
  add_nic 0xd cable1 e1000e 0d
}

# Network cards with several pairs of queues, and a back end for one that is plugged.
add_tap_nics() {
  local tap mq=virtio-net-pci,disable-legacy=on,iommu_platform=on,mq=on,romfile=
  for tap in "${TAPS[@]}"; do
    # Linux's vhost-net would answer in QEMU's place, and it is not everywhere.
    QEMU_ARGS+=(-netdev "tap,id=net-$tap,ifname=$tap,queues=$TAP_QUEUES,script=no,downscript=no,vhost=off")
  done
  QEMU_ARGS+=(-device "$mq,id=virtio-mq,addr=0x15,mac=52:54:00:78:00:15,netdev=net-tap-mq"
    -device "$mq,id=virtio-mq-packed,addr=0x16,mac=52:54:00:78:00:16,netdev=net-tap-packed,packed=on")
}

# QEMU's control socket as a serial port of the guest: QEMU is its own client. $1: a scratch folder.
add_guest_qmp() {
  local socket
  socket="$(escape_commas "$1/qmp")"
  truncate -s 32M "$1/disk-plug.img"
  # One FIFO for both directions, as of the standard machine's echo port.
  mkfifo "$1/plug.in"
  ln "$1/plug.in" "$1/plug.out"
  QEMU_ARGS+=(-chardev "socket,id=qmp-server,path=$socket,server=on,wait=off" -mon chardev=qmp-server,mode=control
    -chardev "socket,id=qmp-guest,path=$socket" -serial chardev:qmp-guest
    -netdev user,id=net-plug
    -chardev "pipe,id=echo-plug,path=$(escape_commas "$1/plug")"
    -blockdev "driver=raw,node-name=disk-plug,file.driver=file,file.filename=$(escape_commas "$1/disk-plug.img")")
}

# Fills QEMU_ARGS. $1: a scratch folder; $2: the control share; $3: XINIM_LAB_OUT.
describe_machine() {
  add_core "$1/serial.log"
  # Before every device: those created earlier would not be translated.
  if ((IOMMU)); then QEMU_ARGS+=(-device intel-iommu,intremap=on,caching-mode=on); fi
  add_shares "$2" "$3"
  if ((DEVICES)); then add_standard_devices "$1"; fi
  if ((FAULTY_DISKS)); then add_faulty_disks "$1"; fi
  if ((TAP_QUEUES)); then add_tap_nics; fi
  if ((GUEST_QMP)); then add_guest_qmp "$1"; fi
  if [[ -n "$QMP" ]]; then QEMU_ARGS+=(-qmp "unix:$(escape_commas "$QMP"),server=on,wait=off"); fi
  QEMU_ARGS+=("${EXTRA_QEMU[@]}")
}
