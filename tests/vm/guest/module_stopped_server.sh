#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SIGSTOP of the server under verified I/O (STOP_S seconds, 3): everything waits, nothing fails.
# limit: 300
. "$(dirname "$0")/lib.sh"
STOP_S=${STOP_S:-3}
disk s $((32 << 20)) nr_queues=2
fio --name=s --filename="$DEV" --ioengine=io_uring --direct=1 --iodepth=16 --rw=randwrite --bs=4k --size=24m \
  --verify=crc32c --verify_fatal=1 --verify_backlog=256 --time_based --runtime=$((STOP_S + 6)) \
  --output=$WORK/fio 2>$WORK/fio.err &
fio=$!
under_way() { [ "$(stat_of s writes)" -gt 100 ]; }
wait_for 40 under_way || fail "no I/O: $(cat $WORK/fio)"
kill -STOP "$SERVER"
sleep 0.3
writes=$(stat_of s writes)
[ "$(state_of "$INDEX")" = live ] || fail "state $(state_of "$INDEX")"
sleep "$STOP_S"
[ "$(stat_of s writes)" = "$writes" ] || fail "a stopped server wrote"
kill -CONT "$SERVER"
wait $fio || fail "fio: $(cat $WORK/fio $WORK/fio.err)"
remove "$INDEX"
