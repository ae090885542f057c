#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The process that serves a disk has a user id of its own, no capability, no way to get one, and a
# system call filter: the first process, a successor, and one that an upgrade has put there.
. "$(dirname "$0")/lib.sh"
FIRST=1900000000
COUNT=65536

field() { sed -n "s/^$2:\t//p" "$1"; } # FILE NAME
unprivileged() { # VOLUME: sets uid
  local pid status ids
  pid=$(driver_pid "$1")
  for status in /proc/"$pid"/task/*/status; do
    ids=$(field "$status" Uid)
    uid=${ids%%$'\t'*}
    [ "$ids" = "$uid"$'\t'"$uid"$'\t'"$uid"$'\t'"$uid" ] || fail "$1: user ids $ids"
    [ "$uid" -ge $FIRST ] && [ "$uid" -lt $((FIRST + COUNT)) ] || fail "$1: user $uid"
    [ "$(field "$status" Gid)" = "$ids" ] || fail "$1: groups $(field "$status" Gid)"
    [ -z "$(field "$status" Groups | tr -d ' ')" ] || fail "$1: more groups"
    for set in CapInh CapPrm CapEff CapAmb; do
      [ "$(field "$status" $set)" = 0000000000000000 ] || fail "$1: $set $(field "$status" $set)"
    done
    [ "$(field "$status" NoNewPrivs)" = 1 ] || fail "$1: new privileges are possible"
    [ "$(field "$status" Seccomp)" = 2 ] || fail "$1: no system call filter"
  done
}
does_io() { # VOLUME DEVICE
  fio --name=x --filename="$2" --rw=randrw --bs=4k --size=8m --iodepth=8 --ioengine=libaio \
    --direct=1 --verify=crc32c --verify_fatal=1 --minimal >"$WORK/fio" 2>&1 || fail "$1: fio: $(cat "$WORK/fio")"
}
has_other_driver() { local pid; pid=$(driver_pid "$1"); [ "$pid" -gt 1 ] && [ "$pid" != "$2" ]; }

start_agent
users=
for driver in file memory null; do
  step "$driver"
  diskctl volume create "p-$driver" --driver $driver --size 64MiB >/dev/null
  device=$(attach "p-$driver")
  unprivileged "p-$driver"
  users+="$uid "
  [ $driver = null ] || does_io "p-$driver" "$device"
  pid=$(driver_pid "p-$driver")
  kill_driver "p-$driver"
  wait_for "$START_LIMIT_S" has_other_driver "p-$driver" "$pid" || fail "no successor"
  unprivileged "p-$driver"
  diskctl driver upgrade "p-$driver" --force >/dev/null
  unprivileged "p-$driver"
  [ $driver = null ] || does_io "p-$driver" "$device"
done
[ "$(tr ' ' '\n' <<<"$users" | sort -u | grep -c .)" = 3 ] || fail "volumes share a user: $users"

step "a restarted agent takes them over and ends them"
pid=$(driver_pid p-file)
kill_agent
start_agent
[ "$(driver_pid p-file)" = "$pid" ] || fail "not taken over: $pid, then $(driver_pid p-file)"
diskctl detach p-memory >/dev/null
diskctl detach --force p-null >/dev/null
diskctl detach p-file >/dev/null
wait_for "$START_LIMIT_S" has_ended "$pid" || fail "process $pid is left"

step "--driver-users root"
kill_agent TERM
AGENT_OPTIONS=(--driver-users root)
start_agent
device=$(attach p-file)
status=/proc/$(driver_pid p-file)/status
[ "$(field "$status" Uid)" = $'0\t0\t0\t0' ] || fail "user ids $(field "$status" Uid)"
[ $((0x$(field "$status" CapEff) & ~(1 << 14))) = 0 ] || fail "CapEff $(field "$status" CapEff)"
does_io p-file "$device"
diskctl detach p-file >/dev/null

step "users that can't be"
kill_agent TERM
AGENT_OPTIONS=(--driver-users 5:nonsense)
refused 1 "FIRST:COUNT" "$DISKD_BIN_DIR/diskd" --state-dir "$WORK/state" --run-dir "$WORK/run" "${AGENT_OPTIONS[@]}"
