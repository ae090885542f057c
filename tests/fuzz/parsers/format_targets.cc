// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "drivers/object/format/bytes.h"
#include "drivers/object/format/crc32c.h"
#include "drivers/object/format/testing/samples.h"
#include "tests/fuzz/parsers/target.h"

namespace diskd::fuzz {
namespace {

using namespace ::diskd::object;  // NOLINT(build/namespaces): all of this is about it

constexpr size_t kMaxFrameBytes = kMaxFrameBlocks * kBlockBytes;

// With the checksum made right, so that more than one input in 2^32 gets behind it.
std::string Mended(absl::string_view bytes, size_t crc_at) {
  std::string mended(bytes);
  if (mended.size() < crc_at + 4) return mended;
  mended.replace(crc_at, 4, 4, '\0');
  const uint32_t crc = Crc32c(mended);
  for (int i = 0; i < 4; ++i) mended[crc_at + i] = static_cast<char>(crc >> (8 * i));
  return mended;
}

bool Head_(absl::string_view bytes) {
  bool taken = false;
  for (const std::string& data : {std::string(bytes), Mended(bytes, 12)}) {
    const absl::StatusOr<Head> head = ParseHead(data);
    if (!head.ok()) continue;
    taken = true;
    const absl::StatusOr<Head> again = ParseHead(EncodeHead(*head));
    Require(again.ok() && *again == *head, "a HEAD that was read can be written");
    for (const SnapshotEntry& snapshot : head->snapshots) {
      Require(snapshot.name.size() <= kMaxSnapshotNameBytes, "names of snapshots are bounded");
    }
  }
  return taken;
}

bool Superblock(absl::string_view bytes) {
  bool taken = false;
  for (const std::string& data : {std::string(bytes), Mended(bytes, 8)}) {
    const absl::StatusOr<LogSuperblock> parsed = ParseLogSuperblock(data);
    if (!parsed.ok()) continue;
    taken = true;
    const absl::StatusOr<LogSuperblock> again = ParseLogSuperblock(EncodeLogSuperblock(*parsed));
    Require(again.ok() && *again == *parsed, "a superblock that was read can be written");
  }
  return taken;
}

bool Record(absl::string_view bytes) {
  bool taken = false;
  for (const std::string& data : {std::string(bytes), Mended(bytes, 8)}) {
    uint32_t crc = 0;
    const absl::StatusOr<LogRecordHeader> parsed = ParseLogRecordHeader(data, &crc);
    if (!parsed.ok()) continue;
    taken = true;
    Require(LogRecordFits(parsed->ops.size(), parsed->block_crcs.size()), "a record is one block");
    size_t blocks = 0;
    for (const LogOp& op : parsed->ops) blocks += op.kind == OpKind::kWrite ? op.blocks : 0;
    Require(blocks == parsed->block_crcs.size(), "a checksum for each block");
    const auto again = ParseLogRecordHeader(EncodeLogRecordHeader(*parsed, &crc), &crc);
    Require(again.ok() && *again == *parsed, "a record that was read can be written");
  }
  return taken;
}

bool ObjectOf(absl::string_view data, const PackingKey* key) {
  const absl::StatusOr<ObjectHeader> parsed = ParseObjectHeader(data, key);
  if (!parsed.ok()) return false;
  if (!parsed->packed()) {
    Require(ObjectDataBytes(*parsed) == parsed->block_crcs.size() * kBlockBytes,
            "a checksum for each block");
  }
  const auto again = ParseObjectHeader(EncodeObjectHeader(*parsed, key), key);
  Require(again.ok() && *again == *parsed, "a header that was read can be written");
  return true;
}

bool Object(absl::string_view bytes) {
  bool taken = ObjectOf(bytes, nullptr);
  taken |= ObjectOf(bytes, &kTestKey);
  const absl::StatusOr<uint32_t> length = ParseObjectHeaderLength(bytes);
  if (!length.ok()) return taken;
  Require(*length <= kMaxObjectHeaderBytes, "headers are bounded");
  if (*length > bytes.size()) return taken;
  const std::string mended = Mended(bytes.substr(0, *length), 12);
  taken |= ObjectOf(mended, nullptr);
  taken |= ObjectOf(mended, &kTestKey);
  return taken;
}

bool Segment(absl::string_view bytes) {
  bool taken = false;
  for (const std::string& data : {std::string(bytes), Mended(bytes, 8)}) {
    const absl::StatusOr<CacheSegment> parsed = ParseCacheSegment(data);
    if (!parsed.ok()) continue;
    taken = true;
    Require(parsed->entries.size() < kMaxCacheSegmentBlocks, "a segment is bounded");
    const absl::StatusOr<CacheSegment> again = ParseCacheSegment(EncodeCacheSegment(*parsed));
    Require(again.ok() && *again == *parsed, "a segment that was read can be written");
  }
  return taken;
}

bool Page(absl::string_view bytes) {
  bool taken = false;
  for (const std::string& data : {std::string(bytes), Mended(bytes, 8)}) {
    const absl::StatusOr<MapPage> page = ParseMapPage(data);
    if (!page.ok()) continue;
    taken = true;
    const size_t entries = page->level == 0 ? page->blocks.size() : page->pages.size();
    Require(entries == size_t{1} << page->fanout_bits, "a page is full");
    const absl::StatusOr<MapPage> again = ParseMapPage(EncodeMapPage(*page));
    Require(again.ok() && *again == *page, "a page that was read can be written");
  }
  return taken;
}

// Two bytes: of the blocks; the rest is the frame.
bool Frame(absl::string_view bytes) {
  if (bytes.size() < 2) return false;
  const size_t size = (static_cast<uint8_t>(bytes[0]) | (static_cast<uint8_t>(bytes[1]) << 8)) + 1;
  const ObjectCipher cipher(kTestKey, TestVolume(), 2, 3, 4);
  bool taken = false;
  const ObjectCipher* const none = nullptr;
  for (const ObjectCipher* with : {none, &cipher}) {
    const auto plain = UnpackFrame(bytes.substr(2), 1, std::min(size, kMaxFrameBytes), with);
    Require(!plain.ok() || plain->size() == std::min(size, kMaxFrameBytes), "all of the blocks");
    taken |= plain.ok();
  }
  return taken;
}

template <class Value, class Parse, class Encode>
bool ReadAndWritten(absl::string_view bytes, Parse parse, Encode encode) {
  bool taken = false;
  for (const std::string& data : {std::string(bytes), Mended(bytes, 8)}) {
    const absl::StatusOr<Value> parsed = parse(data);
    if (!parsed.ok()) continue;
    taken = true;
    const absl::StatusOr<Value> again = parse(encode(*parsed));
    Require(again.ok() && *again == *parsed, "what was read can be written");
  }
  return taken;
}

bool Claim_(absl::string_view bytes) {
  return ReadAndWritten<Claim>(bytes, ParseClaim, EncodeClaim);
}

bool Beat_(absl::string_view bytes) { return ReadAndWritten<Beat>(bytes, ParseBeat, EncodeBeat); }

bool Name(absl::string_view bytes) {
  const absl::StatusOr<ParsedObjectName> parsed = ParseObjectName(bytes);
  if (!parsed.ok()) return false;
  Require(ObjectName(parsed->volume, parsed->epoch, parsed->nonce, parsed->sequence) == bytes,
          "an object has one name");
  return true;
}

std::vector<std::string> ObjectSeeds() {
  std::vector<std::string> seeds;
  for (ObjectKind kind :
       {ObjectKind::kData, ObjectKind::kMoved, ObjectKind::kMap, ObjectKind::kSeal}) {
    seeds.push_back(EncodeObjectHeader(TestObject(kind)));
  }
  seeds.push_back(EncodeObjectHeader(TestPackedObject(false)));
  seeds.push_back(EncodeObjectHeader(TestPackedObject(true), &kTestKey));
  return seeds;
}

std::vector<std::string> FrameSeeds() {
  const ObjectCipher cipher(kTestKey, TestVolume(), 2, 3, 4);
  const std::string blocks(kBlockBytes, 'x');
  const std::string size = "\xff\x0f";  // 4096 - 1
  return {size + PackFrame(blocks, 1, 1, nullptr), size + PackFrame(blocks, 1, 1, &cipher),
          size + PackFrame(blocks, 1, 0, nullptr)};
}

}  // namespace

std::vector<Target> FormatTargets() {
  return {
      {"head", Head_, [] { return std::vector<std::string>{EncodeHead(TestHead())}; }},
      {"log_superblock", Superblock,
       [] { return std::vector<std::string>{EncodeLogSuperblock(TestSuperblock())}; }},
      {"log_record", Record,
       [] {
         uint32_t crc;
         return std::vector<std::string>{EncodeLogRecordHeader(TestRecord(), &crc)};
       }},
      {"object_header", Object, ObjectSeeds},
      {"map_page", Page,
       [] {
         return std::vector<std::string>{EncodeMapPage(TestPage(0)), EncodeMapPage(TestPage(1))};
       }},
      {"cache_segment", Segment,
       [] { return std::vector<std::string>{EncodeCacheSegment(TestCacheSegment())}; }},
      {"packed_frame", Frame, FrameSeeds},
      {"claim", Claim_, [] { return std::vector<std::string>{EncodeClaim(TestClaim())}; }},
      {"beat", Beat_,
       [] {
         return std::vector<std::string>{EncodeBeat(TestBeat(false)), EncodeBeat(TestBeat(true))};
       }},
      {"object_name", Name,
       [] {
         return std::vector<std::string>{ObjectName(TestVolume(), 2, 0xabc, 9),
                                         HeadName(TestVolume())};
       }},
  };
}

}  // namespace diskd::fuzz
