// SPDX-License-Identifier: Apache-2.0
//
// How old the objects of a volume are, counted in data objects that its owners have stored since.
// Not thread-safe.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_OBJECT_AGES_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_OBJECT_AGES_H_

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "drivers/object/format/head.h"
#include "drivers/object/format/object.h"

namespace diskd::object {

class ObjectAges {
 public:
  // Of each pass of collection, in order: its first side sequence, and how many data objects of the
  // same stream were stored before it.
  using Passes = std::vector<std::pair<uint32_t, uint32_t>>;

  // `stored`: data objects of the stream `own`, that of the passes, which outlive this.
  ObjectAges(const Head& head, const Uuid& volume, uint16_t own, uint32_t stored,
             const Passes* passes)
      : own_(own), passes_(*passes) {
    for (const Stream& stream : head.streams) {
      if (stream.volume != volume || stream.id == own) continue;
      spans_[stream.id] = {now_, now_ + stream.end};
      now_ += stream.end;
    }
    spans_[own] = {now_, now_ + stored};
    now_ += stored;
  }

  // At least; that of collected objects of earlier owners is not known.
  uint64_t Of(uint16_t stream, uint32_t sequence) const {
    const auto span = spans_.find(stream);
    if (span == spans_.end()) return now_;
    const auto [begin, end] = span->second;
    uint64_t stored = end;
    if (sequence < kFirstSideSequence) {
      stored = begin + sequence;
    } else if (stream == own_) {
      const auto pass =
          std::upper_bound(passes_.begin(), passes_.end(), std::make_pair(sequence, ~uint32_t{0}));
      stored = pass == passes_.begin() ? begin : begin + std::prev(pass)->second;
    }
    return now_ - std::min(now_, stored);
  }

 private:
  const uint16_t own_;
  const Passes& passes_;
  absl::flat_hash_map<uint16_t, std::pair<uint64_t, uint64_t>> spans_;  // of all data objects
  uint64_t now_ = 0;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_OBJECT_AGES_H_
