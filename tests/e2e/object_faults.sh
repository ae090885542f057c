#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An S3 service that misbehaves in every way it can, again and again, while an object volume is written
# and read and its driver is killed: no I/O error, no wrong block, and afterwards all of it is in the
# store. The keys come from the agent's environment.
. "$(dirname "$0")/lib.sh"
RUN_S=${RUN_S:-25}

program=${DISKD_S3_DOUBLE:-$DISKD_BIN_DIR/diskd-s3-double}
[ -x "$program" ] || skip "there is no $program"
export AWS_ACCESS_KEY_ID=AKE2E AWS_SECRET_ACCESS_KEY=secret-of-$$
"$program" --bucket e2e >"$WORK/endpoint" 2>"$WORK/double.err" </dev/null &
wait_for 10 test -s "$WORK/endpoint" || fail "the double does not start: $(cat "$WORK/double.err")"
endpoint=$(cat "$WORK/endpoint")
start_agent
diskctl volume create s3 --driver object --size 128MiB --param "store=s3://e2e/faults" \
  --param "endpoint=$endpoint" --param log_mib=16 --param cache_mib=0 --param compression=zstd >/dev/null
device=$(attach s3)
has_driver_but() { # PID: another one
  local pid
  pid=$(driver_pid s3)
  [ "$pid" -gt 1 ] && [ "$pid" != "$1" ]
}
# Of the present driver process.
healthy() {
  [ "$(diskctl -o json volume stats s3 | json "int(d.get('errors', 0))")" = 0 ] || fail "$(diskctl volume stats s3)"
  [ "$(statistic s3 store_lost)" = 0 ] || fail "something is lost: $(diskctl volume stats s3)"
}

faults=(
  "action=status status=503 code=SlowDown count=40 retry_after=1"
  "action=status status=503 code=ServiceUnavailable count=10"
  "action=status status=500 code=InternalError count=10"
  "action=status status=502 code= count=5"
  "action=status status=403 code=AccessDenied count=5"
  "action=status status=409 code=OperationAborted method=PUT count=3"
  "action=status status=400 code=QuotaExceeded method=PUT count=3"
  "action=status_after status=500 code=InternalError method=PUT count=3"
  "action=status_after status=503 code=SlowDown method=DELETE count=3"
  "action=reset_before count=5"
  "action=reset_after method=PUT count=3"
  "action=reset_after method=PUT key=head count=1"
  "action=late_apply method=PUT count=2 delay_ms=2000"
  "action=late_apply method=PUT key=head count=1 delay_ms=1000"
  "action=delay count=10 delay_ms=300"
  "action=slow_body method=GET count=5 delay_ms=300"
  "action=cut_body method=GET count=5"
  "action=flip_bit method=GET count=5"
  "action=close count=10"
)
misbehave() { # in one way at a time, until $WORK/stop is there
  local i=0 fault
  while [ ! -e "$WORK/stop" ]; do
    curl -sSf -X PUT "$endpoint/-/clear" || exit 1
    fault=${faults[i++ % ${#faults[@]}]}
    curl -sSf -X PUT -d "$fault" "$endpoint/-/fault" || exit 1
    # A snapshot writes the HEAD; there may be no driver process just now.
    [[ $fault != *key=head* ]] || diskctl snapshot create s3 "s$i" >/dev/null 2>&1 || true
    sleep 0.5
  done
}

step "$RUN_S s of writes that are read back, ${#faults[@]} kinds of faults, kill -9 of the driver"
misbehave &
misbehaves=$!
job=(--name=j --filename="$device" --ioengine=libaio --direct=1 --bsrange=4k-64k --iodepth=16 --size=128m
  --verify=crc32c --verify_backlog=256 --randseed=$RANDOM)
fio "${job[@]}" --rw=randrw --time_based --runtime="$RUN_S" --fsync=64 --output="$WORK/fio.out" 2>&1 &
writer=$!
for _ in 1 2 3; do
  sleep $((RUN_S / 4))
  healthy
  pid=$(driver_pid s3)
  kill_driver s3
  wait_for 60 has_driver_but "$pid" || fail "no driver process within 60 s"
done
wait $writer || fail "fio: $(cat "$WORK/fio.out")"
sum=$(sha256sum <"$device")
touch "$WORK/stop"
wait $misbehaves || fail "the double takes no faults"
healthy
curl -sSf "$endpoint/-/counts" >"$WORK/counts"
for fault in "${faults[@]}"; do
  action=${fault#action=}
  grep -q "^fault ${action%% *} " "$WORK/counts" || fail "never met: ${action%% *} of $(cat "$WORK/counts")"
done

step "all of it is in the store"
curl -sSf -X PUT "$endpoint/-/clear"
wait_for 120 uploaded s3 || fail "not uploaded: $(diskctl volume stats s3)"
diskctl detach s3 >/dev/null
rm "$(find "$WORK/state" -name object.log)"
device=$(attach s3)
[ "$(sha256sum <"$device")" = "$sum" ] || fail "the store has something else"
diskctl volume check s3 >/dev/null
diskctl detach s3 >/dev/null
diskctl volume delete s3 >/dev/null
