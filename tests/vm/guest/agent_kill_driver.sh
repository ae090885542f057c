#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The end-to-end script of the same name, over the kernel module.
# limit: 500
set -e
insmod "$BUSE_KO"
exec env DISKD_TRANSPORT=buse KILLS=3 RUNTIME_S=20 ROUNDS=4 STALL_LIMIT_MS=1000 "$REPO/tests/e2e/kill_driver.sh"
