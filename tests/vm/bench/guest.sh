#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
# In the benchmark machine (busybox): 4 KiB I/O on every system in every setting. Lines printed:
#   COST system setting pattern depth value     guest instructions per I/O (bench=cost)
#   SYSCALLS system setting pattern depth value system calls of the server per I/O (bench=cost)
#   IOPS system setting pattern depth value     (bench=iops)
#   FAIL ...
# A setting is the server's scheduling policy and how long it spins before it sleeps.
# For iops all disks stay up, one server each, so that the measurements of a round lie close together
# and meet the same weather on the host.
# Kernel arguments: bench=cost|iops, repeats=N, only=REGEX of "system/setting", specs=A,B.
set -u
cd /run || exit 1
argument() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
BENCH=$(argument bench) ONLY=$(argument only) SPECS=$(argument specs)
ONLY=${ONLY:-.} SPECS=$(echo "${SPECS:-randread/32,randwrite/32,randread/1,randwrite/1}" | tr , ' ')
REPEATS=$(argument repeats)
REPEATS=${REPEATS:-7}
CPUS=$(nproc)
SIZE_MB=64
# Counted instructions pass at a nanosecond each; with a clock on the wall the emulation is some forty
# times slower, and so is the answer that a server spins for.
SPIN_US=50
[ "$BENCH" = cost ] || SPIN_US=2000
FEW=2000 MANY=8000 # the slope between the two: start-up costs cancel
RUNTIME=600ms RAMP=200ms
WAIT_TRIES=200

fail() { echo "FAIL $*"; }

wait_for() { # FILE: until it has a line
  tries=0
  while [ ! -s "$1" ] && [ $tries -lt $WAIT_TRIES ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  [ -s "$1" ]
}

wait_until_gone() { # PID, not of a child
  tries=0
  while kill -0 "$1" 2>/dev/null && [ $tries -lt $WAIT_TRIES ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
}

# system SYSTEM SETTING: sets it up; DEVICE is its disk, SERVER the process, if any.
system_up() {
  policy=${2%+spin} spin=0
  [ "$2" = "$policy" ] || spin=$SPIN_US
  SERVER=
  case $1 in
    null_blk)
      insmod /mods/null_blk.ko queue_mode=2 irqmode=0 nr_devices=1 submit_queues="$CPUS" gb=1
      DEVICE=/dev/nullb0
      ;;
    brd) insmod /mods/brd.ko rd_nr=1 rd_size=$((SIZE_MB * 1024)) && DEVICE=/dev/ram0 ;;
    ramblk) insmod /mods/ramblk.ko size_mb=$SIZE_MB && DEVICE=/dev/ramblk0 ;;
    nbd)
      [ -d /sys/module/nbd ] || insmod /mods/nbd.ko nbds_max=1
      nbdkit -U /run/nbd.sock -P /run/nbd.pid memory ${SIZE_MB}M || return 1
      nbd-client -unix /run/nbd.sock /dev/nbd0 -b 512 -C "$CPUS" >/run/server.err 2>&1 || return 1
      SERVER=$(cat /run/nbd.pid)
      DEVICE=/dev/nbd0
      ;;
    buse-polled)
      INDEX=$(busesrv create polled $((SIZE_MB << 20)) nr_queues=2 nr_poll_queues=1) || return 1
      rm -f /run/server.out
      busefeat spin "$INDEX" /dev/shm/polled >/run/server.out 2>/run/server.err &
      SERVER=$!
      wait_for /run/server.out || return 1
      busesrv start "$INDEX" || return 1
      DEVICE=/dev/buse$INDEX
      ;;
    *)
      # Not one server's file for another's.
      rm -f /run/server.out
      "bench_${1%-*}" "${1#*-}" $SIZE_MB "$CPUS" "$policy" $spin \
        >/run/server.out 2>/run/server.err &
      SERVER=$!
      wait_for /run/server.out || return 1
      DEVICE=$(cat /run/server.out)
      ;;
  esac
  [ -b "$DEVICE" ] || return 1
  # Of those that have one.
  echo none >"/sys/block/${DEVICE#/dev/}/queue/scheduler" 2>/dev/null
  # Memory behind every block.
  [ "$1" = null_blk ] || dd if=/dev/zero of="$DEVICE" bs=1M count=$SIZE_MB 2>/dev/null
  sync
}

system_down() {
  case $1 in
    null_blk) rmmod null_blk ;;
    brd) rmmod brd ;;
    ramblk) rmmod ramblk ;;
    nbd)
      nbd-client -d /dev/nbd0 >/dev/null
      kill "$SERVER"
      wait_until_gone "$SERVER"
      rm -f /run/nbd.sock /run/nbd.pid # nbdkit leaves them
      ;;
    buse-polled)
      kill -9 "$SERVER" # it spins for minutes before it would notice
      wait "$SERVER"
      busesrv stop "$INDEX" force
      busesrv destroy "$INDEX"
      rm /dev/shm/polled
      ;;
    *)
      kill "$SERVER"
      wait "$SERVER"
      ;;
  esac
}

# use SYSTEM DEVICE: what fio runs on
use() {
  FIO="--filename=$2 --bs=4k --ioengine=io_uring --direct=1 --size=${SIZE_MB}M"
  FIO="$FIO --norandommap --randrepeat=1 --thread"
  [ "$1" != buse-polled ] || FIO="$FIO --hipri"
}

job() { # PATTERN DEPTH [options]: fio's terse line
  pattern=$1 depth=$2
  shift 2
  # shellcheck disable=SC2086
  fio $FIO --output-format=terse --terse-version=3 --name=bench --rw="$pattern" \
    --iodepth="$depth" "$@" 2>/run/fio.err | tail -1
}

# Every measured job in one run of fio, one after another. The clock runs with the instructions;
# fio's own milliseconds are too coarse, so each job notes the time before and after itself (with
# a date that knows nanoseconds: the shell's own does not).
cost() { # SYSTEM SETTING
  set -- "$1" "$2" --name=warm-up --rw=randread --iodepth=32 --io_size=4M
  for spec in $SPECS; do
    for count in $FEW $MANY; do
      set -- "$@" --name="$(echo "$spec" | tr / -)-$count" --stonewall --rw="${spec%/*}" \
        --iodepth="${spec#*/}" --io_size=$((count * 4))k \
        --exec_prerun="/usr/bin/date +%s%N" --exec_postrun="/usr/bin/date +%s%N"
    done
  done
  system=$1 setting=$2
  shift 2
  # shellcheck disable=SC2086
  fio $FIO "$@" >/run/fio.out 2>&1 || fail "fio: $(tail -3 /run/fio.out)"
  for spec in $SPECS; do
    few=$(ns "$spec" $FEW)
    many=$(ns "$spec" $MANY)
    echo "COST $system $setting ${spec%/*} ${spec#*/} $(((many - few) / (MANY - FEW)))"
  done
}
ns() { # SPEC COUNT
  name=$(echo "$1" | tr / -)-$2
  echo $(($(cat "$name.postrun.txt") - $(cat "$name.prerun.txt")))
}

syscalls() { # SYSTEM SETTING PATTERN DEPTH
  trigger=/sys/kernel/tracing/events/raw_syscalls/sys_enter/trigger
  echo 'hist:keys=common_pid:size=1024' >$trigger
  job "$3" "$4" --io_size=$((MANY * 4))k >/dev/null
  total=0
  for task in /proc/"$SERVER"/task/*; do
    calls=$(sed -n "s/.*common_pid: *${task##*/} *}.*hitcount: *//p" \
      /sys/kernel/tracing/events/raw_syscalls/sys_enter/hist)
    total=$((total + ${calls:-0}))
  done
  echo '!hist:keys=common_pid:size=1024' >$trigger
  echo "SYSCALLS $1 $2 $3 $4 $(awk "BEGIN { printf \"%.3f\", $total / $MANY }")"
}

iops() { # SYSTEM SETTING PATTERN DEPTH
  first=8
  [ "$3" = randread ] || first=49
  value=$(job "$3" "$4" --time_based --runtime=$RUNTIME --ramp_time=$RAMP | cut -d';' -f$first)
  echo "IOPS $1 $2 $3 $4 ${value:-0}"
}

wanted() { echo "$1/$2" | grep -qE "$ONLY"; } # SYSTEM SETTING

up_or_fail() { # SYSTEM SETTING
  system_up "$1" "$2" && return 0
  fail "$1 $2: $(cat /run/server.err)"
  return 1
}

# On one CPU there is nothing to spin for.
settings="default batch"
[ "$CPUS" = 1 ] || settings="$settings default+spin batch+spin"
IN_KERNEL="null_blk ramblk brd" SERVED="buse-null buse-memory buse-bio ublk-null ublk-ram"

cost_of() { # SYSTEM SETTING
  wanted "$1" "$2" && up_or_fail "$1" "$2" || return 0
  use "$1" "$DEVICE"
  cost "$1" "$2"
  [ -z "$SERVER" ] ||
    for spec in $SPECS; do syscalls "$1" "$2" "${spec%/*}" "${spec#*/}"; done
  system_down "$1"
}

all_costs() {
  for system in $IN_KERNEL; do cost_of "$system" -; done
  for setting in $settings; do
    for system in $SERVED; do cost_of "$system" "$setting"; done
  done
}

add_disk() { # SYSTEM SETTING: to DISKS
  wanted "$1" "$2" && up_or_fail "$1" "$2" || return 0
  DISKS="$DISKS $1:$2:$DEVICE"
}

iops_of() { # SPEC "SYSTEM:SETTING:DEVICE"
  spec=$1
  IFS=: read -r system setting device <<END
$2
END
  use "$system" "$device"
  iops "$system" "$setting" "${spec%/*}" "${spec#*/}"
}

all_iops() {
  DISKS=
  for system in $IN_KERNEL nbd; do add_disk "$system" -; done
  for setting in $settings; do
    for system in $SERVED; do add_disk "$system" "$setting"; done
  done
  for _ in $(seq "$REPEATS"); do
    for spec in $SPECS; do
      for disk in $DISKS; do iops_of "$spec" "$disk"; done
      # Its server never sleeps: it may be there only while it is measured.
      wanted buse-polled - || continue
      up_or_fail buse-polled - || continue
      iops_of "$spec" "buse-polled:-:$DEVICE"
      system_down buse-polled
    done
  done
}

if [ "$BENCH" = cost ]; then all_costs; else all_iops; fi
dmesg | grep -A 30 -E 'BUG|WARNING|Oops|stall' | sed 's/^/FAIL /'
