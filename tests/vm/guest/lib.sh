# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For guest tests of the module: loads it, serves disks with busesrv, cleans up.
set -euo pipefail
: "${BUSE_KO:?}" "${DISKD_BIN_DIR:?}" "${TIME_SCALE:?}"
busesrv() { "$DISKD_BIN_DIR/../test/busesrv" "$@"; }
WORK=/dev/shm/vm-test
rm -rf $WORK
mkdir -p $WORK/mnt

fail() {
  printf 'FAIL: %s\n' "$*" >&2
  exit 1
}
step() { printf -- '-- %s\n' "$*"; }

wait_for() { # LIMIT_S COMMAND...: the limit is for a stock kernel
  local deadline=$((SECONDS + $1 * TIME_SCALE))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.05
  done
}

# errno NUMBER COMMAND...: the command fails with this errno as exit code
errno() {
  local want=$1 rc=0
  shift
  if [ "$1" = busesrv ]; then
    shift
    set -- "$DISKD_BIN_DIR/../test/busesrv" "$@"
  fi
  timeout $((20 * TIME_SCALE)) "$@" 2>$WORK/err || rc=$?
  [ $rc = "$want" ] || fail "$*: exit code $rc, expected $want: $(cat $WORK/err)"
}
EPERM=1 ENOENT=2 EIO=5 EBUSY=16 EEXIST=17 ENODEV=19 EINVAL=22 EPROTO=71 ENOTCONN=107
export EPERM ENOENT EIO EBUSY EEXIST ENODEV EINVAL EPROTO ENOTCONN

SERVER=
serve() { # INDEX [options]: a server in the background, its pid in SERVER
  : >$WORK/server.out # the last server's must not be taken for this one's
  "$DISKD_BIN_DIR/../test/busesrv" serve "$@" >$WORK/server.out 2>$WORK/server.err &
  SERVER=$!
  wait_for 20 grep -q serving $WORK/server.out || fail "server: $(cat $WORK/server.err)"
}
kill_server() {
  kill -9 "$SERVER"
  wait "$SERVER" 2>/dev/null || true
  SERVER=
}

# disk NAME BYTES [members] -- [serve options]: a live disk, its index in INDEX
disk() {
  local members=()
  local name=$1 bytes=$2
  shift 2
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    members+=("$1")
    shift
  done
  [ $# -eq 0 ] || shift
  INDEX=$(busesrv create "$name" "$bytes" "${members[@]}")
  serve "$INDEX" "file=$WORK/$name.data" "stats=$WORK/$name.stats" "$@"
  busesrv start "$INDEX"
  DEV=/dev/buse$INDEX
  wait_for 10 test -b "$DEV" || fail "no $DEV"
}
stat_of() { busesrv stats "$WORK/$1.stats" | sed -n "s/^$2=//p"; }
state_of() { busesrv info "$1" | sed 's/.*state=\([a-z]*\).*/\1/'; }
remove() { # INDEX
  timeout $((30 * TIME_SCALE)) "$DISKD_BIN_DIR/../test/busesrv" stop "$1" || fail "stop: exit code $?"
  timeout $((30 * TIME_SCALE)) "$DISKD_BIN_DIR/../test/busesrv" destroy "$1" || fail "destroy: exit code $?"
}

# verify_start NAME [fio options]: verified writes in the background until verify_stop; slow machines
# make any fixed time either too short or too long.
verify_start() {
  rm -f $WORK/verify.stop
  (
    until [ -e $WORK/verify.stop ]; do
      fio --name="$1" --filename="$DEV" --ioengine=io_uring --direct=1 --iodepth=32 --rw=randwrite \
        --bsrange=4k-64k --size=48m --io_size=6m --verify=crc32c --verify_fatal=1 \
        --verify_backlog=64 --randrepeat=0 --output=$WORK/fio "${@:2}" 2>$WORK/fio.err || exit 1
    done
  ) &
  VERIFY=$!
}
verifying() { kill -0 "$VERIFY" 2>/dev/null || fail "fio: $(cat $WORK/fio $WORK/fio.err)"; }
verify_stop() {
  touch $WORK/verify.stop
  wait "$VERIFY" || fail "fio: $(cat $WORK/fio $WORK/fio.err)"
}

cleanup() {
  local rc=$? index
  set +e
  # Stop first: without a server an unmount would wait for one.
  for index in $(busesrv list 2>/dev/null); do
    timeout 20 "$DISKD_BIN_DIR/../test/busesrv" stop "$index" force 2>/dev/null
  done
  umount -l $WORK/mnt 2>/dev/null
  for index in $(busesrv list 2>/dev/null); do
    timeout 20 "$DISKD_BIN_DIR/../test/busesrv" destroy "$index" 2>/dev/null
  done
  pkill -9 busesrv
  pkill -9 busefeat
  # A tool that came after its disk was gone may have made a file of that name.
  find /dev -maxdepth 1 -name 'buse*' -type f -delete
  rm -rf $WORK
  exit $rc
}
trap cleanup EXIT
insmod "$BUSE_KO"
