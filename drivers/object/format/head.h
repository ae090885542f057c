// SPDX-License-Identifier: Apache-2.0
//
// The HEAD of a volume: the one object that is replaced, always by compare-and-swap
// (docs/object-format.md, "HEAD"). Pure functions, any thread.
#ifndef DISKD_DRIVERS_OBJECT_FORMAT_HEAD_H_
#define DISKD_DRIVERS_OBJECT_FORMAT_HEAD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "drivers/object/format/object.h"
#include "drivers/object/format/packing.h"
#include "drivers/object/types.h"

namespace diskd::object {

// The objects one owner wrote in one epoch.
struct Stream {
  uint16_t id = 0;  // what locations name it by; in a clone, the parent's ids keep their meaning
  Uuid volume;
  uint64_t epoch = 0;
  uint64_t nonce = 0;
  uint32_t end = 0;  // sequence of its seal; 0: not known to be sealed
  bool operator==(const Stream&) const = default;
};

struct SnapshotEntry {
  uint64_t id = 0;
  std::string name;
  bool deleted = false;  // kept for its clones only
  WriteSequence sequence = 0;
  uint64_t size_blocks = 0;
  PagePointer root;
  std::vector<Uuid> clones;  // volumes whose HEADs reach what this one does; it stays for them
  bool operator==(const SnapshotEntry&) const = default;
};

// The map as of one object of one stream; what follows is found by reading on from there.
struct Checkpoint {
  uint16_t stream = 0;
  uint32_t sequence = 0;  // last object it contains
  WriteSequence written = 0;
  PagePointer root;
  bool operator==(const Checkpoint&) const = default;
};

enum class VolumeState : uint8_t {
  kLive = 0,
  kDeleted = 1,  // never opened again; what is left of it is for the clones of its snapshots
  kCopying = 2,  // being filled by a copy; not opened before that is complete
};

struct Head {
  Uuid volume;
  VolumeState state = VolumeState::kLive;
  uint64_t epoch = 0;
  uint64_t nonce = 0;       // of the owner; no two owners share one
  uint64_t generation = 0;  // +1 with each replacement
  uint64_t log_id = 0;      // the owner's local log
  uint64_t size_blocks = 0;
  uint8_t fanout_bits = 8;
  uint64_t next_snapshot_id = 1;
  // kCopying, or copied_blocks > 0: what was copied. Else, if not zero: the volume and the snapshot
  // that this is a clone of, which holds back their data until this HEAD is gone.
  Uuid origin;
  uint64_t origin_snapshot = 0;
  uint64_t copied_blocks = 0;  // kCopying: so many are here; live: it was filled by a copy
  bool packed = false;         // objects may be; a reader has to look at their headers first
  bool encrypted = false;
  KeyCheck key_check{};
  Checkpoint checkpoint;
  std::vector<Stream> streams;
  std::vector<SnapshotEntry> snapshots;
  bool operator==(const Head&) const = default;

  const Stream* FindStream(uint16_t id) const;
  const SnapshotEntry* FindSnapshot(uint64_t id) const;
  // Deletes it, or marks it deleted if it has clones.
  void RemoveSnapshot(uint64_t id);
};

inline constexpr uint8_t kMinFanoutBits = 2;
inline constexpr uint8_t kMaxFanoutBits = 10;
inline constexpr size_t kMaxSnapshotNameBytes = 255;

std::string EncodeHead(const Head& head);
absl::StatusOr<Head> ParseHead(absl::string_view data);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_FORMAT_HEAD_H_
