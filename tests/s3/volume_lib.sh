# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# For the tests beside it: a real S3 server of our own that can be killed and started again, and a
# private agent. Source it; then `open_server [KIND]` and `start_agent`.
. "$(readlink -f "$(dirname "${BASH_SOURCE[0]}")")/../e2e/lib.sh"
# shellcheck source=tests/s3/lib.sh
. "$REPO/tests/s3/lib.sh"
S3_KEYS=$WORK/keys
CATCH_UP_S=120

on_cleanup() { s3_stop; }

open_server() { # [ceph|swift]
  local begin=$SECONDS
  s3_start "${1:-ceph}"
  # Only root can read it: a driver process has to do so before it becomes somebody else.
  printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' \
    "$DISKD_TEST_S3_ACCESS_KEY" "$DISKD_TEST_S3_SECRET_KEY" >"$S3_KEYS"
  chmod 600 "$S3_KEYS"
  step "$S3_KIND is up after $((SECONDS - begin)) s"
}

create_volume() { # NAME SIZE [options of `volume create`]
  local name=$1 size=$2
  shift 2
  diskctl volume create "$name" --driver object --size "$size" \
    --param "store=s3://$DISKD_TEST_S3_BUCKET/volumes" --param "endpoint=$DISKD_TEST_S3_ENDPOINT" \
    --param "credentials_file=$S3_KEYS" --param log_mib=64 "$@" >/dev/null
}

has_driver() { [ "$(driver_pid "$1")" -gt 1 ]; } # VOLUME
state_is() { [ "$(attachment_state "$1")" = "ATTACHMENT_STATE_$2" ]; } # VOLUME STATE
await_driver() { wait_for 30 has_driver "$1" || fail "$1: no driver process within 30 s"; }
await_uploaded() { # VOLUME
  wait_for "$CATCH_UP_S" uploaded "$1" || fail "not uploaded: $(diskctl volume stats "$1")"
}
