// SPDX-License-Identifier: Apache-2.0
//
// Settings and limits of one open volume.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_OPTIONS_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "drivers/object/env/send_gate.h"
#include "drivers/object/format/claim.h"
#include "drivers/object/format/packing.h"

namespace diskd::object {

// Deliberate defects, each of which the simulation must find. Never set outside tests.
enum class Sabotage : uint8_t {
  kNone,
  kNoCrcCheck,         // data is believed without its checksum
  kFlushNotWaiting,    // a flush is answered before the device has flushed
  kCollectEarly,       // an object is deleted while a snapshot still needs it
  kUploadOutOfOrder,   // an object counts before its predecessors are stored
  kEpochNotChecked,    // a HEAD of another owner is replaced
  kMapPageLost,        // a checkpoint forgets a page
  kZeroOnMissing,      // a missing object reads as zeros
  kSealSkipped,        // a takeover does not end the old owner's stream
  kCloneNotPinned,     // a clone does not hold back what it shares
  kCacheNotChecked,    // what the read cache's file holds is believed
  kMemoryNotReplayed,  // records that only the log's memory has are forgotten
  // With Fencing::kLease:
  kNoSecondWait,        // an owner acts once its claim is settled, whoever had the volume
  kLateAnswer,          // what is answered after the lease counts
  kLeaseFromEnd,        // the lease is counted from the end of a look at the claim
  kCollectBeyondLease,  // collection goes on after the lease
  kHeadsOverlap,        // a HEAD is replaced while the store may still get an earlier one
};

// What keeps two owners of a volume apart.
enum class Fencing : uint8_t {
  kCas,    // conditional PUTs
  kLease,  // clocks: docs/object-lease.md
};

// What a flush waits for.
enum class Durability : uint8_t {
  kLocal,   // the local log
  kRemote,  // the local log and the store
};

// What has a size in bytes bounds memory; docs/object-volumes.md has the sum.
struct Options {
  Durability durability = Durability::kLocal;
  Fencing fencing = Fencing::kCas;
  // kLease; of a volume that exists: the same as at its creation.
  LeaseTimes lease;
  // What the store asks before it sends; nullptr: it doesn't. On a clock of this process.
  std::shared_ptr<SendGate> gate;
  // An object is made of at most so many bytes of the log...
  uint64_t object_bytes = 8 << 20;
  // ...or of what is there so long after the first write that it contains.
  absl::Duration upload_delay = absl::Seconds(5);
  // When writes begin to come without such a pause, full objects wait, so long at most (0: never)
  // and while less than 1/`burst_part` of the log is used: disk and CPUs are left to the writer.
  absl::Duration burst_pause = absl::Milliseconds(10);
  absl::Duration burst = absl::Seconds(1);
  uint64_t burst_part = 4;
  int uploads_in_flight = 4;
  // Objects of data on their way to the store, written and collected ones; those that are being
  // packed count twice.
  uint64_t body_bytes = 17 << 20;
  // What GETs have brought and nobody has taken yet.
  uint64_t read_bytes = 6 << 20;
  // A checkpoint after so many objects or so many changed blocks; both bound memory and the work
  // of the next open.
  int checkpoint_objects = 64;
  uint64_t checkpoint_blocks = 128 << 10;
  uint64_t map_object_bytes = 4 << 20;
  uint64_t page_cache_bytes = 4 << 20;
  uint64_t index_cache_bytes = 4 << 20;  // of packed objects
  // Fetched into the read cache before reads that follow each other, at most; 0: never.
  uint64_t read_ahead_blocks = 1024;
  // Of the read cache's file, with the header: what is written to it at once.
  uint32_t cache_segment_blocks = 128;
  // Written data kept in memory for reads and uploads, an object's worth; older data is read from
  // the log.
  uint64_t retained_log_bytes = 8 << 20;
  // Where that memory outlives the process, records go to the log's device so many bytes at a time,
  // or so long after they came, or when somebody waits for that.
  uint64_t settle_bytes = 1 << 20;
  absl::Duration settle_delay = absl::Milliseconds(5);
  // Collection: objects of which less than `collect_below` is live are copied together, those first
  // that free the most for the longest time, until `collect_until` of the rest is; at most
  // `collect_bytes` of live data at a time, which are 80 bytes of memory a block.
  double collect_below = 0.9;
  double collect_until = 0.72;
  uint64_t collect_bytes = 128 << 20;
  // A pass looks at so many objects, the next one at those behind: each is some 50 bytes of memory
  // then. 64 Ki are 512 GiB.
  size_t collect_objects = 64 << 10;
  // A pass begins when so many objects, and 1/`collect_part` of what was in use, were stored since
  // the last one; 0: only on request.
  int collect_every_objects = 64;
  int collect_part = 8;
  // Another one begins so long after what frees space and stores nothing: a snapshot deleted, a
  // rollback, a smaller size; discards of an object and of 1/`freed_part` of what was in use.
  absl::Duration freed_delay = absl::Seconds(30);
  int freed_part = 64;
  // Of a new volume: a page of the map names 2^this blocks or pages.
  uint8_t fanout_bits = 8;
  // New objects: compressed at this zstd level where that saves something; 0: never.
  int zstd_level = 0;
  // Of an encrypted volume; a new volume with a key is encrypted.
  std::optional<PackingKey> key;
  // Opens only with the log of the last owner, as that owner's successor. FAILED_PRECONDITION: the
  // log is another one, or another owner has come between; nothing was changed.
  bool successor = false;
  Sabotage sabotage = Sabotage::kNone;

  const PackingKey* key_or_null() const { return key.has_value() ? &*key : nullptr; }
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_OPTIONS_H_
