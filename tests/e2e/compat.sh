#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Programs of the original BUSE interface, in C, on our devices: file systems on them, a clean end
# by SIGTERM and SIGINT, in use, killed and started again, device names of all kinds.
. "$(dirname "$0")/lib.sh"
export BUSE_TRANSPORT=$TRANSPORT
PROGRAMS=$DISKD_BIN_DIR/../test
DEV=$WORK/dev
MNT=$WORK/mnt/compat
mkdir -p "$MNT"
PROGRAM_PID=
WAIT_S=${WAIT_S:-20}

disk_is_there() { [ -b "$(readlink -f "$DEV")" ] && grep -q serving "$WORK/err"; }
start() { # PROGRAM ARGUMENT
  "$PROGRAMS/buse_$1" "$DEV" "$2" >"$WORK/out" 2>"$WORK/err" &
  PROGRAM_PID=$!
  wait_for "$WAIT_S" disk_is_there || fail "$1: no disk: $(cat "$WORK/err")"
  DISK=$(readlink -f "$DEV")
}
gone() { ! kill -0 "$PROGRAM_PID" 2>/dev/null; }
finish() { # SIGNAL: a clean end
  local rc=0
  kill "-$1" "$PROGRAM_PID"
  wait_for "$WAIT_S" gone || fail "it still runs after SIG$1: $(cat "$WORK/err")"
  wait "$PROGRAM_PID" || rc=$?
  [ $rc = 0 ] || fail "exit code $rc after SIG$1: $(cat "$WORK/err")"
  grep -q disconnected "$WORK/out" || fail "disc was not called"
  ! grep -q "in use" "$WORK/err" || fail "disconnected in use: $(cat "$WORK/err")"
  nothing_left
}
nothing_left() {
  [ ! -L "$DEV" ] || fail "the link $DEV is left"
  [ -z "$(mounts_under /run/buse/buse."${WORK#/}")" ] || fail "a mount is left"
  case $DISK in
    /dev/loop*) ! losetup "$DISK" >/dev/null 2>&1 || fail "$DISK is left" ;;
    *) [ ! -b "$DISK" ] || fail "$DISK is left" ;;
  esac
}
fill() { cp -r /usr/share/common-licenses "$MNT/files" && (cd "$MNT" && find . -type f -exec sha256sum {} +) >"$WORK/sums"; }
check() { (cd "$MNT" && sha256sum --quiet -c "$WORK/sums") || fail "files differ"; }
truncate -s 96M "$WORK/disk.img"
: >"$WORK/agent.log"

step "in-memory disk: ext4, unmount, mount, SIGTERM"
start ram_disk 96
[ "$(blockdev --getss "$DISK")" = 1024 ] || fail "the block is not the program's"
mkfs.ext4 -q "$DEV"
mount "$DISK" "$MNT"
fill
umount "$MNT"
echo 3 >/proc/sys/vm/drop_caches
mount "$DISK" "$MNT"
check
fstrim "$MNT" 2>/dev/null || [ "$TRANSPORT" = fuse ]
umount "$MNT"
fio --name=v --filename="$DISK" --rw=randwrite --bs=4k --size=16m --iodepth=8 --ioengine=libaio \
  --direct=1 --verify=crc32c --verify_fatal=1 --minimal >"$WORK/fio" 2>&1 || fail "fio: $(cat "$WORK/fio")"
finish TERM
if [ "$TRANSPORT" = buse ]; then
  ! grep -q ' 0 trims' "$WORK/out" || fail "trim was never called"
fi

step "loopback onto a file: data outlive the program, SIGINT"
start loopback "$WORK/disk.img"
mkfs.ext4 -q "$DEV"
mount "$DISK" "$MNT"
fill
umount "$MNT"
finish INT
start loopback "$WORK/disk.img"
mount "$DISK" "$MNT"
check

step "SIGTERM while mounted: it waits for the unmount"
kill -TERM "$PROGRAM_PID"
wait_for "$WAIT_S" grep -q "goes away in" "$WORK/err" || fail "it says nothing about the mount"
umount "$MNT"
wait_for "$WAIT_S" gone || fail "it still runs"
wait "$PROGRAM_PID" || fail "exit code $?: $(cat "$WORK/err")"
nothing_left

step "a second signal takes a mounted disk away"
start loopback "$WORK/disk.img"
mount -o ro "$DISK" "$MNT"
kill -TERM "$PROGRAM_PID"
wait_for "$WAIT_S" grep -q "goes away in" "$WORK/err" || fail "it says nothing about the mount"
kill -TERM "$PROGRAM_PID"
wait_for "$WAIT_S" gone || fail "it still runs"
umount "$MNT"
[ ! -L "$DEV" ] || fail "the link is left"

step "one program per name; one that was killed is replaced"
start ram_disk 8
refused 1 "another process" "$PROGRAMS/buse_ram_disk" "$DEV" 8
kill -9 "$PROGRAM_PID"
wait "$PROGRAM_PID" 2>/dev/null || true
start ram_disk 16
[ "$(blockdev --getsize64 "$DISK")" = $((16 << 20)) ] || fail "the old disk answers"
finish TERM

step "names"
refused 1 "no block device" "$PROGRAMS/buse_ram_disk" "$WORK/disk.img" 8
refused 1 "absolute path" "$PROGRAMS/buse_ram_disk" disk 8
DEV=/dev/nbd15
[ ! -e $DEV ] || DEV=$WORK/nbd15
start ram_disk 8
finish TERM
DEV=$WORK/node
mknod "$DEV" b 43 480
"$PROGRAMS/buse_ram_disk" "$DEV" 8 >"$WORK/out" 2>"$WORK/err" &
PROGRAM_PID=$!
wait_for "$WAIT_S" grep -q "a device of its own" "$WORK/err" || fail "it does not name its disk: $(cat "$WORK/err")"
DISK=$(sed -n 's/.*serving \([^;]*\);.*/\1/p' "$WORK/err")
[ "$(blockdev --getsize64 "$DISK")" = $((8 << 20)) ] || fail "$DISK is not the disk"
finish TERM
[ -b "$DEV" ] || fail "the node is gone"
