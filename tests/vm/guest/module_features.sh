#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Limits, hints and names that a disk was created with are what the kernel shows and keeps to;
# discards of several ranges, write zeroes of both kinds and secure erase; resize tells the world.
# limit: 400
. "$(dirname "$0")/lib.sh"
queue_is() { # ATTRIBUTE VALUE
  local have
  have=$(cat "/sys/block/buse$INDEX/queue/$1")
  [ "$have" = "$2" ] || fail "queue/$1 is $have, expected $2"
}
serves() { # COUNTER COMMAND...: the command makes the server count
  local counter=$1 before
  before=$(stat_of "$NAME" "$counter")
  shift
  "$@" || fail "$*: exit code $?"
  [ "$(stat_of "$NAME" "$counter")" -gt "$before" ] || fail "$*: no request counted as $counter"
}
# 1: read-only, 2: volatile cache, 4: FUA, 8: discard, 16: write zeroes, 32: rotational, 64: erase
ALL=$((2 + 4 + 8 + 16 + 64))

step "limits and hints"
NAME="odd,name"
disk "$NAME" $((64 << 20)) attributes=$((ALL + 32)) logical_block_bytes=1024 physical_block_bytes=8192 \
  io_min_bytes=16384 io_opt_bytes=65536 max_io_bytes=131072 chunk_bytes=262144 nr_queues=2 \
  max_discard_bytes=$((8 << 20)) discard_granularity_bytes=8192 max_discard_segments=16
queue_is logical_block_size 1024
queue_is physical_block_size 8192
queue_is minimum_io_size 16384
queue_is optimal_io_size 65536
queue_is max_hw_sectors_kb 128
queue_is chunk_sectors 512
queue_is rotational 1
queue_is discard_granularity 8192
queue_is discard_max_bytes $((8 << 20))
queue_is write_zeroes_max_bytes $((8 << 20))
queue_is write_cache "write back"
queue_is fua 1
# Each queue serves a CPU of its own; which one is the kernel's choice.
if [ "$BUSE_DISKS" != bios ]; then
  cpus=$(sort "/sys/block/buse$INDEX/mq/"[01]/cpu_list | xargs)
  [ "$cpus" = "0 1" ] || fail "the queues serve the CPUs $cpus"
fi
[ "$(cat "/sys/block/buse$INDEX/buse/name")" = "$NAME" ] || fail "name in sysfs"
# busesrv refuses what exceeds the limits.
fio --name=l --filename="$DEV" --ioengine=libaio --direct=1 --iodepth=8 --rw=randwrite --bsrange=1k-1m \
  --blockalign=1k --bs_unaligned=0 --size=60m --io_size=12m --verify=crc32c --verify_fatal=1 \
  --output=$WORK/fio || fail "fio: $(tail -5 $WORK/fio)"
serves erases blkdiscard --secure -o 0 -l 1M "$DEV"
cmp -n $((1 << 20)) "$DEV" /dev/zero || fail "erased range"
serves no_unmaps blkdiscard -z -o 1M -l 1M "$DEV"
before=$(stat_of "$NAME" no_unmaps)
serves zeroes fallocate -p -o 2M -l 1M "$DEV"
[ "$(stat_of "$NAME" no_unmaps)" = "$before" ] || fail "a punched hole must not forbid to unmap"
serves readaheads dd if="$DEV" of=/dev/null bs=1M count=8 iflag=nocache status=none
remove "$INDEX"
for wrong in chunk_bytes=5000 chunk_bytes=2048 max_discard_segments=257 io_min_bytes=1000; do
  errno $EINVAL busesrv create w $((1 << 20)) $wrong
done

step "every block size"
for size in 512 1024 2048 4096; do
  NAME="b$size"
  disk "$NAME" $((24 << 20)) logical_block_bytes=$size
  queue_is logical_block_size $size
  fio --name=b --filename="$DEV" --ioengine=libaio --direct=1 --iodepth=8 --rw=randwrite --bsrange=$size-40k \
    --blockalign=$size --bs_unaligned=0 --size=20m --io_size=6m --verify=crc32c --verify_fatal=1 \
    --output=$WORK/fio || fail "block size $size: $(tail -5 $WORK/fio)"
  remove "$INDEX"
done

step "discards of several ranges"
NAME=r
disk r $((400 << 20)) nr_queues=1 max_discard_segments=64
mkfs.xfs -q "$DEV"
mount -o discard "$DEV" $WORK/mnt
for n in $(seq 200); do head -c 12288 /dev/urandom >"$WORK/mnt/$n"; done
serves metas sync
rm -f "$WORK"/mnt/*[13579]
sync
# Bios are not merged.
discarded() { [ "$BUSE_DISKS" = bios ] || [ "$(stat_of r ranges)" -gt 20 ]; }
wait_for 40 discarded || fail "only $(stat_of r ranges) ranges in $(stat_of r discards) discards"
echo "$(stat_of r ranges) ranges in $(stat_of r discards) discards"
(cd $WORK/mnt && sha256sum -- *) >$WORK/sums
umount $WORK/mnt
mount "$DEV" $WORK/mnt
(cd $WORK/mnt && sha256sum --quiet -c $WORK/sums) || fail "a discard hit a file that was kept"
umount $WORK/mnt
remove "$INDEX"

step "grow and shrink"
NAME=g
disk g $((32 << 20))
busybox uevent env >$WORK/uevents 2>&1 &
listener=$!
resized() { # SIZE: until the listener is up, another size and back
  busesrv resize "$INDEX" "$1"
  [ "$(blockdev --getsize64 "$DEV")" = "$1" ] || fail "size $(blockdev --getsize64 "$DEV")"
  sleep 0.1
  grep -q RESIZE=1 $WORK/uevents && return
  busesrv resize "$INDEX" $((31 << 20))
  return 1
}
wait_for 20 resized $((48 << 20)) || fail "no uevent: $(cat $WORK/uevents)"
kill_server # it learns the size when it starts
serve "$INDEX" file=$WORK/g.data stats=$WORK/g.stats
dd if=/dev/urandom of="$DEV" bs=1M seek=47 count=1 oflag=direct status=none || fail "the grown part"
: >$WORK/uevents
wait_for 20 resized $((16 << 20)) || fail "no uevent: $(cat $WORK/uevents)"
kill $listener
! dd if="$DEV" of=/dev/null bs=1M skip=16 count=1 iflag=direct 2>&1 | grep -q "^1+0" || fail "read beyond the end"
dd if="$DEV" of=/dev/null bs=1M skip=15 count=1 iflag=direct status=none || fail "the last part"
remove "$INDEX"
