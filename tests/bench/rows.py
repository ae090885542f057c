# SPDX-License-Identifier: Apache-2.0
"""Lines `WHAT WHO VALUE` of a benchmark, one for each round: medians, and ratios to peers."""
import collections
import statistics


class Rows:
    def __init__(self, path):
        self._values = collections.defaultdict(lambda: collections.defaultdict(list))
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                what, who, value = line.split()
                self._values[what][who].append(float(value))

    def values(self, what, who):
        return self._values[what][who]

    def of(self, what):
        """By who."""
        return self._values[what]

    def median(self, what, who):
        values = self.values(what, who)
        return statistics.median(values) if values else None

    # Of a round's pairs, then the median: a round's disks are measured one after the other.
    def over(self, what, who, peer):
        pairs = [a / b for a, b in zip(self.values(what, who), self.values(what, peer)) if b]
        return round(statistics.median(pairs), 2) if pairs else None

    def less(self, what, who, peer):
        pairs = [a - b for a, b in zip(self.values(what, who), self.values(what, peer))]
        return round(statistics.median(pairs), 1) if pairs else None
