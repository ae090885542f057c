#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An object volume goes from one driver process to the next under fio, and goes on when the next one
# can't open it because the store is away.
. "$(dirname "$0")/lib.sh"

start_agent
diskctl volume create o --driver object --size 128MiB --param "store=dir:$WORK/store" --param log_mib=64 >/dev/null
device=$(attach o)
mkfs.ext4 -q "$device"
mkdir "$WORK/mnt/o"
mount "$device" "$WORK/mnt/o"

step "upgrades under fio"
fio --name=io --directory="$WORK/mnt/o" --size=32m --rw=randrw --bs=4k --ioengine=libaio --direct=1 \
  --iodepth=16 --verify=crc32c --time_based --runtime=12 --output="$WORK/fio.out" &
fio=$!
sleep 1
for _ in 1 2 3 4; do
  before=$(driver_pid o)
  diskctl driver upgrade --force o
  [ "$(driver_pid o)" != "$before" ] || fail "the same process still serves"
  sleep 1
done
wait $fio || fail "fio: $(cat "$WORK/fio.out")"
grep -q "has handed over" "$WORK/agent.log" || fail "no hand-over in the log"

step "the store goes away: the former process goes on, or a new one does; no I/O error"
mv "$WORK/store" "$WORK/store.away"
head -c 4M /dev/urandom >"$WORK/mnt/o/file"
sync -f "$WORK/mnt/o"
sum=$(sha256sum <"$WORK/mnt/o/file")
rc=0
diskctl driver upgrade --force o >"$WORK/refused" 2>&1 || rc=$?
[ $rc != 0 ] || fail "handed over without a store"
cat "$WORK/refused"
mv "$WORK/store.away" "$WORK/store"
has_driver() { [ "$(driver_pid o)" -gt 1 ] && [ "$(attachment_state o)" = ATTACHMENT_STATE_ATTACHED ]; }
wait_for 60 has_driver || fail "no driver process: $(diskctl ls)"
[ "$(sha256sum <"$WORK/mnt/o/file")" = "$sum" ] || fail "the file is damaged"
umount "$WORK/mnt/o"
diskctl detach o >/dev/null
device=$(attach o)
e2fsck -fn "$device" >"$WORK/fsck.log" 2>&1 || fail "e2fsck: $(cat "$WORK/fsck.log")"
diskctl detach o >/dev/null
