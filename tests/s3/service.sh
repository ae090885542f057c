#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# service.sh SUITE PROBE: what must hold on the server that DISKD_TEST_S3_* describe. SUITE is the
# binary with the stores' conformance suite; of PROBE this checks the verdict, and that it keeps the
# keys to itself.
set -euo pipefail
"$1"

export AWS_ACCESS_KEY_ID=$DISKD_TEST_S3_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$DISKD_TEST_S3_SECRET_KEY
store=s3://$DISKD_TEST_S3_BUCKET/probe-test

fail() { printf 'FAIL: %s\n' "$*" >&2; exit 1; }

code=0
output=$("$2" "$store" --endpoint "$DISKD_TEST_S3_ENDPOINT" 2>&1) || code=$?
printf '%s\n' "$output"
case $DISKD_TEST_S3_CONDITIONS in
  honoured) [ $code = 0 ] || fail "exit code $code for a store that honours conditions" ;;
  refused)
    [ $code = 1 ] || fail "exit code $code for a store that refuses conditions"
    [[ $output == *fencing=lease* ]] || fail "no advice"
    ;;
esac

code=0
output=$(AWS_SECRET_ACCESS_KEY=not-the-secret "$2" "$store" --endpoint "$DISKD_TEST_S3_ENDPOINT" 2>&1) || code=$?
[ $code = 2 ] || fail "exit code $code with a wrong secret: $output"
[[ $output != *not-the-secret* ]] || fail "the secret is in the message"
