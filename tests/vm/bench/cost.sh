#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# In the guest, for bench_cost.sh: 4 KiB I/O on null_blk and on a buse disk served by busesrv
# without data. Prints lines "COST device pattern depth value": guest instructions per I/O under
# icount (there a nanosecond is an instruction), else IOPS.
# limit: 540
. "$(dirname "$0")/../guest/lib.sh"
FEW=4000 MANY=16000 # the slope between the two: start-up costs cancel
REPEATS=3

job() { # DISK PATTERN DEPTH [options]: fio's terse line
  local disk=$1 pattern=$2 depth=$3
  shift 3
  fio --name=cost --filename="$disk" --rw="$pattern" --bs=4k --ioengine=io_uring --iodepth="$depth" \
    --direct=1 --size=64M --norandommap --randrepeat=1 --thread --output-format=terse \
    --terse-version=3 "$@" 2>$WORK/fio.err | tail -1
}
field() { # PATTERN NUMBER: a field of the read or the write part
  awk -F';' -v n="$2" -v w="$([ "$1" = randread ] && echo 0 || echo 41)" '{ print $(n + w) }'
}
ms() { job "$1" "$2" "$3" --io_size="$(($4 * 4))k" | field "$2" 9; }
measure() { # NAME DISK PATTERN DEPTH
  local few many value
  if grep -q bench=icount /proc/cmdline; then
    few=$(ms "$2" "$3" "$4" $FEW)
    many=$(ms "$2" "$3" "$4" $MANY)
    value=$(((many - few) * 1000000 / (MANY - FEW)))
  else
    value=$(job "$2" "$3" "$4" --time_based --runtime=2 --ramp_time=0.3 | field "$3" 8)
  fi
  [ "${value:-0}" -gt 0 ] || fail "$1 $3 $4: $(cat $WORK/fio.err)"
  echo "COST $1 $3 $4 $value"
}

insmod /run/mods/null_blk.ko queue_mode=2 irqmode=0 nr_devices=1 submit_queues=2 gb=1
INDEX=$(busesrv create cost $((1 << 30)) nr_queues=$(($(nproc) < 2 ? 1 : 2)))
serve "$INDEX" spin_us="$([ "$(nproc)" = 1 ] && echo 0 || echo 50)"
busesrv start "$INDEX"
wait_for 20 test -b "/dev/buse$INDEX"
job "/dev/buse$INDEX" randread 32 --io_size=16M >/dev/null
grep -q bench=icount /proc/cmdline && REPEATS=1
for _ in $(seq $REPEATS); do
  for spec in randread/32 randwrite/32 randread/1 randwrite/1; do
    measure null_blk /dev/nullb0 ${spec%/*} ${spec#*/}
    measure buse "/dev/buse$INDEX" ${spec%/*} ${spec#*/}
  done
done
busesrv stop "$INDEX"
busesrv destroy "$INDEX"
rmmod null_blk
