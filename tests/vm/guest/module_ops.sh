#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Flush, FUA, discard, write zeroes and partitions reach the server as such; block sizes; resize.
# limit: 300
. "$(dirname "$0")/lib.sh"
disk ops $((64 << 20))
dd if=/dev/urandom of="$DEV" bs=1M count=8 oflag=direct status=none
before=$(stat_of ops flushes)
dd if=/dev/zero of="$DEV" bs=4k count=1 conv=fsync status=none
[ "$(stat_of ops flushes)" -gt "$before" ] || fail "fsync sent no flush"
before=$(stat_of ops fuas)
dd if=/dev/zero of="$DEV" bs=4k count=1 oflag=direct,dsync status=none
[ "$(stat_of ops fuas)" -gt "$before" ] || fail "O_DIRECT|O_DSYNC sent no FUA"
blkdiscard -o 0 -l 4M "$DEV"
[ "$(stat_of ops discards)" -gt 0 ] || fail "no discard"
cmp -n $((4 << 20)) "$DEV" /dev/zero || fail "discarded range"
blkdiscard -z -o 4M -l 2M "$DEV"
[ "$(stat_of ops zeroes)" -gt 0 ] || fail "no write zeroes"
cmp -n $((2 << 20)) -i $((4 << 20)):0 "$DEV" /dev/zero || fail "zeroed range"
! cmp -s -n $((2 << 20)) -i $((6 << 20)):0 "$DEV" /dev/zero || fail "zeroed too much"

step "two partitions"
printf 'label: gpt\n,20MiB\n,\n' | sfdisk -q "$DEV"
wait_for 10 test -b "${DEV}p2" || fail "no partitions: $(cat /proc/partitions)"
remove "$INDEX"
disk ops $((64 << 20))
wait_for 10 test -b "${DEV}p2" || fail "partitions not found by the scan at start"

step "resize"
busesrv resize "$INDEX" $((96 << 20))
[ "$(blockdev --getsize64 "$DEV")" = $((96 << 20)) ] || fail "size $(blockdev --getsize64 "$DEV")"
errno $EINVAL busesrv resize "$INDEX" 1000
remove "$INDEX"

step "block sizes"
for size in 512 1024 2048 4096; do
  disk "b$size" $((16 << 20)) logical_block_bytes=$size
  [ "$(blockdev --getss "$DEV")" = $size ] || fail "logical block $(blockdev --getss "$DEV")"
  dd if=/dev/urandom of=$WORK/r bs=$size count=3 status=none
  dd if=$WORK/r of="$DEV" bs=$size count=3 oflag=direct status=none
  dd if="$DEV" of=$WORK/r2 bs=$size count=3 iflag=direct status=none
  cmp $WORK/r $WORK/r2 || fail "block size $size"
  remove "$INDEX"
done
step "read-only"
disk ro $((16 << 20)) attributes=1
! dd if=/dev/zero of="$DEV" bs=4k count=1 oflag=direct status=none 2>/dev/null || fail "written"
remove "$INDEX"
