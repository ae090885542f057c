#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A server that answers with rubbish hurts only itself.
# limit: 300
# dmesg-allow: I/O error
. "$(dirname "$0")/lib.sh"
for seed in 1 2 3 4 5 6; do
  INDEX=$(busesrv create "h$seed" $((16 << 20)) nr_queues=2 queue_depth=16)
  serve "$INDEX" file=$WORK/data
  busesrv start "$INDEX"
  DEV=/dev/buse$INDEX
  wait_for 10 test -b "$DEV"
  kill_server
  dd if="$DEV" of=/dev/null bs=4k count=512 iflag=direct status=none 2>/dev/null &
  reader=$!
  dd if=/dev/zero of="$DEV" bs=16k count=256 oflag=direct status=none 2>/dev/null &
  writer=$!
  timeout 40 "$DISKD_BIN_DIR/../test/busesrv" serve "$INDEX" "hostile=$seed" rounds=3000 >/dev/null 2>&1 || true
  serve "$INDEX" file=$WORK/data
  wait $reader || true
  wait $writer || true
  dd if="$DEV" of=/dev/null bs=4k count=16 iflag=direct status=none || fail "seed $seed: the disk does not recover"
  busesrv info "$INDEX"
  remove "$INDEX"
done
