#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# family.sh ceph|swift: what volumes in a real service go through with their snapshots and (ceph, where
# fencing=cas works) clones, in use, with kill -9 of drivers; compressed, encrypted, and with every flush
# in the service before it returns (durability=remote). The last one to be deleted leaves nothing.
. "$(readlink -f "$(dirname "$0")")/volume_lib.sh"
KIND=${1:-ceph}
SIZE_MIB=64

sum() { dd if="$1" bs=1M iflag=direct status=none | sha256sum | cut -d' ' -f1; } # DEVICE
write() { # DEVICE OFFSET_MIB FILE: flushed
  dd if="$3" of="$1" bs=1M seek="$2" oflag=direct conv=notrunc,fsync status=none
}
names() { # of the objects that are in the store
  curl -sSf "$("$S3_HERE/presign.py" GET '' list-type=2 prefix=volumes/)" >"$WORK/list.xml" || fail "no list"
  grep -o '<Key>[^<]*' "$WORK/list.xml" || true
}

open_server "$KIND"
start_agent
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$WORK/key"
chmod 600 "$WORK/key"
for i in 1 2 3; do head -c 8M /dev/urandom >"$WORK/data$i"; done
options=(--param durability=remote --param compression=zstd --param "encryption_key_file=$WORK/key")
[ "$KIND" = ceph ] || options+=(--param fencing=lease --param lease_s=6 --param late_s=3)
create_volume src ${SIZE_MIB}MiB "${options[@]}"

step "what was flushed is in the service: agent, driver and log are lost the moment after"
device=$(attach src)
pid=$(driver_pid src)
write "$device" 0 "$WORK/data1"
kill_agent KILL
kill -9 "$pid"
wait_for 20 has_ended "$pid" || fail "the driver survives kill -9"
find "$WORK/state" \( -name object.log -o -name object.cache \) -delete
start_agent
diskctl detach --force src >/dev/null
device=$(attach src)
cmp -n $((8 << 20)) "$WORK/data1" "$device" || fail "a flush returned too early"

step "snapshots, at rest and in use"
write "$device" 16 "$WORK/data2"
diskctl snapshot create src one >/dev/null
one=$(sum "$device")
write "$device" 24 "$WORK/data3"
diskctl snapshot create src two >/dev/null
fio --name=live --filename="$device" --ioengine=libaio --direct=1 --bs=4k --iodepth=16 --rw=randwrite \
  --offset=40m --size=8m --time_based --runtime=6 --output="$WORK/fio.log" &
writer=$!
sleep 1
diskctl snapshot create src live >/dev/null
kill_driver src
wait $writer || fail "fio: $(cat "$WORK/fio.log")"
await_driver src
now=$(sum "$device")
[ "$(diskctl -q snapshot diff src two --from one)" = "$((24 << 20)) $((8 << 20))" ] ||
  fail "diff: $(diskctl snapshot diff src two --from one)"

step "rollback"
diskctl volume check src >/dev/null
[ "$(sum "$device")" = "$now" ] || fail "a check has changed something"
diskctl detach src >/dev/null
diskctl volume rollback src one >/dev/null
device=$(attach src)
[ "$(sum "$device")" = "$one" ] || fail "rolled back to something else"

last=src
if [ "$KIND" = ceph ]; then
  step "a clone goes its own way, and stays when its source goes"
  diskctl volume clone src live copy >/dev/null
  copy=$(attach copy)
  live=$(sum "$copy")
  cmp -n $((8 << 20)) "$WORK/data1" "$copy" || fail "the clone's beginning"
  cmp -n $((8 << 20)) "$WORK/data2" "$copy" 0 $((16 << 20)) || fail "the clone has no data2"
  cmp -n $((8 << 20)) "$WORK/data3" "$copy" 0 $((24 << 20)) || fail "the clone is not the snapshot's"
  write "$copy" 0 "$WORK/data3"
  changed=$(sum "$copy")
  [ "$changed" != "$live" ] || fail "nothing was written"
  [ "$(sum "$device")" = "$one" ] || fail "writing to the clone has changed its source"
  diskctl detach src >/dev/null
  diskctl volume delete src >/dev/null
  kill_driver copy
  [ "$(sum "$copy")" = "$changed" ] || fail "the clone has lost something with its source"
  diskctl volume check copy >/dev/null
  last=copy
  device=$copy
else
  refused 5 "fencing=lease can't be cloned" diskctl volume clone src one copy
fi

step "larger, and back"
diskctl snapshot create $last small >/dev/null
small=$(sum "$device")
# With a lease not while it is attached.
[ "$KIND" = ceph ] || diskctl detach $last >/dev/null
diskctl volume resize $last $((SIZE_MIB + 32))MiB >/dev/null
[ "$KIND" = ceph ] || device=$(attach $last)
write "$device" $((SIZE_MIB + 8)) "$WORK/data1"
diskctl detach $last >/dev/null
device=$(attach $last)
cmp -n $((8 << 20)) "$WORK/data1" "$device" 0 $(((SIZE_MIB + 8) << 20)) || fail "the new part"
diskctl detach $last >/dev/null
diskctl volume rollback $last small >/dev/null
device=$(attach $last)
[ "$(sum "$device")" = "$small" ] || fail "rolled back to something else"
diskctl detach $last >/dev/null

step "deleted: nothing is left"
[ "$(names | wc -l)" -gt 4 ] || fail "only $(names) are there"
diskctl volume delete $last >/dev/null
left=$(names)
[ -z "$left" ] || fail "left in the store: $left"
