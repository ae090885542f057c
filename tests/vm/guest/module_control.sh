#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Control calls: refusals have the right error, nothing stays.
# dmesg-allow: I/O error
# limit: 300
. "$(dirname "$0")/lib.sh"
c="$DISKD_BIN_DIR/../test/busesrv"
errno $EINVAL "$c" create "" $((1 << 20))
errno $EINVAL "$c" create a/b $((1 << 20))
errno $EINVAL "$c" create a 0
errno $EINVAL "$c" create a 1000
errno $EINVAL "$c" create a $((1 << 20)) logical_block_bytes=513
errno $EINVAL "$c" create a $((1 << 20)) logical_block_bytes=8192
errno $EINVAL "$c" create a $((1 << 20)) nr_queues=65
errno $EINVAL "$c" create a $((1 << 20)) queue_depth=100000
errno $EINVAL "$c" create a $((1 << 20)) max_io_bytes=$((8 << 20))
errno $EINVAL "$c" create a $((1 << 20)) pool_bytes=1
errno $EINVAL "$c" create a $((1 << 20)) attributes=0x80000000
errno $EINVAL "$c" create a $((1 << 20)) reserved=1
errno $ENODEV "$c" info 7
errno $ENODEV "$c" start 7
[ -z "$(busesrv list)" ] || fail "a refused create left a device"

i=$(busesrv create a $((1 << 20)))
errno $EEXIST "$c" create a $((1 << 20))
errno $ENOTCONN "$c" start "$i"
busesrv destroy "$i"

step "busy"
disk b $((16 << 20))
errno $EBUSY "$c" destroy "$INDEX"
errno $EBUSY "$c" serve "$INDEX"
! rmmod buse 2>/dev/null || fail "rmmod with a live disk"
exec 9<"$DEV"
errno $EBUSY "$c" stop "$INDEX"
exec 9<&-
wait_for 10 "$c" stop "$INDEX" || fail "stop after close"
! rmmod buse 2>/dev/null || fail "rmmod with a device"
busesrv destroy "$INDEX"
wait_for 10 eval "! kill -0 $SERVER" || fail "destroy did not release the server"
wait "$SERVER" || fail "server: $(cat $WORK/server.err)"

step "forced stop under I/O"
disk f $((64 << 20))
fio --name=f --filename="$DEV" --ioengine=io_uring --direct=1 --iodepth=16 --rw=randrw --bs=4k --size=60m \
  --time_based --runtime=30 >$WORK/fio 2>&1 &
fio=$!
# Only I/O under way is a test: fio takes its time to start here.
under_way() { [ "$(stat_of f writes)" -gt 200 ]; }
wait_for 40 under_way || fail "no I/O: $(cat $WORK/fio)"
timeout 30 "$c" stop "$INDEX" force || fail "forced stop: $?"
wait_for 20 eval "! kill -0 $fio" || fail "fio hangs"
# What comes when the disk has no size any more is ENOSPC for a write, by the kernel.
grep -qE "err= *(5|28)" $WORK/fio || fail "fio did not see the end: $(cat $WORK/fio)"
busesrv destroy "$INDEX"

step "64 devices at once"
for n in $(seq 64); do busesrv create "d$n" $((1 << 20)) nr_queues=1 queue_depth=4 pool_bytes=$((1 << 20)) max_io_bytes=65536; done >$WORK/indices
[ "$(busesrv list | wc -l)" = 64 ] || fail "list: $(busesrv list | wc -l)"
while read -r n; do busesrv destroy "$n"; done <$WORK/indices
[ -z "$(busesrv list)" ] || fail "devices left"
rmmod buse || fail "rmmod with nothing left"
