#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A file system on an object volume in an S3 service: kill -9 of the driver, of the agent, and both of
# these while the service does not answer. The service is diskd-s3-double, which can be stopped with
# what it has in memory, or the one that DISKD_TEST_S3_* describe (tests/s3/with_server.sh); that one
# is not stopped. The store that goes away for a while is no I/O error.
. "$(dirname "$0")/lib.sh"
OFF_S=${OFF_S:-15}
ROUNDS=${ROUNDS:-4}

double=
if [ -n "${DISKD_TEST_S3_ENDPOINT:-}" ]; then
  endpoint=$DISKD_TEST_S3_ENDPOINT bucket=$DISKD_TEST_S3_BUCKET
  key=$DISKD_TEST_S3_ACCESS_KEY secret=$DISKD_TEST_S3_SECRET_KEY
else
  program=${DISKD_S3_DOUBLE:-$DISKD_BIN_DIR/diskd-s3-double}
  [ -x "$program" ] || skip "there is no $program"
  bucket=e2e key=AKE2E secret=secret-of-$$
  AWS_ACCESS_KEY_ID=$key AWS_SECRET_ACCESS_KEY=$secret "$program" --bucket $bucket \
    >"$WORK/endpoint" 2>"$WORK/double.err" </dev/null &
  double=$!
  wait_for 10 test -s "$WORK/endpoint" || fail "the double does not start: $(cat "$WORK/double.err")"
  endpoint=$(cat "$WORK/endpoint")
fi
# Only root can read it: a driver process has to do so before it becomes somebody else.
printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$key" "$secret" >"$WORK/keys"
chmod 600 "$WORK/keys"

start_agent
diskctl volume create s3 --driver object --size 128MiB --param "store=s3://$bucket/e2e" \
  --param "endpoint=$endpoint" --param "credentials_file=$WORK/keys" --param log_mib=64 >/dev/null
has_driver() { [ "$(driver_pid s3)" -gt 1 ]; }

step "ext4: $ROUNDS rounds of new files, kill -9 of driver or agent, sums and fsck"
device=$(attach s3)
mkfs.ext4 -q "$device"
mkdir "$WORK/mnt/s3"
mount "$device" "$WORK/mnt/s3"
: >"$WORK/sums"
for ((round = 0; round < ROUNDS; round++)); do
  mkdir "$WORK/mnt/s3/$round"
  for file in 1 2 3 4 5 6; do
    head -c $((RANDOM * 40 + 1)) /dev/urandom >"$WORK/mnt/s3/$round/$file"
  done
  sync -f "$WORK/mnt/s3"
  (cd "$WORK/mnt/s3" && sha256sum "$round"/*) >>"$WORK/sums"
  cp -a /usr/share/common-licenses "$WORK/mnt/s3/$round/" & # not synced: in flight
  copy=$!
  if [ $((round % 2)) = 0 ]; then
    kill_driver s3
  else
    kill_agent
    start_agent
  fi
  wait $copy
  wait_for 20 has_driver || fail "no driver process within 20 s"
  (cd "$WORK/mnt/s3" && sha256sum --quiet -c "$WORK/sums") || fail "round $round: files are damaged"
done
sync -f "$WORK/mnt/s3"

if [ -n "$double" ]; then
  step "the service is off for $OFF_S s under fio: no error; then it catches up"
  kill -STOP $double
  fio --name=off --directory="$WORK/mnt/s3" --ioengine=libaio --direct=1 --bs=4k --iodepth=8 \
    --rw=randwrite --size=8m --io_size=16m --time_based --runtime="$OFF_S" --rate=1m \
    --verify=crc32c --output="$WORK/fio.out" 2>&1 || fail "fio: $(cat "$WORK/fio.out")"
  uploaded s3 && fail "everything is uploaded to a service that is off"
  shows() { diskctl ls | grep -qE "since 20.*store unreachable.*wait for it"; }
  wait_for 40 shows || fail "nothing shows: $(diskctl ls)"
  diskctl volume get s3 | grep -qE "since 20.*store unreachable" || fail "not in volume get: $(diskctl volume get s3)"
  grep -qE "since 20.*store unreachable" "$WORK/agent.log" || fail "not in the agent's log"
  [ "$(attachment_state s3)" = ATTACHMENT_STATE_ATTACHED ] || fail "state $(attachment_state s3)"
  kill -CONT $double
  hidden() { ! diskctl ls | grep -q "since 20"; }
  wait_for 60 hidden || fail "it still shows: $(diskctl ls)"
fi
wait_for 60 uploaded s3 || fail "not uploaded: $(diskctl volume stats s3)"

step "the log is lost after an orderly detach: everything is in the store"
umount "$WORK/mnt/s3"
diskctl detach s3 >/dev/null
rm "$(find "$WORK/state" -name object.log)"
device=$(attach s3)
e2fsck -fn "$device" >"$WORK/fsck.log" 2>&1 || fail "e2fsck: $(cat "$WORK/fsck.log")"
mount "$device" "$WORK/mnt/s3"
(cd "$WORK/mnt/s3" && sha256sum --quiet -c "$WORK/sums") || fail "files are damaged"
umount "$WORK/mnt/s3"
diskctl volume check s3 >/dev/null

step "the keys are in no log and no database"
! grep -rqF -- "$secret" "$WORK/agent.log" "$WORK/state/diskd.db"* "$WORK"/run/volumes/*/driver.log ||
  fail "the secret key has leaked"
diskctl detach s3 >/dev/null
diskctl volume delete s3 >/dev/null
