#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""object_report.py ROWS: lines `WHAT WHO VALUE` to one JSON object: medians, and ratios to peers."""
import collections
import json
import statistics
import sys

rows = collections.defaultdict(lambda: collections.defaultdict(list))
for line in open(sys.argv[1]):
    what, who, value = line.split()
    rows[what][who].append(float(value))


def median(what, who):
    return statistics.median(rows[what][who]) if rows[what][who] else None


def over(numerator, denominator):
    """The median of the rounds' ratios: a round's devices ran one after the other."""
    pairs = [a / b for a, b in zip(numerator, denominator) if b]
    return round(statistics.median(pairs), 2) if pairs else None


def less(left, right):
    pairs = [a - b for a, b in zip(left, right)]
    return round(statistics.median(pairs), 1) if pairs else None


report = {}
for who in ("dir", "s3"):
    durable, read = rows["durable_us"], rows["read_us"]
    if not durable[who]:
        continue
    report[who] = {
        "durable_write_us_more_than_recycled_file": less(durable[who], durable["recycled"]),
        "of_which_transport_us": median("durable_us", "memory"),
        "durable_write_us_more_than_file_volume": less(durable[who], durable["file"]),
        "durable_write_times_faster_than_growing_file": over(durable["growing"], durable[who]),
        "durable_write_time_relative_to_recycled_file": over(durable[who], durable["recycled"]),
        "warm_read_us_more_than_raw_file": less(read[who], read["recycled"]),
        "warm_read_us_more_than_memory_volume": less(read[who], read["memory"]),
        "warm_read_us_more_than_file_volume": less(read[who], read["file"]),
        "write_rate_relative_to_raw_sequential": over(rows["write_rate"][who], rows["write_rate"]["recycled"]),
        "write_rate_relative_to_memory_volume": over(rows["write_rate"][who], rows["write_rate"]["memory"]),
        "write_rate_relative_to_file_volume": over(rows["write_rate"][who], rows["write_rate"]["file"]),
    }
s3 = report.setdefault("s3", {})
for peer in ("s3backer", "s3backer-synced"):
    s3["iops_sync32_relative_to_" + peer] = over(rows["sync32_iops"]["s3"], rows["sync32_iops"][peer])
s3["cold_read_iops_relative_to_bare_gets"] = over(rows["cold_iops"]["s3"], rows["cold_iops"]["bare"])
s3["gets_per_cold_read"] = median("cold_gets", "s3")
s3["puts_per_gib"] = median("puts_per_gib", "s3")
s3["idle_requests"] = median("idle_requests", "s3")
s3["recovery_relative_to_1GiB"] = {
    size: over(rows["recovery_ms"][size], rows["recovery_ms"]["1GiB"]) for size in ("64GiB", "16TiB")}
s3["recovery_ms"] = {size: median("recovery_ms", size) for size in ("1GiB", "64GiB", "16TiB")}
s3["peak_memory_mib"] = {who: max(values) for who, values in rows["memory_mib"].items()}
print(json.dumps(report, indent=1))
