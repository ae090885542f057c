// SPDX-License-Identifier: Apache-2.0
//
// The local read cache: blocks of objects in a file that survives restarts, written in whole
// segments, the oldest one replaced by the next. Blocks that were read while they were in the
// segment to be replaced stay, up to half of it.
//
// Nothing depends on it: a block counts only if it has the checksum that the map says, so whatever
// a crash, a torn write or another owner has left in the file is at worst a miss. Nothing is ever
// flushed. A device that fails is not used any more.
//
// Scheduler's thread only.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_READ_CACHE_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_READ_CACHE_H_

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "drivers/object/engine/aligned_buffer.h"
#include "drivers/object/engine/cache_index.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/engine/task.h"
#include "drivers/object/env/log_device.h"
#include "drivers/object/env/scheduler.h"
#include "drivers/object/format/cache_segment.h"
#include "drivers/object/format/head.h"

namespace diskd::object {

// In blocks.
struct CacheCounters {
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t stored = 0;
  uint64_t damaged = 0;   // had another checksum, or could not be read: fetched from the store
  uint64_t restored = 0;  // found in the file at its opening
};

class ReadCache {
 public:
  // `device` == nullptr or smaller than kMinSegments segments: there is no cache. Outlives it.
  ReadCache(LogDevice* device, Scheduler* scheduler, const Uuid& volume, const Options& options);

  // Reads in the background what the file has of these streams; until that is done it takes
  // nothing in.
  void Start(const std::vector<Stream>& streams);
  bool enabled() const { return device_ != nullptr && started_; }

  // Reads those of `places` that it has to `into` and sets their `have`.
  Task<void> Read(const std::vector<BlockLocation>& places, std::byte* into,
                  std::vector<bool>& have);
  bool Has(const BlockLocation& place) const {
    return enabled() && index_.Find(CacheIndex::KeyOf(place)).has_value();
  }
  // Takes a block in if there is room at once. `crc` of `place` is the block's.
  void Insert(const BlockLocation& place, const std::byte* block);
  // Until Insert has room, or there is no cache (any more).
  Task<void> WaitForRoom();
  // What is not in the file yet gets there.
  Task<void> Finish();

  const CacheCounters& counters() const { return counters_; }
  uint64_t index_bytes() const;

  static constexpr uint32_t kMinSegments = 12;

 private:
  // A segment in memory: being filled, or on its way into the file.
  struct Segment {
    uint32_t index = 0;
    CacheSegment header;
    AlignedBuffer buffer;
  };
  uint32_t SlotsEach() const { return segment_blocks_ - 1; }
  uint64_t SegmentOffset(uint32_t segment) const;
  const std::byte* InMemory(uint32_t slot) const;
  bool Good(const std::byte* block, uint32_t crc) const;
  bool Put(Segment& segment, const BlockLocation& place, const std::byte* block);
  void Seal();
  void Drop(uint32_t slot);
  void Disable();
  Task<void> Run();
  Task<void> LoadAll();
  Task<absl::Status> LoadOne(uint32_t segment);
  Task<void> Prepare();
  Task<void> KeepUsed(uint32_t segment, Segment& next);
  Task<void> WriteFirst();

  LogDevice* device_;
  Scheduler* const scheduler_;
  const Uuid volume_;
  const Options& options_;
  const uint32_t segment_blocks_;
  uint32_t segments_ = 0;
  bool started_ = false;
  bool loaded_ = false;
  absl::flat_hash_map<uint64_t, uint16_t> ids_;     // of streams, by nonce
  absl::flat_hash_map<uint16_t, uint64_t> nonces_;  // and back
  CacheIndex index_;
  uint64_t newest_ = 0;  // generation
  uint32_t next_ = 0;    // segment
  std::optional<Segment> open_;
  std::optional<Segment> ready_;
  std::deque<Segment> full_;  // to be written, in order
  AlignedBuffer spare_;       // of the last one that was written
  CacheCounters counters_;
  Signal work_;
  Signal room_;
  TaskSet tasks_;  // last: its tasks use everything above
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_READ_CACHE_H_
