#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Conformance: csi-sanity against disk-csi, a private agent and the file driver. Not part of the
# tests: needs root, /dev/fuse, and Go to fetch csi-sanity (or CSI_SANITY, its path).
# Usage: DISKD_BIN_DIR=build/bin sanity.sh [csi-sanity options]
set -euo pipefail
: "${DISKD_BIN_DIR:?the directory with diskd and disk-csi}"
readonly VERSION=v5.4.0
readonly CACHE=${DISKD_CACHE:-$HOME/.cache/diskd}
readonly START_LIMIT_S=30
[ "$(id -u)" = 0 ] && [ -e /dev/fuse ] || { echo "skipped: needs root and /dev/fuse"; exit 77; }
sanity=${CSI_SANITY:-$CACHE/bin/csi-sanity}
if [ ! -x "$sanity" ]; then
  command -v go >/dev/null || { echo "skipped: needs Go"; exit 77; }
  GOBIN=$CACHE/bin go install "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity@$VERSION"
fi

WORK=$(mktemp -d /tmp/diskd-csi.XXXXXX)
agent='' plugin=''
cleanup() {
  [ -z "$plugin" ] || { kill "$plugin" && wait "$plugin"; } || true
  awk -v w="$WORK/kubelet/" 'index($5, w) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
    xargs -r umount || true
  if [ -n "$agent" ]; then
    "$DISKD_BIN_DIR/diskctl" --socket "$WORK/run/diskd.sock" --quiet ls 2>/dev/null |
      while read -r name; do
        "$DISKD_BIN_DIR/diskctl" --socket "$WORK/run/diskd.sock" detach "$name" || true
      done
    kill "$agent" && wait "$agent" || true
  fi
  rm -rf --one-file-system "$WORK"
}
trap cleanup EXIT
mkdir -p "$WORK/state" "$WORK/run" "$WORK/links" "$WORK/kubelet"
"$DISKD_BIN_DIR/diskd" --state-dir "$WORK/state" --run-dir "$WORK/run" --link-dir "$WORK/links" \
  --driver-dir "$DISKD_BIN_DIR/drivers" >"$WORK/agent.log" 2>&1 &
agent=$!
"$DISKD_BIN_DIR/disk-csi" --endpoint "unix://$WORK/csi.sock" --agent "$WORK/run/diskd.sock" \
  --node-id test-node >"$WORK/plugin.log" 2>&1 &
plugin=$!
deadline=$((SECONDS + START_LIMIT_S))
until [ -S "$WORK/csi.sock" ] && [ -S "$WORK/run/diskd.sock" ]; do
  [ $SECONDS -lt $deadline ] || { cat "$WORK"/*.log >&2; exit 1; }
  sleep 0.05
done
for type in mount block; do
  "$sanity" -csi.endpoint "unix://$WORK/csi.sock" -csi.mountdir "$WORK/kubelet/mount" \
    -csi.stagingdir "$WORK/kubelet/staging" -csi.testvolumesize $((64 << 20)) \
    -csi.testvolumeaccesstype "$type" "$@" || { tail -40 "$WORK/plugin.log" >&2; exit 1; }
done
if grep -q "$WORK/kubelet" /proc/self/mountinfo; then echo "FAIL: mounts are left" >&2; exit 1; fi
[ -z "$(ls -A "$WORK/links")" ] || { echo "FAIL: attachments are left" >&2; exit 1; }
