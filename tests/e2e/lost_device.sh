#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What an administrator takes away below an attached volume is noticed, and another volume's disk is
# never shown as its own.
. "$(dirname "$0")/lib.sh"
[ "$TRANSPORT" = fuse ] || skip "only FUSE has loop devices"

attachment() { # VOLUME FIELD
  diskctl -o json volume get "$1" | json "d['volume']['attachment']['$2']"
}

LINKS=$WORK/links
# shellcheck disable=SC2034 # start_agent uses it
AGENT_OPTIONS=(--link-dir "$LINKS")
start_agent
diskctl volume create a --driver memory --size 16MiB >/dev/null
diskctl volume create b --driver memory --size 16MiB >/dev/null

step "loop device detached, its number another volume's"
device=$(attach a)
losetup -d "$device"
wait_for 5 eval "! losetup $device" || fail "$device was not detached"
[ "$(attach b)" = "$device" ] || skip "the number of $device was not used again"
[ -z "$(attachment a devicePath)" ] || fail "a is shown at $(attachment a devicePath), which is b's"
[ ! -L "$LINKS/a" ] || fail "a link leads from a to b's disk"
refused 5 "its loop device was detached by somebody else: detach" attach a
diskctl detach a >/dev/null
[ "$(attachment b devicePath)" = "$device" ] || fail "b has lost its disk"
dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none || fail "b can't be read"
again=$(attach a)
[ "$again" != "$device" ] || fail "a and b have one disk"
dd if="$again" of=/dev/null bs=4k count=1 iflag=direct status=none || fail "a can't be read"
diskctl detach a >/dev/null
diskctl detach b >/dev/null

CONNECTIONS=/sys/fs/fuse/connections
on_cleanup() { [ -z "${mounted:-}" ] || umount "$CONNECTIONS"; }
mount_point() { echo "$WORK/run/volumes/$(diskctl -o json volume get a | json 'd["volume"]["id"]')/fuse"; }
is_failed() { [ "$(attachment_state a)" = ATTACHMENT_STATE_FAILED ]; }

aborted() { # how the connection of a was aborted
  wait_for 10 is_failed || fail "$1: a is $(attachment_state a), expected FAILED"
  [[ "$(attachment a message)" == *"connection was aborted"* ]] ||
    fail "$1: the message is $(attachment a message)"
  ! timeout 10 dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null ||
    fail "$1: a can be read"
  diskctl detach a >/dev/null || fail "$1: detach fails"
  [ -z "$(mounts_under "$WORK")" ] || fail "$1: mounts left: $(mounts_under "$WORK")"
}

step "FUSE connection aborted by umount -f"
device=$(attach a)
umount -f "$(mount_point)" 2>/dev/null || true # busy: the loop device has the file open
aborted "umount -f"

step "FUSE connection aborted by /sys/fs/fuse/connections"
if [ ! -e "$CONNECTIONS" ]; then
  printf 'no %s here\n' "$CONNECTIONS"
else
  if ! mountpoint -q "$CONNECTIONS"; then
    mount -t fusectl fusectl "$CONNECTIONS"
    mounted=yes
  fi
  device=$(attach a)
  number=$(awk -v p="$(mount_point)" '$5 == p { sub(/.*:/, "", $3); print $3 }' /proc/self/mountinfo)
  echo 1 >"$CONNECTIONS/$number/abort"
  aborted "abort"
fi
device=$(attach a)
dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none || fail "a new attach does not work"
diskctl detach a >/dev/null
