#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The example server: reads give zeroes, whatever was written; SIGTERM takes the disk away, also
# while it is in use; a disk destroyed by somebody else ends the server.
# limit: 200
# dmesg-allow: I/O error, dev buse
. "$(dirname "$0")/lib.sh"
null_server() { "$DISKD_BIN_DIR/../test/null_server" "$@"; }
start() {
  : >$WORK/out
  "$DISKD_BIN_DIR/../test/null_server" example $((16 << 20)) >$WORK/out 2>$WORK/err &
  SERVER=$!
  wait_for 20 grep -q /dev/buse $WORK/out || fail "no disk: $(cat $WORK/err)"
  DEV=$(cat $WORK/out)
  wait_for 10 test -b "$DEV" || fail "no $DEV"
}
ended() { wait_for 20 sh -c "! kill -0 $SERVER" && wait "$SERVER"; }

start
step "I/O"
fio --name=x --filename="$DEV" --rw=randrw --bs=4k --iodepth=32 --ioengine=libaio --direct=1 \
  --size=4m --minimal >$WORK/fio || fail "fio: $(cat $WORK/fio)"
dd if=/dev/urandom of="$DEV" bs=1M count=4 oflag=direct conv=fsync status=none
cmp -n $((16 << 20)) "$DEV" /dev/zero || fail "it does not read as zeroes"
step "SIGTERM while the disk is open"
exec 9<"$DEV"
kill -TERM "$SERVER"
ended || fail "exit code $? after SIGTERM"
exec 9<&-
[ -z "$(busesrv list)" ] || fail "the device is left"
step "destroyed by somebody else"
start
busesrv stop "$(busesrv list)"
busesrv destroy "$(busesrv list)"
ended || fail "exit code $? after destroy"
step "usage and errors"
! null_server 2>/dev/null || fail "no arguments are no error"
! null_server "a/b" 4096 2>/dev/null || fail "a wrong name is no error"
[ -z "$(busesrv list)" ] || fail "a device is left"
