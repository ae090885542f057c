#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Random operations against a model, on the disk itself and on files of ext4 and xfs, while the server
# is killed again and again.
# limit: 900
. "$(dirname "$0")/lib.sh"
# A kernel that checks itself does less, or it would not get to the end.
operations=$((1500 / TIME_SCALE))
fsx() { timeout $((300 * TIME_SCALE)) "$DISKD_BIN_DIR/../test/fsx" "$@" || fail "fsx $*: exit code $?"; }

requests_done() { awk '{ print $1 + $5 + $12 + $16 }' "/sys/block/$(basename "$DEV")/stat"; }

# The script may fail meanwhile, and clean up. A slow machine must get on between two kills.
killing() { # until the file $WORK/quiet is there
  local tenths enough
  while [ -d $WORK ] && [ ! -e $WORK/quiet ]; do
    enough=$(($(requests_done) + 8))
    while [ -d $WORK ] && [ ! -e $WORK/quiet ] && [ "$(requests_done)" -lt $enough ]; do sleep 0.1; done
    tenths=$((RANDOM % 8 + 1))
    sleep $((tenths / 10)).$((tenths % 10))
    kill_server
    serve "$INDEX" file=$WORK/fsx.data stats=$WORK/fsx.stats
  done
}

disk fsx $((400 << 20)) nr_queues=2
killing &
killer=$!
step disk
fsx $RANDOM $operations "$DEV"
for fs in ext4 xfs; do
  step "$fs"
  wipefs -qa "$DEV"
  "mkfs.$fs" -q "$DEV"
  mount "$DEV" $WORK/mnt
  fsx $RANDOM $operations $WORK/mnt/file
  umount $WORK/mnt
done
touch $WORK/quiet
wait $killer
redelivered=$(stat_of fsx redelivered)
[ "$redelivered" -gt 0 ] || fail "no request was delivered again: the kills hit nothing"
echo "redelivered: $redelivered"
remove "$INDEX"
