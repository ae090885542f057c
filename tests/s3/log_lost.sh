#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Agent and driver die with the write log, at a random moment, ROUNDS times. The volume opens as it was
# at a flush: a writer replaces a set of blocks and flushes, again and again, with a stamp that grows;
# afterwards all of them have one stamp, no older than what was known to be in the store.
. "$(readlink -f "$(dirname "$0")")/volume_lib.sh"
ROUNDS=${ROUNDS:-2}
WRITE_MIN_S=7 # longer than the upload's delay

cat >"$WORK/writer.py" <<'EOF'
import os, sys
BLOCKS = 40
fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
import mmap
page = mmap.mmap(-1, 4096)
stamp = int(sys.argv[2])
while True:
    stamp += 1
    page[:] = (b"%08d" % stamp) * 512
    for block in range(BLOCKS):
        os.pwrite(fd, page, (block * 37 + 1) * 4096)
    try:
        os.fdatasync(fd)
    except OSError:
        break
    with open(sys.argv[3], "w") as out:
        out.write("%d" % stamp)
EOF
cat >"$WORK/reader.py" <<'EOF'
import os, sys
BLOCKS = 40
fd = os.open(sys.argv[1], os.O_RDONLY)
stamps = set()
for block in range(BLOCKS):
    data = os.pread(fd, 4096, (block * 37 + 1) * 4096)
    whole = data == data[:8] * 512
    stamps.add(int(data[:8]) if whole and data[:8].isdigit() else "torn")
print(*sorted(stamps, key=str))
EOF

open_server
start_agent
create_volume disk 64MiB
device=$(attach disk)
echo 0 >"$WORK/flushed"
for ((round = 0; round < ROUNDS; round++)); do
  old=$(cat "$WORK/flushed")
  python3 "$WORK/writer.py" "$device" "$old" "$WORK/flushed" 2>/dev/null &
  writer=$!
  sleep $((WRITE_MIN_S + RANDOM % 4)).$((RANDOM % 10))
  pid=$(driver_pid disk)
  kill_agent KILL
  kill -9 "$pid"
  wait_for 20 has_ended "$pid" || fail "the driver survives kill -9"
  log=$(find "$WORK/state" -name object.log)
  rm "$log"
  kill -9 $writer 2>/dev/null || true
  start_agent
  diskctl detach --force disk >/dev/null
  wait $writer 2>/dev/null || true
  device=$(attach disk)
  found=$(python3 "$WORK/reader.py" "$device")
  flushed=$(cat "$WORK/flushed")
  [[ $found =~ ^[0-9]+$ ]] || fail "round $round: the blocks are of several states: $found"
  [ "$found" -gt "$old" ] && [ "$found" -le $((flushed + 1)) ] ||
    fail "round $round: stamp $found; $old was in the store, $flushed flushed"
  step "round $round: stamp $found of $flushed"
  echo "$found" >"$WORK/flushed"
done
diskctl detach disk >/dev/null
diskctl volume check disk >/dev/null
diskctl volume delete disk >/dev/null
