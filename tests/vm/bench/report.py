#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes one JSON object of the lines that guest.sh printed.

usage: report.py cost|iops KERNEL console-CPUS.log...
"""
import functools
import json
import re
import statistics
import sys

LINE = re.compile(r"(COST|SYSCALLS|IOPS) (\S+) (\S+) (\S+) (\d+) ([\d.]+)$")
SPECS = [("randread", 32), ("randwrite", 32), ("randread", 1), ("randwrite", 1)]
UBLK, FLOOR = "ublk-ram", "null_blk"
BUSE = ("buse-memory", "buse-bio")  # on a disk of requests, and of bios


def read(path):
    """{kind: {system: {setting: {"pattern qdN": [values]}}}} of one machine."""
    result = {}
    for line in open(path, errors="replace"):
        found = LINE.search(line)  # the firmware's last words may precede it
        if not found:
            continue
        kind, system, setting, pattern, depth, value = found.groups()
        where = result.setdefault(kind, {}).setdefault(system, {}).setdefault(setting, {})
        where.setdefault(f"{pattern} qd{depth}", []).append(float(value))
    return result


def medians(table):
    return {
        system: {
            setting: {spec: round(statistics.median(values), 3) for spec, values in specs.items()}
            for setting, specs in settings.items()
        }
        for system, settings in table.items()
    }


def best(table, system, spec, pick, avoid=None):
    """(value, setting) of the best setting whose name does not have `avoid` in it."""
    found = [
        (specs[spec], setting)
        for setting, specs in table.get(system, {}).items()
        if spec in specs and (avoid is None or avoid not in setting)
    ]
    return pick(found) if found else (None, None)


def ratio(a, b):
    return round(a / b, 3) if a and b else None


def paired(measured, table, spec, ours, theirs, avoid=None):
    """The median of the ratios within each round, and their quartiles; each side's best setting."""
    settings = [best(table, ours, spec, max)[1], best(table, theirs, spec, max, avoid)[1]]
    if None in settings:
        return None
    values = [measured[name][s][spec] for name, s in zip((ours, theirs), settings)]
    ratios = [a / b for a, b in zip(*values) if b]
    if len(ratios) < 2:
        return {"median": ratio(*[v[0] for v in values])}
    low, middle, high = (round(q, 2) for q in statistics.quantiles(ratios, n=4, method="inclusive"))
    return {"median": middle, "quartiles": [low, high]}


def cost_ratios(table, cpus, ours, spec):
    """One of our systems beside the others, or None."""
    floor = best(table, FLOOR, spec, min)[0]
    buse, buse_setting = best(table, ours, spec, min)
    ublk, ublk_setting = best(table, UBLK, spec, min)
    if not (floor and buse and ublk):
        return None
    row = {
        "excess": ratio(buse - floor, ublk - floor),
        "total": ratio(buse, ublk),
        "total_to_null_blk": ratio(buse, floor),
        "buse_setting": buse_setting,
        "ublk_setting": ublk_setting,
    }
    plain = best(table, UBLK, spec, min, avoid="spin")[0]
    if cpus > 1 and plain:
        row["total_to_ublk_without_spin"] = ratio(buse, plain)
        row["excess_to_ublk_without_spin"] = ratio(buse - floor, plain - floor)
    return row


def cost(paths):
    out = {"instructions_per_io": {}, "server_system_calls_per_io": {}}
    ratios = {}
    for path in paths:
        cpus = int(re.search(r"console-(\d+)\.log$", path).group(1))
        measured = read(path)
        table = medians(measured.get("COST", {}))
        out["instructions_per_io"][f"smp{cpus}"] = table
        out["server_system_calls_per_io"][f"smp{cpus}"] = medians(measured.get("SYSCALLS", {}))
        for pattern, depth in SPECS:
            spec = f"{pattern} qd{depth}"
            for ours in BUSE:
                row = cost_ratios(table, cpus, ours, spec)
                if row:
                    where = ratios.setdefault(ours, {}).setdefault(f"qd{depth}_smp{cpus}", {})
                    where[pattern] = row
    # Of the disk of requests, as null_blk and ublk are: those of bios are in best_settings.
    for where in ("qd32_smp1", "qd32_smp2"):
        rows = ratios.get(BUSE[0], {}).get(where, {})
        out[f"ratio_excess_{where}"] = {pattern: row["excess"] for pattern, row in rows.items()}
    out["best_settings"] = ratios
    return out


def iops(paths):
    measured = read(paths[0])["IOPS"]
    table = medians(measured)
    out = {"iops": table, "relative": {}}
    out["spread"] = {
        system: {
            setting: {
                spec: round((max(v) - min(v)) / statistics.median(v), 2)
                for spec, v in specs.items()
                if statistics.median(v)
            }
            for setting, specs in settings.items()
        }
        for system, settings in measured.items()
    }
    for pattern, depth in SPECS:
        spec = f"{pattern} qd{depth}"
        relative = functools.partial(paired, measured, table, spec)
        row = {}
        for ours in BUSE:
            row[ours] = {
                system: relative(ours, system) for system in (UBLK, "nbd", FLOOR, "ramblk")
            }
            row[ours]["ublk-ram without spin"] = relative(ours, UBLK, avoid="spin")
            row[ours]["setting"] = best(table, ours, spec, max)[1]
        row["polled to ublk-ram"] = relative("buse-polled", UBLK)
        row["polled to ublk-ram without spin"] = relative("buse-polled", UBLK, avoid="spin")
        row["polled to nbd"] = relative("buse-polled", "nbd")
        row["ublk_setting"] = best(table, UBLK, spec, max)[1]
        out["relative"][spec] = row
    return out


def main():
    bench, kernel, *paths = sys.argv[1:]
    result = {"bench": bench, "kernel": kernel}
    result.update(cost(paths) if bench == "cost" else iops(paths))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
