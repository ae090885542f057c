#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several servers on each queue: threads of one process, then processes that die one by one.
# limit: 600
. "$(dirname "$0")/lib.sh"
step "three threads a queue"
disk t $((64 << 20)) nr_queues=2 servers_per_queue=3 -- lanes=3 delay_us=100
[[ "$(busesrv info "$INDEX")" == *"servers=6 "*"lanes=3 "* ]] || fail "$(busesrv info "$INDEX")"
verify_start t
work() { [ "$(stat_of t writes)" -gt 1500 ]; }
wait_for 300 work || fail "no I/O: $(stat_of t writes) writes"
verify_stop
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

step "a thread that comes late"
INDEX=$(busesrv create h $((1 << 20)) queue_depth=4)
busesrv heads "$INDEX"
busesrv destroy "$INDEX"

step "two processes, one hangs: the other serves what was given to nobody yet"
disk b $((64 << 20)) nr_queues=1 servers_per_queue=2 -- lane=0
busy=$SERVER
serve "$INDEX" file=$WORK/b.data stats=$WORK/b.stats lane=1
kill -STOP "$busy"
for _ in 1 2 3 4; do # more than is copied for a server at once
  timeout $((20 * TIME_SCALE)) dd if=/dev/zero of="$DEV" bs=64k count=1 oflag=direct status=none ||
    fail "a write waited for the server that hangs"
done
kill -CONT "$busy"
remove "$INDEX"
wait "$busy" "$SERVER" || fail "server: $(cat $WORK/server.err)"

step "three processes, killed one after another"
disk p $((64 << 20)) nr_queues=1 servers_per_queue=3 -- lane=0 delay_us=1000
pids=("$SERVER")
one() { serve "$INDEX" file=$WORK/p.data stats=$WORK/p.stats lane="$1" delay_us=1000; }
for lane in 1 2; do one $lane && pids[lane]=$SERVER; done
verify_start p
under_way() { [ "$(stat_of p writes)" -gt 100 ]; }
wait_for 60 under_way || fail "no I/O"
kills=0
until [ $kills -ge 6 ] && [ "$(stat_of p redelivered)" -gt 0 ]; do
  [ $kills -lt 30 ] || fail "no request was delivered again: the kills hit nothing"
  lane=$((kills % 3))
  kills=$((kills + 1))
  SERVER=${pids[lane]}
  kill_server
  [ "$(state_of "$INDEX")" = live ] || fail "state with two of three servers: $(state_of "$INDEX")"
  one $lane
  pids[lane]=$SERVER
  sleep 0.5
  verifying
done
verify_stop
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
