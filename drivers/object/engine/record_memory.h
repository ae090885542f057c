// SPDX-License-Identifier: Apache-2.0
//
// The newest records of a log, in one piece of memory that is used as the log itself: taken at one
// end, given back at the other one, in the same order. Each taken piece lies behind the one before
// it, or at the memory's start. Not thread-safe.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_RECORD_MEMORY_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_RECORD_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/types/span.h"
#include "drivers/object/engine/aligned_buffer.h"

namespace diskd::object {

class RecordMemory {
 public:
  // In `lent`, block-aligned, which outlives this; where that is empty, in `blocks` of its own.
  RecordMemory(absl::Span<std::byte> lent, uint64_t blocks)
      : own_(lent.empty() ? AlignedBuffer(blocks) : AlignedBuffer()),
        memory_(lent.empty() ? own_.span() : lent),
        blocks_(memory_.size() / kBlockBytes) {}

  // Block-aligned. nullptr: no room before older ones are given back.
  std::byte* Take(uint64_t blocks) {
    const uint64_t offset = head_ % blocks_;
    const uint64_t begin = offset + blocks <= blocks_ ? head_ : head_ + blocks_ - offset;
    if (begin + blocks - tail_ > blocks_) return nullptr;
    head_ = begin + blocks;
    ends_.push_back(head_);
    return memory_.data() + begin % blocks_ * kBlockBytes;
  }
  // There is one.
  void GiveBackOldest() {
    tail_ = ends_.front();
    ends_.pop_front();
    if (ends_.empty()) head_ = tail_ = 0;
  }
  uint64_t used_bytes() const { return (head_ - tail_) * kBlockBytes; }

 private:
  const AlignedBuffer own_;
  const absl::Span<std::byte> memory_;
  const uint64_t blocks_;
  uint64_t head_ = 0;
  uint64_t tail_ = 0;
  std::deque<uint64_t> ends_;  // of what is taken
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_RECORD_MEMORY_H_
