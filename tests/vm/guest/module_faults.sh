#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Faults on purpose: failing, late and lost requests, and allocations that fail.
# limit: 200
# dmesg-allow: I/O error
. "$(dirname "$0")/lib.sh"
ENOMEM=12
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
DEBUG=/sys/kernel/debug/buse
fault() { echo "$*" >"$DEBUG/$INDEX/faults"; }
hits() { sed -n "s/^$1 .* hits //p" "$DEBUG/$INDEX/faults"; }
server() { serve "$INDEX" file=$WORK/f.data stats=$WORK/f.stats "$@"; }
reads() { timeout 30 dd if="$DEV" of=/dev/null bs=4k count="$1" iflag=direct status=none; }
blocked() { # PID: it waits
  sleep 0.7
  kill -0 "$1" 2>/dev/null
}

disk f $((16 << 20)) nr_queues=1
dd if=/dev/urandom of="$DEV" bs=64k count=1 oflag=direct status=none
step "failing requests"
fault fail every 10
failed=0
for _ in $(seq 20); do reads 1 2>/dev/null || failed=$((failed + 1)); done
fault fail off
[ $failed = 2 ] || fail "$failed of 20 reads failed, expected 2"
reads 20 || fail "reads fail after the rule is off"
for wrong in "fail" "fail nth" "fail nth 0" "nothing nth 1" "fail off 1" "delay nth 1 100000"; do
  ! fault "$wrong" 2>/dev/null || fail "accepted: $wrong"
done
fault fail nth 1
"$DISKD_BIN_DIR/../test/busesrv" untouched "$DEV" || fail "stale memory in a failed read"
[ "$(hits fail)" = 1 ] || fail "hits: $(hits fail)"

step "a slow server"
fault delay nth 1 1500
start=$(date +%s%N)
reads 1
took=$((($(date +%s%N) - start) / 1000000))
[ $took -ge 1500 ] || fail "the delayed read took $took ms"
fault delay off

step "a lost completion: the next server gets the request again"
fault drop_completion nth 1
reads 1 &
reader=$!
blocked $reader || fail "the read ended without its completion"
[ "$(hits drop_completion)" = 1 ] || fail "hits: $(hits drop_completion)"
reads 1 || fail "a lost completion blocks others"
kill_server
server
wait $reader || fail "the read failed"
step "a lost request: a successor gets it"
fault drop_request nth 1
reads 1 &
reader=$!
blocked $reader || fail "the read ended although no server saw it"
server take_over
wait $reader || fail "the read failed"
step "everything lost: a server that hangs, forced stop"
fault drop_request every 1
reads 1 2>/dev/null &
reader=$!
blocked $reader || fail "the read ended although no server saw it"
timeout 20 "$DISKD_BIN_DIR/../test/busesrv" stop "$INDEX" force || fail "forced stop: $?"
! wait $reader || fail "the read succeeded"
busesrv destroy "$INDEX"
[ ! -e "$DEBUG/$INDEX" ] || fail "the knobs outlive the device"

step "no memory at create and start"
c="$DISKD_BIN_DIR/../test/busesrv"
for n in $(seq 40); do
  echo "$n" >$DEBUG/fail_alloc
  rc=0
  i=$("$c" create m $((1 << 20)) nr_queues=2 2>$WORK/err) || rc=$?
  [ $rc != 0 ] || break
  [ $rc = $ENOMEM ] || fail "allocation $n: exit code $rc: $(cat $WORK/err)"
  [ -z "$("$c" list)" ] || fail "allocation $n: a device is left"
  [ -z "$(ls /dev/busec* 2>/dev/null)" ] || fail "allocation $n: a node is left"
done
[ "$n" -gt 12 ] && [ "$n" -lt 40 ] || fail "create made $n allocations"
echo "create survived $((n - 1)) failures"
serve "$i"
for n in $(seq 10); do
  echo "$n" >$DEBUG/fail_alloc
  rc=0
  "$c" start "$i" 2>$WORK/err || rc=$?
  [ $rc != 0 ] || break
  [ $rc = $ENOMEM ] || fail "start, allocation $n: exit code $rc: $(cat $WORK/err)"
  [ ! -e "/dev/buse$i" ] || fail "start, allocation $n: a disk is left"
  [ "$(state_of "$i")" = created ] || fail "start, allocation $n: state $(state_of "$i")"
done
# Disks of bios need no tags from the block layer.
least=3
[ "$BUSE_DISKS" != bios ] || least=2
[ "$n" -gt $least ] && [ "$n" -lt 10 ] || fail "start made $n allocations"
echo 0 >$DEBUG/fail_alloc
remove "$i"
rmmod buse || fail "something holds the module"
[ ! -e $DEBUG ] || fail "debugfs entries left"
