# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# For lib.sh: one monitor, one manager, one OSD (bluestore in a sparse file), one RADOS gateway.

CEPH_STORE_BYTES=21474836480
CEPH_MEMORY_BYTES=939524096

ceph_installed() {
  command -v ceph-mon && command -v ceph-mgr && command -v ceph-osd && command -v radosgw
} >/dev/null

ceph_conf() { # FSID MON_PORT
  cat <<CONF
[global]
fsid = $1
mon host = v2:127.0.0.1:$2
mon_initial_members = a
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
ms_bind_ipv6 = false
keyring = $S3_WORK/keyring
run_dir = $S3_WORK/run
admin_socket = $S3_WORK/run/\$name.asok
pid_file =
log_file = $S3_WORK/log/\$name.log
auth_allow_insecure_global_id_reclaim = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_warn_on_pool_no_redundancy = false
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
[mon]
mon_data = $S3_WORK/mon
mon_cluster_log_file = $S3_WORK/log/cluster.log
mon_data_avail_crit = 1
mon_data_avail_warn = 2
[mgr]
mgr_data = $S3_WORK/mgr
mgr_initial_modules =
[osd]
osd_objectstore = bluestore
osd_data = $S3_WORK/osd
bluestore_block_size = $CEPH_STORE_BYTES
bluestore_cache_autotune = false
bluestore_cache_size = 134217728
osd_memory_target = $CEPH_MEMORY_BYTES
osd_fast_shutdown = true
[client.rgw]
rgw_data = $S3_WORK/rgw
rgw_frontends = beast endpoint=127.0.0.1:$S3_PORT tcp_nodelay=1
rgw_dns_name = localhost
rgw_enable_usage_log = false
CONF
}

ceph_keyring() {
  local key=$S3_WORK/keyring
  ceph-authtool --create-keyring "$key" --gen-key -n mon. --cap mon 'allow *'
  ceph-authtool "$key" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
  ceph-authtool "$key" --gen-key -n client.rgw --cap mon 'allow rw' --cap osd 'allow rwx' --cap mgr 'allow rw'
  ceph-authtool "$key" --gen-key -n mgr.x --cap mon 'allow profile mgr' --cap osd 'allow *'
  ceph-authtool "$key" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap mgr 'allow profile osd' --cap osd 'allow *'
}

ceph_create() {
  local mon_port fsid osd conf=$S3_WORK/ceph.conf
  read -r S3_PORT mon_port < <(free_ports 2)
  fsid=$(cat /proc/sys/kernel/random/uuid)
  osd=$(cat /proc/sys/kernel/random/uuid)
  mkdir -p "$S3_WORK"/{mon,mgr,osd,rgw,run}
  ceph_conf "$fsid" "$mon_port" >"$conf"
  export DISKD_TEST_S3_ENDPOINT=http://127.0.0.1:$S3_PORT DISKD_TEST_S3_CONDITIONS=honoured
  export DISKD_TEST_S3_ACCESS_KEY=AKTEST DISKD_TEST_S3_SECRET_KEY=test-secret-of-this-run
  export DISKD_TEST_S3_LOG=$S3_WORK/log/client.rgw.log # a line per request
  {
    ceph_keyring
    monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" "$S3_WORK/monmap"
    ceph-mon -c "$conf" --mkfs -i a --monmap "$S3_WORK/monmap" --keyring "$S3_WORK/keyring"
    run_server mon ceph-mon -c "$conf" -f -i a
    ceph -c "$conf" --connect-timeout 60 osd new "$osd"
    ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd"
    run_server osd ceph-osd -c "$conf" -f -i 0
    run_server mgr ceph-mgr -c "$conf" -f -i x
    timeout "$S3_START_LIMIT_S" radosgw-admin -c "$conf" user create --uid=test --display-name=test \
      --access-key="$DISKD_TEST_S3_ACCESS_KEY" --secret-key="$DISKD_TEST_S3_SECRET_KEY"
  } >"$S3_WORK/log/create" 2>&1 || s3_fail "can't set up Ceph: $(tail -3 "$S3_WORK/log/create")"
}

ceph_run() {
  local conf=$S3_WORK/ceph.conf
  if [ ${#S3_PIDS[@]} -eq 0 ]; then
    rm -f "$S3_WORK"/run/*
    run_server mon ceph-mon -c "$conf" -f -i a
    run_server osd ceph-osd -c "$conf" -f -i 0
    run_server mgr ceph-mgr -c "$conf" -f -i x
  fi
  run_server rgw radosgw -c "$conf" -f -n client.rgw
}
