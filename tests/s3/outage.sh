#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The store is off for OFF_S seconds, killed or hung, while fio writes and verifies: no I/O error, and
# everything arrives afterwards.
. "$(readlink -f "$(dirname "$0")")/volume_lib.sh"
OFF_S=${OFF_S:-8}
MARGIN_S=3

under_fio() { # OFF ON: commands that take the store away and bring it back
  fio --name=off --filename="$device" --ioengine=libaio --direct=1 --bs=4k --iodepth=8 \
    --rw=randwrite --size=24m --time_based --runtime=$((OFF_S + 2 * MARGIN_S)) --rate=1m --fsync=16 \
    --verify=crc32c --verify_backlog=256 --verify_fatal=1 --output="$WORK/fio.out" 2>&1 &
  local fio=$!
  sleep $MARGIN_S
  "$1"
  sleep "$OFF_S"
  ! uploaded disk || fail "everything is uploaded to a store that is off"
  kill -0 $fio || fail "fio did not last: $(cat "$WORK/fio.out")"
  "$2"
  wait $fio || fail "fio: $(cat "$WORK/fio.out")"
  grep -q "err= 0" "$WORK/fio.out" || fail "fio: $(cat "$WORK/fio.out")"
}
stop_gateway() { kill -STOP "${S3_PIDS[-1]}"; }
go_on_gateway() { kill -CONT "${S3_PIDS[-1]}"; }

open_server
start_agent
create_volume disk 64MiB
device=$(attach disk)
step "hung for $OFF_S s"
under_fio stop_gateway go_on_gateway
step "killed for $OFF_S s"
under_fio s3_kill s3_restart
await_uploaded disk
[ "$(statistic disk store_retries)" -gt 0 ] || fail "nothing was repeated: was the store off at all?"
before=$(sha256sum <"$device")

step "the store alone has it"
diskctl detach disk >/dev/null
find "$WORK/state" \( -name object.log -o -name object.cache \) -delete
device=$(attach disk)
[ "$(sha256sum <"$device")" = "$before" ] || fail "the store has something else"
diskctl detach disk >/dev/null
diskctl volume delete disk >/dev/null
