#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Direct I/O of a disk with large blocks from memory at multiples of 512, as the block layer allows
# it: however the transport cuts it, the driver gets whole blocks and the data is right.
. "$(dirname "$0")/lib.sh"

cat >"$WORK/io.py" <<'EOF'
import ctypes, mmap, os, sys

HUGE = 2 << 20
memory = mmap.mmap(-1, 20 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
# Huge pages make requests of few segments, and those may be the largest.
if hasattr(mmap, "MADV_HUGEPAGE"):
    memory.madvise(mmap.MADV_HUGEPAGE)
start = -ctypes.addressof(ctypes.c_char.from_buffer(memory)) % HUGE
view = memoryview(memory)
file = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)

for offset, length, count in [(0, 2 << 20, 1), (512, 2 << 20, 1), (512, 1 << 20, 1), (1024, 1 << 20, 2),
                              (512, 1044480, 3), (3584, 1310720, 5), (512, 1310720, 20), (512, 1 << 20, 128)]:
    what = f"{length} bytes in {count} at offset {offset} of a page"
    piece = length // count
    def pieces(first):
        return [view[first + i * (piece + 4096):][:piece] for i in range(count)]
    out, back = pieces(start + offset), pieces(start + 4 * HUGE + offset)
    data = os.urandom(length)
    for i, part in enumerate(out):
        part[:] = data[i * piece:(i + 1) * piece]
    try:
        assert os.pwritev(file, out, 0) == length, what
        assert os.preadv(file, back, 0) == length, what
    except OSError as error:
        sys.exit(f"{what}: {error}")
    if b"".join(back) != data:
        sys.exit(f"{what}: other data than was written")
EOF

start_agent
mkdir -p "$WORK/files"
for driver in memory file; do
  for block in 512 4096; do
    step "$driver, blocks of $block bytes"
    options=()
    [ "$driver" = memory ] || options=(--param "dir=$WORK/files")
    diskctl volume create v --driver "$driver" --size 16MiB --block-size "$block" "${options[@]}" >/dev/null
    python3 "$WORK/io.py" "$(attach v)" || fail "I/O fails"
    diskctl detach v >/dev/null
    diskctl volume delete v >/dev/null
  done
done
