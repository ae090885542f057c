#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Overlapping requests of two queues meet in a server that answers in any order; with the ordered
# mode they never do: also with huge discards, flushes, a server's death and a forced stop.
# limit: 600
# dmesg-allow: I/O error
. "$(dirname "$0")/lib.sh"
SIZE=$((96 << 20))
busefeat() { "$DISKD_BIN_DIR/../test/busefeat" "$@"; }
seen() { busefeat stats $WORK/counters | sed -n "s/^$1=//p"; }
disorder() {
  "$DISKD_BIN_DIR/../test/busefeat" disorder "$INDEX" $WORK/data $WORK/counters >$WORK/server.out 2>$WORK/server.err &
  SERVER=$!
  wait_for 20 grep -q serving $WORK/server.out || fail "server: $(cat $WORK/server.err)"
}
held() { tr ' ' + <"/sys/block/buse$INDEX/buse/held" | bc; }
start() { # ATTRIBUTES
  INDEX=$(busesrv create o $SIZE nr_queues=2 queue_depth=32 attributes="$1")
  rm -f $WORK/counters
  disorder
  busesrv start "$INDEX"
  DEV=/dev/buse$INDEX
  wait_for 10 test -b "$DEV"
}
load() { # SECONDS of a stock kernel: both queues, small and large requests in one MiB around a 4 MiB boundary
  fio --name=o --filename="$DEV" --ioengine=io_uring --direct=1 --iodepth=16 --numjobs=2 --cpus_allowed=0-1 \
    --cpus_allowed_policy=split --rw=randrw --bsrange=4k-192k --blockalign=4k --offset=3584k --size=1m \
    --time_based --runtime=$(($1 * TIME_SCALE)) --output=$WORK/fio
}
BASE=$((2 + 4 + 8 + 16)) ORDERED=128

step "without the mode"
start $BASE
load 3 || fail "fio: $(cat $WORK/fio)"
echo "requests=$(seen requests) hazards=$(seen hazards) held=$(held)"
[ "$(seen hazards)" -gt 10 ] || fail "only $(seen hazards) hazards: the test proves nothing"
[ "$(held)" = 0 ] || fail "held without the mode"
busesrv stop "$INDEX"
busesrv destroy "$INDEX"

step "with it"
start $((BASE + ORDERED))
load 6 &
fio=$!
discards=0
while kill -0 $fio 2>/dev/null; do # huge, over everything; and flushes
  blkdiscard -o 0 -l $SIZE "$DEV"
  blkdiscard -o 2M -l 32M "$DEV"
  dd if=/dev/zero of="$DEV" bs=64k seek=60 count=2 conv=fsync,notrunc status=none
  discards=$((discards + 1))
  sleep 0.3
done
wait $fio || fail "fio: $(cat $WORK/fio)"
echo "requests=$(seen requests) hazards=$(seen hazards) held=$(held) most_in_hand=$(seen most_in_hand) discards=$discards"
[ "$(seen hazards)" = 0 ] || fail "$(seen hazards) hazards"
[ "$(held)" -gt 10 ] || fail "nothing was held"
[ "$(seen requests)" -gt 200 ] || fail "only $(seen requests) requests"
[ $discards -ge 1 ] || fail "no discard came through"
for counter in redelivered stale; do # nobody died: each was delivered once
  [ "$(tr ' ' + <"/sys/block/buse$INDEX/buse/$counter" | bc)" = 0 ] || fail "$counter requests"
done
timeout $((30 * TIME_SCALE)) "$DISKD_BIN_DIR/../test/busesrv" quiesce "$INDEX" 20000 || fail "quiesce: $?"
busesrv unquiesce "$INDEX"

step "what does not overlap is not held"
before=$(held)
fio --name=n --filename="$DEV" --ioengine=io_uring --direct=1 --iodepth=16 --rw=write --bs=64k --offset=64m --size=12m \
  --output=$WORK/fio || fail "fio: $(cat $WORK/fio)"
[ "$(held)" = "$before" ] || fail "held $(($(held) - before)) of a sequential write"
[ "$(seen most_in_hand)" -gt 4 ] || fail "the requests came one by one"

step "a server's death"
load 6 &
fio=$!
for _ in 1 2 3; do
  sleep 1
  kill_server
  disorder
done
wait $fio || fail "fio: $(cat $WORK/fio)"
[ "$(seen hazards)" = 0 ] || fail "$(seen hazards) hazards after a death"

step "forced stop with held requests"
load 60 >/dev/null 2>&1 &
fio=$!
before=$(held)
more_held() { [ "$(held)" -gt $((before + 20)) ]; }
wait_for 30 more_held || fail "nothing is held"
kill -STOP "$SERVER"
sleep 0.5
timeout 30 "$DISKD_BIN_DIR/../test/busesrv" stop "$INDEX" force || fail "forced stop: $?"
wait_for 30 eval "! kill -0 $fio" || fail "fio hangs"
kill -CONT "$SERVER"
busesrv destroy "$INDEX"
