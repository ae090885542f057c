#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the former or the new driver process at any moment of upgrades, under verified I/O: an
# upgrade may fail, no I/O does.
. "$(dirname "$0")/lib.sh"
ROUNDS=${ROUNDS:-25}
RUNTIME_S=${RUNTIME_S:-60}

kill_one_soon() { # one of the driver processes there are after up to 0.6 s
  local pids
  sleep "0.$((RANDOM % 6))$((RANDOM % 10))"
  mapfile -t pids < <(pgrep -P "$AGENT_PID" -f diskd-driver)
  [ ${#pids[@]} = 0 ] || kill -9 "${pids[RANDOM % ${#pids[@]}]}" 2>/dev/null || true
}

start_agent
diskctl volume create disk --driver file --size 64MiB >/dev/null
fio --name=verify --filename="$(attach disk)" --ioengine=libaio --direct=1 --bs=4k --iodepth=16 \
  --rw=randwrite --size=48m --verify=crc32c --verify_fatal=1 --verify_backlog=512 \
  --time_based --runtime="$RUNTIME_S" --output="$WORK/fio.out" >/dev/null 2>"$WORK/fio.err" &
fio=$!
done=0 failed=0
for _ in $(seq "$ROUNDS"); do
  kill -0 $fio 2>/dev/null || break
  kill_one_soon &
  killing=$!
  if diskctl driver upgrade disk --force >>"$WORK/said" 2>&1; then
    done=$((done + 1))
  else
    failed=$((failed + 1))
  fi
  wait $killing
done
rc=0
wait $fio || rc=$?
printf '%s upgrades, %s that a kill made fail\n' $done $failed
[ $rc = 0 ] || fail "fio: exit code $rc: $(cat "$WORK/fio.err" "$WORK/fio.out")"
[ $done -ge 3 ] || fail "too few upgrades to prove anything: $(cat "$WORK/said")"
serves() { [ "$(driver_pid disk)" -gt 1 ]; }
wait_for "$START_LIMIT_S" serves || fail "no driver process in the end"
[ "$(attachment_state disk)" = ATTACHMENT_STATE_ATTACHED ] || fail "state $(attachment_state disk)"
diskctl driver upgrade disk --force >/dev/null
[ "$(pgrep -c -P "$AGENT_PID" -f diskd-driver)" = 1 ] || fail "more than one driver process is left"
diskctl detach disk >/dev/null
diskctl volume delete disk >/dev/null
