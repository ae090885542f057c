#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What an I/O over the module costs, next to null_blk in the same machine: guest instructions per
# I/O (one CPU, counted by QEMU, repeatable to 1-2 %) and IOPS (two CPUs, wall clock, median of
# three, only the ratio says anything). Prints one JSON object.
#
# usage: bench_cost.sh [--kernel 6.1|6.12] [--bin DIR] [--out DIR]
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
KERNEL=6.12 BIN=$here/../../build/bin OUT=""
while [ $# -gt 0 ]; do
  case $1 in
    --kernel) KERNEL=$2 ;;
    --bin) BIN=$2 ;;
    --out) OUT=$2 ;;
    *) echo "bench_cost.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
OUT=${OUT:-$BIN/../vm/cost}

run() { # MODE, the machine in the environment
  "$here/run.sh" --kernel "$KERNEL" --bin "$BIN" --out "$OUT/$1" --tests "$here/bench" >&2
  [ "$(cat "$OUT/$1/results/cost/status")" = 0 ] ||
    { cat "$OUT/$1/results/cost/log" >&2; exit 1; }
}
VM_CPUS=1 VM_ACCEL="tcg,thread=single,tb-size=1024" VM_CPU="max,-erms,-rdrand,-rdseed" \
  VM_QEMU="-icount shift=0,sleep=off -rtc clock=vm,base=2026-01-01 -seed 7" \
  VM_APPEND="norandmaps random.trust_cpu=off bench=icount" run instructions
VM_CPUS=2 run iops

summary() { # MODE: {"pattern/depth": {"null_blk": n, "buse": n, "ratio": r}, ...}
  awk '$1 == "COST" { k = $3 " qd" $4; v[k, $2, ++n[k, $2]] = $5; if (!(k in seen)) { seen[k]; order[++c] = k } }
    function median(k, d,    i, j, t, m) {
      m = n[k, d]
      for (i = 1; i <= m; i++) for (j = i + 1; j <= m; j++)
        if (v[k, d, j] < v[k, d, i]) { t = v[k, d, i]; v[k, d, i] = v[k, d, j]; v[k, d, j] = t }
      return v[k, d, int((m + 1) / 2)]
    }
    END {
      for (i = 1; i <= c; i++) {
        k = order[i]; a = median(k, "null_blk"); b = median(k, "buse")
        printf "%s    \"%s\": {\"null_blk\": %d, \"buse\": %d, \"ratio\": %.2f}", (i > 1 ? ",\n" : ""), k, a, b, b / a
      }
      print ""
    }' "$OUT/$1/results/cost/log"
}
cat <<JSON
{
  "kernel": "$KERNEL",
  "instructions_per_io": {
$(summary instructions)
  },
  "iops": {
$(summary iops)
  }
}
JSON
