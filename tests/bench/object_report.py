#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""object_report.py ROWS: the rows of object.sh to one JSON object."""
import json
import sys

from rows import Rows

rows = Rows(sys.argv[1])
report = {}
for who in ("dir", "s3"):
    if not rows.values("durable_us", who):
        continue
    report[who] = {
        "durable_write_us_more_than_recycled_file": rows.less("durable_us", who, "recycled"),
        "of_which_transport_us": rows.median("durable_us", "memory"),
        "durable_write_us_more_than_file_volume": rows.less("durable_us", who, "file"),
        "durable_write_times_faster_than_growing_file": rows.over("durable_us", "growing", who),
        "durable_write_time_relative_to_recycled_file": rows.over("durable_us", who, "recycled"),
        "warm_read_us_more_than_raw_file": rows.less("read_us", who, "recycled"),
        "warm_read_us_more_than_memory_volume": rows.less("read_us", who, "memory"),
        "warm_read_us_more_than_file_volume": rows.less("read_us", who, "file"),
        "write_rate_relative_to_raw_sequential": rows.over("write_rate", who, "recycled"),
        "write_rate_relative_to_memory_volume": rows.over("write_rate", who, "memory"),
        "write_rate_relative_to_file_volume": rows.over("write_rate", who, "file"),
    }
s3 = report.setdefault("s3", {})
for peer in ("s3backer", "s3backer-synced"):
    s3["iops_sync32_relative_to_" + peer] = rows.over("sync32_iops", "s3", peer)
    s3["iops_sync32_direct_relative_to_" + peer] = rows.over("sync32_iops", "s3-direct", peer)
s3["iops_sync32_direct_relative_to_memory_volume"] = rows.over(
    "sync32_iops", "s3-direct", "memory-direct")
s3["cold_read_iops_relative_to_bare_gets"] = rows.over("cold_iops", "s3", "bare")
s3["gets_per_cold_read"] = rows.median("cold_gets", "s3")
s3["first_write_after_a_snapshot_relative_to_before"] = rows.over("first_write_us", "after", "before")
for what in ("snapshot_puts", "clone_puts"):
    s3[what] = rows.median(what, "s3")
s3["puts_per_gib"] = rows.median("puts_per_gib", "s3")
s3["idle_requests"] = rows.median("idle_requests", "s3")
s3["recovery_relative_to_1GiB"] = {
    size: rows.over("recovery_ms", size, "1GiB") for size in ("64GiB", "16TiB")}
s3["recovery_ms"] = {size: rows.median("recovery_ms", size) for size in ("1GiB", "64GiB", "16TiB")}
s3["peak_memory_mib"] = {who: max(values) for who, values in rows.of("memory_mib").items()}
report["simulated"] = {what: values[0] for what, values in rows.of("count").items()}
print(json.dumps(report, indent=1))
