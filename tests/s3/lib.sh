# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# Real S3 servers from Debian's packages for tests: private state below $S3_WORK, free ports,
# processes of ours alone. Source it, then:
#   s3_start KIND   KIND is ceph (conditional PUT works) or swift (refuses it); sets and exports
#                   DISKD_TEST_S3_{ENDPOINT,BUCKET,ACCESS_KEY,SECRET_KEY,CONDITIONS}
#   s3_kill         kill -9, at once; what the server acknowledged stays
#   s3_kill_gateway the same to the process that clients talk to (ceph)
#   s3_restart      after these: the same server, port and content
#   s3_stop         and remove everything
set -euo pipefail

S3_HERE=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")")
S3_START_LIMIT_S=180
S3_WORK=
S3_KIND=
S3_PORT=
S3_PIDS=()
readonly PYTHON=/usr/bin/python3 # the one that Debian's modules are for

s3_fail() {
  printf 'FAIL: %s\n' "$*" >&2
  [ -z "$S3_WORK" ] || tail -n 3 "$S3_WORK"/log/* >&2 2>/dev/null || true
  exit 1
}
s3_skip() { printf 'skipped: %s\n' "$*"; exit 77; }

# free_ports COUNT: numbers that nobody listens on now
free_ports() {
  "$PYTHON" - "$1" <<'PY'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))
PY
}

# run_server NAME COMMAND...: in the background, its output in log/NAME
run_server() {
  local name=$1
  shift
  setsid "$@" >>"$S3_WORK/log/$name" 2>&1 </dev/null &
  S3_PIDS+=($!)
}

# await_bucket: until the server lets us have our bucket
await_bucket() {
  local deadline=$((SECONDS + S3_START_LIMIT_S)) pid
  until "$PYTHON" "$S3_HERE/make_bucket.py" >>"$S3_WORK/log/bucket" 2>&1; do
    [ $SECONDS -lt $deadline ] || s3_fail "$S3_KIND does not serve a bucket within $S3_START_LIMIT_S s"
    for pid in "${S3_PIDS[@]}"; do
      kill -0 "$pid" 2>/dev/null || s3_fail "a process of $S3_KIND stopped at its start"
    done
    sleep 0.3
  done
}

s3_start() {
  S3_KIND=$1
  [ "$(id -u)" = 0 ] || s3_skip "needs root to run $S3_KIND"
  # shellcheck source=/dev/null
  . "$S3_HERE/$S3_KIND.sh"
  "${S3_KIND}_installed" || s3_skip "$S3_KIND is not installed (./dev test s3 installs it)"
  S3_WORK=$(mktemp -d /tmp/diskd-s3.XXXXXX)
  mkdir -p "$S3_WORK/log"
  export DISKD_TEST_S3_BUCKET=diskd-test
  "${S3_KIND}_create"
  "${S3_KIND}_run"
  await_bucket
}

s3_kill() {
  [ ${#S3_PIDS[@]} -eq 0 ] || kill -9 "${S3_PIDS[@]}" 2>/dev/null || true
  local pid
  for pid in "${S3_PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
  S3_PIDS=()
}

# The process that speaks S3; the ones behind it, where there are some, go on.
s3_kill_gateway() {
  kill -9 "${S3_PIDS[-1]}"
  wait "${S3_PIDS[-1]}" 2>/dev/null || true
  unset 'S3_PIDS[-1]'
}

s3_restart() {
  "${S3_KIND}_run"
  await_bucket
}

s3_stop() {
  s3_kill
  [ -z "$S3_WORK" ] || rm -rf "$S3_WORK"
  S3_WORK=
}
