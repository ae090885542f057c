#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The end-to-end script of the same name, over the kernel module.
# limit: 600
# dmesg-allow: I/O error|EXT4-fs|JBD2
set -e
insmod "$BUSE_KO"
exec env DISKD_TRANSPORT=buse WAIT_S=120 "$REPO/tests/e2e/compat.sh"
