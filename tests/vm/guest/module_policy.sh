#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What happens without a server is switched at run time; quiesce holds I/O back.
# limit: 200
# dmesg-allow: I/O error
. "$(dirname "$0")/lib.sh"
FOR_EVER=0 FAIL_FAST=4294967295 ETIMEDOUT=110
server() { serve "$INDEX" file=$WORK/$1.data stats=$WORK/$1.stats; }
read_one() { timeout 20 dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none; }
state_is() { [ "$(state_of "$INDEX")" = "$1" ]; }

step "from waiting to failing, and back"
disk p $((16 << 20))
kill_server
read_one 2>/dev/null &
reader=$!
sleep 0.5
kill -0 $reader || fail "a read ended without a server"
busesrv policy "$INDEX" $FAIL_FAST
! wait $reader || fail "the waiting read succeeded"
state_is failing || fail "state $(state_of "$INDEX")"
! read_one 2>/dev/null || fail "a read succeeded"
busesrv policy "$INDEX" $FOR_EVER
state_is parked || fail "state $(state_of "$INDEX")"
read_one &
reader=$!
sleep 0.5
kill -0 $reader || fail "a read failed although it may wait"
server p
wait $reader || fail "the waiting read failed"
state_is live || fail "state $(state_of "$INDEX")"
busesrv policy "$INDEX" $FAIL_FAST
kill_server
wait_for 5 state_is failing || fail "state $(state_of "$INDEX")"
busesrv policy "$INDEX" 1500
wait_for 5 state_is failing || fail "the limit does not end it"
server p
read_one || fail "no I/O with a new server"
errno $EINVAL busesrv policy "$INDEX" 4294967296
remove "$INDEX"
step "fail fast from the start"
disk f $((16 << 20)) park_limit_ms=$FAIL_FAST
kill_server
wait_for 5 state_is failing || fail "state $(state_of "$INDEX")"
! read_one 2>/dev/null || fail "a read succeeded"
remove "$INDEX"

step "quiesce"
disk q $((64 << 20)) -- delay_us=2000
quiesced() { [[ "$(busesrv info "$INDEX")" == *quiesced=$1* ]]; }
all_writes=1536
fio --name=q --filename="$DEV" --ioengine=io_uring --direct=1 --iodepth=16 --rw=randwrite --bs=4k --size=32m \
  --verify=crc32c --verify_fatal=1 --io_size=$((all_writes * 4))k --output=$WORK/fio &
fio=$!
under_way() { [ "$(stat_of q writes)" -gt 50 ]; }
wait_for 40 under_way || fail "no I/O"
for _ in 1 2 3 4 5; do
  busesrv quiesce "$INDEX" 10000
  quiesced 1 || fail "$(busesrv info "$INDEX")"
  writes=$(stat_of q writes)
  sleep 0.3
  [ "$(stat_of q writes)" = "$writes" ] || fail "a server got a write while quiesced"
  errno $EBUSY busesrv quiesce "$INDEX" 1000
  errno $EBUSY busesrv stop "$INDEX"
  busesrv unquiesce "$INDEX"
  quiesced 0 || fail "$(busesrv info "$INDEX")"
  [ "$writes" -lt $all_writes ] || break # a slow kernel gets there in between
  more() { [ "$(stat_of q writes)" -gt "$writes" ]; }
  wait_for 20 more || fail "nothing goes on after unquiesce"
done
step "the server changes while quiesced"
busesrv quiesce "$INDEX" 10000
kill_server
server q
writes=$(stat_of q writes)
sleep 0.3
[ "$(stat_of q writes)" = "$writes" ] || fail "the new server got a write while quiesced"
busesrv unquiesce "$INDEX"
wait $fio || fail "fio: $(cat $WORK/fio)"
step "a server that does not answer"
kill -STOP "$SERVER"
read_one &
reader=$!
sleep 0.5
errno $ETIMEDOUT busesrv quiesce "$INDEX" 500
quiesced 0 || fail "quiesced after a timeout"
"$DISKD_BIN_DIR/../test/busesrv" quiesce "$INDEX" 20000 &
waiter=$!
sleep 0.3
kill_server
wait $waiter || fail "the server's death does not end the wait"
server q
kill -0 $reader || fail "the read ended while quiesced"
step "forced stop while quiesced"
timeout 20 "$DISKD_BIN_DIR/../test/busesrv" stop "$INDEX" force || fail "forced stop: $?"
! wait $reader || fail "the read succeeded"
busesrv destroy "$INDEX"
