#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A device with the defaults that nobody uses: what it keeps of the machine's memory, for each queue,
# and that neither it nor its server runs.
# limit: 300
. "$(dirname "$0")/lib.sh"
most_kib=$((8 << 10)) queues=4 idle_s=10
unused() { # KiB, with what is cached but free for the asking
  sync
  echo 3 >/proc/sys/vm/drop_caches
  awk '/^MemAvailable/ { print $2 }' /proc/meminfo
}
vmalloc_kib() { awk '/^VmallocUsed/ { print $2 }' /proc/meminfo; }

# The first device's memory is measured apart from what the machine keeps for itself (caches of CPUs,
# the module's own): a second one of the same kind.
first=$(busesrv create warm-up $((1 << 30)) "nr_queues=$queues")
before=$(vmalloc_kib) available=$(unused)
second=$(busesrv create idle $((1 << 30)) "nr_queues=$queues")
pinned=$((($(vmalloc_kib) - before) / queues))
gone=$(((available - $(unused)) / queues))
echo "pinned_kib_per_queue=$pinned; less available, KiB per queue: $gone"
[ $pinned -ge 4096 ] || fail "$pinned KiB: that is not all of it"
[ $pinned -le $most_kib ] || fail "an idle queue pins $pinned KiB"
# With what the block layer takes, and what the machine did meanwhile.
[ $gone -le $((most_kib * 3 / 2)) ] || fail "an idle queue costs $gone KiB"
busesrv destroy "$first"
busesrv destroy "$second"

step "no CPU"
disk idle $((256 << 20)) "nr_queues=$(nproc)"
B=/sys/block/buse$INDEX/buse
ticks() { cat /proc/"$SERVER"/task/*/stat | awk '{ n += $14 + $15 } END { print n }'; }
switches() { grep -h ctxt_switches /proc/"$SERVER"/task/*/status | awk '{ n += $2 } END { print n }'; }
enters() { tr ' ' '\n' <"$B/enters" | awk '{ n += $1 } END { print n }'; }
# The partition scan, udev and the like are over; the server has spun its last.
quiet() {
  local was
  was=$(enters)
  sleep 1
  [ "$(enters)" = "$was" ]
}
wait_for 60 quiet || fail "the device is never idle"
before="$(ticks) $(switches) $(enters)"
sleep $idle_s
after="$(ticks) $(switches) $(enters)"
echo "ticks, context switches, calls of ENTER before and after $idle_s s: $before; $after"
[ "$before" = "$after" ] || fail "an idle device is not idle"
remove "$INDEX"
