#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Hostile servers and controllers against clients for a short while; tests/vm/long has a long one.
# limit: 400
# dmesg-allow: I/O error|Page cache invalidation failure on direct I/O
. "$(dirname "$0")/lib.sh"
"$DISKD_BIN_DIR/../test/busefuzz" "${FUZZ_SEED:-$RANDOM}" 20 $((60 * TIME_SCALE))
rmmod buse || fail "rmmod after the run"
