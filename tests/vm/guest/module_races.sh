#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Moments at which others hang: the server's own exit, the partition scan, removal.
# limit: 300
# dmesg-allow: I/O error
. "$(dirname "$0")/lib.sh"
c="$DISKD_BIN_DIR/../test/busesrv"
gone() { wait_for "${2:-20}" eval "! kill -0 $1"; }
force() { timeout 30 "$c" stop "$INDEX" force || fail "forced stop: $?"; }

step "the disk's last close is in its dying server's exit"
for rescue in take_over force; do
  disk own $((16 << 20)) nr_queues=1
  kill_server
  serve "$INDEX" file=$WORK/own.data dirty
  old=$SERVER
  kill -9 "$old"
  sleep 0.5
  if [ $rescue = take_over ]; then
    serve "$INDEX" file=$WORK/own.data take_over
    gone "$old" || fail "the dying server is stuck: $(cat /proc/"$old"/stack)"
    [ "$(od -An -tx1 -N1 $WORK/own.data)" = " 5a" ] || fail "its data is lost"
  else
    force
    gone "$old" || fail "the dying server is stuck: $(cat /proc/"$old"/stack)"
  fi
  wait "$old" 2>/dev/null || true
  timeout 20 "$c" stop "$INDEX" || fail "stop: $?"
  busesrv destroy "$INDEX"
done

step "partition scan, server stopped"
truncate -s 64M $WORK/scan.data
printf 'label: gpt\n,20MiB\n' | sfdisk -q $WORK/scan.data
for rescue in next force; do
  INDEX=$(busesrv create scan $((64 << 20)) nr_queues=1)
  serve "$INDEX" file=$WORK/scan.data
  kill -STOP "$SERVER"
  timeout 10 "$c" start "$INDEX" || fail "start waits for the scan: $?"
  [ ! -e "/dev/buse${INDEX}p1" ] || fail "scanned by a stopped server"
  if [ $rescue = next ]; then
    kill_server
    serve "$INDEX" file=$WORK/scan.data
    wait_for 20 test -b "/dev/buse${INDEX}p1" || fail "the scan did not go on with the next server"
    remove "$INDEX"
  else
    errno 16 busesrv stop "$INDEX"
    force
    busesrv destroy "$INDEX"
    kill_server
  fi
done

step "removal, server dead, pages dirty"
disk dirty $((16 << 20)) nr_queues=1
(
  until [ -e $WORK/go ]; do sleep 0.05; done
  head -c 2097152 /dev/zero >&8
) 8<>"$DEV" 2>/dev/null &
writer=$!
opened() { [[ "$(busesrv info "$INDEX")" == *openers=1* ]]; }
wait_for 10 opened || fail "the writer has not opened the disk"
kill_server
touch $WORK/go
dirty() { [ "$(awk '/^Dirty|^Writeback:/ { n += $2 } END { print n }' /proc/meminfo)" -ge 1024 ]; }
wait_for 10 dirty || fail "no dirty pages: $(grep -E 'Dirty|Writeback' /proc/meminfo)"
force
gone $writer || fail "the writer is stuck: $(cat /proc/$writer/stack)"
busesrv destroy "$INDEX"

step "whoever waits is released"
disk w $((16 << 20)) nr_queues=1
"$c" serve "$INDEX" standby >$WORK/standby.out 2>&1 &
standby=$!
wait_for 20 grep -q serving $WORK/standby.out || fail "standby: $(cat $WORK/standby.out)"
kill -STOP "$SERVER"
dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null &
reader=$!
"$c" quiesce "$INDEX" 60000 2>/dev/null &
quiesce=$!
quiesced() { [[ "$(busesrv info "$INDEX")" == *quiesced=1* ]]; }
wait_for 10 quiesced || fail "not quiesced"
force
gone $reader || fail "the reader is stuck"
gone $quiesce || fail "QUIESCE is stuck"
busesrv destroy "$INDEX"
gone $standby || fail "the standby is stuck"
wait $standby || fail "the standby: $(cat $WORK/standby.out)"
errno 19 busesrv info "$INDEX"
# The stopped server's descriptor holds what it maps, and the module.
! rmmod buse 2>/dev/null || fail "rmmod with a server's descriptor open"
kill_server
