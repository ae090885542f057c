#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Polled queues: verified I/O; no system call per I/O on either side, by count; a server's death, its
# successor and a forced stop while clients poll.
# limit: 600
# dmesg-allow: I/O error
. "$(dirname "$0")/lib.sh"
busefeat() { "$DISKD_BIN_DIR/../test/busefeat" "$@"; }
spin() { # [COMMAND...]: a spinning server, run by the command
  "$@" "$DISKD_BIN_DIR/../test/busefeat" spin "$INDEX" $WORK/data >$WORK/server.out 2>$WORK/server.err &
  SERVER=$!
  wait_for 20 grep -q serving $WORK/server.out || fail "server: $(cat $WORK/server.err)"
}
job() { # NAME [options]
  fio --name="$1" --filename="$DEV" --ioengine=io_uring --hipri --direct=1 --bs=4k --iodepth=16 \
    --output=$WORK/fio."$1" --output-format=json "${@:2}"
}
polled() { # COUNTER: of queue 1, the polled one
  cut -d' ' -f2 "/sys/block/buse$INDEX/buse/$1"
}
errno $EINVAL busesrv create p $((1 << 20)) nr_queues=1 nr_poll_queues=1
INDEX=$(busesrv create p $((64 << 20)) nr_queues=2 nr_poll_queues=1 queue_depth=64)
spin
busesrv start "$INDEX"
DEV=/dev/buse$INDEX
wait_for 10 test -b "$DEV"
[ "$(cat "/sys/block/buse$INDEX/queue/io_poll")" = 1 ] || fail "io_poll is off"
[ "$(cat "/sys/block/buse$INDEX/mq/0/cpu_list")" = "$(cat "/sys/block/buse$INDEX/mq/1/cpu_list")" ] ||
  fail "the polled queue does not serve all CPUs"

step "verified, small and large"
job verify --rw=randwrite --bsrange=4k-256k --size=60m --io_size=16m --verify=crc32c --verify_fatal=1 ||
  fail "fio: $(cat $WORK/fio.verify)"
[ "$(polled polled)" -gt 100 ] || fail "not polled: $(grep . "/sys/block/buse$INDEX"/buse/*)"
dd if="$DEV" of=/dev/null bs=4k count=4 iflag=direct status=none || fail "the other queue"

step "no system call per I/O"
kill_server
spin strace -f -c -S calls -o $WORK/strace.server
count_calls() { # IOS PATTERN: system calls of the client's thread for so many I/Os
  rm -f $WORK/strace.fio.*
  timeout -k 1 200 strace -qq -ff -o $WORK/strace.fio fio --name=c --filename="$DEV" --ioengine=io_uring --hipri \
    --sqthread_poll=1 --thread --direct=1 --bs=4k --iodepth=32 --size=60m --io_size=$(($1 * 4))k \
    --rw="$2" --output=$WORK/fio.c || fail "fio: $(cat $WORK/fio.c; grep . "/sys/block/buse$INDEX"/buse/* "/sys/block/buse$INDEX/inflight")"
  thread=$(grep -l 'io_uring_setup.* = [0-9]' $WORK/strace.fio.* | head -1)
  wc -l <"$thread"
}
FEW=400 MANY=2400
for pattern in randread randwrite; do
  few=$(count_calls $FEW $pattern)
  enters=$(polled enters) wakeups=$(polled wakeups) served=$(polled completed)
  many=$(count_calls $MANY $pattern)
  served=$(($(polled completed) - served))
  echo "$pattern: the client makes $few calls for $FEW I/Os, $many for $MANY; the server of $served requests" \
    "$(($(polled enters) - enters)) ENTERs, $(($(polled wakeups) - wakeups)) wake-ups"
  [ $served -ge $((MANY * 9 / 10)) ] || # the kernel merges some
    fail "only $served polled requests"
  # The kernel's submission thread sleeps, and is woken, when it is starved for a second.
  [ $((many - few)) -lt $(((MANY - FEW) / 20)) ] ||
    fail "system calls in the client: $(sed 's/(.*//' $WORK/strace.fio.* | sort | uniq -c | sort -rn | head)"
  [ $(($(polled enters) - enters)) -le 5 ] || fail "ENTERs in the server"
done

step "death and succession of the server"
server=$(pgrep -x busefeat)
job k --rw=randrw --bsrange=4k-128k --size=60m --time_based --runtime=45 &
fio=$!
under_way() { [ "$(polled polled)" -gt $(($1 + 200)) ]; }
in_flight() { awk '$1 + $2 > 0 { found = 1 } END { exit !found }' "/sys/block/buse$INDEX/inflight"; }
for _ in 1 2; do
  wait_for 60 under_way "$(polled polled)" || fail "no I/O: $(cat $WORK/fio.k)"
  kill -STOP "$server" # so that it dies with requests in hand
  wait_for 60 in_flight || fail "nothing in flight"
  kill -9 "$server"
  wait "$SERVER" 2>/dev/null || true
  wait_for 10 eval "[ \"\$(state_of $INDEX)\" = parked ]" || fail "state $(state_of "$INDEX")"
  spin
  server=$SERVER
done
awk '$4 ~ /ioctl|calls|total/ || NR < 12' $WORK/strace.server
wait $fio || fail "fio: $(cat $WORK/fio.k)"
[ "$(polled redelivered)" -gt 0 ] || fail "nothing was delivered again"

step "forced stop without a server"
job f --rw=randread --size=60m --time_based --runtime=60 >/dev/null 2>&1 &
fio=$!
wait_for 60 under_way "$(polled polled)" || fail "no I/O"
kill_server
timeout 30 "$DISKD_BIN_DIR/../test/busesrv" stop "$INDEX" force || fail "forced stop: $?"
wait_for 20 eval "! kill -0 $fio" || fail "fio hangs"
busesrv destroy "$INDEX"
