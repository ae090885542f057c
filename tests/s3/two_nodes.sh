# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# For tests of two nodes that share a store: an agent each on this machine, each with its own state.
# Source it instead of volume_lib.sh. `on 0 COMMAND...` runs with the first one's agent.
. "$(readlink -f "$(dirname "${BASH_SOURCE[0]}")")/volume_lib.sh"

AGENTS=("" "")
on() { # NODE COMMAND...
  local node=$1 result=0
  shift
  RUN=$WORK/$node/run
  "$@" || result=$?
  return $result
}
diskctl() { "$DISKD_BIN_DIR/diskctl" --socket "$RUN/diskd.sock" "$@"; }
start_node() { # NODE
  mkdir -p "$WORK/$1/state" "$WORK/$1/run"
  setsid "$DISKD_BIN_DIR/diskd" --state-dir "$WORK/$1/state" --run-dir "$WORK/$1/run" \
    --driver-dir "$DISKD_BIN_DIR/drivers" >>"$WORK/agent.log" 2>&1 </dev/null &
  AGENTS[$1]=$!
  on "$1" wait_for "$START_LIMIT_S" diskctl ls || fail "agent $1 does not answer"
}
on_cleanup() {
  local node
  kill -CONT "${AGENTS[@]}" 2>/dev/null
  for node in 0 1; do
    RUN=$WORK/$node/run
    for volume in $(timeout 10 "$DISKD_BIN_DIR/diskctl" --socket "$RUN/diskd.sock" --quiet ls); do
      timeout 60 "$DISKD_BIN_DIR/diskctl" --socket "$RUN/diskd.sock" detach --force "$volume"
    done
    [ -z "${AGENTS[node]}" ] || kill -TERM "${AGENTS[node]}"
    [ -z "${AGENTS[node]}" ] || wait "${AGENTS[node]}"
  done >/dev/null 2>&1
  s3_stop
}
