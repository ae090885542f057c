// SPDX-License-Identifier: Apache-2.0
//
// The local write log on its device: two superblocks, then a ring of records
// (docs/object-format.md, "Write log"). Pure functions, any thread.
#ifndef DISKD_DRIVERS_OBJECT_FORMAT_LOG_RECORD_H_
#define DISKD_DRIVERS_OBJECT_FORMAT_LOG_RECORD_H_

#include <cstdint>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "drivers/object/types.h"

namespace diskd::object {

inline constexpr uint64_t kLogRingStart = 2 * kBlockBytes;  // after the superblocks

// Where a replay begins. Two copies, written in turn; the valid one of the higher generation
// counts.
struct LogSuperblock {
  Uuid volume;
  uint64_t log_id = 0;  // random, new with each format: stale content of the file never matches
  uint64_t generation = 0;
  uint64_t ring_blocks = 0;
  uint64_t start = 0;          // virtual ring position of the oldest needed record, blocks
  uint64_t next_lsn = 0;       // log sequence number of the record at `start`
  uint32_t previous_crc = 0;   // header checksum of the record before it
  WriteSequence uploaded = 0;  // every write up to here is in the store
  bool operator==(const LogSuperblock&) const = default;
};

std::string EncodeLogSuperblock(const LogSuperblock& superblock);  // kBlockBytes
absl::StatusOr<LogSuperblock> ParseLogSuperblock(absl::string_view block);

enum class OpKind : uint8_t { kWrite = 1, kZero = 2 };  // kZero: discard or write zeroes

struct LogOp {
  OpKind kind = OpKind::kWrite;
  Lba lba = 0;
  uint64_t blocks = 0;
  bool operator==(const LogOp&) const = default;
};

// Most records have one operation of one block, and there may be as many as a log has blocks.
using LogOps = absl::InlinedVector<LogOp, 1>;
using BlockCrcs = absl::InlinedVector<uint32_t, 2>;

// One record: a header block, then the data blocks of its writes in order. Operation i has write
// sequence first_sequence + i.
struct LogRecordHeader {
  uint64_t log_id = 0;
  uint64_t epoch = 0;
  uint64_t lsn = 0;
  // Every record up to here was flushed before this one was written: a replay that ends before it
  // has met damage, not the end of the log.
  uint64_t durable_lsn = 0;
  uint32_t previous_crc = 0;
  WriteSequence first_sequence = 0;
  LogOps ops;
  BlockCrcs block_crcs;  // one per data block
  bool operator==(const LogRecordHeader&) const = default;
};

inline constexpr size_t kLogOpBytes = 24;
inline constexpr size_t kLogRecordFixedBytes = 64;

// Whether a header block has room for so many.
constexpr bool LogRecordFits(size_t ops, size_t data_blocks) {
  return kLogRecordFixedBytes + ops * kLogOpBytes + data_blocks * 4 <= kBlockBytes;
}

// `crc`: receives the header's checksum, the next record's previous_crc. `buffer`: memory for the
// result.
std::string EncodeLogRecordHeader(const LogRecordHeader& header, uint32_t* crc,
                                  std::string buffer = {});
absl::StatusOr<LogRecordHeader> ParseLogRecordHeader(absl::string_view block, uint32_t* crc);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_FORMAT_LOG_RECORD_H_
