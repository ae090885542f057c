#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 at any moment of create, serve, start, stop and destroy: the device that is left can
# always be removed, and nothing else is left.
# limit: 200
# dmesg-allow: I/O error
. "$(dirname "$0")/lib.sh"
c="$DISKD_BIN_DIR/../test/busesrv"
life() { # a device's life, of which each step may be the last
  set +e
  local i
  i=$("$c" create life $((8 << 20)) nr_queues=2) || return
  "$c" serve "$i" file=$WORK/life.data >$WORK/life.out 2>/dev/null &
  until grep -q serving $WORK/life.out; do sleep 0.01; done
  "$c" start "$i"
  dd if=/dev/zero of="/dev/buse$i" bs=64k count=16 conv=notrunc status=none
  "$c" stop "$i"
  "$c" destroy "$i"
}
export -f life
export c WORK
ends=0
for round in $(seq 12); do
  : >$WORK/life.out
  setsid bash -c life >/dev/null 2>&1 &
  pid=$!
  sleep 0.$((round * 37 % 100 + 100))
  kill -9 -- -$pid 2>/dev/null || ends=$((ends + 1))
  wait $pid 2>/dev/null || true
  for i in $("$c" list); do
    timeout 20 "$c" stop "$i" force || fail "round $round: forced stop: $?"
    timeout 20 "$c" destroy "$i" || fail "round $round: destroy: $?"
  done
  unloads() { rmmod buse; }
  wait_for 20 unloads || fail "round $round: the module does not unload: $(ps ax | grep -v '\[')"
  find /dev -maxdepth 1 -name 'buse*' -type f -delete
  [ -z "$(ls /dev/buse* 2>/dev/null)" ] || fail "round $round: left: $(ls /dev/buse*)"
  insmod "$BUSE_KO"
done
[ $ends -lt 12 ] || fail "every life ended before it was killed"
echo "$((12 - ends)) of 12 killed"
