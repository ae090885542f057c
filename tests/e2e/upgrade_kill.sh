#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the former or the new driver process at any moment of upgrades, under verified I/O: an
# upgrade may fail, no I/O does.
. "$(dirname "$0")/lib.sh"
ROUNDS=${ROUNDS:-100}
RUNTIME_S=${RUNTIME_S:-60}

drivers() { pgrep -P "$AGENT_PID" -f diskd-driver; }
kill_one_within() { # LIMIT_MS FORMER: the former driver process, or a new one if there is one
  local victim=$2
  sleep "$(printf '0.%03d' $((RANDOM % ($1 < 1000 ? $1 : 1000))))"
  [ $((RANDOM % 2)) = 0 ] || victim=$(drivers | grep -vx "$2" | head -1) || true
  kill -9 "${victim:-$2}" 2>/dev/null || true
}
now_ms() { date +%s%3N; }
serves() { former=$(driver_pid disk) && [ "$former" -gt 1 ]; }

start_agent
diskctl volume create disk --driver file --size 64MiB >/dev/null
device=$(attach disk)
fio --name=verify --filename="$device" --ioengine=libaio --direct=1 --bs=4k --iodepth=16 \
  --rw=randwrite --size=48m --verify=crc32c --verify_fatal=1 --verify_backlog=512 \
  --time_based --runtime="$RUNTIME_S" --output="$WORK/fio.out" >/dev/null 2>"$WORK/fio.err" &
fio=$!
done=0 failed=0 took_ms=50
for _ in $(seq "$ROUNDS"); do
  kill -0 $fio 2>/dev/null || break
  wait_for "$START_LIMIT_S" serves || fail "no driver process: $(diskctl ls)"
  kill_one_within $took_ms "$former" &
  killing=$!
  began=$(now_ms)
  if diskctl driver upgrade disk --force >>"$WORK/said" 2>&1; then
    done=$((done + 1)) took_ms=$(($(now_ms) - began))
  else
    failed=$((failed + 1))
  fi
  wait $killing
done
rc=0
wait $fio || rc=$?
printf '%s upgrades, %s that a kill made fail\n' $done $failed
[ $rc = 0 ] || fail "fio: exit code $rc: $(cat "$WORK/fio.err" "$WORK/fio.out")"
[[ $done -ge 3 && $failed -ge 1 ]] || fail "too few to prove anything: $(cat "$WORK/said")"
wait_for "$START_LIMIT_S" serves || fail "no driver process in the end"
[ "$(attachment_state disk)" = ATTACHMENT_STATE_ATTACHED ] || fail "state $(attachment_state disk)"
diskctl driver upgrade disk --force >/dev/null
[ "$(drivers | wc -l)" = 1 ] || fail "more than one driver process is left"
diskctl detach disk >/dev/null
diskctl volume delete disk >/dev/null
