#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `diskctl driver upgrade` in the middle of verified I/O: no error, a stall well under a second; a
# new driver that does not start, hangs or would make another disk leaves the present one serving.
. "$(dirname "$0")/lib.sh"
UPGRADES=${UPGRADES:-4}
# For machines that fio alone keeps busy: they would be too slow to start a driver in time.
RATE=${RATE:-}
STALL_LIMIT_MS=${STALL_LIMIT_MS:-900}
# A busy machine may hold fio itself up; the driver's share shows in the better of two rounds.
ROUNDS=2
DRIVER_DIR=$WORK/drivers
mkdir "$DRIVER_DIR"
for driver in file memory; do
  cp "$DISKD_BIN_DIR/drivers/diskd-driver-$driver" "$DRIVER_DIR/"
done
FIO=

install_driver() { # NAME: the same program as another file
  cp "$DISKD_BIN_DIR/drivers/diskd-driver-$1" "$DRIVER_DIR/new"
  mv "$DRIVER_DIR/new" "$DRIVER_DIR/diskd-driver-$1"
  wait_for "$START_LIMIT_S" is_usable "$1" || fail "driver $1 is not usable: $(diskctl driver ls)"
}
is_usable() { diskctl driver ls | grep -q "^$1 *ok"; } # asks it again if it took too long
install_script() { # NAME DESCRIBE SERVE: shell commands
  printf '#!/bin/sh\n[ "$1" != describe ] || { %s; exit 0; }\n%s\n' "$2" "$3" >"$DRIVER_DIR/new"
  chmod +x "$DRIVER_DIR/new"
  mv "$DRIVER_DIR/new" "$DRIVER_DIR/diskd-driver-$1"
}
describe() { echo "exec $DISKD_BIN_DIR/drivers/diskd-driver-$1 describe"; }

start_fio() { # DEVICE SECONDS
  fio --name=verify --filename="$1" --ioengine=libaio --direct=1 --bs=4k --iodepth=16 \
    --rw=randwrite --size=96m --verify=crc32c --verify_fatal=1 --verify_backlog=512 \
    --time_based --runtime="$2" ${RATE:+--rate_iops="$RATE"} --output-format=json \
    --output="$WORK/fio.json" >/dev/null 2>"$WORK/fio.err" &
  FIO=$!
}
keep_fio() { # DEVICE SECONDS: starts it again if its time was too short for a slow machine
  kill -0 "$FIO" 2>/dev/null && return
  end_fio
  start_fio "$@"
}
end_fio() { # the longest stall goes to stall_ms
  local rc=0 ms
  wait "$FIO" || rc=$?
  [ $rc = 0 ] || fail "fio: exit code $rc: $(cat "$WORK/fio.err")"
  ms=$(json 'int(max(d["jobs"][0][o]["clat_ns"]["max"] for o in ("read","write")) / 1e6)' <"$WORK/fio.json")
  [ "$ms" -le "$stall_ms" ] || stall_ms=$ms
}
upgrade() { # VOLUME: by a new file of the same program
  local before after
  before=$(driver_pid "$1")
  install_driver "$2"
  diskctl driver upgrade "$1" >"$WORK/said" || fail "upgrade: exit code $?"
  after=$(driver_pid "$1")
  [ "$after" -gt 1 ] && [ "$after" != "$before" ] || fail "$1: process $before, then $after"
  wait_for "$START_LIMIT_S" has_ended "$before" || fail "the former process $before is left"
  [ "$(readlink "/proc/$after/exe")" = "$DRIVER_DIR/diskd-driver-$2" ] || fail "not the new file"
}
round() { # DRIVER DEVICE: sets stall_ms
  stall_ms=0
  start_fio "$2" $((UPGRADES * ${SECONDS_EACH:-6} + 2))
  for _ in $(seq "$UPGRADES"); do
    sleep 1.3
    upgrade "vol-$1" "$1"
    keep_fio "$2" "${SECONDS_EACH:-6}"
  done
  end_fio
  printf 'driver %s: %s upgrades, longest stall %s ms\n' "$1" "$UPGRADES" "$stall_ms"
}

start_agent
for driver in file memory; do
  wait_for "$START_LIMIT_S" is_usable "$driver" || fail "driver $driver is not usable"
  step "$driver: $UPGRADES upgrades under fio --verify"
  diskctl volume create "vol-$driver" --driver "$driver" --size 128MiB >/dev/null
  device=$(attach "vol-$driver")
  for _ in $(seq $ROUNDS); do
    round $driver "$device"
    [ "$stall_ms" -gt "$STALL_LIMIT_MS" ] || break
  done
  [ "$stall_ms" -le "$STALL_LIMIT_MS" ] || fail "I/O stood still for $stall_ms ms"
done

step "again: nothing to do, unless forced"
before=$(driver_pid vol-file)
diskctl driver upgrade vol-file | grep -q already || fail "it does not say that it is done already"
[ "$(driver_pid vol-file)" = "$before" ] || fail "the process was replaced"
diskctl driver upgrade vol-file --force >/dev/null
[ "$(driver_pid vol-file)" != "$before" ] || fail "the process was not replaced"
install_driver file
install_driver memory
[ "$(diskctl driver upgrade --all | grep -c 'taken over')" = 2 ] || fail "not all were upgraded"

step "a new driver that fails leaves the present one serving"
before=$(driver_pid vol-file)
device=$(diskctl -o json volume get vol-file | json 'd["volume"]["attachment"]["devicePath"]')
start_fio "$device" "${FAILURES_S:-60}"
stays() { # CODE PATTERN
  refused "$1" "$2" diskctl driver upgrade vol-file
  [ "$(driver_pid vol-file)" = "$before" ] || fail "the process was replaced"
  keep_fio "$device" 10
}
install_script file "exit 3" "exit 3"
stays 5 "can't be used.*exit status 3"
install_script file "$(describe file)" "exit 7"
stays 10 "exit status 7.*present one goes on"
install_script file "$(describe file)" "exec sleep 1000"
stays 10 "did not answer.*present one goes on"
install_script file "$(describe file)" "exec $DISKD_BIN_DIR/drivers/diskd-driver-memory \"\$@\""
stays 5 "present one goes on"
rm "$DRIVER_DIR/diskd-driver-file"
stays 5 "not installed"
end_fio
[ "$(pgrep -c -f "$DRIVER_DIR/diskd-driver" || true)" = 2 ] ||
  fail "processes: $(pgrep -a -f "$DRIVER_DIR/diskd-driver")"

step "the next agent upgrades what it took over; the disk is whole"
install_driver file
kill_agent
start_agent
[ "$(driver_pid vol-file)" = "$before" ] || fail "the process was not taken over"
upgrade vol-file file
kill_driver vol-file
recovered() { [ "$(driver_pid vol-file)" -gt 1 ]; }
wait_for "$START_LIMIT_S" recovered || fail "no process after a kill"
refused 5 "not attached" sh -c "'$DISKD_BIN_DIR/diskctl' --socket '$WORK/run/diskd.sock' volume create idle --driver file --size 1MiB >/dev/null && '$DISKD_BIN_DIR/diskctl' --socket '$WORK/run/diskd.sock' driver upgrade idle"
for driver in file memory; do
  diskctl detach vol-$driver >/dev/null
  diskctl volume delete vol-$driver >/dev/null
done
