#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ext4, xfs, two partitions, discard, fsync-heavy work, detach and attach like a reboot.
. "$(dirname "$0")/lib.sh"

start_agent
diskctl volume create disk --driver file --size 400MiB >/dev/null
image=$(find "$WORK/state" -type f -size +300M | head -1)

reattach() {
  diskctl detach disk >/dev/null
  device=$(attach disk)
}

device=$(attach disk)
for fs in ext4 xfs; do
  step "$fs"
  case $fs in
    ext4) mkfs.ext4 -q -F "$device" ;;
    xfs) mkfs.xfs -q -f "$device" ;;
  esac
  mount "$device" "$WORK/mnt"
  cp -a /usr/share/common-licenses "$WORK/mnt/"
  fio --name=sync --directory="$WORK/mnt" --size=4m --bs=4k --rw=randwrite --fsync=1 --ioengine=psync \
    --verify=crc32c --verify_fatal=1 --output="$WORK/fio" || fail "fsync-heavy fio: $(cat "$WORK/fio")"
  umount "$WORK/mnt"
  reattach
  case $fs in
    ext4) fsck.ext4 -fn "$device" >"$WORK/fsck" 2>&1 || fail "fsck: $(cat "$WORK/fsck")" ;;
    xfs) xfs_repair -n "$device" >"$WORK/fsck" 2>&1 || fail "xfs_repair: $(cat "$WORK/fsck")" ;;
  esac
  mount "$device" "$WORK/mnt"
  diff -r /usr/share/common-licenses "$WORK/mnt/common-licenses" || fail "$fs: files differ"
  umount "$WORK/mnt"
done

step "blkdiscard gives the space back and reads as zeroes"
dd if=/dev/urandom of="$device" bs=1M count=64 oflag=direct conv=fsync status=none
full=$(stat -c %b "$image")
blkdiscard "$device" || fail "blkdiscard"
empty=$(stat -c %b "$image")
[ "$empty" -lt $((full / 4)) ] || fail "discard freed nothing: $full, then $empty blocks of 512"
cmp -n $((64 << 20)) "$device" /dev/zero || fail "discarded range does not read as zeroes"
dd if=/dev/urandom of="$device" bs=1M count=2 oflag=direct status=none
blkdiscard -z -o 0 -l 1M "$device" || fail "blkdiscard -z"
cmp -n $((1 << 20)) "$device" /dev/zero || fail "zeroed range does not read as zeroes"
! cmp -s -n $((1 << 20)) -i $((1 << 20)):0 "$device" /dev/zero || fail "zeroed too much"

step "two partitions"
printf 'label: gpt\n,100MiB\n,\n' | sfdisk -q "$device" || fail "sfdisk"
# A kernel built without partition parsers (some cloud kernels) leaves them to partx.
partitions() {
  [ "$(lsblk -nro NAME "$device" | wc -l)" = 3 ] || partx -u "$device"
  [ "$(lsblk -nro NAME "$device" | wc -l)" = 3 ]
}
wait_for 10 partitions || fail "partitions: $(lsblk "$device")"
partx -d "$device" 2>/dev/null || true
reattach
wait_for 10 partitions || fail "partitions are not found after a new attach: $(lsblk "$device")"
diskctl detach disk >/dev/null
diskctl volume delete disk >/dev/null
[ ! -e "$image" ] || fail "$image is left"
