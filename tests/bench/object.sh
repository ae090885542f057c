#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What object volumes cost, each figure beside its peer, in one run. Prints one JSON object.
# usage: with_server.sh ceph object.sh BIN_DIR   (`./dev bench object` does that; the variables
# DISKD_TEST_S3_* describe the S3 server)
# Volumes are attached over FUSE + loop, or what DISKD_TRANSPORT says. What that costs by itself
# shows in the volume of the driver `memory`, and with a disk behind it in that of `file`.
export DISKD_BIN_DIR=$1
REPEATS=${REPEATS:-3}
SECONDS_EACH=${SECONDS_EACH:-4}
IDLE_S=${IDLE_S:-30}
COLD_READS=${COLD_READS:-2000}
# shellcheck source=tests/e2e/lib.sh
. "$(readlink -f "$(dirname "$0")")/../e2e/lib.sh"
export AWS_ACCESS_KEY_ID=$DISKD_TEST_S3_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$DISKD_TEST_S3_SECRET_KEY
BUCKET=$DISKD_TEST_S3_BUCKET
FILE_MIB=256

row() { # WHAT WHO VALUE
  [ $# = 3 ] && [ -n "$3" ] || fail "no figure for $1 of $2"
  printf '%s\n' "$*" >>"$WORK/rows"
}
progress() { printf -- '-- %s\n' "$*" >&2; }

create() { # NAME SIZE STORE [options]
  diskctl volume create "$1" --driver object --size "$2" --param "store=$3" \
    --param "endpoint=$DISKD_TEST_S3_ENDPOINT" "${@:4}" >/dev/null
}
create_dir() { diskctl volume create "$1" --driver object --size "$2" --param "store=dir:$WORK/store" >/dev/null; }
remove() { diskctl detach "$1" >/dev/null && diskctl volume delete "$1" >/dev/null; }
# Requests that the server has answered; all, or those of one method.
requests() { cat "$DISKD_TEST_S3_LOG" | grep -c "beast: .*\"${1:-[A-Z]*} /$BUCKET" || true; }

job() { # FILE [options]: fio's report
  fio --name=b --filename="$1" --bs=4k --size=$((FILE_MIB / 2))m --output-format=json "${@:2}"
}
timed=(--time_based --runtime="$SECONDS_EACH" --norandommap)
# Microseconds of a write and the sync behind it, the medians' sum.
durable_us() { # FILE [options]
  job "$1" --ioengine=psync --direct=1 --rw=randwrite --fdatasync=1 "${timed[@]}" "${@:2}" |
    json '(d["jobs"][0]["write"]["clat_ns"]["percentile"]["50.000000"] + d["jobs"][0]["sync"]["lat_ns"]["percentile"]["50.000000"]) / 1e3'
}
read_us() { # FILE
  job "$1" --ioengine=psync --direct=1 --rw=randread "${timed[@]}" |
    json 'd["jobs"][0]["read"]["clat_ns"]["percentile"]["50.000000"] / 1e3'
}
write_rate() { # FILE OPTIONS...: bytes a second
  job "$1" --ioengine=io_uring --direct=1 "${timed[@]}" --end_fsync=1 "${@:2}" |
    json 'd["jobs"][0]["write"]["bw_bytes"]'
}

written_file() { # FILE: of blocks that have all been written, as the write log is
  dd if=/dev/urandom of="$1" bs=1M count=$FILE_MIB conv=fsync status=none
}

latency_and_bandwidth() {
  local dir s3 memory file i
  written_file "$WORK/recycled"
  create_dir dir 1GiB
  create s3 1GiB "s3://$BUCKET/bench"
  diskctl volume create memory --driver memory --size 256MiB >/dev/null
  diskctl volume create file --driver file --size 256MiB >/dev/null
  dir=$(attach dir) s3=$(attach s3) memory=$(attach memory) file=$(attach file)
  for device in "$dir" "$s3" "$memory" "$file"; do
    dd if=/dev/urandom of="$device" bs=1M count=$((FILE_MIB / 2)) oflag=direct conv=fsync status=none
  done
  for i in $(seq "$REPEATS"); do
    progress "latency and bandwidth, round $i of $REPEATS"
    row durable_us recycled "$(durable_us "$WORK/recycled")"
    row durable_us dir "$(durable_us "$dir")"
    row durable_us s3 "$(durable_us "$s3")"
    row durable_us memory "$(durable_us "$memory")"
    row durable_us file "$(durable_us "$file")"
    rm -f "$WORK/growing"
    row durable_us growing "$(durable_us "$WORK/growing" --rw=write --fallocate=none --file_append=1 --size=1g)"
    for device in "$dir" "$s3"; do # into the read cache, what is in the store alone by now
      dd if="$device" of=/dev/null bs=1M count=$((FILE_MIB / 2)) iflag=direct status=none
    done
    row read_us recycled "$(read_us "$WORK/recycled")"
    row read_us dir "$(read_us "$dir")"
    row read_us s3 "$(read_us "$s3")"
    row read_us memory "$(read_us "$memory")"
    row read_us file "$(read_us "$file")"
    row write_rate recycled "$(write_rate "$WORK/recycled" --rw=write --bs=256k --iodepth=4)"
    row write_rate dir "$(write_rate "$dir" --rw=randwrite --iodepth=32)"
    row write_rate s3 "$(write_rate "$s3" --rw=randwrite --iodepth=32)"
    row write_rate memory "$(write_rate "$memory" --rw=randwrite --iodepth=32)"
    row write_rate file "$(write_rate "$file" --rw=randwrite --iodepth=32)"
  done
  row memory_mib s3 "$(peak_mib s3)"
  remove dir
  remove memory
  remove file
  remove s3
}

peak_mib() { # VOLUME
  awk '/^VmHWM/ { print $2 / 1024 }' "/proc/$(driver_pid "$1")/status"
}

# By default s3backer acknowledges a sync before it has stored anything; with --blockCacheSync it
# stores each block first. Both are measured: only the second one keeps the promise that we keep.
# Each gets the same writes, through the page cache, which s3backer's file needs; the volume also
# without, one write after the other, as does one of the driver `memory`: what the transport allows.
against_s3backer() {
  command -v s3backer >/dev/null || { progress "s3backer is not installed: left out"; return 0; }
  local device memory i iops=(--ioengine=psync --rw=randwrite --fsync=32 "${timed[@]}")
  printf '%s:%s\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >"$WORK/s3backer.keys"
  chmod 600 "$WORK/s3backer.keys"
  start_s3backer s3backer
  start_s3backer s3backer-synced --blockCacheSync --blockCacheWriteDelay=0
  create peer 1GiB "s3://$BUCKET/peer"
  diskctl volume create memory --driver memory --size 1GiB >/dev/null
  device=$(attach peer) memory=$(attach memory)
  for i in $(seq "$REPEATS"); do
    progress "s3backer, round $i of $REPEATS"
    for who in s3backer s3backer-synced; do
      row sync32_iops $who "$(job "$WORK/mnt/$who/disk" "${iops[@]}" | json 'd["jobs"][0]["write"]["iops"]')"
    done
    row sync32_iops s3 "$(job "$device" "${iops[@]}" | json 'd["jobs"][0]["write"]["iops"]')"
    row sync32_iops s3-direct "$(job "$device" "${iops[@]}" --direct=1 | json 'd["jobs"][0]["write"]["iops"]')"
    row sync32_iops memory-direct "$(job "$memory" "${iops[@]}" --direct=1 | json 'd["jobs"][0]["write"]["iops"]')"
  done
  umount "$WORK/mnt/s3backer" "$WORK/mnt/s3backer-synced"
  wait "${s3backers[@]}" || true
  remove peer
  remove memory
}
s3backers=()
start_s3backer() { # NAME [options]
  mkdir "$WORK/mnt/$1"
  s3backer -f --accessFile="$WORK/s3backer.keys" --baseURL="$DISKD_TEST_S3_ENDPOINT/" --blockSize=4k \
    --size=1g --prefix="$1/" --filename=disk "${@:2}" "$BUCKET" "$WORK/mnt/$1" >"$WORK/$1.log" 2>&1 &
  s3backers+=($!)
  wait_for 60 test -e "$WORK/mnt/$1/disk" || fail "s3backer: $(tail -3 "$WORK/$1.log")"
}

# Reads of what is in the store alone, against a client that does nothing but such requests.
cold_reads() {
  local device i
  create cold 1GiB "s3://$BUCKET/cold"
  device=$(attach cold)
  dd if=/dev/urandom of="$device" bs=1M count=$((FILE_MIB / 2)) oflag=direct conv=fsync status=none
  diskctl detach cold >/dev/null
  list_gets cold
  for i in $(seq "$REPEATS"); do
    progress "cold reads, round $i of $REPEATS"
    # Who comes second finds more in the server's caches.
    [ $((i % 2)) = 0 ] && row cold_iops bare "$(bare_gets)"
    cold_reads_of_volume
    [ $((i % 2)) = 1 ] && row cold_iops bare "$(bare_gets)"
  done
  diskctl volume delete cold >/dev/null
}

cold_reads_of_volume() {
  local device before
  find "$WORK/state" \( -name object.log -o -name object.cache \) -delete
  device=$(attach cold)
  before=$(requests GET)
  row cold_iops s3 "$(job "$device" --ioengine=io_uring --direct=1 --iodepth=32 --rw=randread \
    --io_size=$((COLD_READS * 4))k | json 'd["jobs"][0]["read"]["iops"]')"
  row cold_gets s3 "$(python3 -c "print(($(requests GET) - $before) / $COLD_READS)")"
  diskctl detach cold >/dev/null
}

# Ranges of 4 KiB of the objects that a volume's data is in, for curl.
list_gets() { # VOLUME
  local names urls=() name begin i
  names=$(grep -oP "\"PUT /$BUCKET/\K$1/[^ ]*(?= HTTP/1.1\" 200 8[0-9]{6} )" "$DISKD_TEST_S3_LOG")
  for name in $names; do urls+=("$("$REPO/tests/s3/presign.py" GET "$name")"); done
  [ ${#urls[@]} = $((FILE_MIB / 2 / 8)) ] || fail "${#urls[@]} objects of 8 MiB"
  for i in $(seq "$COLD_READS"); do
    begin=$((RANDOM % 2048 * 4096))
    printf 'url = "%s"\nrange = "%d-%d"\noutput = "/dev/null"\nfail\nsilent\nshow-error\n' \
      "${urls[RANDOM % ${#urls[@]}]}" $begin $((begin + 4095))
    [ "$i" = "$COLD_READS" ] || echo next
  done >"$WORK/gets"
}

bare_gets() { # what list_gets has listed, 32 at a time, a second
  local begin end
  begin=${EPOCHREALTIME/./}
  curl --parallel --parallel-immediate --parallel-max 32 -K "$WORK/gets" >"$WORK/curl.log" 2>&1 ||
    fail "curl: $(tail -2 "$WORK/curl.log")"
  end=${EPOCHREALTIME/./}
  python3 -c "print($COLD_READS * 1e6 / ($end - $begin))"
}

requests_per_gib() {
  local device before
  progress "requests per GiB, idle requests, memory"
  create many 2GiB "s3://$BUCKET/many"
  device=$(attach many)
  before=$(requests PUT)
  job "$device" --ioengine=io_uring --direct=1 --rw=randwrite --iodepth=32 --size=1g --end_fsync=1 >/dev/null
  settle PUT
  row puts_per_gib s3 $(($(requests PUT) - before))
  row memory_mib s3 "$(peak_mib many)"
  settle
  before=$(requests)
  sleep "$IDLE_S"
  row idle_requests s3 $(($(requests) - before))
  remove many
}

# What a snapshot and a clone cost the store when nothing is new, and the next durable write.
snapshots() {
  local device i before
  create origin 1GiB "s3://$BUCKET/origin"
  device=$(attach origin)
  scatter "$device" 64
  progress "snapshots"
  for i in $(seq $((5 * REPEATS))); do
    row first_write_us before "$(one_write_us "$device")"
    diskctl snapshot create origin "s$i" >/dev/null
    row first_write_us after "$(one_write_us "$device")"
  done
  settle PUT
  diskctl snapshot create origin checkpoint >/dev/null # the map pages, too
  before=$(requests PUT)
  diskctl snapshot create origin last >/dev/null
  row snapshot_puts s3 $(($(requests PUT) - before))
  before=$(requests PUT)
  diskctl volume clone origin last clone >/dev/null
  row clone_puts s3 $(($(requests PUT) - before))
  diskctl volume delete clone >/dev/null
  remove origin
}
one_write_us() { # DEVICE: of a durable write somewhere
  python3 - "$1" <<'EOF'
import mmap, os, random, sys, time
page = mmap.mmap(-1, 4096)
disk = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
begin = time.monotonic_ns()
os.pwrite(disk, page, random.randrange(1 << 18) * 4096)
os.fdatasync(disk)
print((time.monotonic_ns() - begin) / 1e3)
EOF
}

# What is the same on every machine, from engines on a simulated store.
counts() {
  progress "counts"
  "$DISKD_BIN_DIR/../test/object_figures" >"$WORK/counts"
  sed -E 's/^(.*[^ ]) +([0-9.]+) .*/\1\t\2/; s/[ ,]+/_/g; s/\t/ /; s/^/count /' "$WORK/counts" >>"$WORK/rows"
}

settle() { # [METHOD]: until no such request comes for a while
  local last=-1 now
  now=$(requests "$@")
  while [ "$now" != "$last" ]; do
    sleep 12 # longer than the upload's delay
    last=$now
    now=$(requests "$@")
  done
}

# From kill -9 of the driver to the first answer of the disk.
recovery_ms() { # VOLUME DEVICE
  local pid begin
  pid=$(driver_pid "$1")
  [ "$pid" -gt 1 ] || fail "$1 has no driver process to kill"
  begin=${EPOCHREALTIME/./}
  kill -9 "$pid"
  dd if="$2" of=/dev/null bs=4k count=1 skip=$((RANDOM % 1000)) iflag=direct status=none
  echo $(((${EPOCHREALTIME/./} - begin) / 1000))
}
# All over the disk, whatever its size.
scatter() { # DEVICE MIB
  fio --name=s --filename="$1" --ioengine=io_uring --direct=1 --bs=4k --rw=randwrite --iodepth=32 \
    --io_size="$2m" --norandommap --random_generator=tausworthe64 --end_fsync=1 --output=/dev/null
}
# The sizes in turns, each with as much in its log, and each of them first as often as the others.
recovery() {
  local sizes=(1GiB 64GiB 16TiB) size i k
  local -A device
  for size in "${sizes[@]}"; do
    create "disk$size" "$size" "s3://$BUCKET/recovery"
    device[$size]=$(attach "disk$size")
    scatter "${device[$size]}" 64
  done
  for i in $(seq 0 $((3 * REPEATS - 1))); do
    progress "recovery, round $((i + 1)) of $((3 * REPEATS))"
    for k in 0 1 2; do
      size=${sizes[$(((i + k) % 3))]}
      wait_for 60 uploaded "disk$size" || fail "not uploaded: $(diskctl volume stats "disk$size")"
      scatter "${device[$size]}" 16
      row recovery_ms "$size" "$(recovery_ms "disk$size" "${device[$size]}")"
    done
  done
  for size in "${sizes[@]}"; do
    row memory_mib "$size" "$(peak_mib "disk$size")"
    remove "disk$size"
  done
}

[ -n "${DISKD_TEST_S3_LOG:-}" ] || fail "DISKD_TEST_S3_LOG, the server's log with a line per request, is not set"
start_agent
for part in ${ONLY:-latency_and_bandwidth against_s3backer cold_reads requests_per_gib snapshots recovery counts}; do
  "$part"
done
python3 "$(readlink -f "$REPO/tests/bench/object_report.py")" "$WORK/rows"
