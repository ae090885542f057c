#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# crashes.sh ext4|xfs: ROUNDS rounds of kill -9 of driver, agent, gateway, driver and gateway, and the
# whole server, under a file system that is written to; sums and fsck after each.
. "$(readlink -f "$(dirname "$0")")/volume_lib.sh"
ROUNDS=${ROUNDS:-5}
KIND=$1
FILES=8
MOUNT=$WORK/mnt/disk

check_disk() { # DEVICE
  case $KIND in
    ext4) e2fsck -fn "$1" ;;
    xfs) xfs_repair -n "$1" ;;
  esac >"$WORK/fsck.log" 2>&1 || fail "fsck of $KIND: $(tail -20 "$WORK/fsck.log")"
}
check_sums() {
  (cd "$MOUNT" && sha256sum --quiet -c "$WORK/sums") || fail "round $round: files are damaged"
}
crash() { # NUMBER
  case $(($1 % 5)) in
    0) step "driver" && kill_driver disk ;;
    1) step "agent" && kill_agent && start_agent ;;
    2) step "gateway" && s3_kill_gateway && s3_restart ;;
    3) step "driver and gateway" && s3_kill_gateway && kill_driver disk && s3_restart ;;
    4) step "the whole server" && s3_kill && s3_restart ;;
  esac
}

open_server
start_agent
create_volume disk 320MiB
device=$(attach disk)
"mkfs.$KIND" -q "$device"
mkdir "$MOUNT"
mount "$device" "$MOUNT"
: >"$WORK/sums"
for ((round = 0; round < ROUNDS; round++)); do
  rm -rf "${MOUNT:?}/$((round - 3))"
  grep -v " $((round - 3))/" "$WORK/sums" >"$WORK/kept" || true
  mv "$WORK/kept" "$WORK/sums"
  mkdir "$MOUNT/$round"
  for ((file = 0; file < FILES; file++)); do
    head -c $((RANDOM * 40 + 1)) /dev/urandom >"$MOUNT/$round/$file"
  done
  sync -f "$MOUNT"
  (cd "$MOUNT" && sha256sum "$round"/*) >>"$WORK/sums"
  cp -a /usr/share/common-licenses "$MOUNT/$round/in-flight" & # not synced
  copy=$!
  crash "$round"
  wait $copy || fail "round $round: an I/O error"
  await_driver disk
  check_sums
  diff -r /usr/share/common-licenses "$MOUNT/$round/in-flight" || fail "round $round: a copy differs"
  umount "$MOUNT"
  check_disk "$device"
  mount "$device" "$MOUNT"
  check_sums
done
umount "$MOUNT"

step "what is in the store alone, after an orderly end"
diskctl detach disk >/dev/null
rm "$(find "$WORK/state" -name object.log)"
diskctl volume check disk >/dev/null
device=$(attach disk)
check_disk "$device"
mount "$device" "$MOUNT"
check_sums
umount "$MOUNT"
diskctl detach disk >/dev/null
diskctl volume delete disk >/dev/null
