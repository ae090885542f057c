#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A successor takes the disk while verified I/O runs: by force, from a stopped server, by agreement.
# limit: 300
. "$(dirname "$0")/lib.sh"
ESTALE=116
options=(file=$WORK/h.data stats=$WORK/h.stats delay_us=100 lanes=2)
disk h $((64 << 20)) nr_queues=2 servers_per_queue=2 -- lanes=2 delay_us=100
fio --name=h --filename="$DEV" --ioengine=io_uring --direct=1 --iodepth=32 --rw=randwrite --bsrange=4k-64k \
  --size=48m --verify=crc32c --verify_fatal=1 --verify_backlog=256 --time_based --runtime=30 \
  --output=$WORK/fio 2>$WORK/fio.err &
fio=$!
under_way() { [ "$(stat_of h writes)" -gt 100 ]; }
wait_for 40 under_way || fail "no I/O: $(cat $WORK/fio)"
ended() { # PID CODE: the old server ends by itself with this code
  local rc=0
  wait_for 20 eval "! kill -0 $1" || fail "the old server goes on"
  wait "$1" || rc=$?
  [ $rc = "$2" ] || fail "the old server: exit code $rc, expected $2"
}
live() { [[ "$(busesrv info "$INDEX")" == *"state=live "*"servers=4 "* ]]; }

rounds=0
while kill -0 $fio 2>/dev/null; do
  step "by force"
  old=$SERVER
  serve "$INDEX" "${options[@]}" take_over
  ended $old $ESTALE
  live || fail "$(busesrv info "$INDEX")"

  step "from a stopped server"
  old=$SERVER
  kill -STOP $old
  sleep 0.2
  serve "$INDEX" "${options[@]}" take_over
  live || fail "$(busesrv info "$INDEX")"
  kill -CONT $old
  ended $old $ESTALE

  step "by agreement"
  old=$SERVER
  before=$(stat_of h redelivered)
  serve "$INDEX" "${options[@]}" standby
  errno $EBUSY busesrv serve "$INDEX" standby lane=0 queue=0
  kill -TERM $old
  ended $old 0
  live || fail "$(busesrv info "$INDEX")"
  [ "$(stat_of h redelivered)" = "$before" ] || fail "a request went to both"

  step "a standby for a server that dies"
  old=$SERVER
  serve "$INDEX" "${options[@]}" standby
  kill -9 $old
  wait $old 2>/dev/null || true
  live || fail "$(busesrv info "$INDEX")"
  rounds=$((rounds + 1))
done
[ $rounds -ge 2 ] || fail "only $rounds rounds under I/O"
echo "$rounds rounds"
rc=0
wait $fio || rc=$?
[ $rc = 0 ] || fail "fio: $rc: $(cat $WORK/fio $WORK/fio.err)"
[ "$(stat_of h redelivered)" -gt 0 ] || fail "no request was delivered again: the changes hit nothing"
busesrv info "$INDEX"
remove "$INDEX"
