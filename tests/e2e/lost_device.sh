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
