#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A second agent (its own state, the same store) takes a mounted volume over while the first one still
# writes to it, ROUNDS times. The first one's driver stops with a state that `diskctl ls` shows; what it
# goes on writing, at once and with requests that were held up, changes nothing.
. "$(readlink -f "$(dirname "$0")")/two_nodes.sh"
ROUNDS=${ROUNDS:-2} FILES=5
ID=00112233445566778899aabbccddeeff
MOUNT=$WORK/mnt/disk
FENCED_LIMIT_S=30

fenced() { diskctl ls | grep -q "failed: .*another node has taken the volume over"; }

open_server
start_node 0
start_node 1
# Links to disks are the machine's: each node has a name of its own for the volume.
on 0 create_volume "here-$$" 64MiB --param volume=$ID
on 1 create_volume "there-$$" 64MiB --param volume=$ID --param existing=use
names=("here-$$" "there-$$")
owner=0
device=$(on 0 attach "here-$$")
mkfs.ext4 -q "$device"
mkdir "$MOUNT"
for ((round = 0; round < ROUNDS; round++)); do
  other=$((1 - owner))
  name=${names[owner]}
  mount "$device" "$MOUNT"
  [ $round = 0 ] || (cd "$MOUNT" && sha256sum --quiet -c "$WORK/sums") ||
    fail "round $round: files are damaged"
  head -c 3000000 /dev/urandom >"$MOUNT/file-$((round % FILES))"
  sync -f "$MOUNT"
  (cd "$MOUNT" && sha256sum file-*) >"$WORK/sums"
  on $owner await_uploaded "$name"
  fio --name=late --directory="$MOUNT" --ioengine=libaio --direct=1 --bs=64k --iodepth=4 --rw=randwrite \
    --size=8m --time_based --runtime=600 --rate=4m --output=/dev/null >/dev/null 2>&1 &
  fio=$!
  sleep 1
  # Its requests under way reach the store after it has lost the volume.
  pid=$(on $owner driver_pid "$name")
  [ $((round % 2)) = 0 ] || kill -STOP "$pid"
  began=$SECONDS
  taken=$(on $other attach "${names[other]}")
  step "round $round: taken over after $((SECONDS - began)) s"
  before=$(sha256sum <"$taken")
  [ $((round % 2)) = 0 ] || kill -CONT "$pid"
  on $owner wait_for $FENCED_LIMIT_S fenced || fail "it does not stop: $(on $owner diskctl ls)"
  on $owner diskctl ls | tail -1
  ! wait $fio || fail "fio does not notice"
  [ "$(on $owner driver_pid "$name")" = "$pid" ] || fail "the stale driver was replaced"
  on $owner refused 5 "another node" diskctl attach "$name" --transport "$TRANSPORT"
  umount -l "$MOUNT"
  on $owner diskctl detach --force "$name" >/dev/null
  [ "$(sha256sum <"$taken")" = "$before" ] || fail "the stale owner has changed something"
  e2fsck -fy "$taken" >"$WORK/fsck.log" 2>&1 || [ $? = 1 ] || fail "fsck: $(cat "$WORK/fsck.log")"
  device=$taken owner=$other
done
mount "$device" "$MOUNT"
(cd "$MOUNT" && sha256sum --quiet -c "$WORK/sums") || fail "files are damaged"
umount "$MOUNT"
on $owner diskctl detach "${names[owner]}" >/dev/null
on $owner diskctl volume check "${names[owner]}" >/dev/null
on 1 diskctl volume delete "there-$$" >/dev/null
on 0 diskctl volume delete "here-$$" >/dev/null
