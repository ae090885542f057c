#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What drivers cost by themselves, without the way from the kernel to them; prints one JSON object.
# usage: drivers.sh BIN_DIR   (REPEATS, SECONDS_EACH; DIR: on the disk to measure, default: here)
set -euo pipefail
bin=$(readlink -f "$1")
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d "${DIR:-$PWD}/driver-costs.XXXXXX")
memory=$(mktemp -d /dev/shm/driver-costs.XXXXXX)
trap 'rm -rf "$work" "$memory"' EXIT
mkdir "$work/disk"
"$bin/../test/driver_costs" "$work/disk" "$memory" "${REPEATS:-5}" "${SECONDS_EACH:-3}" | tee "$work/rows" >&2
"$here/drivers_report.py" "$work/rows"
