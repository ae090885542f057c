#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# report.sh OUT TEST: prints one guest test's log and exits with its status.
set -u
result=$1/results/$2
[ -e "$result/status" ] || { echo "no result: the machine did not get to $2"; tail -20 "$1/console.log"; exit 1; }
cat "$result/log"
status=$(cat "$result/status")
if [ "$status" != 0 ] && [ "$status" != 77 ]; then
  echo "---- kernel log"
  tail -60 "$result/dmesg"
fi
exit "$status"
