// SPDX-License-Identifier: Apache-2.0
//
// The local read cache in its file: segments of a header block and data blocks
// (docs/object-format.md, "Read cache"). Pure functions, any thread.
#ifndef DISKD_DRIVERS_OBJECT_FORMAT_CACHE_SEGMENT_H_
#define DISKD_DRIVERS_OBJECT_FORMAT_CACHE_SEGMENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "drivers/object/types.h"

namespace diskd::object {

// What one data block holds: block `block` of object `sequence` of the stream with this nonce.
struct CacheEntry {
  uint64_t nonce = 0;
  uint32_t sequence = 0;
  uint16_t block = 0;
  uint32_t crc = 0;
  bool operator==(const CacheEntry&) const = default;
};

struct CacheSegment {
  Uuid volume;
  uint64_t generation = 0;  // +1 with each segment written; the highest is the newest
  uint32_t index = 0;       // of the segment in the file
  uint32_t blocks = 0;      // of each segment, with the header
  std::vector<CacheEntry> entries;
  bool operator==(const CacheSegment&) const = default;
};

inline constexpr size_t kCacheSegmentFixedBytes = 64;
inline constexpr size_t kCacheEntryBytes = 20;
inline constexpr uint32_t kMaxCacheSegmentBlocks =
    1 + (kBlockBytes - kCacheSegmentFixedBytes) / kCacheEntryBytes;

std::string EncodeCacheSegment(const CacheSegment& segment);  // kBlockBytes
absl::StatusOr<CacheSegment> ParseCacheSegment(absl::string_view block);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_FORMAT_CACHE_SEGMENT_H_
