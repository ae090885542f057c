#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Driver processes over the module, without an agent: killed again and again under verified writes.
# limit: 200
set -e
insmod "$BUSE_KO"
TMPDIR=/dev/shm exec "$DISKD_BIN_DIR/../test/kill_test" "$DISKD_BIN_DIR/drivers" memory buse
