#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The memory of an object volume's driver process stays within its limit, whatever the volume's size: random
# writes all over it, large sequential writes and reads, random reads; with and without packed objects.
# Counted is what the process has of its own at most: the peak without the program's file pages.
. "$(dirname "$0")/lib.sh"
# 64 are the aim; the peaks of runs differ by up to 10, and what this is to find is far above.
LIMIT_MIB=80
WRITTEN_MIB=${WRITTEN_MIB:-600} # more than a checkpoint's objects
READ_MIB=${READ_MIB:-128}

! ldd "$DISKD_BIN_DIR/drivers/diskd-driver-object" | grep -q 'lib[at]san' || skip "a sanitizer's memory counts, too"
start_agent

load() { # DEVICE
  fio --eta=never --name=writes --filename="$1" --ioengine=libaio --direct=1 --bs=4k --iodepth=32 --rw=randwrite \
    --norandommap --random_generator=tausworthe64 --io_size="${WRITTEN_MIB}m" --output=/dev/null
  fio --eta=never --name=large --filename="$1" --ioengine=libaio --direct=1 --bs=1m --iodepth=8 --rw=write \
    --size="${READ_MIB}m" --output=/dev/null
  fio --eta=never --name=reads --filename="$1" --ioengine=libaio --direct=1 --bs=1m --iodepth=8 --rw=read \
    --size="${READ_MIB}m" --output=/dev/null
  fio --eta=never --name=random --filename="$1" --ioengine=libaio --direct=1 --bs=64k --iodepth=32 --rw=randread \
    --norandommap --random_generator=tausworthe64 --io_size="${READ_MIB}m" --output=/dev/null
}

kib() { awk -v what="$1:" '$1 == what { print $2 }' "/proc/$2/status"; } # FIELD PID

measure() { # VOLUME SIZE [options]
  local device pid peak program
  step "$1"
  diskctl volume create "$1" --driver object --size "$2" --param "store=dir:$WORK/store" "${@:3}" >/dev/null
  device=$(attach "$1")
  pid=$(driver_pid "$1")
  load "$device"
  [ "$(driver_pid "$1")" = "$pid" ] || fail "another driver process serves than at the beginning"
  peak=$(kib VmHWM "$pid") program=$(kib RssFile "$pid")
  echo "$((peak / 1024)) MiB at most, $((program / 1024)) of them the program; $(($(kib VmRSS "$pid") / 1024)) now"
  [ $((peak - program)) -le $((LIMIT_MIB * 1024)) ] || fail "$1: more than $LIMIT_MIB MiB"
  diskctl detach "$1" >/dev/null
  diskctl volume delete "$1" >/dev/null
}

measure small 1GiB
measure large 16TiB
measure packed 64GiB --param compression=zstd:1
