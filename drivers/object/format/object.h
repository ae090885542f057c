// SPDX-License-Identifier: Apache-2.0
//
// Objects of a volume in the store: immutable, self-describing, checksummed
// (docs/object-format.md, "Objects"). Pure functions, any thread.
#ifndef DISKD_DRIVERS_OBJECT_FORMAT_OBJECT_H_
#define DISKD_DRIVERS_OBJECT_FORMAT_OBJECT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "drivers/object/format/log_record.h"
#include "drivers/object/format/packing.h"
#include "drivers/object/types.h"

namespace diskd::object {

// Where a block of data is: block `block` (counted from the object's first byte) of object
// `sequence` of stream `stream` (of the HEAD's stream table; 0 is a hole, which reads as zeros).
struct BlockLocation {
  uint16_t stream = 0;
  uint16_t block = 0;
  uint32_t sequence = 0;
  uint32_t crc = 0;
  bool hole() const { return stream == 0; }
  // Whether it is the next block of the same object.
  bool Follows(const BlockLocation& before) const {
    return stream == before.stream && sequence == before.sequence && block == before.block + 1;
  }
  bool operator==(const BlockLocation&) const = default;
};

// Where a page of the map is: bytes [offset, offset + length) of an object.
struct PagePointer {
  uint16_t stream = 0;
  uint32_t sequence = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
  uint32_t crc = 0;
  bool hole() const { return stream == 0; }
  bool operator==(const PagePointer&) const = default;
};

enum class ObjectKind : uint8_t {
  kData = 1,   // a run of the write log
  kMoved = 2,  // live blocks collected from other objects
  kMap = 3,    // pages of the map
  kSeal = 4,   // the end of a stream
};

// A block that garbage collection copied: it counts only where the map still has `from`.
struct MovedBlock {
  Lba lba = 0;
  BlockLocation from;
  bool operator==(const MovedBlock&) const = default;
};

// Numbers from here on belong to objects that no recovery looks for, only what points to them
// does: pages of the map and moved blocks. The ones below are a stream's gap-free run.
inline constexpr uint32_t kFirstSideSequence = 0x80000000;

struct ObjectHeader {
  ObjectKind kind = ObjectKind::kData;
  Uuid volume;
  uint64_t epoch = 0;
  uint64_t nonce = 0;
  uint32_t sequence = 0;
  // Every object of the stream up to here was stored before this one was made. A recovery that
  // finds an earlier end has found a lost object.
  uint32_t confirmed = 0;
  WriteSequence first_sequence = 0;  // kData: of its operations
  WriteSequence last_sequence = 0;
  std::vector<LogOp> extents;        // kData: disjoint
  std::vector<MovedBlock> moved;     // kMoved
  std::vector<uint32_t> block_crcs;  // kData, kMoved: of the data blocks, in order
  // Packed data: the stored bytes of each frame of `frame_blocks` blocks, the last one perhaps
  // shorter. Not packed: 0 and none, and the blocks follow the header as they are.
  uint32_t frame_blocks = 0;
  bool encrypted = false;
  std::vector<uint32_t> frames;
  bool packed() const { return frame_blocks != 0; }
  bool operator==(const ObjectHeader&) const = default;
};

// Largest header a parser accepts, and what is fetched to get one, bytes.
inline constexpr uint32_t kMaxObjectHeaderBytes = 1 << 20;
inline constexpr uint32_t kHeaderFetchBytes = 64 << 10;

// Of the object's data, header excluded.
uint64_t ObjectDataBytes(const ObjectHeader& header);

// The header's length, a multiple of kBlockBytes; data begins there.
uint32_t ObjectHeaderBytes(const ObjectHeader& header);
// `key`: for `encrypted` ones.
std::string EncodeObjectHeader(const ObjectHeader& header, const PackingKey* key = nullptr);

// Bytes of header in an object that begins with these (at least 16) bytes.
absl::StatusOr<uint32_t> ParseObjectHeaderLength(absl::string_view start);
// `data` may go on behind the header. An encrypted one without a key is INVALID_ARGUMENT.
absl::StatusOr<ObjectHeader> ParseObjectHeader(absl::string_view data,
                                               const PackingKey* key = nullptr);

// "<volume>/<epoch>-<nonce>/<sequence>", hexadecimal.
std::string ObjectName(const Uuid& volume, uint64_t epoch, uint64_t nonce, uint32_t sequence);
std::string StreamPrefix(const Uuid& volume, uint64_t epoch, uint64_t nonce);
std::string VolumePrefix(const Uuid& volume);
std::string HeadName(const Uuid& volume);

struct ParsedObjectName {
  Uuid volume;
  uint64_t epoch = 0;
  uint64_t nonce = 0;
  uint32_t sequence = 0;
};
// INVALID_ARGUMENT: not the name of an object.
absl::StatusOr<ParsedObjectName> ParseObjectName(absl::string_view name);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_FORMAT_OBJECT_H_
