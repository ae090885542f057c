#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Create, attach, detach, delete, many times: nothing leaks.
. "$(dirname "$0")/lib.sh"
CYCLES=${CYCLES:-100}

count() { # loops, disks, mounts, drivers, agent descriptors, agent threads, files
  printf 'loops=%s ' "$(losetup -nl -O BACK-FILE | grep -c "$WORK" || true)"
  printf 'buse=%s ' "$(find /sys/block -maxdepth 1 -name 'buse*' | wc -l)"
  printf 'mounts=%s ' "$(mounts_under "$WORK" | wc -l)"
  printf 'drivers=%s ' "$(pgrep -P "$AGENT_PID" | wc -l)"
  printf 'fds=%s ' "$(find "/proc/$AGENT_PID/fd" -mindepth 1 | wc -l)"
  printf 'files=%s ' "$(find "$WORK/state" "$WORK/run" -mindepth 1 | grep -cv -e '-wal$' -e '-shm$')"
  printf 'links=%s ' "$(find /dev/disk/by-diskd /dev/disk/by-buse -mindepth 1 2>/dev/null | wc -l)"
  printf 'shm=%s\n' "$(find /dev/shm -mindepth 1 -name '*vol-*' | wc -l)"
}
cycle() {
  diskctl volume create "v$1" --driver "$2" --size 16MiB >/dev/null
  device=$(attach "v$1")
  [ "$TRANSPORT" != buse ] ||
    [ "$(find -L /dev/disk/by-buse -samefile "$(readlink -f "$device")" | wc -l)" = 1 ] ||
    fail "no link in /dev/disk/by-buse to $device"
  dd if=/dev/zero of="$device" bs=64k count=1 oflag=direct status=none
  diskctl detach "v$1" >/dev/null
  diskctl volume delete "v$1" >/dev/null
}

start_agent
for i in 1 2 3 4; do cycle "$i" memory; done # thread pools and caches reach their size
first=$(count)
for i in $(seq "$CYCLES"); do
  if [ $((i % 2)) = 0 ]; then cycle "$i" file; else cycle "$i" memory; fi
done
last=$(count)
printf 'before: %s\nafter %s cycles: %s\n' "$first" "$CYCLES" "$last"
fds() { sed 's/.*fds=\([0-9]*\).*/\1/' <<<"$1"; }
# gRPC keeps a few descriptors more or less for its pollers; a leak would be one per cycle.
[ "$(fds "$last")" -le $(($(fds "$first") + 8)) ] || fail "descriptors leak"
[ "$(sed 's/fds=[0-9]*//' <<<"$first")" = "$(sed 's/fds=[0-9]*//' <<<"$last")" ] || fail "something leaks"
