// SPDX-License-Identifier: Apache-2.0
//
// The newest records of a log, in one piece of memory that is used as the log itself: taken at one
// end, given back at the other one, in the same order. Not thread-safe.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_RECORD_MEMORY_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_RECORD_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "drivers/object/engine/aligned_buffer.h"

namespace diskd::object {

class RecordMemory {
 public:
  explicit RecordMemory(uint64_t blocks) : buffer_(blocks) {}

  // Block-aligned. nullptr: no room before older ones are given back.
  std::byte* Take(uint64_t blocks) {
    const uint64_t offset = head_ % buffer_.blocks();
    const uint64_t begin =
        offset + blocks <= buffer_.blocks() ? head_ : head_ + buffer_.blocks() - offset;
    if (begin + blocks - tail_ > buffer_.blocks()) return nullptr;
    head_ = begin + blocks;
    ends_.push_back(head_);
    return buffer_.block(begin % buffer_.blocks());
  }
  // There is one.
  void GiveBackOldest() {
    tail_ = ends_.front();
    ends_.pop_front();
    if (ends_.empty()) head_ = tail_ = 0;
  }
  uint64_t used_bytes() const { return (head_ - tail_) * kBlockBytes; }

 private:
  const AlignedBuffer buffer_;
  uint64_t head_ = 0;
  uint64_t tail_ = 0;
  std::deque<uint64_t> ends_;  // of what is taken
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_RECORD_MEMORY_H_
