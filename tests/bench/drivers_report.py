#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""drivers_report.py ROWS: the rows of driver_costs to one JSON object."""
import json
import sys

from rows import Rows

rows = Rows(sys.argv[1])
print(json.dumps({
    driver: {
        "durable_write_us": rows.median("durable_us", driver),
        "durable_write_us_more_than_recycled_file": rows.less("durable_us", driver, "recycled"),
        "durable_write_times_faster_than_growing_file": rows.over("durable_us", "growing", driver),
        "read_us_more_than_raw_file": rows.less("read_us", driver, "recycled"),
        "read_us_of_recent_writes": rows.median("recent_read_us", driver),
        "write_rate_relative_to_raw_sequential": rows.over("write_rate", driver, "sequential"),
        "write_rate_relative_to_file": rows.over("write_rate", driver, "file"),
    } for driver in ("memory", "file", "object")
}, indent=1))
