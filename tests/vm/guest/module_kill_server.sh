#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the server in the middle of verified I/O, many times: no error, nothing lost.
# limit: 300
. "$(dirname "$0")/lib.sh"
disk k $((128 << 20)) nr_queues=2 -- delay_us=200
fio --name=k --filename="$DEV" --ioengine=io_uring --direct=1 --iodepth=32 --numjobs=2 --offset_increment=64m \
  --rw=randwrite --bsrange=4k-64k --size=48m --verify=crc32c --verify_fatal=1 --verify_backlog=256 --serialize_overlap=1 \
  --time_based --runtime=25 --output=$WORK/fio 2>$WORK/fio.err &
fio=$!
kills=0
while sleep 1.$((kills * 3 % 7)) && kill -0 $fio 2>/dev/null; do
  kill_server
  [ "$(state_of "$INDEX")" = parked ] || fail "state $(state_of "$INDEX")"
  kills=$((kills + 1))
  serve "$INDEX" file=$WORK/k.data stats=$WORK/k.stats delay_us=200
done
rc=0
wait $fio || rc=$?
[ $rc = 0 ] || fail "fio: $rc: $(cat $WORK/fio $WORK/fio.err)"
[ $kills -ge 4 ] || fail "only $kills kills"
echo "$kills kills"
[ "$(stat_of k redelivered)" -gt 0 ] || fail "no request was delivered again: the kills hit nothing"
busesrv info "$INDEX"
remove "$INDEX"
