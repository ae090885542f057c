#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fio --verify at depth 32, small, large and odd sizes, over two queues.
# limit: 300
. "$(dirname "$0")/lib.sh"
disk v $((128 << 20)) nr_queues=2 queue_depth=32
for bs in 4k-4k 512-72k 1m-1m; do
  fio --name=v --filename="$DEV" --ioengine=io_uring --direct=1 --iodepth=32 --numjobs=1 --rw=randwrite \
    --bsrange="$bs" --bs_unaligned=0 --blockalign=512 --size=100m --io_size=48m --serialize_overlap=1 --verify=crc32c --verify_fatal=1 \
    --output=$WORK/fio || fail "bs=$bs: $(tail -5 $WORK/fio)"
done
[ "$(stat_of v writes)" -gt 1000 ] || fail "only $(stat_of v writes) writes reached the server"
remove "$INDEX"
