// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/format/cache_segment.h"

#include "drivers/object/format/bytes.h"
#include "drivers/object/format/sealed_block.h"

namespace diskd::object {
namespace {

constexpr uint32_t kMagic = 0x43524b44;  // "DKRC"
constexpr uint32_t kVersion = 1;

}  // namespace

std::string EncodeCacheSegment(const CacheSegment& segment) {
  ByteWriter out;
  out.U32(kMagic);
  out.U32(kVersion);
  out.U32(0);
  out.U32(static_cast<uint32_t>(segment.entries.size()));
  out.Id(segment.volume);
  out.U64(segment.generation);
  out.U32(segment.index);
  out.U32(segment.blocks);
  out.ZeroFillTo(kCacheSegmentFixedBytes);
  for (const CacheEntry& entry : segment.entries) {
    out.U64(entry.nonce);
    out.U32(entry.sequence);
    out.U16(entry.block);
    out.U16(0);
    out.U32(entry.crc);
  }
  SealBlock(out, nullptr);
  return out.Take();
}

absl::StatusOr<CacheSegment> ParseCacheSegment(absl::string_view block) {
  auto in = OpenBlock(block, "cache", kMagic, kVersion, nullptr);
  if (!in.ok()) return in.status();
  CacheSegment segment;
  const uint32_t entries = in->U32();
  segment.volume = in->Id();
  segment.generation = in->U64();
  segment.index = in->U32();
  segment.blocks = in->U32();
  in->Raw(kCacheSegmentFixedBytes - 48);
  if (segment.blocks < 2 || segment.blocks > kMaxCacheSegmentBlocks || entries == 0 ||
      entries >= segment.blocks || segment.generation == 0) {
    return absl::DataLossError("cache segment has impossible counts");
  }
  for (uint32_t i = 0; i < entries; ++i) {
    CacheEntry entry;
    entry.nonce = in->U64();
    entry.sequence = in->U32();
    entry.block = in->U16();
    in->U16();
    entry.crc = in->U32();
    // The first block of an object is its header.
    if (entry.block == 0 || entry.sequence == 0) {
      return absl::DataLossError("cache segment names an impossible block");
    }
    segment.entries.push_back(entry);
  }
  if (!in->ok()) return absl::DataLossError("cache segment is cut short");
  return segment;
}

}  // namespace diskd::object
