#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Swap and dirty mapped files on our disks in a machine of 256 MiB, for ten minutes.
# limit: 2400
exec "$REPO/tests/vm/pressure.sh" "${PRESSURE_S:-600}"
