#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Boots a Debian kernel in QEMU (software emulation), runs the guest tests in it, collects one
# result per test. The guest's root is this machine's, read-only, under a tmpfs overlay, so every
# tool and binary of the machine is there.
#
# usage: run.sh --kernel 6.1|6.12|newest|debug [--only REGEX] [--bin DIR] [--out DIR] [--tests DIR]
#          [--disks requests|bios]   what the disks of busesrv take (BUSE_ATTR_BIO)
#
# OUT/results/TEST/ holds status (0 passed, 77 skipped, else failed), log and dmesg;
# OUT/console.log what the machine printed. Exits 0 when the guest ran to its end, whatever the
# results; report.sh gives one test's result.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
repo=$(readlink -f "$here/../..")

KERNEL=6.12 ONLY=. BIN=$repo/build/bin OUT="" TESTS=$here/guest DISKS=requests
VM_CPUS=${VM_CPUS:-2}
VM_MEMORY_MB=${VM_MEMORY_MB:-3072}
while [ $# -gt 0 ]; do
  case $1 in
    --kernel) KERNEL=$2 ;;
    --only) ONLY=$2 ;;
    --bin) BIN=$(readlink -f "$2") ;;
    --out) OUT=$(readlink -m "$2") ;;
    --disks) DISKS=$2 ;;
    --tests) TESTS=$(readlink -f "$2") ;;
    *) echo "run.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
cd "$here"
# What the checks of the debug kernel cost, in time and memory.
TIME_SCALE=1 DEBUG_APPEND=
if [ "$KERNEL" = debug ]; then
  TIME_SCALE=5
  VM_MEMORY_MB=$((VM_MEMORY_MB * 3 / 2))
  # pci=noacpi: the ACPI interpreter is what is slowest at boot under these checks.
  DEBUG_APPEND="pci=noacpi kasan_multi_shot rcupdate.rcu_cpu_stall_timeout=300"
elif [ "$KERNEL" = newest ]; then
  TIME_SCALE=2 # slower under emulation than the others
fi
# An emulated CPU may stand still for half a minute (seen while it cleared a page, on a busy host): no soft
# lockup of the kernel. One that does not go on is found all the same, after 80 s.
WATCHDOG="watchdog_thresh=40"
# Buffers of the machine itself, where there is little memory.
LOG_BUFFER=4M SMALL_APPEND=
[ "$VM_MEMORY_MB" -ge 1024 ] || LOG_BUFFER=256K SMALL_APPEND=msize=32768
VM_LIMIT_S=${VM_LIMIT_S:-$((3000 * (TIME_SCALE + 1) / 2))}
OUT=${OUT:-$repo/build/vm/$KERNEL}
mkdir -p "$OUT"
rm -rf "$OUT/results" "$OUT/console.log"
mkdir -p "$OUT/results"

# Modules of the distribution that tests use, beside what the boot itself needs.
MODULES="virtio_pci virtio_blk 9pnet_virtio 9p overlay loop fuse ext4 xfs null_blk brd nbd ublk_drv"

kernel_dir=$(./fetch_kernel.sh "$KERNEL")
release=$(cat "$kernel_dir/release")
echo "kernel $release"
build_module() { # NAME SOURCE: OUT/NAME, without a warning
  ./make_module.sh "$kernel_dir" "$OUT/$1" "$2" >"$OUT/$1.log" 2>&1 ||
    { cat "$OUT/$1.log" >&2; echo "run.sh: $2 does not build for $release" >&2; exit 1; }
  if grep -i warning "$OUT/$1.log"; then
    echo "run.sh: $2 builds with warnings for $release" >&2
    exit 1
  fi
}
build_module kernel "$repo/kernel"
build_module planted "$PWD/planted"

make_initrd() { # OUT: busybox, init, and the modules with what they depend on, uncompressed
  local root name path module
  root=$(mktemp -d "$OUT/initrd.XXXXXX")
  mkdir -p "$root"/{bin,dev,proc,sys,mods}
  cp /bin/busybox "$root/bin/"
  for name in $MODULES; do
    modprobe -d "$kernel_dir/root" -S "$release" --show-depends "$name" 2>/dev/null || true
  done | awk '$1 == "insmod" { print $2 }' | while read -r path; do
    module=$(basename "${path%.xz}")
    [ ! -e "$root/mods/$module" ] || continue
    case $path in
      *.xz) xz -dc "$path" >"$root/mods/$module" ;;
      *) cp "$path" "$root/mods/$module" ;;
    esac
    echo "$module" >>"$root/mods/order"
  done
  cp init "$root/init"
  chmod +x "$root/init"
  (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$1"
  rm -rf "$root"
}
make_initrd "$OUT/initrd.gz"

# Read by the guest's runner: nothing but words, so that the kernel command line stays short.
for pair in KERNEL_SERIES="$KERNEL" TIME_SCALE="$TIME_SCALE" REPO="$repo" DISKD_BIN_DIR="$BIN" \
  BUSE_KO="$OUT/kernel/buse.ko" PLANTED_KO="$OUT/planted/planted.ko" OUT="$OUT" ONLY="$ONLY" TESTS="$TESTS" BUSE_DISKS="$DISKS"; do
  printf '%s=%q\n' "${pair%%=*}" "${pair#*=}"
done >"$OUT/environment"

gcc -O1 -o "$OUT/tsc_khz" tsc_khz.c
# A real disk, for what must not be in the machine's memory.
SCRATCH_MB=512
rm -f "$OUT/scratch.img"
truncate -s "${SCRATCH_MB}M" "$OUT/scratch.img"

TSC="tsc=reliable tsc_early_khz=$("$OUT/tsc_khz")"

rc=0
# shellcheck disable=SC2086  # VM_QEMU: further arguments
timeout -k 10 "$VM_LIMIT_S" qemu-system-x86_64 -machine pc \
  -accel "${VM_ACCEL:-tcg,thread=multi,tb-size=1024}" -cpu "${VM_CPU:-max,-erms}" ${VM_QEMU:-} -smp "$VM_CPUS" -m "$VM_MEMORY_MB" -nodefaults -no-reboot -nographic \
  -serial stdio \
  -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
  -drive "file=$OUT/scratch.img,if=virtio,format=raw,cache=unsafe" \
  -virtfs local,path="$OUT",mount_tag=out,security_model=none \
  -kernel "$kernel_dir/root/boot/vmlinuz-$release" -initrd "$OUT/initrd.gz" \
  -append "console=ttyS0 panic=-1 quiet mitigations=off $TSC nokaslr no_timer_check $WATCHDOG log_buf_len=$LOG_BUFFER runner=$PWD/guest_run.sh out=$OUT $DEBUG_APPEND $SMALL_APPEND ${VM_APPEND:-}" \
  </dev/null >"$OUT/console.log" 2>&1 || rc=$?
if ! grep -q '^VM-DONE' "$OUT/console.log"; then
  echo "run.sh: the machine did not run to its end (exit code $rc, limit $VM_LIMIT_S s); console:" >&2
  tail -60 "$OUT/console.log" >&2
  exit 1
fi
compgen -G "$OUT/results/*/status" >/dev/null ||
  { echo "run.sh: no guest test ran; does '$ONLY' match any in $TESTS?" >&2; exit 1; }
for test in "$OUT"/results/*/; do
  printf '%-40s %s\n' "$(basename "$test")" "$(cat "$test/status")"
done
