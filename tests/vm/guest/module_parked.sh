#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No server: I/O waits without burning CPU, the park limit ends it, a forced stop never hangs.
# limit: 300
# dmesg-allow: I/O error|EXT4-fs|JBD2|Aborting journal
. "$(dirname "$0")/lib.sh"
step "I/O waits, and goes on with the next server"
disk p $((64 << 20))
kill_server
dd if=/dev/zero of="$DEV" bs=4k count=8 oflag=direct status=none &
writer=$!
sleep 2
kill -0 $writer || fail "a write ended without a server"
serve "$INDEX" file=$WORK/p.data stats=$WORK/p.stats
wait $writer || fail "the waiting write failed"
step "a CPU goes while the requests it made have no server"
kill_server
taskset -c 1 dd if=/dev/zero of="$DEV" bs=4k count=8 oflag=direct status=none &
writer=$!
sleep 1
kill -0 $writer || fail "a write ended without a server"
cpu=/sys/devices/system/cpu/cpu1/online
echo 0 >$cpu &
offline=$!
wait_for 30 eval "! kill -0 $offline" || fail "the CPU waits for the server"
serve "$INDEX" file=$WORK/p.data stats=$WORK/p.stats
wait $writer || fail "the waiting write failed"
echo 1 >$cpu
step "mounted, dead server, forced stop"
mkfs.ext4 -q "$DEV"
mount "$DEV" $WORK/mnt
dd if=/dev/zero of=$WORK/mnt/f bs=1M count=4 status=none
kill_server
errno $EBUSY busesrv stop "$INDEX"
timeout 30 "$DISKD_BIN_DIR/../test/busesrv" stop "$INDEX" force || fail "forced stop: $?"
timeout 30 umount $WORK/mnt || fail "umount after a forced stop: $?"
busesrv destroy "$INDEX"
step "park limit"
disk l $((64 << 20)) park_limit_ms=1000
kill_server
start=$SECONDS
! timeout 20 dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none 2>$WORK/dd || fail "read succeeded"
grep -q "Input/output error" $WORK/dd || fail "$(cat $WORK/dd)"
[ $((SECONDS - start)) -le 10 ] || fail "the limit took $((SECONDS - start)) s"
[ "$(state_of "$INDEX")" = failing ] || fail "state $(state_of "$INDEX")"
serve "$INDEX" file=$WORK/l.data stats=$WORK/l.stats
dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none || fail "no I/O with a new server"
[ "$(state_of "$INDEX")" = live ] || fail "state $(state_of "$INDEX")"
remove "$INDEX"
