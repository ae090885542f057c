#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bad input: a clear error, the right code, and a consistent state after each.
. "$(dirname "$0")/lib.sh"

create() { diskctl volume create "$@"; }
long=$(printf 'x%.0s' $(seq 300))
mkdir "$WORK/drivers"
cp -s "$DISKD_BIN_DIR"/drivers/* "$WORK/drivers/"
printf '#!/bin/sh\nexit 3\n' >"$WORK/drivers/diskd-driver-exits"
printf '#!/bin/sh\nexec sleep 1000\n' >"$WORK/drivers/diskd-driver-hangs"
chmod +x "$WORK"/drivers/diskd-driver-{exits,hangs}

start_agent
step "names, sizes, drivers"
refused 2 "known|available|driver" create a --driver nosuch --size 1GiB
refused 2 "unit|GiB" create a --driver memory --size 10
refused 2 "negative|positive|-1G" create a --driver memory --size=-1G
refused 2 "0|zero|least" create a --driver memory --size 0GiB
refused 2 "multiple|512" create a --driver memory --size 1000001B
refused 2 "large|most|big" create a --driver memory --size 100000PiB
refused 2 "name" create a/b --driver memory --size 16MiB
refused 2 "name|128" create "$long" --driver memory --size 16MiB
refused 2 "parameter|colour" create a --driver memory --size 16MiB --param colour=blue
refused 3 "nosuch" diskctl attach nosuch
refused 3 "nosuch" diskctl volume get nosuch
# What drivers refuse is gone, too.
refused 2 "store" create a --driver object --size 16MiB
refused 2 "absolute|relative" create a --driver file --size 16MiB --param path=relative
refused 2 "tmpfs|memory" create a --driver memory --size 16MiB --param dir=/proc
[ -z "$(diskctl --quiet volume ls)" ] || fail "a refused create left a volume: $(diskctl volume ls)"

step "the same name again"
create a --driver memory --size 16MiB >/dev/null
create a --driver memory --size 16MiB >/dev/null || fail "the same create again must succeed"
refused 4 "size" create a --driver memory --size 32MiB
refused 4 "driver" create a --driver file --size 16MiB
[ "$(diskctl --quiet volume ls | wc -l)" = 1 ] || fail "volumes: $(diskctl volume ls)"

step "delete while attached, detach while open or mounted"
device=$(attach a)
refused 5 "attached|detach" diskctl volume delete a
exec 9<"$device"
refused 5 "open|use|busy" diskctl detach a
exec 9<&-
mkfs.ext4 -q "$device"
mount "$device" "$WORK/mnt"
refused 5 "mount" diskctl detach a
touch "$WORK/mnt/still-writable" || fail "a refused detach broke the mount"
sync -f "$WORK/mnt"
umount "$WORK/mnt"
diskctl detach a >/dev/null
diskctl detach a >/dev/null || fail "detach twice must succeed"
diskctl volume delete a >/dev/null
diskctl volume delete a >/dev/null || fail "delete twice must succeed"

step "backing store"
refused 3 "$WORK/missing" create b --driver file --size 16MiB --param dir="$WORK/missing"
mkdir "$WORK/small"
mount -t tmpfs -o size=8m small "$WORK/small"
refused 8 "space" create b --driver file --size 64MiB --param dir="$WORK/small" --param allocate=full
[ -z "$(find "$WORK/small" -type f)" ] || fail "a failed create left files"
[ -z "$(diskctl --quiet volume ls)" ] || fail "a failed create left a volume"
step "thin volume on a full disk: ENOSPC reaches the writer, nothing hangs, the rest survives"
create b --driver file --size 64MiB --param dir="$WORK/small" >/dev/null
device=$(attach b)
dd if=/dev/urandom of="$WORK/head" bs=1M count=2 status=none
dd if="$WORK/head" of="$device" bs=1M oflag=direct conv=fsync status=none
! timeout 60 dd if=/dev/zero of="$device" bs=1M seek=2 count=32 oflag=direct status=none 2>"$WORK/dd" ||
  fail "32 MiB fit on an 8 MiB disk"
grep -qE "No space|Input/output" "$WORK/dd" || fail "writer saw: $(cat "$WORK/dd")"
cmp -n $((2 << 20)) "$device" "$WORK/head" || fail "earlier data is damaged"
diskctl detach b >/dev/null
diskctl volume delete b >/dev/null
umount "$WORK/small"

step "driver binaries that exit or hang"
kill_agent TERM
DRIVER_DIR=$WORK/drivers start_agent
refused 2 "exit" create c --driver exits --size 16MiB
refused 2 "time|answer|hang" timeout 60 "$DISKD_BIN_DIR/diskctl" --socket "$WORK/run/diskd.sock" \
  volume create c --driver hangs --size 16MiB
[ "$(diskctl -o json driver ls | json 'len([x for x in d["drivers"] if x["problem"]])')" = 2 ] ||
  fail "driver ls does not report the two broken drivers: $(diskctl driver ls)"
diskctl driver ls | grep -q memory || fail "a broken driver hides the good ones"
step "drivers that fail later"
create f --driver faulty --size 16MiB --param mode=exit >/dev/null || fail "create with faulty"
refused 10 "driver process.*log" attach f
diskctl detach f >/dev/null
diskctl volume delete f >/dev/null

step "unreadable state database"
kill_agent TERM
cp -r "$WORK/state" "$WORK/state.good"
database=$(find "$WORK/state" -name '*.db' | head -1)
head -c 8192 /dev/urandom >"$database"
rm -f "$database-wal" "$database-shm"
sum=$(sha256sum <"$database")
rc=0
timeout 30 "$DISKD_BIN_DIR/diskd" --state-dir "$WORK/state" --run-dir "$WORK/run" >"$WORK/out" 2>&1 || rc=$?
[ $rc = 1 ] || fail "agent on a damaged database: exit code $rc"
grep -q "$database" "$WORK/out" || fail "the message does not name $database: $(cat "$WORK/out")"
[ "$sum" = "$(sha256sum <"$database")" ] || fail "the damaged database was changed"
