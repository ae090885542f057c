#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The look at the kernel log finds a planted bug. A write to freed memory: the debug kernel says so.
# dmesg-expect: KASAN: slab-use-after-free
[ "$KERNEL_SERIES" = debug ] || { echo "skipped: only the debug kernel finds it"; exit 77; }
! insmod "$PLANTED_KO" bug=use-after-free
