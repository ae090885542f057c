#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Forced detach: under I/O, while mounted, with a dead, stopped or crash-looping driver. I/O
# fails, nothing hangs, nothing stays.
. "$(dirname "$0")/lib.sh"
LIMIT_S=40

forced() { # VOLUME
  timeout $LIMIT_S "$DISKD_BIN_DIR/diskctl" --socket "$WORK/run/diskd.sock" detach --force "$1" >/dev/null ||
    fail "forced detach of $1: exit code $?"
}

start_agent
step "under I/O"
diskctl volume create a --driver memory --size 64MiB >/dev/null
device=$(attach a)
fio --name=w --filename="$device" --ioengine=libaio --direct=1 --bs=4k --iodepth=16 --rw=randwrite \
  --time_based --runtime=60 --output="$WORK/fio" >/dev/null 2>&1 &
fio=$!
sleep 1
forced a
wait_for $LIMIT_S eval "! kill -0 $fio" || fail "fio hangs after a forced detach"
! wait $fio || fail "fio saw no error"

step "while mounted"
device=$(attach a)
mkfs.ext4 -q "$device"
mount "$device" "$WORK/mnt"
dd if=/dev/zero of="$WORK/mnt/f" bs=1M count=4 status=none
forced a
timeout $LIMIT_S umount "$WORK/mnt" || timeout $LIMIT_S umount -l "$WORK/mnt" || fail "umount hangs"

step "driver stopped (SIGSTOP) with I/O waiting"
device=$(attach a)
kill -STOP "$(driver_pid a)"
timeout 60 dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null &
reader=$!
forced a
wait_for $LIMIT_S eval "! kill -0 $reader" || fail "a reader hangs"
[ -z "$(diskctl --quiet ls)" ] || fail "attachments left: $(diskctl ls)"
[ "$(losetup -nl -O BACK-FILE | grep -c "$WORK" || true)" = 0 ] || fail "loop device left"
[ -z "$(mounts_under "$WORK")" ] || fail "mounts left: $(mounts_under "$WORK")"
device=$(attach a)
dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none || fail "a new attach does not work"
diskctl detach a >/dev/null
diskctl volume delete a >/dev/null
