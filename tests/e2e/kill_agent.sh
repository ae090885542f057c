#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the agent during I/O: I/O goes on; the next agent lists and controls everything, and
# still brings a killed driver back.
. "$(dirname "$0")/lib.sh"

start_agent
diskctl volume create data --driver file --size 128MiB >/dev/null
diskctl volume create idle --driver memory --size 16MiB >/dev/null
device=$(attach data)
attach idle >/dev/null
driver=$(driver_pid data)
fio --name=verify --filename="$device" --ioengine=libaio --direct=1 --bs=4k --iodepth=8 \
  --rw=randwrite --size=96m --verify=crc32c --verify_fatal=1 --verify_backlog=512 \
  --time_based --runtime="${RUNTIME_S:-12}" --output-format=json --output="$WORK/fio.json" >/dev/null 2>"$WORK/fio.err" &
fio=$!
sleep 1
step "killing the agent"
kill_agent KILL
requests() { awk '{ print $1 + $5 }' "/sys/block/$(basename "$(readlink -f "$device")")/stat"; }
before=$(requests)
progressed() { [ "$(requests)" -gt "$before" ]; }
wait_for 10 progressed || fail "no I/O while the agent is dead"
step "starting it again"
start_agent
[ "$(driver_pid data)" = "$driver" ] || fail "driver $driver was not adopted"
[ "$(diskctl --quiet ls | wc -l)" = 2 ] || fail "attachments: $(diskctl ls)"
step "killing the adopted driver"
kill_driver data
recovered() { [ "$(driver_pid data)" -gt 1 ] && [ "$(driver_pid data)" != "$driver" ]; }
wait_for 5 recovered || fail "the adopted driver was not restarted"
rc=0
wait $fio || rc=$?
[ $rc = 0 ] || fail "fio: exit code $rc: $(cat "$WORK/fio.err")"
step "killing the agent, then a driver while no agent runs"
orphan=$(driver_pid idle)
kill_agent KILL
kill -9 "$orphan"
start_agent
if [ "$TRANSPORT" = buse ]; then
  dd if=/dev/disk/by-diskd/idle of=/dev/null bs=4k count=1 iflag=direct status=none || fail "parked read"
else
  [ "$(attachment_state idle)" = ATTACHMENT_STATE_FAILED ] || fail "state: $(diskctl ls)"
fi
[ "$(attachment_state data)" = ATTACHMENT_STATE_ATTACHED ] || fail "data: $(diskctl ls)"
step "a second agent on the same state directory is refused"
rc=0
"$DISKD_BIN_DIR/diskd" --state-dir "$WORK/state" --run-dir "$WORK/run2" \
  --driver-dir "$DISKD_BIN_DIR/drivers" >"$WORK/second" 2>&1 || rc=$?
[ $rc = 1 ] || fail "second agent: exit code $rc: $(cat "$WORK/second")"
grep -q "$AGENT_PID" "$WORK/second" || fail "the message does not name the first agent: $(cat "$WORK/second")"
diskctl detach data >/dev/null
diskctl detach idle >/dev/null
diskctl volume delete data >/dev/null
diskctl volume delete idle >/dev/null
[ -z "$(diskctl --quiet volume ls)" ] || fail "volumes left"
