#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The README's first command, with private directories: up, up again, down, down again.
. "$(dirname "$0")/lib.sh"
export DISKD_STATE_DIR=$WORK/state DISKD_RUN_DIR=$WORK/run DISKD_DEMO_MOUNT=$WORK/mnt/demo
export DISKD_DEMO_SIZE=512MiB
DISKD_BUILD_DIR=$(dirname "$DISKD_BIN_DIR")
export DISKD_BUILD_DIR
dev=$REPO/dev

"$dev" up >"$WORK/up.log" 2>&1 || fail "up: $(tail -20 "$WORK/up.log")"
AGENT_PID=$(cat "$WORK/run/diskd.pid")
[ "$(find "$WORK/mnt/demo/tree" -type f | wc -l)" -gt 100 ] || fail "no files on the demo disk"
[ "$(findmnt -nro FSTYPE "$WORK/mnt/demo")" = ext4 ] || fail "not an ext4 mount"
"$dev" up >"$WORK/up.log" 2>&1 || fail "second up: $(tail -20 "$WORK/up.log")"
"$dev" down >"$WORK/down.log" 2>&1 || fail "down: $(tail -20 "$WORK/down.log")"
! kill -0 "$AGENT_PID" 2>/dev/null || fail "the agent still runs"
AGENT_PID=
[ -z "$(mounts_under "$WORK")" ] || fail "mounts left: $(mounts_under "$WORK")"
[ ! -e "$WORK/mnt/demo" ] || fail "the mount point is left"
[ "$(losetup -nl -O BACK-FILE | grep -c "$WORK" || true)" = 0 ] || fail "loop device left"
"$dev" down >"$WORK/down.log" 2>&1 || fail "second down: $(tail -20 "$WORK/down.log")"
