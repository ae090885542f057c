#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the driver process in the middle of verified I/O: no error, nothing lost, and I/O
# goes on within a second.
. "$(dirname "$0")/lib.sh"
KILLS=${KILLS:-6}
# A machine so slow that fio's time is over sooner must still have shown this many.
KILLS_LEAST=$((KILLS / 3))
STALL_LIMIT_MS=${STALL_LIMIT_MS:-1000}
# A busy machine may hold fio itself up; the driver's share shows in the best round.
ROUNDS=${ROUNDS:-2}

has_driver() { [ "$(driver_pid "$1")" -gt 1 ]; }

start_agent
kill_round() { # DRIVER: sets stall_ms
  local driver=$1 device fio kills=0 rc=0 restarts
  diskctl volume create "kill-$driver" --driver "$driver" --size 256MiB >/dev/null
  device=$(attach "kill-$driver")
  fio --name=verify --filename="$device" --ioengine=libaio --direct=1 --bs=4k --iodepth=16 \
    --rw=randwrite --size=192m --verify=crc32c --verify_fatal=1 --verify_backlog=512 \
    --time_based --runtime="${RUNTIME_S:-$((KILLS * 3))}" --output-format=json \
    --output="$WORK/fio.json" >/dev/null 2>"$WORK/fio.err" &
  fio=$!
  for _ in $(seq "$KILLS"); do
    # Not at a fixed phase of the I/O, but the same in each run.
    sleep "0.$((3 + kills * 7 % 6))"
    wait_for 10 has_driver "kill-$driver" || fail "no driver process within 10 s"
    kill -0 $fio 2>/dev/null || break
    kill_driver "kill-$driver"
    kills=$((kills + 1))
  done
  wait $fio || rc=$?
  [ $rc = 0 ] || fail "fio after $kills kills: exit code $rc: $(cat "$WORK/fio.err")"
  [ $kills -ge $KILLS_LEAST ] || fail "fio ended after $kills kills: a longer RUNTIME_S is needed"
  stall_ms=$(json 'int(max(d["jobs"][0][o]["clat_ns"]["max"] for o in ("read","write")) / 1e6)' <"$WORK/fio.json")
  restarts=$(diskctl -o json volume get "kill-$driver" | json 'd["volume"]["attachment"]["driverRestarts"]')
  printf 'driver %s: %s kills, %s restarts, longest stall %s ms\n' "$driver" "$kills" "$restarts" "$stall_ms"
  [ "$restarts" -ge "$kills" ] || fail "$restarts restarts after $kills kills"
  diskctl detach "kill-$driver" >/dev/null
  diskctl volume delete "kill-$driver" >/dev/null
}

for driver in file memory; do
  step "$driver: $KILLS kills under fio --verify"
  for _ in $(seq $ROUNDS); do
    kill_round "$driver"
    [ "$stall_ms" -gt "$STALL_LIMIT_MS" ] || break
  done
  [ "$stall_ms" -le "$STALL_LIMIT_MS" ] || fail "I/O stood still for $stall_ms ms"
done
