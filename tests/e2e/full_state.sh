#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The file system of the state directory is full, as thin volumes that lie there make it: a restart
# of the agent leaves disks alone, and what makes room works.
. "$(dirname "$0")/lib.sh"

STATE_MB=48
mkdir "$WORK/state"
truncate -s ${STATE_MB}M "$WORK/state.img"
mkfs.ext4 -q -F -m 0 "$WORK/state.img"
mount -o loop "$WORK/state.img" "$WORK/state"
start_agent
diskctl volume create thin --driver file --size 64MiB >/dev/null
diskctl volume create other --driver file --size 16MiB >/dev/null
device=$(attach thin)
attach other >/dev/null
driver=$(driver_pid thin)
dd if=/dev/urandom of="$device" bs=64k count=16 oflag=direct status=none
sum=$(dd if="$device" bs=64k count=16 iflag=direct status=none | sha256sum)
step "filling the file system"
dd if=/dev/zero of="$WORK/state/filler" bs=4k status=none 2>/dev/null || true
[ "$(df --output=avail "$WORK/state" | tail -1)" -lt 8 ] || fail "room is left: $(df "$WORK/state")"

for signal in KILL TERM; do
  step "agent ends by $signal and starts again"
  kill_agent $signal
  start_agent
  [ "$(attachment_state thin)" = ATTACHMENT_STATE_ATTACHED ] || fail "$(diskctl ls)"
  [ "$(driver_pid thin)" = "$driver" ] || fail "driver $driver was not adopted"
  again=$(dd if="$device" bs=64k count=16 iflag=direct status=none | sha256sum) || fail "read"
  [ "$again" = "$sum" ] || fail "other data"
done

step "what makes room works"
diskctl detach other >/dev/null
diskctl volume delete other >/dev/null
diskctl detach thin >/dev/null
diskctl volume delete thin >/dev/null
rm "$WORK/state/filler"
[ -z "$(diskctl --quiet volume ls)" ] || fail "volumes left"
