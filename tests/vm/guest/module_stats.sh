#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Latency histograms count every request once, in the right bucket, and only while they are on;
# counters for each queue; tracepoints of delivery, completion, parking and re-delivery.
# limit: 600
. "$(dirname "$0")/lib.sh"
disk s $((64 << 20)) nr_queues=2 -- delay_us=3000
B=/sys/block/buse$INDEX/buse
counted() { # CLASS [FIRST_BUCKET]: requests in its buckets
  awk -v class="$1" -v first="${2:-0}" '$1 == class { for (i = 2 + first; i <= NF; i++) n += $i } END { print n + 0 }' "$B/latency_us"
}
completed() { tr ' ' + <"$B/completed" | bc; }
block_stat() { awk -v n="$1" '{ print $n }' "/sys/block/buse$INDEX/stat"; } # 1: reads
idle() { # partition scans are over
  local before
  before=$(cat "/sys/block/buse$INDEX/stat")
  sleep 0.7
  [ "$before" = "$(cat "/sys/block/buse$INDEX/stat")" ]
}
wait_for 30 idle || fail "the disk is never idle"
[ "$(cat "$B/histograms")" = 0 ] || fail "histograms are on by themselves"
before=$(completed)
dd if="$DEV" of=/dev/null bs=4k count=20 iflag=direct status=none
[ "$(completed)" -ge $((before + 20)) ] || fail "completed: $(cat "$B/completed")"
[ "$(counted read)" = 0 ] || fail "counted while off"
wait_for 30 idle || fail "the disk is never idle"
reads=$(block_stat 1)
echo 1 >"$B/histograms"
dd if="$DEV" of=/dev/null bs=4k count=50 iflag=direct status=none
dd if=/dev/zero of="$DEV" bs=4k count=30 oflag=direct conv=fsync status=none
blkdiscard -o 0 -l 1M "$DEV"
wait_for 30 idle || fail "the disk is never idle"
grep . "$B"/*
reads=$(($(block_stat 1) - reads)) # those of a partition scan among them
[ $reads -ge 50 ] || fail "the block layer counts $reads reads"
[ "$(counted read)" = $reads ] || fail "$(counted read) reads, the block layer counts $reads"
[ "$(counted write)" = 30 ] || fail "$(counted write) writes"
[ "$(counted flush)" -ge 1 ] || fail "no flush"
[ "$(counted discard)" -ge 1 ] || fail "no discard"
# Bucket n begins at 2^(n-1) us: with a delay of 3 ms nothing is below bucket 12.
[ "$(counted read 12)" = $reads ] || fail "reads faster than the server"
echo 0 >"$B/histograms"

step "tracepoints"
T=/sys/kernel/tracing
[ -d $T/events ] || mount -t tracefs none $T
echo 1 >$T/events/buse/enable
echo >$T/trace
dd if="$DEV" of=/dev/null bs=8k count=1 skip=2 iflag=direct status=none
dd if="$DEV" of=/dev/null bs=4k count=64 iflag=direct status=none &
reader=$!
sleep 0.05
kill_server
serve "$INDEX" file=$WORK/s.data
wait $reader || fail "read"
echo 0 >$T/events/buse/enable
cat $T/trace >$WORK/trace
for event in 'buse_deliver: buse[0-9]* queue=[01] tag=[0-9]* generation=[0-9]* sequence=[0-9]* op=read offset=16384 length=8192' \
  'buse_complete: .* result=0' 'buse_park: .* taken_back=[0-9]' 'buse_redeliver: .* op=read'; do
  grep -q "$event" $WORK/trace || fail "no $event in $(cat $WORK/trace)"
done
remove "$INDEX"
