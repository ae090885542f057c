// SPDX-License-Identifier: Apache-2.0
//
// The local write log of a volume: a ring of records on a LogDevice. Concurrent writes share
// records, concurrent flushes share device flushes. A record is settled when it, and every earlier
// one, is on the device; flushes are answered when the device has flushed after that.
//
// Writes are answered in their order when their record is where the end of the process can't take
// it away: when it is settled; or at once, if the memory that records are made in outlives the
// process. Then they settle together, in the background, and Replay() takes from that memory what
// never came to the device. A record proves itself there as it does on the device: only one that
// goes on from the last one counts, whatever else the memory holds.
//
// The more of it is not in the store, the slower it takes writes (Throttle); when it is full, they
// wait. It is also full with as many operations as the ring has blocks, since each of them costs
// memory until it is in the store, and a discard takes hardly any room. Space is given back by
// Release() when writes are in the store; the ring never overwrites a record that the superblock on
// the device still counts.
//
// Scheduler's thread only. After a failed device write or flush the log is dead: everything in it
// and everything later fails with that status.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_WRITE_LOG_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_WRITE_LOG_H_

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "drivers/object/engine/aligned_buffer.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/engine/read_barrier.h"
#include "drivers/object/engine/record_memory.h"
#include "drivers/object/engine/task.h"
#include "drivers/object/engine/throttle.h"
#include "drivers/object/env/log_device.h"
#include "drivers/object/env/scheduler.h"
#include "drivers/object/format/log_record.h"

namespace diskd::object {

// Blocks of data in one operation and in one record at most.
inline constexpr uint64_t kMaxOpBlocks = 256;
// A ring that can hold a few of the largest records.
inline constexpr uint64_t kMinRingBlocks = 4 * (kMaxOpBlocks + 1);

// Where a written block is: at virtual ring position `position`, in blocks since the log's format.
struct LogBlock {
  uint64_t position = 0;
  uint32_t crc = 0;
  WriteSequence sequence = 0;
};

struct LogRecord {
  uint64_t lsn = 0;
  uint64_t position = 0;  // of the header block; data follows
  uint64_t blocks = 0;    // with the header
  WriteSequence first_sequence = 0;
  LogOps ops;
  BlockCrcs crcs;             // of the data blocks
  uint32_t previous_crc = 0;  // of the record before
  uint32_t crc = 0;
  bool on_device = false;
  bool boundary = false;  // a flush came right behind it; not each one behind its inner writes
  absl::Duration appended;
  std::byte* memory = nullptr;  // the record as written; nullptr: read it from the device
  uint64_t end() const { return position + blocks; }
  WriteSequence last_sequence() const { return first_sequence + ops.size() - 1; }
};

class WriteLog {
 public:
  using Done = std::function<void(absl::Status)>;
  struct Observer {
    // The writes of a record are answered now, and may be read. In order.
    std::function<void(const LogRecord&)> on_written;
    std::function<void(absl::Status)> on_failure;
    std::function<void()> on_full;  // a write waits for space
  };

  // What MemoryBytes() says, on a device of this size.
  static uint64_t MemoryBytes(const Options& options, uint64_t device_bytes);

  // `memory`: outlives the process and this, and nobody else changes it; block-aligned, of
  // MemoryBytes() at least, as the last user left it. Empty: there is none.
  WriteLog(LogDevice* device, absl::Span<std::byte> memory, Scheduler* scheduler,
           const Options& options, ReadBarrier* readers, Observer observer);

  // --- before Begin() ---
  // The newest valid superblock. NOT_FOUND: this is not a log of ours, or it was never formatted.
  Task<absl::StatusOr<LogSuperblock>> Load();
  // Makes an empty log; what was there never counts again.
  Task<absl::Status> Format(Uuid volume, uint64_t log_id, WriteSequence uploaded);
  // Reads the records that `superblock` counts and gives each to `sink`, in order; all of them are
  // on the device then. DATA_LOSS: a record that was flushed is damaged.
  Task<absl::Status> Replay(LogSuperblock superblock,
                            std::function<absl::Status(const LogRecord&)> sink);
  // Appends may begin; the first gets sequence number `next`. `uploaded`: as for Release().
  void Begin(uint64_t epoch, WriteSequence next, WriteSequence uploaded);

  // --- after Begin() ---
  // `data` stays valid until done; nullptr for kZero. `op.blocks` of a write: at most kMaxOpBlocks.
  // Begins with the next Commit() or Flush() at the latest.
  void Append(const LogOp& op, const std::byte* data, bool fua, Done done);
  // What was appended since the last time shares a record, if it fits into one.
  void Commit() { Pump(); }
  // Covers everything appended before.
  void Flush(Done done);
  // Everything up to `uploaded` is in the store. Its space is reused once no reader needs it.
  void Release(WriteSequence uploaded);
  // Ends everything with this status.
  void Fail(const absl::Status& status);

  // Reads blocks of written records from one position on, without crossing the ring's end; checks
  // nothing. The memory is block-aligned.
  Task<absl::Status> Read(uint64_t position, uint64_t blocks, std::byte* into);

  // nullptr: no such record (any more).
  const LogRecord* Find(uint64_t lsn) const;
  uint64_t written_lsn() const { return written_lsn_; }
  uint64_t first_lsn() const { return records_.empty() ? next_lsn_ : records_.front().lsn; }
  WriteSequence next_sequence() const { return next_sequence_; }  // of the next append
  uint64_t used_blocks() const { return head_ - start_; }
  uint64_t ring_blocks() const { return ring_blocks_; }
  bool full() const { return full_; }
  // That Replay() has found in memory only.
  uint64_t kept_records() const { return kept_records_; }
  // Whether writes are slowed down because the store is too slow.
  bool throttled() const { return Throttle::Pressure(Fill()) > 0; }

 private:
  struct PendingOp {
    LogOp op;
    const std::byte* data;
    bool fua;
    Done done;
    bool flushed = false;  // a flush came right behind it
  };
  struct FlushWaiter {
    WriteSequence sequence;
    Done done;
  };
  struct Waiting {  // writes of a record that are not answered
    std::vector<PendingOp> ops;
  };
  class Window;
  class Kept;

  uint64_t ByteOffset(uint64_t position) const;
  uint64_t PlaceFor(uint64_t position, uint64_t blocks) const;
  void Pump();
  bool BuildRecord();
  bool HasRoom(uint64_t end, size_t ops) const;
  void Fill(LogRecord& record, const std::vector<PendingOp>& ops);
  void AnswerWritten();
  std::byte* TakeMemory(uint64_t blocks);
  bool ForgetOldest();
  uint64_t CopyRetained(uint64_t position, uint64_t blocks, std::byte* into) const;
  void MaybeAdvance();
  bool MayGoOn();
  double Fill() const;
  void CountReleased();
  Task<void> Advance();
  Task<absl::Status> WriteSuperblock(const LogSuperblock& superblock);

  // log_settle.cc
  void Settle();
  size_t RecordsTogether() const;
  bool SettleNow() const;
  void ArmSettleTimer();
  void OnDevice(uint64_t first, uint64_t last, const absl::Status& status);
  void StartFlush();
  void AnswerFlushed();

  // log_replay.cc
  Task<absl::StatusOr<LogRecord>> ReadRecord(Window& window, uint64_t position);
  bool IsNext(const LogRecordHeader& header, uint64_t position) const;
  LogRecord GoOnWith(LogRecordHeader header, uint32_t crc, uint64_t position);
  absl::StatusOr<LogRecord> FindKept(Kept& kept);
  Task<absl::Status> WriteKept(const Kept& kept);
  Task<bool> DamageFollows(Window& window, uint64_t position);

  LogDevice* const device_;
  const absl::Span<std::byte> lasting_;  // empty: a record's memory ends with the process
  Scheduler* const scheduler_;
  const Options& options_;
  ReadBarrier* const readers_;
  const Observer observer_;

  LogSuperblock superblock_;  // as last written
  uint64_t ring_blocks_ = 0;
  uint64_t epoch_ = 0;
  uint64_t start_ = 0;  // nothing before it counts any more
  uint64_t head_ = 0;   // where the next record goes, or begins to search
  uint64_t next_lsn_ = 1;
  uint32_t last_crc_ = 0;
  std::string encoded_;  // the last record's header
  WriteSequence next_sequence_ = 1;
  WriteSequence released_ = 0;
  uint64_t released_lsn_ = 0;
  uint64_t released_end_ = 0;  // position behind the last released record
  uint64_t ops_ = 0;           // in records_
  uint64_t released_ops_ = 0;  // of them
  Throttle throttle_;
  absl::Duration next_record_;  // not before
  bool pump_later_ = false;
  std::deque<LogRecord> records_;  // from start_ on
  std::deque<Waiting> waiting_;    // of the records behind written_lsn_
  std::deque<PendingOp> pending_;  // not in a record yet
  std::deque<FlushWaiter> flush_waiters_;
  uint64_t written_lsn_ = 0;  // the last one that is answered
  bool answering_ = false;
  uint64_t sent_lsn_ = 0;  // the last one on its way to the device
  int sending_ = 0;        // device writes
  bool settle_timer_ = false;
  uint64_t settled_lsn_ = 0;
  WriteSequence settled_sequence_ = 0;
  uint64_t durable_lsn_ = 0;
  WriteSequence durable_sequence_ = 0;
  RecordMemory memory_;
  uint64_t retained_from_ = 1;  // lsn of the oldest record in it
  bool starved_ = false;        // a write waits for room in it
  bool flushing_ = false;
  bool advancing_ = false;
  uint64_t kept_records_ = 0;
  bool full_ = false;
  absl::Status failure_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  TaskSet tasks_;  // last: its tasks use everything above
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_WRITE_LOG_H_
