#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# IOPS of a memory volume over FUSE + loop as a ratio to a plain loop device over a tmpfs file, in
# the same run, interleaved. Prints one JSON object. Ratios only: absolute IOPS are the machine's.
# Usage: fuse_vs_loop.sh BIN_DIR [REPEATS]
DISKD_BIN_DIR=$1
REPEATS=${2:-5}
SECONDS_EACH=${SECONDS_EACH:-3}
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

start_agent
diskctl volume create bench --driver memory --size 256MiB >/dev/null
device=$(attach bench)
mkdir "$WORK/mnt/tmpfs"
mount -t tmpfs -o size=300m peer "$WORK/mnt/tmpfs"
dd if=/dev/zero of="$WORK/mnt/tmpfs/file" bs=1M count=256 status=none
dd if=/dev/zero of="$device" bs=1M count=256 oflag=direct status=none
peer=$(losetup -f --show "$WORK/mnt/tmpfs/file")

iops() { # DEVICE RW DEPTH
  fio --name=b --filename="$1" --rw="$2" --iodepth="$3" --bs=4k --ioengine=io_uring --direct=1 \
    --time_based --runtime="$SECONDS_EACH" --ramp_time=1 --size=256m --norandommap \
    --output-format=json | json 'd["jobs"][0]["read"]["iops"] + d["jobs"][0]["write"]["iops"]'
}
{
  for _ in $(seq "$REPEATS"); do
    for rw in randread randwrite; do
      for depth in 1 32; do
        echo "$rw $depth $(iops "$device" $rw $depth) $(iops "$peer" $rw $depth)"
      done
    done
  done
} >"$WORK/rows"
losetup -d "$peer"
python3 - "$WORK/rows" <<'PY'
import json, statistics, sys
rows = {}
for line in open(sys.argv[1]):
    rw, depth, ours, peer = line.split()
    rows.setdefault(f"{rw}_4k_qd{depth}", []).append(float(ours) / float(peer))
print(json.dumps({k: {"ratio_to_loop_median": round(statistics.median(v), 2),
                      "min": round(min(v), 2), "max": round(max(v), 2), "repeats": len(v)}
                  for k, v in rows.items()}, indent=1))
PY
diskctl detach bench >/dev/null
diskctl volume delete bench >/dev/null
