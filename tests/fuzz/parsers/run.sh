#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh PARSER_FUZZ OUT: each target for FUZZ_S seconds (default 30), or those whose names are in
# FUZZ_TARGETS. OUT keeps the corpora from one run to the next, and what made a target fail: such a
# file belongs in found/TARGET, where every test run tries it.
set -euo pipefail
readonly FUZZ=$1 OUT=$2 SECONDS_EACH=${FUZZ_S:-30}
readonly INPUT_BYTES_MAX=65536 MEMORY_MB_MAX=1024 INPUT_SECONDS_MAX=5
here=$(readlink -f "$(dirname "$0")")

read -ra targets <<<"${FUZZ_TARGETS:-$("$FUZZ" | tr '\n' ' ')}"
[ ${#targets[@]} -gt 0 ] || { echo "no targets" >&2; exit 1; }
failed=()
for target in "${targets[@]}"; do
  mkdir -p "$OUT/$target/corpus" "$OUT/$target/fails"
  folders=("$OUT/$target/corpus")
  [ ! -d "$here/found/$target" ] || folders+=("$here/found/$target")
  if DISKD_FUZZ_TARGET=$target DISKD_FUZZ_SEEDS=$OUT/$target/corpus "$FUZZ" \
    -max_total_time="$SECONDS_EACH" -max_len=$INPUT_BYTES_MAX -rss_limit_mb=$MEMORY_MB_MAX \
    -timeout=$INPUT_SECONDS_MAX -artifact_prefix="$OUT/$target/fails/" -print_final_stats=1 \
    "${folders[@]}" >"$OUT/$target/log" 2>&1; then
    printf '%-16s %s runs\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$OUT/$target/log")"
  else
    failed+=("$target")
    printf '%-16s FAILED, %s\n' "$target" "$(ls "$OUT/$target/fails"/* 2>/dev/null | tail -1)"
    tail -n 30 "$OUT/$target/log"
  fi
done
echo "targets ${#targets[@]} failed ${#failed[@]}"
[ ${#failed[@]} -eq 0 ]
