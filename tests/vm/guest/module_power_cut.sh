#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# As in a power cut: under a mounted, busy file system the server is killed, which loses or tears what
# it was not told to flush, and the disk dropped. A new disk on what is left mounts, fsck finds
# nothing, and every file that was synced before the cut is whole.
# limit: 900
# dmesg-allow: I/O error|EXT4-fs|JBD2|Aborting journal|XFS
. "$(dirname "$0")/lib.sh"
CUTS=${CUTS:-2}
FILES=8 # synced before each cut, at least
limit_s=$((120 * TIME_SCALE))

hash_of() { sha256sum "$1" | cut -d' ' -f1; }

write_files() { # ROUND: until the disk fails; a line in $WORK/synced for each file that is durable
  local number sum
  for number in $(seq 10000); do
    head -c $((RANDOM * 4)) /dev/urandom >$WORK/new
    sum=$(hash_of $WORK/new)
    dd if=$WORK/new of="$WORK/mnt/$1-$number" bs=64k conv=fsync status=none 2>/dev/null || return 0
    echo "$sum $1-$number" >>$WORK/synced
    # Work that nobody syncs.
    dd if=/dev/zero of=$WORK/mnt/unsynced bs=32k count=8 status=none 2>/dev/null || return 0
    if [ $((number % 5)) = 0 ]; then
      echo "$1-$((number - 2))" >>$WORK/removed
      rm -f "$WORK/mnt/$1-$((number - 2))" 2>/dev/null || return 0
    fi
  done
}
synced() { wc -l <$WORK/synced; }
enough() { [ "$(synced)" -ge "$1" ]; }

whole() { # every file that was synced is there
  local sum name
  while read -r sum name; do
    grep -qx "$name" $WORK/removed && continue
    if [ "$(hash_of "$WORK/mnt/$name")" != "$sum" ]; then
      echo "$name was synced and is not whole"
      return 1
    fi
  done <$WORK/synced
}

cut_disk() { # ROUND [serve options]: a disk whose cache the next cut loses; every other one has no FUA
  disk "cut" $((400 << 20)) nr_queues=2 attributes=$((BUSE_CACHE_ZEROES | ($1 % 2) * BUSE_FUA)) \
    -- volatile=$((RANDOM + 1)) file=$WORK/cut.data "${@:2}"
}
BUSE_CACHE_ZEROES=$((2 | 16)) BUSE_FUA=4

power_cut() {
  sleep 0.$((RANDOM % 10))
  kill_server
  unflushed=$(stat_of "cut" unflushed)
  timeout $limit_s "$DISKD_BIN_DIR/../test/busesrv" stop "$INDEX" force || fail "forced stop: $?"
  wait $writer || fail "writer: $?"
  timeout $limit_s umount $WORK/mnt || fail "umount"
  busesrv destroy "$INDEX"
}

sound() { # FS: the mount replays the journal; then there must be nothing to repair
  mount "$DEV" $WORK/mnt || return 1
  whole || return 1
  umount $WORK/mnt
  case $1 in
    ext4) e2fsck -fn "$DEV" >$WORK/fsck 2>&1 ;;
    xfs) xfs_repair -n "$DEV" >$WORK/fsck 2>&1 ;;
  esac || { cat $WORK/fsck; return 1; }
}

lost=0
run() { # FS CUTS [serve options]
  local round
  : >$WORK/synced
  : >$WORK/removed
  cut_disk 1
  "mkfs.$1" -q "$DEV"
  remove "$INDEX"
  cut_disk 0 "${@:3}"
  for round in $(seq "$2"); do
    mount "$DEV" $WORK/mnt
    write_files "$round" &
    writer=$!
    wait_for $limit_s enough $((round * FILES)) || fail "only $(synced) files"
    power_cut
    lost=$((lost + unflushed))
    cut_disk "$round" "${@:3}"
    sound "$1" || return 1
  done
  echo "$1: $(synced) files synced, $2 cuts, so far $lost sectors not flushed, $(stat_of "cut" torn) writes torn"
}

step "a server that does not flush is found out"
if run ext4 1 lie; then fail "the check finds no loss"; fi >$WORK/lie
umount $WORK/mnt 2>/dev/null || true
remove "$INDEX"
rm $WORK/cut.data

for fs in ext4 xfs; do
  step "$fs"
  run "$fs" "$CUTS" || fail "after a cut $fs is not what it was"
  remove "$INDEX"
  rm $WORK/cut.data
done
[ $lost -gt 0 ] || fail "no cut lost anything"
[ "$(stat_of "cut" torn)" -gt 0 ] || fail "no write was torn"
