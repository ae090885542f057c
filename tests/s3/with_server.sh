#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# with_server.sh ceph|swift COMMAND...: runs COMMAND with a real S3 server at hand, described by the
# variables in lib.sh. Exit code 77: the server's packages are not there.
set -euo pipefail
# shellcheck source=tests/s3/lib.sh
. "$(readlink -f "$(dirname "$0")")/lib.sh"
trap s3_stop EXIT
begin=$SECONDS
s3_start "$1"
shift
printf '%s is up after %d s at %s\n' "$S3_KIND" $((SECONDS - begin)) "$DISKD_TEST_S3_ENDPOINT"
"$@"
