#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What volumes cost over the kernel module: instructions per 4 KiB I/O of a machine with one CPU, with
# driver processes, module, file system and fio, counted by QEMU. Work, not time. Prints one JSON object.
#
# usage: bench_volumes.sh [--kernel 6.12] [--bin DIR] [--out DIR]
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
repo=$(readlink -f "$here/../..")
KERNEL=6.12 BIN=$repo/build/bin OUT=$repo/build/vm/bench-volumes
while [ $# -gt 0 ]; do
  case $1 in
    --kernel) KERNEL=$2 ;;
    --bin) BIN=$(readlink -f "$2") ;;
    --out) OUT=$(readlink -m "$2") ;;
    *) echo "bench_volumes.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
# An instruction takes a nanosecond, of which the time stamp counter counts each. While the machine waits
# for its host the clock goes on by itself: nothing that is measured waits for it.
export VM_ACCEL="tcg,thread=single,tb-size=1024" VM_CPU="max,-erms,-rdrand,-rdseed" VM_CPUS=1
export VM_QEMU="-icount shift=0 -rtc clock=vm,base=2026-01-01 -seed 7"
export VM_APPEND="tsc_early_khz=1000000 norandmaps random.trust_cpu=off"
"$here/run.sh" --kernel "$KERNEL" --bin "$BIN" --out "$OUT" --tests "$here/bench/volumes" >&2
log=$OUT/results/volume_cost/log
[ "$(cat "$OUT/results/volume_cost/status")" = 0 ] || { cat "$log" >&2; exit 1; }
python3 - "$log" <<'PY'
import json, sys
cost = {}
for line in open(sys.argv[1]):
    if line.startswith("COST "):
        _, system, what, value = line.split()
        cost.setdefault(what, {})[system] = int(value)
over = lambda what, a, b: round(cost[what][a] / cost[what][b], 2)
print(json.dumps({
    "instructions_per_io": cost,
    "object_to_file": {what: over(what, "object", "file") for what in cost},
    "object_more_than_raw": {what: row["object"] - row["raw"] for what, row in cost.items()},
    "object_more_than_file": {what: row["object"] - row["file"] for what, row in cost.items()},
}, indent=2))
PY
