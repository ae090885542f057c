#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Hostile servers and controllers against clients for ten minutes, with a new seed every minute.
# limit: 2400
# dmesg-allow: I/O error|Page cache invalidation failure on direct I/O
. "$(dirname "$0")/../guest/lib.sh"
seed=${FUZZ_SEED:-$RANDOM}
for round in $(seq 10); do
  "$DISKD_BIN_DIR/../test/busefuzz" $((seed + round)) 60 $((60 * TIME_SCALE))
  rmmod buse || fail "rmmod after the run"
  insmod "$BUSE_KO"
done
