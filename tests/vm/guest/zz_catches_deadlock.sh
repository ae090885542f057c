#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The look at the kernel log finds a planted bug. The order of two locks is wrong: the debug kernel says so.
# dmesg-expect: possible circular locking
[ "$KERNEL_SERIES" = debug ] || { echo "skipped: only the debug kernel finds it"; exit 77; }
grep -q "debug_locks: *1" /proc/lockdep_stats ||
  { echo "the kernel has stopped checking locks: an earlier test broke a rule"; exit 1; }
! insmod "$PLANTED_KO" bug=deadlock
