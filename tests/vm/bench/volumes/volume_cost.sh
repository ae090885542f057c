#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What an I/O of a volume costs over the kernel module, beside a file on the same disk (brd, ext4), in
# instructions of the whole machine: bench_volumes.sh has them counted. Prints lines
#   COST system what instructions
# limit: 3000
insmod "$BUSE_KO"
export DISKD_TRANSPORT=buse START_LIMIT_S=300
# shellcheck source=tests/e2e/lib.sh
. "$REPO/tests/e2e/lib.sh"
DISK_MB=768 SIZE_MB=64 FEW=2000 MANY=10000 # the slope between the two: start-up costs cancel

insmod /run/mods/brd.ko rd_nr=1 rd_size=$((DISK_MB << 10))
mkfs.ext4 -q /dev/ram0
mkdir "$WORK/state"
mount /dev/ram0 "$WORK/state"

cost() { # SYSTEM FILE WHAT [fio options]
  local count times=()
  for count in $FEW $MANY; do
    fio --name=c --filename="$2" --size=${SIZE_MB}m --bs=4k --direct=1 --ioengine=io_uring --norandommap \
      --io_size=$((count * 4))k --exec_prerun="date +%s%N" --exec_postrun="date +%s%N" "${@:4}" >"$WORK/fio"
    times+=("$(($(cat c.postrun.txt) - $(cat c.prerun.txt)))")
  done
  echo "COST $1 $3 $(((times[1] - times[0]) / (MANY - FEW)))"
}

costs() { # SYSTEM FILE
  dd if=/dev/urandom of="$2" bs=1M count=$SIZE_MB conv=notrunc,fsync status=none
  cost "$1" "$2" warm-up --rw=randwrite --iodepth=32 >/dev/null
  cost "$1" "$2" "durable-write" --rw=randwrite --iodepth=1 --fdatasync=1
  cost "$1" "$2" "write-qd32" --rw=randwrite --iodepth=32
  # What is in the store alone comes into the read cache.
  dd if="$2" of=/dev/null bs=1M count=$SIZE_MB iflag=direct status=none
  cost "$1" "$2" "read" --rw=randread --iodepth=1
  cost "$1" "$2" "read-qd32" --rw=randread --iodepth=32
}

start_agent
diskctl volume create memory --driver memory --size ${SIZE_MB}MiB >/dev/null
diskctl volume create file --driver file --size ${SIZE_MB}MiB >/dev/null
diskctl volume create object --driver object --size ${SIZE_MB}MiB --param "store=dir:$WORK/state/store" \
  --param log_mib=128 --param cache_mib=128 >/dev/null
costs raw "$WORK/state/raw"
for volume in memory file object; do
  costs $volume "$(attach $volume)"
  diskctl detach $volume >/dev/null
done
