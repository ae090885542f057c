#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What an I/O over the module costs, next to disks in the kernel, ublk and nbd, in machines that
# hold nothing else. Prints one JSON object; docs/benchmarks.md says what the figures mean.
#   cost: guest instructions per 4 KiB I/O, counted by QEMU, on one and on two CPUs
#   iops: wall clock on two CPUs, medians of interleaved repeats; only ratios say anything
#
# usage: bench_disks.sh cost|iops [--kernel 6.12] [--bin DIR] [--out DIR] [--cpus "1 2"]
#          [--repeats N] [--only REGEX] [--specs randread/32,...]
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
repo=$(readlink -f "$here/../..")
BENCH=${1:?usage: bench_disks.sh cost|iops [options]}
shift
KERNEL=6.12 BIN=$repo/build/bin OUT="" CPUS="1 2" REPEATS=7 ONLY="" SPECS=""
LIMIT_S=${VM_LIMIT_S:-5400}
while [ $# -gt 0 ]; do
  case $1 in
    --kernel) KERNEL=$2 ;;
    --bin) BIN=$(readlink -f "$2") ;;
    --out) OUT=$2 ;;
    --cpus) CPUS=$2 ;;
    --repeats) REPEATS=$2 ;;
    --only) ONLY=$2 ;;
    --specs) SPECS=$2 ;;
    *) echo "bench_disks.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
OUT=${OUT:-$repo/build/vm/bench-$BENCH}
mkdir -p "$OUT"
OUT=$(readlink -f "$OUT")
cd "$here"
TOOLS="fio date"
[ "$BENCH" = cost ] || TOOLS+=" nbdkit nbd-client"

kernel_dir=$(./fetch_kernel.sh "$KERNEL")
release=$(cat "$kernel_dir/release")
headers=$kernel_dir/root/usr/src/linux-headers-$release
module() { # SOURCE OUT
  make -s -C "$1" KDIR="$headers" O="$2" CC=gcc >"$2.log" 2>&1 ||
    { cat "$2.log" >&2; echo "bench_disks.sh: $1 does not build for $release" >&2; exit 1; }
}
module "$repo/kernel" "$OUT/kernel"
module "$PWD/bench/ramblk" "$OUT/ramblk"

with_libraries() { # PROGRAM...: their paths and those of what they load
  local program
  for program in "$@"; do
    echo "$program"
    ldd "$program" 2>/dev/null | grep -oE '/[^ ]+' || true
  done | sort -u
}

make_initrd() { # OUT
  local root name path module tool
  root=$(mktemp -d "$OUT/initrd.XXXXXX")
  mkdir -p "$root"/{bin,dev,proc,sys,mods,bench,usr/local/bin,usr/bin}
  cp /bin/busybox "$root/bin/"
  cp bench/init "$root/init"
  chmod +x "$root/init"
  cp bench/guest.sh "$root/bench/"
  for name in bench_buse bench_ublk busesrv busefeat; do
    cp "$BIN/../test/$name" "$root/usr/local/bin/"
  done
  for tool in $TOOLS; do command -v "$tool"; done >"$root/bench/tools"
  compgen -G "/usr/lib/*/nbdkit/plugins/nbdkit-memory-plugin.so" >>"$root/bench/tools" || true
  # shellcheck disable=SC2046
  with_libraries $(cat "$root/bench/tools") "$root"/usr/local/bin/* | grep -v "^$root" |
    while read -r path; do
      mkdir -p "$root$(dirname "$path")"
      cp -L "$path" "$root$path"
    done
  strip --strip-debug "$root"/usr/local/bin/*
  echo 'root:x:0:0:root:/:/bin/sh' >"$root/bench/passwd"
  mkdir -p "$root/etc"
  mv "$root/bench/passwd" "$root/etc/passwd"
  for name in null_blk brd ublk_drv nbd; do
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
  cp "$OUT/kernel/buse.ko" "$OUT/ramblk/ramblk.ko" "$root/mods/"
  strip --strip-debug "$root"/mods/{buse,ramblk}.ko
  echo buse.ko >>"$root/mods/order"
  (cd "$root" && find . | sort | cpio -o -H newc --quiet | gzip -1) >"$1"
  rm -rf "$root"
}
make_initrd "$OUT/initrd.gz"

boot() { # CPUS ACCEL CPU QEMU_OPTIONS
  local log=$OUT/console-$1.log rc=0
  # shellcheck disable=SC2086
  timeout -k 10 "$LIMIT_S" qemu-system-x86_64 -machine pc -accel "$2" -cpu "$3" $4 -smp "$1" \
    -m 2048 -nodefaults -no-reboot -nographic -serial stdio \
    -kernel "$kernel_dir/root/boot/vmlinuz-$release" -initrd "$OUT/initrd.gz" \
    -append "console=ttyS0 panic=-1 quiet mitigations=off tsc=reliable nokaslr norandmaps random.trust_cpu=off bench=$BENCH repeats=$REPEATS only=$ONLY specs=$SPECS" \
    </dev/null >"$log" 2>&1 || rc=$?
  if ! grep -q '^VM-DONE' "$log" || grep -q '^FAIL' "$log"; then
    tail -40 "$log" >&2
    echo "bench_disks.sh: the machine did not run to a good end (exit code $rc), see $log" >&2
    exit 1
  fi
}
logs=()
if [ "$BENCH" = iops ]; then
  boot 2 "tcg,thread=multi,tb-size=1024" "max,-erms" ""
  logs=("$OUT/console-2.log")
else
  for cpus in $CPUS; do
    boot "$cpus" "tcg,thread=single,tb-size=1024" "max,-erms,-rdrand,-rdseed" \
      "-icount shift=0,sleep=off -rtc clock=vm,base=2026-01-01 -seed 7"
    logs+=("$OUT/console-$cpus.log")
  done
fi
bench/report.py "$BENCH" "$release" "${logs[@]}"
