#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Neither end sees memory that is not its own: slots start as zeroes, failed reads copy nothing.
# limit: 90
# dmesg-allow: I/O error
. "$(dirname "$0")/lib.sh"
EIO=5
# Leave something in the kernel's free pages that could show up.
dd if=/dev/zero bs=1M count=64 status=none | tr '\0' '\245' >$WORK/dirt
rm $WORK/dirt
INDEX=$(busesrv create z $((16 << 20)) nr_queues=2 servers_per_queue=2)
busesrv zeroed "$INDEX" || fail "not zeroed"
step "a server that answers reads without writing any data"
serve "$INDEX" keep_slots
busesrv start "$INDEX"
DEV=/dev/buse$INDEX
wait_for 10 test -b "$DEV"
cmp -n $((4 << 20)) "$DEV" /dev/zero || fail "a reader saw foreign memory"
kill_server
step "a server that fails reads"
serve "$INDEX" fail=$EIO
busesrv untouched "$DEV" || fail "a failed read wrote into the buffer"
remove "$INDEX"
