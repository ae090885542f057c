#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The module does not unload under load; 64 live disks at once, whose server dies.
# limit: 300
# dmesg-allow: I/O error
. "$(dirname "$0")/lib.sh"
c="$DISKD_BIN_DIR/../test/busesrv"

step "unload under load"
disk load $((32 << 20)) nr_queues=2
fio --name=l --filename="$DEV" --ioengine=io_uring --direct=1 --iodepth=16 --rw=randrw --bs=4k --size=30m \
  --time_based --runtime=4 --output=$WORK/fio &
fio=$!
refused=0
while kill -0 $fio 2>/dev/null; do
  ! timeout 5 rmmod buse 2>/dev/null || fail "rmmod under load"
  refused=$((refused + 1))
done
wait $fio || fail "fio: $(cat $WORK/fio)"
[ $refused -ge 5 ] || fail "only $refused attempts"
remove "$INDEX"

step "64 live disks"
"$c" many 64 >$WORK/many.out 2>&1 &
# shellcheck disable=SC2034  # for kill_server
SERVER=$!
wait_for 60 grep -q serving $WORK/many.out || fail "$(cat $WORK/many.out)"
[ "$(busesrv list | wc -l)" = 64 ] || fail "list: $(busesrv list | wc -l)"
for i in $(busesrv list); do
  dd if="/dev/buse$i" of=/dev/null bs=16k count=4 iflag=direct status=none &
  readers+=($!)
done
for reader in "${readers[@]}"; do wait "$reader" || fail "a read failed"; done
kill_server
for i in $(busesrv list); do
  [ "$(state_of "$i")" = parked ] || fail "state of $i: $(state_of "$i")"
  timeout 20 "$c" stop "$i" force || fail "forced stop of $i: $?"
  busesrv destroy "$i"
done
rmmod buse || fail "rmmod with nothing left"
