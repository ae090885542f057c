#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# I/O of a killed server that still reads data memory: no other request may use that memory before
# it is through. A pipe that holds references to the pages stands for the I/O.
# limit: 120
. "$(dirname "$0")/lib.sh"
mkfifo $WORK/pipe
exec 7<>$WORK/pipe
fill() { # BYTE_OCTAL BYTES
  head -c "$2" /dev/zero | tr '\0' "\\$1"
}
for bytes in 4096 65536; do
  step "a write of $bytes bytes"
  INDEX=$(busesrv create "p$bytes" $((16 << 20)) nr_queues=1 queue_depth=2 max_io_bytes=65536 \
    pool_bytes=$((256 << 10)))
  serve "$INDEX" file=$WORK/data
  busesrv start "$INDEX"
  DEV=/dev/buse$INDEX
  dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none
  kill_server
  serve "$INDEX" pin=7
  fill 021 "$bytes" >$WORK/old
  dd if=$WORK/old of="$DEV" bs="$bytes" count=1 oflag=direct status=none &
  writer=$!
  wait_for 20 grep -q pinned $WORK/server.out || fail "$(cat $WORK/server.out $WORK/server.err)"
  kill_server
  serve "$INDEX" file=$WORK/data
  wait $writer || fail "the write failed"
  # Every tag, slot and chunk is used again, several times.
  fill 042 $((1 << 20)) >$WORK/new
  for _ in 1 2; do
    dd if=$WORK/new of="$DEV" bs=4k seek=1024 oflag=direct status=none &
    dd if=$WORK/new of="$DEV" bs=64k seek=128 oflag=direct status=none
    wait $! || fail "write"
  done
  head -c "$bytes" <&7 >$WORK/piped
  cmp $WORK/piped $WORK/old || fail "memory in use by the old server's I/O went to other requests"
  # Afterwards all of it serves again: a depth and size that need every byte.
  for _ in 1 2 3; do
    dd if=$WORK/new of="$DEV" bs=64k seek=128 oflag=direct status=none &
    dd if=$WORK/new of="$DEV" bs=64k seek=160 oflag=direct status=none
    wait $! || fail "write"
  done
  cmp -n "$bytes" "$DEV" $WORK/old || fail "the write itself is lost"
  remove "$INDEX"
done
