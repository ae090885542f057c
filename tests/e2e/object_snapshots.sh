#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Snapshots of an object volume, taken while a file system on it is written to, deleted, and rolled
# back to: each time the disk must be, bit by bit and file by file, what it was.
. "$(dirname "$0")/lib.sh"

start_agent
diskctl volume create snap --driver object --size 128MiB --param "store=dir:$WORK/store" \
  --param log_mib=32 >/dev/null
diskctl volume create plain --driver file --size 8MiB >/dev/null
has_driver() { [ "$(driver_pid snap)" -gt 1 ]; }
sum() { dd if="$1" bs=1M iflag=direct status=none | sha256sum | cut -d' ' -f1; } # DEVICE

step "a driver without snapshots is named"
refused 5 "driver file does not have snapshots" diskctl snapshot create plain s
refused 5 "driver file does not have rollback" diskctl volume rollback plain s
refused 5 "not attached" diskctl volume stats snap

step "at rest and attached, an idle disk: the sums are those of the moment"
device=$(attach snap)
fio --name=fill --filename="$device" --ioengine=libaio --direct=1 --bs=64k --iodepth=8 --rw=write \
  --size=32m --output=/dev/null
first=$(sum "$device")
diskctl snapshot create snap first >/dev/null
diskctl snapshot create snap first 2>&1 | grep -q "existed before" || fail "twice the same, unnoticed"
fio --name=more --filename="$device" --ioengine=libaio --direct=1 --bs=4k --iodepth=16 \
  --rw=randwrite --size=64m --io_size=24m --output=/dev/null
# shellcheck disable=SC2034 # looked up by its name below
second=$(sum "$device")
diskctl detach snap >/dev/null
diskctl snapshot create snap second >/dev/null
[ "$(diskctl -q snapshot ls snap)" = $'first\nsecond' ] || fail "ls: $(diskctl snapshot ls snap)"

step "rollback: there and back"
for name in first second first; do
  diskctl volume rollback snap $name >/dev/null
  device=$(attach snap)
  [ "$(sum "$device")" = "${!name}" ] || fail "not what $name was"
  refused 5 "is attached" diskctl volume rollback snap $name
  diskctl detach snap >/dev/null
done
refused 3 "no snapshot .nosuch" diskctl volume rollback snap nosuch

step "under I/O: a file system with a writer, snapshots meanwhile, kill -9 between them"
device=$(attach snap)
mkfs.ext4 -q "$device" 2>"$WORK/mkfs.log" || fail "mkfs: $(cat "$WORK/mkfs.log")"
mkdir "$WORK/mnt/snap"
mount "$device" "$WORK/mnt/snap"
cat >"$WORK/writer.sh" <<'EOF'
# Whole files only: written beside, synced, then renamed; the name is the content's sum.
for ((i = 0; ; i++)); do
  [ ! -e "$2" ] || exit 0
  head -c $((4096 * (1 + RANDOM % 16))) /dev/urandom >"$1/new"
  sync -d "$1/new"
  mv "$1/new" "$1/f-$(sha256sum <"$1/new" | cut -d' ' -f1)"
  [ "$i" -lt 400 ] || rm -f "$(ls -d "$1"/f-* | head -1)"
done
EOF
bash "$WORK/writer.sh" "$WORK/mnt/snap" "$WORK/stop" &
writer=$!
for i in 1 2 3 4; do
  sleep 1.5
  timeout 30 "$DISKD_BIN_DIR/diskctl" --socket "$WORK/run/diskd.sock" snapshot create snap "live$i" >/dev/null
  if [ $((i % 2)) = 0 ]; then
    kill_driver snap
    wait_for 20 has_driver || fail "no driver process within 20 s"
  fi
done
touch "$WORK/stop"
wait $writer
diskctl volume stats snap
umount "$WORK/mnt/snap"
last=$(sum "$device")
diskctl detach snap >/dev/null
diskctl snapshot create snap last >/dev/null
for name in live1 live3 live2 live4 last; do
  diskctl volume rollback snap $name >/dev/null
  device=$(attach snap)
  [ $name != last ] || [ "$(sum "$device")" = "$last" ] || fail "not what last was"
  mount "$device" "$WORK/mnt/snap" # replays the journal
  files=0
  for file in "$WORK/mnt/snap"/f-*; do
    [ "f-$(sha256sum <"$file" | cut -d' ' -f1)" = "${file##*/}" ] || fail "$name: $file is damaged"
    files=$((files + 1))
  done
  [ $files -gt 3 ] || fail "$name: only $files files"
  umount "$WORK/mnt/snap"
  e2fsck -fn "$device" >"$WORK/fsck.log" 2>&1 || fail "$name: e2fsck: $(cat "$WORK/fsck.log")"
  diskctl detach snap >/dev/null
  echo "$name: $files whole files"
done

step "deleted: the others stay, and an agent that restarts knows them"
for name in live1 live2 live3 second; do diskctl snapshot delete snap $name >/dev/null; done
diskctl snapshot delete snap live1 >/dev/null
kill_agent
start_agent
[ "$(diskctl -q snapshot ls snap)" = $'first\nlive4\nlast' ] || fail "ls: $(diskctl snapshot ls snap)"
diskctl volume rollback snap first >/dev/null
device=$(attach snap)
[ "$(sum "$device")" = "$first" ] || fail "not what first was"
diskctl detach snap >/dev/null
diskctl volume delete snap >/dev/null
left=$(find "$WORK/store/objects" -type f | wc -l)
[ "$left" = 0 ] || fail "$left objects are left in the store"
