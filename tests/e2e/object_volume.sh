#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A file system on an object volume in a directory: kill -9 of its driver under verified I/O, detach
# and attach, the loss of the write log after an orderly detach, and its loss in a crash.
. "$(dirname "$0")/lib.sh"
RUNTIME_S=${RUNTIME_S:-20}
MIN_KILLS=2

start_agent
diskctl volume create obj --driver object --size 256MiB --param "store=dir:$WORK/store" \
  --param log_mib=32 >/dev/null
has_driver() { [ "$(driver_pid obj)" -gt 1 ]; }

step "kills under fio --verify"
device=$(attach obj)
fio --name=verify --filename="$device" --ioengine=libaio --direct=1 --bs=4k --iodepth=16 \
  --rw=randwrite --size=192m --verify=crc32c --verify_fatal=1 --verify_backlog=512 --fsync=64 \
  --time_based --runtime="$RUNTIME_S" --output=/dev/null 2>"$WORK/fio.err" &
fio=$!
kills=0
sleep 1
while kill -0 $fio 2>/dev/null; do
  wait_for 20 has_driver || fail "no driver process within 20 s"
  kill_driver obj
  kills=$((kills + 1))
  sleep "1.$((kills % 10))"
done
wait $fio || fail "fio failed after $kills kills: $(cat "$WORK/fio.err")"
[ $kills -ge $MIN_KILLS ] || fail "only $kills kills"
echo "$kills kills"

step "ext4: files survive kill, detach and the loss of the log"
mkfs.ext4 -q "$device"
mkdir "$WORK/mnt/obj"
mount "$device" "$WORK/mnt/obj"
cp -a /usr/share/common-licenses "$WORK/mnt/obj/"
(cd "$WORK/mnt/obj" && find . -type f -exec sha256sum {} +) >"$WORK/sums"
sync -f "$WORK/mnt/obj"
wait_for 20 has_driver || fail "no driver process within 20 s"
kill_driver obj
(cd "$WORK/mnt/obj" && sha256sum --quiet -c "$WORK/sums")
umount "$WORK/mnt/obj"
diskctl detach obj >/dev/null
log=$(find "$WORK/state" -name object.log)
[ -n "$log" ] || fail "no write log in the state directory"
rm "$log" "$(dirname "$log")/object.cache"
device=$(attach obj)
e2fsck -fn "$device" >"$WORK/fsck.log" 2>&1 || fail "e2fsck: $(cat "$WORK/fsck.log")"
mount "$device" "$WORK/mnt/obj"
(cd "$WORK/mnt/obj" && sha256sum --quiet -c "$WORK/sums")
umount "$WORK/mnt/obj"

step "the log is lost in a crash: a prefix of the writes that contains what was uploaded"
BLOCKS=400
UPLOADED=150 # written before UPLOAD_S passed
UPLOAD_S=9   # the upload's delay is 5 s
cat >"$WORK/writer.py" <<'EOF'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_DSYNC)
for block in range(int(sys.argv[2]), int(sys.argv[3])):
    os.pwrite(fd, (b"%08d" % block) * 512, block * 4096)
EOF
cat >"$WORK/reader.py" <<'EOF'
import os, sys
fd, count = os.open(sys.argv[1], os.O_RDONLY), int(sys.argv[2])
whole = [os.pread(fd, 4096, block * 4096) == (b"%08d" % block) * 512 for block in range(count)]
prefix = whole.index(False) if False in whole else count
blank = all(os.pread(fd, 4096, block * 4096) == bytes(4096) for block in range(prefix, count))
print(prefix if blank else "holes")
EOF
blkdiscard -f "$device"
python3 "$WORK/writer.py" "$device" 0 $UPLOADED
sleep $UPLOAD_S
python3 "$WORK/writer.py" "$device" $UPLOADED $BLOCKS
pid=$(driver_pid obj)
kill_agent KILL
kill -9 "$pid"
wait_for 20 has_ended "$pid" || fail "the driver survives kill -9"
rm "$log"
start_agent
diskctl detach --force obj >/dev/null
device=$(attach obj)
prefix=$(python3 "$WORK/reader.py" "$device" $BLOCKS)
[ "$prefix" != holes ] && [ "$prefix" -ge $UPLOADED ] || fail "after the loss: $prefix"
echo "$prefix of $BLOCKS writes are there, $UPLOADED had been uploaded"
[ "$(grep -c "write log .* is lost" "$WORK"/run/volumes/*/driver.log)" = 2 ] || fail "the driver's log does not tell"

step "a driver that dies with its log: nothing older comes under the users"
python3 "$WORK/writer.py" "$device" 0 1
mv "$log" "$log.away"
kill_driver obj
refused_open() { diskctl -o json volume get obj | grep -q "is gone while the volume is in use"; }
wait_for 20 refused_open || fail "it does not tell: $(diskctl -o json volume get obj)"
python3 "$WORK/reader.py" "$device" 1 >"$WORK/read" &
reader=$!
mv "$log.away" "$log"
wait_for 20 has_driver || fail "it does not go on with the log that is back"
wait $reader
[ "$(cat "$WORK/read")" = 1 ] || fail "block 0 is not what was written"

step "what is discarded leaves the store, though nobody writes any more"
stored_mib() { du -sm "$WORK/store/objects" | cut -f1; }
dd if=/dev/urandom of="$device" bs=1M count=64 oflag=direct conv=fsync status=none
filled() { [ "$(stored_mib)" -ge 64 ]; }
wait_for 60 filled || fail "not uploaded: $(stored_mib) MiB"
blkdiscard -f "$device"
emptied() { [ "$(stored_mib)" -lt 8 ]; }
wait_for 90 emptied || fail "$(stored_mib) MiB are left in the store"

step "delete empties the store"
diskctl detach obj >/dev/null
diskctl volume delete obj >/dev/null
left=$(find "$WORK/store/objects" -type f | wc -l)
[ "$left" = 0 ] || fail "$left objects are left in the store"
