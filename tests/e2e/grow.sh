#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Volumes of the drivers file, memory and object grow while they are mounted and written to, without
# an I/O error; the file system follows. They don't shrink then.
. "$(dirname "$0")/lib.sh"

start_agent
diskctl volume create f --driver file --size 64MiB >/dev/null
# The log needs O_DIRECT, which a tmpfs before 6.6 does not have: then it lies on a disk of ours.
log=$WORK/mnt/log
mkdir "$log"
if ! dd if=/dev/zero of="$log/probe" bs=4096 count=1 oflag=direct status=none 2>/dev/null; then
  diskctl volume create l --driver memory --size 128MiB >/dev/null
  device=$(attach l)
  mkfs.ext4 -q "$device"
  mount "$device" "$log"
fi
diskctl volume create o --driver object --size 64MiB --param "store=dir:$WORK/store" \
  --param "log_dir=$log" --param log_mib=32 --param cache_mib=32 >/dev/null
diskctl volume create m --driver memory --size 64MiB >/dev/null
diskctl volume create n --driver null --size 64MiB >/dev/null

for volume in f m o; do
  step "$volume: from 64 to 192 MiB under fio"
  mnt=$WORK/mnt/$volume
  device=$(attach $volume)
  mkfs.ext4 -q "$device"
  mkdir "$mnt"
  mount "$device" "$mnt"
  head -c 8M /dev/urandom >"$mnt/before"
  (cd "$mnt" && sha256sum before) >"$WORK/sums"
  pid=$(driver_pid $volume)
  fio --name=io --directory="$mnt" --size=16m --rw=randrw --bs=4k --ioengine=libaio --direct=1 \
    --iodepth=8 --verify=crc32c --time_based --runtime=8 --output="$WORK/fio.out" &
  fio=$!
  sleep 2
  diskctl volume resize $volume 192MiB
  # A kernel that has missed the new size fails reads above the old one.
  for _ in $(seq 20); do
    dd if="$device" bs=1M skip=100 count=1 iflag=direct status=none of="$WORK/above"
    [ "$(stat -c %s "$WORK/above")" = 1048576 ] || fail "there is nothing to read above the old size"
  done
  [ "$(blockdev --getsize64 "$device")" = $((192 << 20)) ] || fail "the disk has $(blockdev --getsize64 "$device") bytes"
  [ "$(driver_pid $volume)" != "$pid" ] || fail "the same process still serves"
  diskctl volume resize $volume 192MiB >/dev/null # the same again
  refused 5 "can only grow" diskctl volume resize $volume 64MiB
  wait $fio || fail "fio: $(cat "$WORK/fio.out")"
  if ! resize2fs "$device" >"$WORK/resize.log" 2>&1; then
    # needs CAP_SYS_RESOURCE while mounted, which some containers don't have
    umount "$mnt"
    e2fsck -fp "$device" >"$WORK/fsck.log" 2>&1 || fail "e2fsck: $(cat "$WORK/fsck.log")"
    resize2fs "$device" >"$WORK/resize.log" 2>&1 || fail "resize2fs: $(cat "$WORK/resize.log")"
    mount "$device" "$mnt"
  fi
  head -c 120M /dev/urandom >"$mnt/after" # more than there was
  (cd "$mnt" && sha256sum after) >>"$WORK/sums"
  sync -f "$mnt"
  kill_driver $volume
  (cd "$mnt" && sha256sum --quiet -c "$WORK/sums") || fail "files are damaged"
  umount "$mnt"
  diskctl detach $volume >/dev/null
  device=$(attach $volume)
  e2fsck -fn "$device" >"$WORK/fsck.log" 2>&1 || fail "e2fsck: $(cat "$WORK/fsck.log")"
  diskctl detach $volume >/dev/null
done

step "a driver that can't says so, and nothing changes"
device=$(attach n)
refused 5 "driver null does not have" diskctl volume resize n 128MiB
[ "$(blockdev --getsize64 "$device")" = $((64 << 20)) ] || fail "changed all the same"
diskctl detach n >/dev/null

if mountpoint -q "$log"; then
  umount "$log"
  diskctl detach l >/dev/null
fi
