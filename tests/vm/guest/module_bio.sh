#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Disks that take bios as they come: flushes and FUA in steps, more I/O than tags with a server, without
# one, and up to a forced stop; statistics; and other tests over again on such disks (all of them:
# run.sh --disks bios).
# limit: 900
# dmesg-allow: I/O error
. "$(dirname "$0")/lib.sh"
export BUSE_DISKS=bios
c="$DISKD_BIN_DIR/../test/busesrv"
BIO=256 CACHE=2 FUA=4
in_flight() { awk '{ print $1 + $2 }' "/sys/block/buse$INDEX/inflight"; }
idle() { [ "$(in_flight)" = 0 ]; }

step "parameters"
errno $EINVAL env BUSE_DISKS= "$c" create p $((1 << 20)) attributes=$BIO nr_queues=2 nr_poll_queues=1
disk p $((16 << 20)) max_discard_segments=8
[ ! -e "/sys/block/buse$INDEX/mq" ] || fail "the block layer makes requests of the bios"
[ "$(cat "/sys/block/buse$INDEX/queue/iostats")" = 1 ] || fail "no I/O statistics"
remove "$INDEX"

step "durable writes, with and without FUA"
for attributes in $CACHE $((CACHE + FUA)); do
  disk d $((16 << 20)) attributes="$attributes"
  wait_for 10 idle || fail "$(in_flight) in flight"
  writes=$(stat_of d writes) flushes=$(stat_of d flushes)
  dd if=/dev/urandom of="$DEV" bs=4k count=50 oflag=direct,dsync status=none
  [ "$(stat_of d writes)" = $((writes + 50)) ] || fail "$(($(stat_of d writes) - writes)) of 50 writes"
  if [ "$attributes" = $CACHE ]; then
    [ "$(stat_of d fuas)" = 0 ] || fail "FUA, which the server does not understand"
    [ "$(stat_of d flushes)" -ge $((flushes + 50)) ] || fail "$(($(stat_of d flushes) - flushes)) flushes for 50 writes"
  else
    [ "$(stat_of d fuas)" = 50 ] || fail "$(stat_of d fuas) of 50 writes with FUA"
  fi
  # A journal's commits flush before their data too.
  mkfs.ext4 -q "$DEV"
  mount "$DEV" $WORK/mnt
  for n in $(seq 20); do dd if=/dev/urandom of="$WORK/mnt/$n" bs=8k count=1 conv=fsync status=none; done
  umount $WORK/mnt
  e2fsck -fn "$DEV" >$WORK/fsck 2>&1 || fail "fsck: $(cat $WORK/fsck)"
  idle || fail "$(in_flight) in flight after the last"
  remove "$INDEX"
done

step "more I/O than tags"
disk t $((64 << 20)) nr_queues=1 queue_depth=4 -- delay_us=100
for engine in io_uring libaio; do
  fio --name=t --filename="$DEV" --ioengine=$engine --direct=1 --iodepth=64 --rw=randwrite --bsrange=4k-64k \
    --size=48m --io_size=12m --verify=crc32c --verify_fatal=1 --output=$WORK/fio || fail "$engine: $(tail -5 $WORK/fio)"
done
reads=$(awk '{ print $1 }' "/sys/block/buse$INDEX/stat")
dd if="$DEV" of=/dev/null bs=4k count=100 iflag=direct status=none
[ "$(awk '{ print $1 }' "/sys/block/buse$INDEX/stat")" -ge $((reads + 100)) ] || fail "reads are not counted"

writes=$(awk '{ print $5 }' "/sys/block/buse$INDEX/stat") flushes=$(stat_of t flushes)
python3 -c "import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
for n in range(10): os.fsync(fd)" "$DEV"
[ "$(stat_of t flushes)" = $((flushes + 10)) ] || fail "$(($(stat_of t flushes) - flushes)) of 10 flushes"
[ "$(awk '{ print $5 }' "/sys/block/buse$INDEX/stat")" = "$writes" ] || fail "flushes are counted as writes"

step "waiting for a tag, a server comes"
start_readers() { # so many that most wait for a tag
  kill_server
  readers=()
  for n in $(seq 12); do
    dd if="$DEV" of=/dev/null bs=4k skip="$n" count=1 iflag=direct status=none 2>/dev/null &
    readers+=($!)
  done
  wait_for 20 eval '[ "$(in_flight)" -ge 4 ]' || fail "only $(in_flight) in flight"
}
start_readers
# Who must not wait does not.
nowait() {
  python3 -c "import errno, mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
try:
  os.preadv(fd, [mmap.mmap(-1, 4096)], 0, os.RWF_NOWAIT)
except BlockingIOError:
  sys.exit(0)
sys.exit(1)" "$DEV"
}
nowait || fail "a read with RWF_NOWAIT did not get EAGAIN"
serve "$INDEX" file=$WORK/t.data stats=$WORK/t.stats
for reader in "${readers[@]}"; do wait "$reader" || fail "a read failed"; done

step "waiting for a tag, the park limit runs out"
start_readers
busesrv policy "$INDEX" 300
for reader in "${readers[@]}"; do
  wait_for 20 eval "! kill -0 $reader" || fail "a read hangs"
  ! wait "$reader" || fail "a read was answered by nobody"
done
dmesg | tail -100 | grep -q "I/O error, dev buse$INDEX, sector" || fail "no word of the errors in the log"
idle || fail "$(in_flight) in flight"
busesrv policy "$INDEX" 0
serve "$INDEX" file=$WORK/t.data stats=$WORK/t.stats
dd if="$DEV" of=/dev/null bs=4k count=100 iflag=direct status=none || fail "no I/O after the next server"

step "waiting for a tag, the disk is stopped by force"
start_readers
timeout $((20 * TIME_SCALE)) "$c" stop "$INDEX" force || fail "forced stop: $?"
for reader in "${readers[@]}"; do
  wait_for 20 eval "! kill -0 $reader" || fail "a read hangs"
  ! wait "$reader" || fail "a read was answered by nobody"
done
busesrv destroy "$INDEX"
rmmod buse || fail "rmmod"

trap - EXIT
rm -rf $WORK
for test in verify kill_server handover ordered; do
  step "module_$test"
  bash "$(dirname "$0")/module_$test.sh" || fail "module_$test"
  rmmod buse || fail "rmmod after module_$test"
done
