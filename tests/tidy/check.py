#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the structure rules of docs/ARCHITECTURE.md over the tracked files; prints each breach."""
import re
import subprocess
import sys

FILE_LINES_MAX = 500
# Promises of their own: the example shows how little a server is.
LINES_MAX = {"kernel/example/null_server.c": 60}

OBJECT_TYPES = "drivers/object/types.h"
# folder -> what its files may include, beside themselves: folders, or single files; the longest
# matching folder counts.
MAY_INCLUDE = {
    "base": [],
    "kernel/uapi": [],
    "kernel/example": ["kernel/uapi"],
    "kernel/src": ["kernel/uapi"],
    "drivers/sdk/device": ["base", "kernel/uapi"],
    "drivers/sdk": ["base", "proto/driver", "kernel/uapi"],
    "drivers": ["base", "drivers/sdk"],
    "drivers/object/env": ["base", OBJECT_TYPES],
    "drivers/object/format": ["base", OBJECT_TYPES],
    "drivers/object/engine": ["base", OBJECT_TYPES, "drivers/object/env", "drivers/object/format"],
    "drivers/object/sim": ["base", OBJECT_TYPES, "drivers/object/env", "drivers/object/format",
                           "drivers/object/engine"],
    "drivers/object/store": ["base", "drivers/object/env"],
    "drivers/object/runtime": ["base", "drivers/object/env", "drivers/sdk"],
    "agent": ["base", "proto/diskd", "proto/driver", "drivers/sdk/device", "kernel/uapi"],
    "client/lib": ["base", "proto/diskd"],
    "client/diskctl": ["base", "proto/diskd", "client/lib"],
    "client/csi": ["base", "proto/diskd", "proto/csi", "client/lib"],
    "tests": [""],
}
OURS = {"base", "proto", "kernel", "drivers", "agent", "client", "tests"}
BANNED = [
    (re.compile(r"\b\w*(Manager|Helper|Utils?)\b"), "name says nothing; name the concept"),
    (re.compile(r"\b(FIXME|XXX)\b"), "finish it or file it"),
    (re.compile(r"/(work|farm|tmp/lab|tmp/build)/"), "path of one machine"),
]
CODE = re.compile(r"\.(h|cc|c|sh|py|proto)$|CMakeLists\.txt$|^dev$")
INCLUDE = re.compile(r'^#include "([^"]+)"')


def folder_of(path):
    matches = [f for f in MAY_INCLUDE if path == f or path.startswith(f + "/")]
    return max(matches, key=len, default=None)


def breaches(path, lines):
    folder = folder_of(path)
    if path != "tests/tidy/check.py":
        for number, line in enumerate(lines, 1):
            for pattern, why in BANNED:
                if pattern.search(line):
                    yield f"{path}:{number}: {pattern.search(line).group(0)}: {why}"
    if CODE.search(path):
        most = LINES_MAX.get(path, FILE_LINES_MAX)
        if len(lines) > most:
            yield f"{path}: {len(lines)} lines; split it (at most {most})"
        if not any("SPDX-License-Identifier" in line for line in lines[:3]):
            yield f"{path}: no SPDX-License-Identifier in the first three lines"
    if folder and re.search(r"\.(h|cc|c)$", path):
        allowed = [folder] + MAY_INCLUDE[folder]
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if not match or match.group(1).split("/")[0] not in OURS:
                continue
            target = match.group(1)
            if not any(a in ("", target) or target.startswith(a + "/") for a in allowed):
                yield f"{path}:{number}: {folder} must not include {target}"


def main():
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], check=True,
                           capture_output=True, text=True).stdout.split("\n")
    checked, found = 0, []
    for path in filter(None, files):
        if path.endswith(("LICENSE", ".png")):
            continue
        try:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
        checked += 1
        found += breaches(path, lines)
    print("\n".join(found))
    print(f"{checked} files checked, {len(found)} breaches")
    return 1 if found or checked < 10 else 0


if __name__ == "__main__":
    sys.exit(main())
