#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several servers on each queue: threads of one process, then processes that die one by one.
# limit: 300
. "$(dirname "$0")/lib.sh"
verify() { # NAME OPTIONS...: fio in the background, its pid in FIO
  fio --name="$1" --filename="$DEV" --ioengine=io_uring --direct=1 --iodepth=32 --rw=randwrite \
    --bsrange=4k-64k --size=48m --verify=crc32c --verify_fatal=1 --verify_backlog=256 \
    --output=$WORK/fio "${@:2}" 2>$WORK/fio.err &
  FIO=$!
}
finish() {
  local rc=0
  wait "$FIO" || rc=$?
  [ $rc = 0 ] || fail "fio: $rc: $(cat $WORK/fio $WORK/fio.err)"
}

step "three threads a queue"
disk t $((64 << 20)) nr_queues=2 servers_per_queue=3 -- lanes=3 delay_us=100
[[ "$(busesrv info "$INDEX")" == *"servers=6 "*"lanes=3 "* ]] || fail "$(busesrv info "$INDEX")"
verify t --io_size=24m
finish
# Each lane's thread has had work: with one server the others would have used no time.
idle=0
for task in /proc/"$SERVER"/task/*; do
  [ "$(awk '{ print $14 + $15 }' "$task/stat")" -gt 0 ] || idle=$((idle + 1))
done
[ $idle -le 2 ] || fail "$idle threads of $(ls /proc/"$SERVER"/task | wc -l) did nothing"
errno $EBUSY busesrv serve "$INDEX" queue=0
errno $EINVAL busesrv serve "$INDEX" lane=3
remove "$INDEX"
wait "$SERVER" || fail "server: $(cat $WORK/server.err)"

step "three processes, killed one after another"
disk p $((64 << 20)) nr_queues=1 servers_per_queue=3 -- lane=0 delay_us=100
pids=("$SERVER")
one() { serve "$INDEX" file=$WORK/p.data stats=$WORK/p.stats lane="$1" delay_us=100; }
for lane in 1 2; do one $lane && pids[lane]=$SERVER; done
verify p --time_based --runtime=20
kills=0
while sleep 0.5 && kill -0 "$FIO" 2>/dev/null; do
  lane=$((kills % 3))
  SERVER=${pids[lane]}
  kill_server
  [ "$(state_of "$INDEX")" = live ] || fail "state with two of three servers: $(state_of "$INDEX")"
  one $lane
  pids[lane]=$SERVER
  kills=$((kills + 1))
done
finish
[ $kills -ge 6 ] || fail "only $kills kills"
[ "$(stat_of p redelivered)" -gt 0 ] || fail "no request was delivered again: the kills hit nothing"
echo "$kills kills, $(stat_of p redelivered) delivered again"

step "the last one goes: parked, then any lane serves all"
for SERVER in "${pids[@]}"; do kill_server; done
[ "$(state_of "$INDEX")" = parked ] || fail "state $(state_of "$INDEX")"
dd if=/dev/zero of="$DEV" bs=4k count=64 oflag=direct status=none &
writer=$!
sleep 0.5
kill -0 $writer || fail "a write ended without a server"
one 2
wait $writer || fail "the waiting write failed"
remove "$INDEX"
