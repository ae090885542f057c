// SPDX-License-Identifier: Apache-2.0
//
// Decides what to fetch before it is asked for: of a few streams of reads that follow each other,
// and of nothing else. Not thread-safe.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_READ_AHEAD_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_READ_AHEAD_H_

#include <algorithm>
#include <cstdint>
#include <list>

#include "drivers/object/types.h"

namespace diskd::object {

class ReadAhead {
 public:
  static constexpr size_t kStreams = 4;
  static constexpr int kReadsInOrder = 3;  // before the first fetch
  static constexpr uint64_t kFirstWindow = 32;
  // Once a stream is known, reads may overtake each other by so much.
  static constexpr uint64_t kSlack = 512;

  // `max_window`: blocks fetched before their reader at most, of one stream.
  explicit ReadAhead(uint64_t max_window) : max_window_(max_window) {}

  struct Range {
    Lba lba = 0;
    uint64_t blocks = 0;
  };
  // A read has come: what to fetch now, at most `room` blocks, none behind `end`.
  Range OnRead(Lba lba, uint64_t blocks, uint64_t room, Lba end) {
    const auto it = std::find_if(streams_.begin(), streams_.end(),
                                 [&](const Stream& stream) { return Continues(stream, lba); });
    if (it == streams_.end()) {
      streams_.push_front({lba + blocks, 0, 1, kFirstWindow});
      if (streams_.size() > kStreams) streams_.pop_back();
      return {};
    }
    streams_.splice(streams_.begin(), streams_, it);
    Stream& stream = streams_.front();
    stream.next = std::max(stream.next, lba + blocks);
    if (stream.reads < kReadsInOrder) ++stream.reads;
    if (stream.reads < kReadsInOrder) return {};
    const Lba from = std::max(stream.fetched, stream.next);
    const uint64_t window = std::min(stream.window, max_window_);
    if (from - stream.next > window / 2) return {};
    const Lba to = std::min({stream.next + window, from + room, end});
    if (to <= from) return {};
    stream.fetched = to;
    stream.window = std::min(max_window_, stream.window * 2);
    return {from, to - from};
  }

 private:
  struct Stream {
    Lba next;     // behind the last read
    Lba fetched;  // behind what was fetched
    int reads;    // in order, so far
    uint64_t window;
  };
  static bool Continues(const Stream& stream, Lba lba) {
    if (lba == stream.next) return true;
    return stream.reads >= kReadsInOrder && lba + kSlack >= stream.next &&
           lba <= stream.next + kSlack;
  }

  const uint64_t max_window_;
  std::list<Stream> streams_;  // the one last read from first
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_READ_AHEAD_H_
