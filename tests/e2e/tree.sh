#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real files onto ext4, detached, attached again: every checksum equal.
. "$(dirname "$0")/lib.sh"
TREE_MB=${TREE_MB:-500}

start_agent
diskctl volume create tree --driver file --size "$((TREE_MB * 2 + 300))MiB" >/dev/null
device=$(attach tree)
mkfs.ext4 -q -E lazy_itable_init=0 "$device"
mount "$device" "$WORK/mnt"

step "copying at least $TREE_MB MB of files"
# awk ends the search as soon as there is enough; slow file systems are searched no further.
{ find /usr/include /usr/share /usr/lib /usr/bin -xdev -type f -size -20M -printf '%s\t%p\n' \
    2>/dev/null || true; } |
  awk -F'\t' -v limit="$((TREE_MB * 1000000))" \
    '{ sum += $1; print $2; if (sum > limit) exit } END { print sum > "/dev/stderr" }' \
    2>"$WORK/bytes" >"$WORK/files"
[ "$(cat "$WORK/bytes")" -ge $((TREE_MB * 1000000)) ] || fail "this machine has only $(cat "$WORK/bytes") bytes of files"
tar -C / -cf - --files-from "$WORK/files" 2>/dev/null | tar -C "$WORK/mnt" -xf -
(cd / && tr '\n' '\0' <"$WORK/files" | xargs -0 sha256sum) | sed 's#  /#  #' >"$WORK/sums"

step "detaching and attaching again"
umount "$WORK/mnt"
diskctl detach tree >/dev/null
device=$(attach tree)
fsck.ext4 -fn "$device" >"$WORK/fsck" 2>&1 || fail "fsck: $(cat "$WORK/fsck")"
mount "$device" "$WORK/mnt"
step "verifying $(wc -l <"$WORK/sums") files, $(cat "$WORK/bytes") bytes"
(cd "$WORK/mnt" && sha256sum --quiet -c "$WORK/sums") || fail "checksums differ"
umount "$WORK/mnt"
diskctl detach tree >/dev/null
diskctl volume delete tree >/dev/null
