#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# pressure.sh SECONDS: memory pressure on a machine whose swap and file systems are our disks. Runs
# in the test machine, in two halves:
#   swap on a memory disk (locked), an ext4 with dirty mapped pages on a disk of the file driver
#   swap on a disk of the file driver, an ext4 on another one
# where there is room for all of it, with an ext4 on the memory disk in the second half.
# A balloon leaves as much memory as a machine of 256 MiB has; then one program uses more memory
# than there is, another dirties a mapped file. Both check what they read; neither may stall.
set -e
seconds=$(($1 / 2))
free_mib=96 excess_mib=48 disk_mib=128 file_mib=64
stall_limit_s=$((60 * TIME_SCALE))
tools=$DISKD_BIN_DIR/../test

insmod "$BUSE_KO"
export DISKD_TRANSPORT=buse
# shellcheck source=../e2e/lib.sh
. "$REPO/tests/e2e/lib.sh"
[ -b /dev/vda ] || fail "no scratch disk"
leave() {
  local rc=$?
  set +e
  swapoff -a
  pkill -9 -x pressure
  cd /
  # Ends its shell, with the code it finds.
  ( (exit $rc); cleanup)
  rc=$?
  exit $rc
}
trap leave EXIT
start_agent
[ "$(cat "/proc/$AGENT_PID/oom_score_adj")" = -800 ] || fail "the OOM killer may take the agent"

available() { awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo; }

# alive PID FILE: the process ends well; what it writes to FILE grows all the time
alive() {
  local pid=$1 file=$2 size=0 since=$SECONDS now
  while kill -0 "$pid" 2>/dev/null; do
    now=$(stat -c %s "$file")
    if [ "$now" != $size ]; then
      size=$now since=$SECONDS
    fi
    if [ $((SECONDS - since)) -gt "$stall_limit_s" ]; then
      echo w >/proc/sysrq-trigger
      fail "no progress for $stall_limit_s s: $(cat "$file")"
    fi
    sleep 1
  done
  wait "$pid" || fail "exit code $?: $(cat "$file")"
}

# What a driver needs in order to answer without memory. In flags: PF_MEMALLOC_NOIO.
check_protected() { # VOLUME LOCKED_MIB
  local pid task flags
  pid=$(driver_pid "$1")
  [ "$(cat "/proc/$pid/oom_score_adj")" = -900 ] || fail "$1: the OOM killer may take the driver"
  awk -v least="$2" '/^VmLck/ { exit !($2 >= least * 1024 && $2 > 0) }' "/proc/$pid/status" ||
    fail "$1: $(grep VmLck "/proc/$pid/status")"
  for task in "/proc/$pid/task/"*; do
    flags=$(sed 's/.*) //' "$task/stat" | cut -d' ' -f7)
    [ $((flags & 0x80000)) != 0 ] || fail "$1: a thread of the driver is no IO_FLUSHER: $flags"
  done
}

# The kernel may run out of patience with a slow swap disk and take the hog, which offers itself; that
# is no deadlock.
hog() { # MEBIBYTES: for $seconds
  local end=$((SECONDS + seconds)) least_s=10 rc
  while [ $((end - SECONDS)) -gt $least_s ]; do
    rc=0
    choom -n 1000 -- "$tools/pressure" "$1" $((end - SECONDS)) >>"$WORK/hog" 2>&1 || rc=$?
    [ $rc = 137 ] || return $rc
    echo "taken by the OOM killer" >>"$WORK/hog"
  done
}

half() { # NAME SWAP_DEVICE FS_DEVICE
  local hog writer balloon swapped inflated=
  step "$1"
  mkswap "$2" >/dev/null
  swapon "$2"
  mkfs.ext4 -q -F "$3"
  mount "$3" "$WORK/mnt"
  balloon=$(($(available) - free_mib))
  if [ $balloon -gt 0 ]; then
    "$tools/pressure" balloon $balloon >"$WORK/balloon" &
    inflated=$!
    wait_for 120 grep -q locked "$WORK/balloon" || fail "no balloon"
  fi
  echo "memory left: $(available) MiB; used by the hog: $(($(available) + excess_mib)) MiB"
  : >"$WORK/hog"
  : >"$WORK/writer"
  hog $(($(available) + excess_mib)) &
  hog=$!
  "$tools/pressure" $file_mib $seconds "$WORK/mnt/file" >"$WORK/writer" 2>&1 &
  writer=$!
  alive $hog "$WORK/hog"
  alive $writer "$WORK/writer"
  echo "hog: $(tail -1 "$WORK/hog"); taken by the OOM killer: $(grep -c taken "$WORK/hog" || true)"
  echo "writer: $(tail -1 "$WORK/writer")"
  swapped=$(awk '/^pswpout/ { print $2 }' /proc/vmstat)
  echo "pages swapped out so far: $swapped"
  [ "$swapped" -gt $((excess_mib * 256 / 2)) ] || fail "hardly anything was swapped out"
  if [ -n "$inflated" ]; then
    kill -9 "$inflated"
    wait "$inflated" 2>/dev/null || true
  fi
  umount "$WORK/mnt"
  swapoff "$2"
  fsck.ext4 -fn "$3" >"$WORK/fsck" 2>&1 || fail "fsck: $(cat "$WORK/fsck")"
}

make_disk() { # NAME [volume options]: prints the device
  diskctl volume create "$1" --size ${disk_mib}MiB "${@:2}" >/dev/null
  attach "$1" --queues 1 --queue-depth 32
}
remove_disk() { # NAME
  diskctl detach "$1" >/dev/null
  diskctl volume delete "$1" >/dev/null
}

mkdir "$WORK/shm"
mount -t tmpfs -o size=$((disk_mib + 1))m,mode=1777 memory "$WORK/shm"
# Not files: their file system would need memory to write to them.
wipefs -qa /dev/vda
printf ',%dM\n,%dM\n' $disk_mib $disk_mib | sfdisk -q --wipe-partitions always /dev/vda
wait_for 20 test -b /dev/vda2 || fail "no /dev/vda2"
memory=$(make_disk memory --driver memory --param locked=true --param dir="$WORK/shm")
file=$(make_disk file --driver file --param path=/dev/vda1)
check_protected memory $disk_mib
check_protected file 0
half "swap on memory, ext4 on file" "$memory" "$file"
if [ "$(available)" -gt $free_mib ]; then
  half "swap on file, ext4 on memory" "$file" "$memory"
  remove_disk memory
else
  remove_disk memory
  half "swap on file, ext4 on file" "$file" "$(make_disk other --driver file --param path=/dev/vda2)"
  remove_disk other
fi
remove_disk file
if dmesg | grep 'Out of memory' | grep -v '(pressure)'; then fail "the kernel killed another process"; fi
