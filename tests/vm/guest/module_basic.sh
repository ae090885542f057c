#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A disk with ext4, then xfs: files survive unmount, stop, start of a new disk on the same data.
# limit: 300
. "$(dirname "$0")/lib.sh"
for fs in ext4 xfs; do
  disk "basic" $((400 << 20)) nr_queues=2
  "mkfs.$fs" -q "$DEV"
  mount "$DEV" $WORK/mnt
  cp -a /usr/share/common-licenses /usr/include/linux $WORK/mnt/
  (cd $WORK/mnt && find . -type f -exec sha256sum {} +) >$WORK/sums
  umount $WORK/mnt
  remove "$INDEX"
  wait "$SERVER" || fail "the server did not end by itself"
  disk "basic" $((400 << 20)) nr_queues=2
  mount "$DEV" $WORK/mnt
  (cd $WORK/mnt && sha256sum --quiet -c $WORK/sums) || fail "$fs: files differ"
  [ "$(wc -l <$WORK/sums)" -gt 100 ] || fail "too few files to prove anything"
  umount $WORK/mnt
  remove "$INDEX"
  wipefs -qa $WORK/basic.data
done

step "more queues than CPUs, polled ones among them"
for members in "nr_queues=$(($(nproc) + 3))" "nr_queues=$(($(nproc) * 2 + 3)) nr_poll_queues=$(($(nproc) + 1))"; do
  # shellcheck disable=SC2086
  disk "queues" $((16 << 20)) $members
  dd if=/dev/urandom of=$WORK/random bs=1M count=4 status=none
  dd if=$WORK/random of="$DEV" bs=64k oflag=direct status=none
  dd if="$DEV" bs=64k count=64 iflag=direct status=none | cmp - $WORK/random || fail "$members: data differ"
  remove "$INDEX"
  wait "$SERVER" || fail "the server did not end by itself"
done
