#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Full copies of object volumes: to another directory and to an S3 service, encrypted on the way, with
# kill -9 of the driver and of the agent in the middle. What is not complete can't be used.
. "$(dirname "$0")/lib.sh"

program=${DISKD_S3_DOUBLE:-$DISKD_BIN_DIR/diskd-s3-double}
bucket=e2e key=AKE2E secret=secret-of-$$
printf '%s' "$secret" >"$WORK/secret_access_key"
printf '%s' "$key" >"$WORK/access_key_id"
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$WORK/key"
chmod 600 "$WORK"/*key*
start_agent
log=(--param log_mib=16)
diskctl volume create src --driver object --size 768MiB --param "store=dir:$WORK/store" "${log[@]}" >/dev/null
diskctl volume create plain --driver file --size 8MiB >/dev/null
device=$(attach src)
fio --name=fill --filename="$device" --ioengine=libaio --direct=1 --bs=1m --iodepth=4 --rw=write --size=320m \
  --refill_buffers --end_fsync=1 --output=/dev/null
sum() { dd if="$1" bs=1M iflag=direct status=none | sha256sum | cut -d' ' -f1; } # DEVICE
sum_of() { # VOLUME
  local device
  device=$(attach "$1")
  sum "$device"
  diskctl detach "$1" >/dev/null
}
before=$(sum "$device")

step "a driver that can't is refused; the encrypted one needs a key for its copy"
refused 5 "does not have (copies|snapshots)" diskctl volume copy plain x
refused 3 "nosuch" diskctl volume copy src x --snapshot nosuch --param "store=dir:$WORK/b"

step "dir: to another dir:, the source in use"
diskctl volume copy src one --param "store=dir:$WORK/b" "${log[@]}"
diskctl volume copy src one --param "store=dir:$WORK/b" "${log[@]}" >/dev/null # the same again
[ "$(sum_of one)" = "$before" ] || fail "the copy differs"
diskctl volume check one >/dev/null
[ -z "$(diskctl -q snapshot ls src)" ] || fail "the copy has left a snapshot: $(diskctl snapshot ls src)"

step "kill -9 of the driver and then of the agent in the middle: it goes on; nothing looks whole before"
copy=(diskctl volume copy src two --param "store=dir:$WORK/b" "${log[@]}" --param compression=zstd:6
  --param "encryption_key_file=$WORK/key")
copier() { # the process that copies
  local process
  for process in /proc/[0-9]*; do
    tr '\0' '\n' <"$process/environ" 2>/dev/null | grep -q "DISKD.*$1" && basename "$process" && return
  done
}
state() { diskctl -o json volume get two | json 'd["volume"]["state"]'; }
"${copy[@]}" >"$WORK/copy.out" 2>&1 &
client=$!
creating() { [ "$(state)" = VOLUME_STATE_CREATING ] && [ -n "$(copier "$(id_of two)")" ]; }
id_of() { diskctl -o json volume get "$1" | json 'd["volume"]["id"]'; }
wait_for 20 creating || fail "no copy is under way: $(cat "$WORK/copy.out")"
refused 5 "" attach two
id=$(id_of two)
kill -9 "$(copier "$id")"
sleep 1
if [ "$(state)" = VOLUME_STATE_CREATING ]; then
  kill_agent
  start_agent
fi
wait $client || true
"${copy[@]}" >"$WORK/copy.out" 2>&1 || fail "the copy: $(cat "$WORK/copy.out")"
[ "$(id_of two)" = "$id" ] || fail "it was begun anew"
[ "$(sum_of two)" = "$before" ] || fail "the copy differs"
diskctl volume check two >/dev/null
[ -z "$(diskctl -q snapshot ls src)" ] || fail "the copy has left a snapshot: $(diskctl snapshot ls src)"
refused 5 "encrypted.*would not be" diskctl volume copy two x --param "store=dir:$WORK/store"

step "deleting breaks a copy off and leaves nothing"
diskctl volume copy src three --param "store=dir:$WORK/c" "${log[@]}" >"$WORK/copy.out" 2>&1 &
client=$!
there() { diskctl volume get three; }
wait_for 20 there || fail "no copy is under way"
gone() { diskctl volume delete three && ! diskctl volume get three; }
wait_for 30 gone || fail "the copy is still there"
wait $client || true
mkdir -p "$WORK/c" # a copy that has not begun has made none
left=$(find "$WORK/c" -type f -path '*objects*' | wc -l)
[ "$left" = 0 ] || fail "$left objects are left"

if [ -x "$program" ]; then
  step "dir: to s3:, keys by secret"
  AWS_ACCESS_KEY_ID=$key AWS_SECRET_ACCESS_KEY=$secret "$program" --bucket $bucket \
    >"$WORK/endpoint" 2>"$WORK/double.err" </dev/null &
  wait_for 10 test -s "$WORK/endpoint" || fail "the double does not start: $(cat "$WORK/double.err")"
  diskctl volume copy src s3 --param "store=s3://$bucket/copy" --param "endpoint=$(cat "$WORK/endpoint")" \
    "${log[@]}" --param compression=zstd --secret "access_key_id=$WORK/access_key_id" \
    --secret "secret_access_key=$WORK/secret_access_key"
  [ "$(sum_of s3)" = "$before" ] || fail "the copy differs"
  ! grep -rqF -- "$secret" "$WORK/agent.log" "$WORK/state" "$WORK"/run/volumes/*/driver.log ||
    fail "the secret key has leaked"
  diskctl volume delete s3 >/dev/null
fi
[ "$(sum "$device")" = "$before" ] || fail "the source has changed"
diskctl detach src >/dev/null
diskctl volume delete src >/dev/null
[ "$(sum_of one)" = "$before" ] || fail "the copy needs its source"
