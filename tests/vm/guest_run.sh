#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs in the test machine: every guest test, one after another, each with a time limit and a look
# at the kernel log after it.
#
# A test is a script; lines in its head say what is special about it:
#   # limit: SECONDS         (default and least: 300, as the machine may be very slow)
#   # dmesg-allow: REGEX     kernel messages that the test provokes on purpose
#   # dmesg-expect: REGEX    trouble that must be found, or the test fails
# Exit code 0: passed, 77: skipped. After each test the module must unload: what holds it is a leak.
set -u
set -a
# shellcheck source=/dev/null
. "$1/environment"
set +a
LEAST_LIMIT_S=300
KILL_GRACE_S=$((10 * TIME_SCALE))
UNLOAD_LIMIT_S=$((10 * TIME_SCALE))
TROUBLE='BUG:|WARNING:|Oops|general protection|unable to handle|blocked for more than|I/O error'
TROUBLE+='|circular locking|KASAN|UBSAN|refcount_t|soft lockup|rcu.*(stall|detected)|corruption'
TROUBLE+='|INFO: (possible|trying to register)|ODEBUG|scheduling while atomic|EXT4-fs error|XFS .*(error|shutdown)|use-after-free'

directive() { sed -n "2,12s/^# $2: *//p" "$1" | head -1; }

unload() {
  [ -d /sys/module/buse ] || return 0
  local deadline=$((SECONDS + UNLOAD_LIMIT_S))
  until rmmod buse 2>/dev/null; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

# What a failed test left must not fail the next ones.
clear_remains() {
  local index busesrv=$DISKD_BIN_DIR/../test/busesrv
  pkill -9 -x diskd
  for index in $("$busesrv" list); do
    timeout -k 1 20 "$busesrv" stop "$index" force
    timeout -k 1 20 "$busesrv" destroy "$index"
  done
  # One by one: pkill refuses a pattern of more than 15 characters.
  for index in diskd-driver busesrv busefeat fio; do pkill -9 "$index"; done
  unload
} >/dev/null 2>&1

run_test() { # SCRIPT RESULT_DIR
  local script=$1 result=$2 limit allow expect mark rc=0 pid
  limit=$(directive "$script" limit)
  [ "${limit:-0}" -gt $LEAST_LIMIT_S ] || limit=$LEAST_LIMIT_S
  limit=$((limit * TIME_SCALE))
  allow=$(directive "$script" dmesg-allow)
  expect=$(directive "$script" dmesg-expect)
  # The log is a ring: without the mark, all of it is this test's.
  mark="vm: start of $(basename "$script")"
  echo "$mark" >/dev/kmsg
  setsid bash "$script" >"$result/log" 2>&1 </dev/null &
  pid=$!
  local deadline=$((SECONDS + limit))
  while kill -0 $pid 2>/dev/null && [ $SECONDS -lt $deadline ]; do sleep 0.05; done
  if kill -0 $pid 2>/dev/null; then
    echo "vm: time limit of $limit s" >>"$result/log"
    echo w >/proc/sysrq-trigger
    ps axo pid,stat,wchan:30,args | awk '$2 ~ /D/' >>"$result/log"
    kill -KILL -- -$pid
    deadline=$((SECONDS + KILL_GRACE_S))
    while kill -0 $pid 2>/dev/null && [ $SECONDS -lt $deadline ]; do sleep 0.1; done
    rc=124
    kill -0 $pid 2>/dev/null && hung=$(basename "$script")
  else
    wait $pid || rc=$?
  fi
  dmesg | awk -v mark="$mark" '{ line[NR] = $0 } index($0, mark) { first = NR }
    END { for (i = first + 1; i <= NR; i++) print line[i] }' >"$result/dmesg"
  grep -E "$TROUBLE" "$result/dmesg" | grep -vE "${allow:-^\$}" >"$result/trouble"
  if [ -n "$expect" ] && [ $rc = 0 ]; then
    grep -qE "$expect" "$result/trouble" ||
      { echo "vm: no trouble like '$expect' was found in the kernel log" >>"$result/log"; rc=96; }
  elif [ -s "$result/trouble" ] && [ $rc != 77 ]; then
    { echo "vm: the kernel log has:"; cat "$result/trouble"; } >>"$result/log"
    [ $rc != 0 ] || rc=99
  fi
  if ! unload; then
    { echo "vm: the module does not unload after the test"; ps ax | grep -v '\['; } >>"$result/log"
    [ $rc != 0 ] || rc=98
    clear_remains || true
  fi
  local left
  left=$(find /dev/shm -maxdepth 1 -name 'diskd-*' -printf '%f (%k KiB) ' -delete)
  if [ -n "$left" ]; then # the next tests' memory
    echo "vm: the test has left RAM disks: $left" >>"$result/log"
    [ $rc != 0 ] || rc=95
  fi
  echo $rc >"$result/status"
  echo "vm: $(basename "$script" .sh) $rc $(cut -d' ' -f1 /proc/uptime) $(df --output=used /dev/shm | tail -1) KiB of /dev/shm"
}

# On a busy machine emulation is now and then too slow for any time limit, so a test that failed
# gets a second try; not one that left something in the kernel log, a module that does not unload,
# or a process that can't be killed.
failed_by_itself() { # RESULT_DIR
  case $(cat "$1/status") in 0 | 77 | 95 | 96 | 98 | 99) return 1 ;; esac
  [ -z "$hung" ] && [ ! -s "$1/trouble" ]
}

hung=
for script in "$TESTS"/*.sh; do
  name=$(basename "$script" .sh)
  [ "$name" != lib ] && [[ $name =~ $ONLY ]] || continue
  mkdir -p "$OUT/results/$name"
  if [ -n "$hung" ]; then
    echo "vm: not run: $hung hangs and can't be killed" >"$OUT/results/$name/log"
    echo 97 >"$OUT/results/$name/status"
    continue
  fi
  result=$OUT/results/$name
  run_test "$script" "$result"
  failed_by_itself "$result" || continue
  mv "$result" "$result.first"
  mkdir "$result"
  run_test "$script" "$result"
  echo "vm: second try; the first one, in $name.first, failed with $(cat "$result.first/status")" \
    >>"$result/log"
done
