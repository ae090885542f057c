#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The look at the kernel log finds a planted bug. A warning: every kernel says so.
# dmesg-expect: WARNING:.*planted
! insmod "$PLANTED_KO" bug=warning
