#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The end-to-end script of the same name, over the kernel module.
# limit: 900
set -e
insmod "$BUSE_KO"
exec env DISKD_TRANSPORT=buse START_LIMIT_S=300 "$REPO/tests/e2e/grow.sh"
