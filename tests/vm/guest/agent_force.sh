#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The end-to-end script of the same name, over the kernel module.
# limit: 500
# dmesg-allow: I/O error|EXT4-fs|JBD2|Aborting journal
set -e
insmod "$BUSE_KO"
exec env DISKD_TRANSPORT=buse "$REPO/tests/e2e/force.sh"
