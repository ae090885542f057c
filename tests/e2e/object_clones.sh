#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Clones, differences, sizes and checks of object volumes, while the source is in use.
. "$(dirname "$0")/lib.sh"

start_agent
diskctl volume create src --driver object --size 64MiB --param "store=dir:$WORK/store" \
  --param log_mib=16 --param volume=00000000000000000000000000000001 >/dev/null
diskctl volume create plain --driver file --size 8MiB >/dev/null
sum() { dd if="$1" bs=1M iflag=direct status=none | sha256sum | cut -d' ' -f1; } # DEVICE
fill() { # DEVICE SEED OFFSET SIZE
  fio --name=fill --filename="$1" --ioengine=libaio --direct=1 --bs=64k --iodepth=8 --rw=write \
    --randseed="$2" --buffer_pattern="0x$2" --offset="$3" --size="$4" --end_fsync=1 --output=/dev/null
}

step "clone of a volume in use; each goes its own way"
device=$(attach src)
fill "$device" 11 0 24m
diskctl snapshot create src one >/dev/null
one=$(sum "$device")
fill "$device" 22 8m 8m
diskctl snapshot create src two >/dev/null
two=$(sum "$device")
diskctl volume clone src one copy >/dev/null
diskctl volume clone src one copy >/dev/null # the same again
copy=$(attach copy)
[ "$(sum "$copy")" = "$one" ] || fail "the clone is not what the snapshot was"
fill "$copy" 33 0 4m
[ "$(sum "$device")" = "$two" ] || fail "writing to the clone has changed its source"
diskctl volume get copy | grep -q "clone of.*snapshot one" || fail "$(diskctl volume get copy)"
refused 5 "driver file does not have" diskctl volume clone plain s x
refused 3 "no snapshot" diskctl volume clone src nosuch x

step "a creation refused because of the volume's id leaves it alone"
src=00000000000000000000000000000001
refused 4 "has a volume $src" diskctl volume create other --driver object --size 64MiB \
  --param "store=dir:$WORK/store" --param log_mib=16 --param volume=$src
[ "$(sum "$device")" = "$two" ] || fail "a refused creation has changed the volume"
diskctl volume check src >/dev/null || fail "a refused creation has taken something away"

step "differences, in use"
[ "$(diskctl -q snapshot diff src two --from one)" = "$((8 << 20)) $((8 << 20))" ] ||
  fail "diff: $(diskctl snapshot diff src two --from one)"
[ "$(diskctl -q snapshot diff src one)" = "0 $((24 << 20))" ] || fail "$(diskctl snapshot diff src one)"
refused 3 "no snapshot" diskctl snapshot diff src two --from nosuch

step "check, in use: in order; the driver process stays"
pid=$(driver_pid src)
diskctl volume check src
diskctl volume check copy >/dev/null
[ "$(driver_pid src)" = "$pid" ] || fail "the check has replaced the driver process"

step "a source can go before its clone"
diskctl snapshot delete src one >/dev/null
diskctl detach src >/dev/null
diskctl volume delete src >/dev/null
changed=$(sum "$copy")
kill_driver copy
[ "$(sum "$copy")" = "$changed" ] || fail "the clone has lost something with its source"
diskctl volume check copy >/dev/null
refused 5 "can only grow" diskctl volume resize copy 32MiB
diskctl detach copy >/dev/null

step "resize: the old part stays, the new one is zeros; less cuts off"
diskctl snapshot create copy small >/dev/null
diskctl volume resize copy 96MiB >/dev/null
copy=$(attach copy)
[ "$(blockdev --getsize64 "$copy")" = $((96 << 20)) ] || fail "size $(blockdev --getsize64 "$copy")"
[ "$(head -c $((64 << 20)) "$copy" | sha256sum | cut -d' ' -f1)" = "$changed" ] || fail "the old part"
tail -c $((32 << 20)) "$copy" | cmp -n $((32 << 20)) - /dev/zero || fail "the new part is not zeros"
fill "$copy" 44 64m 32m
diskctl detach copy >/dev/null
diskctl volume resize copy 80MiB >/dev/null
diskctl volume resize copy 96MiB >/dev/null
copy=$(attach copy)
tail -c $((16 << 20)) "$copy" | cmp -n $((16 << 20)) - /dev/zero || fail "cut off, and yet there"
diskctl detach copy >/dev/null
diskctl volume rollback copy small >/dev/null
copy=$(attach copy)
[ "$(sum "$copy")" = "$changed" ] || fail "rollback: not what small was"
diskctl detach copy >/dev/null

step "check: finds what is gone"
victim=
while read -r victim; do
  mv "$victim" "$WORK/victim"
  diskctl volume check copy >/dev/null 2>&1 || break
  mv "$WORK/victim" "$victim" # garbage, which nobody misses
done < <(find "$WORK/store/objects" -type f -size +1M)
refused 1 "problems" diskctl volume check copy
found=$(diskctl volume check copy 2>/dev/null || true)
grep -q "object.*${victim##*/}" <<<"$found" || fail "the object is not named: $found"
mv "$WORK/victim" "$victim"
diskctl volume check copy >/dev/null

step "the last one leaves nothing"
diskctl volume delete copy >/dev/null
left=$(find "$WORK/store/objects" -type f | wc -l)
[ "$left" = 0 ] || fail "$left objects are left in the store: $(find "$WORK/store/objects" -type f)"
