#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fencing=lease on OpenStack Swift, with a short lease. Two agents, one volume: while its owner goes on
# the other one is refused; an owner that was stopped (SIGSTOP) loses it, and when it goes on it answers
# nothing and changes nothing; an orderly detach lets the next one in sooner; a killed driver comes back.
. "$(readlink -f "$(dirname "$0")")/two_nodes.sh"
ID=00112233445566778899aabbccddee01
LEASE_S=6 LATE_S=3
FENCED_LIMIT_S=30

leased() { # NAME [options]
  create_volume "$1" 64MiB --param volume=$ID --param fencing=lease --param lease_s=$LEASE_S \
    --param late_s=$LATE_S "${@:2}"
}

open_server swift
start_node 0
start_node 1
on 0 refused 5 "fencing=lease" diskctl volume create "cas-$$" --driver object --size 64MiB \
  --param "store=s3://$DISKD_TEST_S3_BUCKET/volumes" --param "endpoint=$DISKD_TEST_S3_ENDPOINT" \
  --param "credentials_file=$S3_KEYS"
on 0 leased "here-$$"
on 1 leased "there-$$" --param existing=use
device=$(on 0 attach "here-$$")
head -c 1000000 /dev/urandom >"$WORK/data"
dd if="$WORK/data" of="$device" bs=1M conv=fsync,notrunc status=none
on 0 await_uploaded "here-$$"

step "the owner goes on"
on 1 refused 5 "detach it there" diskctl attach "there-$$" --transport "$TRANSPORT"
dd if="$WORK/data" of="$device" bs=1M conv=fsync,notrunc status=none

step "its driver is killed"
kill -9 "$(on 0 driver_pid "here-$$")"
cmp -n 1000000 "$WORK/data" "$device" || fail "what was written before the kill is not there"
on 0 await_uploaded "here-$$"

# With its agent, which would replace a driver that hangs.
step "its node is stopped"
pid=$(on 0 driver_pid "here-$$")
kill -STOP "${AGENTS[0]}" "$pid"
began=$SECONDS
taken=$(on 1 attach "there-$$")
step "taken over after $((SECONDS - began)) s"
cmp -n 1000000 "$WORK/data" "$taken" || fail "the next owner has something else"
before=$(sha256sum <"$taken")
kill -CONT "$pid"
! timeout $FENCED_LIMIT_S dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct status=none 2>/dev/null ||
  fail "the former owner has answered a write"
kill -CONT "${AGENTS[0]}"
on 0 diskctl detach --force "here-$$" >/dev/null
[ "$(sha256sum <"$taken")" = "$before" ] || fail "the former owner has changed something"

step "it is detached in order"
on 1 diskctl detach "there-$$" >/dev/null
began=$SECONDS
device=$(on 0 attach "here-$$")
step "attached again after $((SECONDS - began)) s"
cmp -n 1000000 "$WORK/data" "$device" || fail "the data is not there any more"
on 0 diskctl detach "here-$$" >/dev/null
on 0 diskctl volume check "here-$$" >/dev/null
on 1 diskctl volume delete "there-$$" >/dev/null
on 0 diskctl volume delete "here-$$" >/dev/null
