#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Agent and driver die together. fuse: I/O fails cleanly, nothing hangs, detach works, the data is
# there after the next attach. buse: I/O waits in the kernel and goes on with the next agent.
. "$(dirname "$0")/lib.sh"

start_agent
diskctl volume create data --driver file --size 64MiB >/dev/null
device=$(attach data)
driver=$(driver_pid data)
dd if=/dev/urandom of="$WORK/pattern" bs=1M count=4 status=none
dd if="$WORK/pattern" of="$device" bs=1M oflag=direct conv=fsync status=none
step "killing both"
kill -9 "$AGENT_PID" "$driver"
wait "$AGENT_PID" 2>/dev/null || true
AGENT_PID=
if [ "$TRANSPORT" = fuse ]; then
  rc=0
  timeout 20 dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none 2>"$WORK/dd" || rc=$?
  [ $rc != 124 ] || fail "a read hangs"
  [ $rc != 0 ] || fail "a read succeeded without a driver"
  grep -q "Input/output error" "$WORK/dd" || fail "expected EIO: $(cat "$WORK/dd")"
  start_agent
  [ "$(attachment_state data)" = ATTACHMENT_STATE_FAILED ] || fail "state: $(diskctl ls)"
  refused 5 "detach" diskctl attach data --transport fuse
  diskctl --timeout 30s detach data >/dev/null || fail "detach"
  device=$(attach data)
else
  timeout 60 dd if="$device" of="$WORK/read" bs=1M count=4 iflag=direct status=none &
  reader=$!
  start_agent
  wait $reader || fail "the waiting read failed"
  cmp "$WORK/read" "$WORK/pattern" || fail "the waiting read gave other data"
fi
cmp -n $((4 << 20)) "$device" "$WORK/pattern" || fail "acknowledged data is lost"
diskctl detach data >/dev/null
diskctl volume delete data >/dev/null
