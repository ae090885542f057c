# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# For lib.sh: OpenStack Swift with its S3 interface; one replica, one device.

swift_installed() { "$PYTHON" -c 'import swift.common.wsgi'; } >/dev/null 2>&1

swift_ring() { # KIND PORT
  swift-ring-builder "$S3_WORK/$1.builder" create 4 1 1
  swift-ring-builder "$S3_WORK/$1.builder" add "r1z1-127.0.0.1:$2/disk" 1
  swift-ring-builder "$S3_WORK/$1.builder" rebalance
}

swift_storage_conf() { # KIND PORT
  cat <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $2
workers = 0
user = root
swift_dir = $S3_WORK
devices = $S3_WORK/devices
mount_check = false
log_level = ERROR
container_update_timeout = 30
conn_timeout = 10
node_timeout = 60
[pipeline:main]
pipeline = $1-server
[app:$1-server]
use = egg:swift#$1
CONF
}

swift_proxy_conf() {
  cat <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $S3_PORT
workers = 0
user = root
swift_dir = $S3_WORK
log_level = ERROR
[pipeline:main]
pipeline = catch_errors gatekeeper cache s3api tempauth proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 10
node_timeout = 60
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
# Wanted by tempauth, but nobody is there: every look-up is a miss.
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
allow_multipart_uploads = false
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = $DISKD_TEST_S3_SECRET_KEY .admin .reseller_admin
CONF
}

swift_create() {
  local ports
  read -r -a ports < <(free_ports 4)
  S3_PORT=${ports[0]}
  export DISKD_TEST_S3_ENDPOINT=http://127.0.0.1:$S3_PORT DISKD_TEST_S3_CONDITIONS=refused
  export DISKD_TEST_S3_ACCESS_KEY=test:tester DISKD_TEST_S3_SECRET_KEY=test-secret-of-this-run
  mkdir -p "$S3_WORK/devices/disk"
  printf '[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n[storage-policy:0]\nname = only\ndefault = yes\n' \
    >"$S3_WORK/swift.conf"
  local kind i=1
  for kind in account container object; do
    swift_storage_conf "$kind" "${ports[i]}" >"$S3_WORK/$kind.conf"
    swift_ring "$kind" "${ports[i]}" >>"$S3_WORK/log/rings" 2>&1 || s3_fail "can't build Swift's rings"
    i=$((i + 1))
  done
  swift_proxy_conf >"$S3_WORK/proxy.conf"
}

swift_run() {
  local kind
  for kind in account container object proxy; do
    run_server "$kind" "$PYTHON" "$S3_HERE/swift_server.py" "$S3_WORK" "$kind"
  done
}
