#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A successor takes the disk while verified I/O runs: by force, from a stopped server, by agreement.
# limit: 300
. "$(dirname "$0")/lib.sh"
ESTALE=116
options=("file=$WORK/h.data" "stats=$WORK/h.stats" delay_us=1000 lanes=2)
disk h $((64 << 20)) nr_queues=2 servers_per_queue=2 -- lanes=2 delay_us=1000
verify_start h
under_way() { [ "$(stat_of h writes)" -gt 100 ]; }
wait_for 40 under_way || fail "no I/O"
ended() { # PID CODE: the old server ends by itself with this code
  local rc=0
  wait_for 20 eval "! kill -0 $1" || fail "the old server goes on"
  wait "$1" || rc=$?
  [ $rc = "$2" ] || fail "the old server: exit code $rc, expected $2"
}
live() { [[ "$(busesrv info "$INDEX")" == *"state=live "*"servers=4 "* ]]; }

for round in 1 2 3 4 5 6; do
  [ "$round" -le 2 ] || [ "$(stat_of h redelivered)" = 0 ] || break
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
  verifying
done
verify_stop
[ "$(stat_of h redelivered)" -gt 0 ] || fail "no request was delivered again: the changes hit nothing"
busesrv info "$INDEX"
remove "$INDEX"
