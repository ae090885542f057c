#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An object volume that is compressed and encrypted: a file system with kill -9 of driver and agent,
# nothing readable in the store, a wrong or missing key is refused, clones inherit, and the key is
# nowhere but where it belongs.
. "$(dirname "$0")/lib.sh"

head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$WORK/key"
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$WORK/other-key"
chmod 600 "$WORK/key" "$WORK/other-key"
key=$(cat "$WORK/key")
marker="plain text that must not be seen in the store"
start_agent
size=(--driver object --size 128MiB --param "store=dir:$WORK/store" --param log_mib=32)
diskctl volume create byfile "${size[@]}" --param compression=zstd:3 \
  --param "encryption_key_file=$WORK/key" >/dev/null
diskctl volume create bysecret "${size[@]}" --param compression=zstd --param encryption=aes-256-gcm \
  --secret "encryption_key=$WORK/key" >/dev/null
refused 2 "takes no secret" diskctl volume create typo "${size[@]}" --secret "encrypton_key=$WORK/key"
refused 5 "key is not here" diskctl volume create nokey "${size[@]}" --param encryption=aes-256-gcm

has_driver() { [ "$(driver_pid "$1")" -gt 1 ]; }

for volume in byfile bysecret; do
  step "$volume: files, kill -9 of the driver in the middle, then of agent and driver"
  mnt=$WORK/mnt/$volume
  device=$(attach $volume)
  mkfs.ext4 -q "$device"
  mkdir "$mnt"
  mount "$device" "$mnt"
  for ((i = 0; i < 2000; i++)); do printf '%s %s\n' "$marker" "$i"; done >"$mnt/text"
  head -c 8M /dev/urandom >"$mnt/random"
  sync -f "$mnt"
  (cd "$mnt" && sha256sum text random) >"$WORK/sums.$volume"
  cp -a /usr/share/common-licenses "$mnt/" &
  copy=$!
  kill_driver $volume
  wait $copy
  wait_for 20 has_driver $volume || fail "no driver process within 20 s"
  (cd "$mnt" && sha256sum --quiet -c "$WORK/sums.$volume") || fail "files are damaged"
  kill_agent
  start_agent
  kill_driver $volume
  wait_for 20 has_driver $volume || fail "the next agent does not find the key"
  (cd "$mnt" && sha256sum --quiet -c "$WORK/sums.$volume") || fail "files are damaged"
  diskctl snapshot create $volume one >/dev/null
  umount "$mnt"
  diskctl detach $volume >/dev/null
  device=$(attach $volume)
  e2fsck -fn "$device" >"$WORK/fsck.log" 2>&1 || fail "e2fsck: $(cat "$WORK/fsck.log")"
  mount -o ro "$device" "$mnt"
  (cd "$mnt" && sha256sum --quiet -c "$WORK/sums.$volume") || fail "files are damaged"
  umount "$mnt"
  diskctl volume check $volume >/dev/null
  diskctl snapshot diff $volume one >/dev/null
  wait_for 30 uploaded $volume || fail "not uploaded"
done

step "the store shows nothing of it, and neither do database, logs and answers the key"
[ "$(find "$WORK/store" -type f -size +64k | wc -l)" -gt 0 ] || fail "nothing is in the store"
! grep -rqaF -- "$marker" "$WORK/store" || fail "the store shows the text"
! grep -rqaF -- "Apache License" "$WORK/store" || fail "the store shows the licenses"
! grep -rqF -- "$key" "$WORK/store" "$WORK/state" "$WORK/agent.log" "$WORK"/run/volumes/*/driver.log ||
  fail "the key has leaked"
! diskctl -o json volume ls | grep -qF -- "$key" || fail "the key is in an answer"
for pid in $(driver_pid byfile) $(driver_pid bysecret) "$AGENT_PID"; do
  ! tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qF -- "$key" || fail "the key is on a command line"
  ! tr '\0' '\n' <"/proc/$pid/environ" | grep -qF -- "$key" || fail "the key is in an environment"
done

step "a clone inherits; both keys in turn"
diskctl volume clone bysecret one copy >/dev/null
device=$(attach copy)
mkdir "$WORK/mnt/copy"
mount "$device" "$WORK/mnt/copy"
(cd "$WORK/mnt/copy" && sha256sum --quiet -c "$WORK/sums.bysecret") || fail "the clone differs"
umount "$WORK/mnt/copy"
diskctl detach copy >/dev/null
diskctl volume delete copy >/dev/null

step "a wrong or a missing key: refused, nothing is touched, the right one works again"
diskctl detach bysecret >/dev/null
refused 9 "not the one" attach bysecret --secret "encryption_key=$WORK/other-key"
refused 9 "not the one" diskctl volume check bysecret
diskctl volume secrets bysecret >/dev/null
refused 5 "diskctl volume secrets" attach bysecret
attach bysecret --secret "encryption_key=$WORK/key" >/dev/null
diskctl detach bysecret >/dev/null
diskctl detach byfile >/dev/null
mv "$WORK/key" "$WORK/key.away"
refused 5 "No such file.*put the volume's key" attach byfile
cp "$WORK/other-key" "$WORK/key"
refused 9 "not the one" attach byfile
chmod 644 "$WORK/key"
refused 5 "chmod o-rwx" attach byfile
mv "$WORK/key.away" "$WORK/key"
attach byfile >/dev/null
diskctl detach byfile >/dev/null
rm "$WORK/key" # a volume can be deleted without its key
diskctl volume delete byfile >/dev/null
diskctl volume delete bysecret >/dev/null
[ -z "$(ls -A "$WORK/run/secrets")" ] || fail "secrets of deleted volumes are kept"
left=$(find "$WORK/store/objects" -type f | wc -l)
[ "$left" = 0 ] || fail "$left objects are left in the store"
