#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Servers that spin in ENTER are left the writes of busy submitters: verified writes, small ones, while
# a server is stopped and interrupted, killed, and relieved by another in the midst of it.
# limit: 600
. "$(dirname "$0")/lib.sh"
ROUNDS=8 ENOUGH=500
completed() { tr ' ' + <"/sys/block/buse$INDEX/buse/completed" | bc; }
stopped() { grep -q '^State:.T' "/proc/$SERVER/status"; }
relieve() { # HOW: a successor, while the old one spins
  local old=$SERVER
  serve "$INDEX" "${options[@]}" "$1"
  [ "$1" = take_over ] || kill -TERM "$old"
  wait "$old" || true
}

for lanes in 1 2; do
  options=("file=$WORK/s$lanes.data" "stats=$WORK/s$lanes.stats" spin_us=20000 "lanes=$lanes")
  disk s$lanes $((64 << 20)) nr_queues=2 servers_per_queue=$lanes -- spin_us=20000 lanes=$lanes
  verify_start s$lanes --bsrange=4k-4k
  for ((round = 0; round < ROUNDS; round++)); do
    before=$(completed)
    more() { [ "$(completed)" -gt $((before + ENOUGH)) ]; }
    wait_for 30 more || fail "$lanes lanes, round $round: no I/O gets through: $(busesrv info "$INDEX")"
    verifying
    kill -STOP "$SERVER"
    wait_for 5 stopped || fail "the server does not stop"
    kill -CONT "$SERVER"
    case $((round % 4)) in
      1) kill_server && serve "$INDEX" "${options[@]}" ;;
      2) relieve take_over ;;
      3) relieve standby ;;
    esac
  done
  verify_stop
  remove "$INDEX"
done
