# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For the scripts beside it: a private agent in a temporary directory, and checks.
# Environment: DISKD_BIN_DIR; DISKD_TRANSPORT (fuse | buse, default fuse).
set -euo pipefail

: "${DISKD_BIN_DIR:?the directory with diskd and diskctl}"
TRANSPORT=${DISKD_TRANSPORT:-fuse}
export REPO
REPO=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
WORK=$(mktemp -d /tmp/diskd-e2e.XXXXXX)
cd "$WORK" # fio leaves files where it runs
AGENT_PID=
AGENT_OPTIONS=()
START_LIMIT_S=${START_LIMIT_S:-30}

fail() {
  printf 'FAIL: %s\n' "$*" >&2
  exit 1
}
skip() { printf 'skipped: %s\n' "$*"; exit 77; }
step() { printf -- '-- %s\n' "$*"; }

[ "$(id -u)" = 0 ] || skip "needs root"
case $TRANSPORT in
  fuse) [ -e /dev/fuse ] && [ -e /dev/loop-control ] || skip "needs /dev/fuse and loop devices" ;;
  buse) [ -e /dev/buse-control ] || skip "the buse module is not loaded" ;;
esac

diskctl() { "$DISKD_BIN_DIR/diskctl" --socket "$WORK/run/diskd.sock" "$@"; }

# wait_for LIMIT_S COMMAND...: until the command succeeds
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.02
  done
}

start_agent() {
  mkdir -p "$WORK/state" "$WORK/run"
  setsid "$DISKD_BIN_DIR/diskd" --state-dir "$WORK/state" --run-dir "$WORK/run" \
    --driver-dir "${DRIVER_DIR:-$DISKD_BIN_DIR/drivers}" "${AGENT_OPTIONS[@]}" \
    >>"$WORK/agent.log" 2>&1 </dev/null &
  AGENT_PID=$!
  wait_for $START_LIMIT_S diskctl ls || fail "the agent does not answer: $(tail -3 "$WORK/agent.log")"
}

kill_agent() { # [SIGNAL]
  kill "-${1:-KILL}" "$AGENT_PID"
  wait "$AGENT_PID" 2>/dev/null || true
  AGENT_PID=
}

# json FILTER...: python expression over `d`, the decoded JSON on standard input
json() { python3 -c 'import json,sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }

driver_pid() { # VOLUME: 0 while there is none
  diskctl -o json volume get "$1" | json 'd["volume"]["attachment"]["driverPid"]'
}
attachment_state() {
  diskctl -o json volume get "$1" | json 'd["volume"]["attachment"]["state"]'
}

statistic() { # VOLUME NAME
  diskctl -o json volume stats "$1" |
    json "next(int(s['value']) for s in d['statistics'] if s['name'] == '$2')"
}
uploaded() { [ "$(statistic "$1" writes_not_uploaded)" = 0 ]; } # VOLUME

attach() { # VOLUME [options]: prints the device
  diskctl --quiet attach "$@" --transport "$TRANSPORT"
}

# refused CODE PATTERN COMMAND...: the command exits with CODE and says PATTERN
refused() {
  local code=$1 pattern=$2 out rc=0
  shift 2
  out=$("$@" 2>&1) || rc=$?
  [ "$rc" = "$code" ] || fail "$*: exit code $rc, expected $code: $out"
  grep -qiE -- "$pattern" <<<"$out" || fail "$*: says \"$out\", expected /$pattern/"
}

kill_driver() { # VOLUME: SIGKILL; fails when there is none
  local pid
  pid=$(driver_pid "$1")
  [ "$pid" -gt 1 ] || fail "$1 has no driver process to kill"
  kill -9 "$pid"
}

# A process that is no child of ours may stay a zombie until somebody reaps it.
has_ended() { [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; } # PID

# DIR: without the run directory itself, which the test has made
mounts_under() {
  awk -v p="$1" -v run="$WORK/run" 'index($5, p) == 1 && $5 != run { print $5 }' /proc/self/mountinfo
}

cleanup() {
  local rc=$? mount volume process
  set +e
  if [ "$rc" != 0 ] && [ "$rc" != 77 ]; then
    printf -- '---- agent log\n'
    tail -40 "$WORK/agent.log"
    tail -n 15 "$WORK"/run/volumes/*/driver.log
  fi >&2 2>/dev/null
  mounts_under "$WORK/mnt" | sort -r | while read -r mount; do umount -l "$mount"; done
  if [ -n "$AGENT_PID" ] && kill -0 "$AGENT_PID" 2>/dev/null; then
    for volume in $(timeout 10 "$DISKD_BIN_DIR/diskctl" --socket "$WORK/run/diskd.sock" --quiet ls); do
      timeout 30 "$DISKD_BIN_DIR/diskctl" --socket "$WORK/run/diskd.sock" detach --force "$volume" >/dev/null
    done
    kill -TERM "$AGENT_PID"
    wait "$AGENT_PID" 2>/dev/null
  fi
  [ "$(type -t on_cleanup)" != function ] || on_cleanup
  pkill -9 -f -- "$WORK" 2>/dev/null
  # Driver processes outlive their agent by design; theirs log into our directory.
  for process in /proc/[0-9]*; do
    case $(readlink "$process/fd/2") in "$WORK"/*) kill -9 "${process#/proc/}" ;; esac
  done 2>/dev/null
  # RAM disks that the test has not deleted would fill the machine's memory.
  for volume in "$WORK"/run/volumes/*; do rm -f "/dev/shm/diskd-$(basename "$volume")"; done
  losetup -nl -O NAME,BACK-FILE | awk -v w="$WORK" 'index($2, w) == 1 { print $1 }' | xargs -r -n 1 losetup -d
  mounts_under "$WORK" | sort -r | while read -r mount; do umount -f -l "$mount"; done
  umount -l "$WORK/run"
  rm -rf "$WORK"
  exit "$rc"
}
trap cleanup EXIT
mkdir -p "$WORK/mnt" "$WORK/run"
mount -t tmpfs -o mode=755 diskd-e2e "$WORK/run" # as /run is
