// SPDX-License-Identifier: Apache-2.0
//
// The file of a write log as a LogDevice.
//
// A stream of writes goes through the page cache: a write is done when the kernel has it, which
// outlives this process, and the kernel writes it to the disk in large pieces, in the background.
// What comes soon after a flush goes past the cache (O_DIRECT): it is likely to be flushed next,
// which is quicker then. So does everything while the machine is short of memory, or makes those
// wait who write to its page cache: memory may become free only by what this log takes.
//
// Engine's turns only.
#ifndef DISKD_DRIVERS_OBJECT_RUNTIME_WRITE_BACK_LOG_H_
#define DISKD_DRIVERS_OBJECT_RUNTIME_WRITE_BACK_LOG_H_

#include <deque>
#include <functional>

#include "absl/time/time.h"
#include "drivers/object/runtime/log_file.h"
#include "drivers/object/runtime/uring_log.h"

namespace diskd::object {

class WriteBackLog final : public LogDevice {
 public:
  // A stream is what has written so much since the last flush.
  static constexpr uint64_t kStreamBytes = 1 << 20;
  // What is written back together.
  static constexpr uint64_t kPieceBytes = 1 << 20;
  // In the page cache and not on the disk. A flush takes longer by as long as that takes.
  static constexpr uint64_t kDirtyBytes = 16 << 20;
  // In both, to be uploaded from there.
  static constexpr uint64_t kKeptBytes = 32 << 20;
  // What the machine must have available, looked at so often.
  static constexpr uint64_t kEnoughMemory = 256 << 20;
  static constexpr absl::Duration kMemoryLook = absl::Milliseconds(10);
  // The kernel delays those who write to the page cache when it has too much to write back. So many
  // delays in a row, or a very long one, and the cache is left alone for some time; so it is when
  // it takes nothing.
  static constexpr absl::Duration kSlow = absl::Milliseconds(50);
  static constexpr int kSlowInARow = 4;
  static constexpr absl::Duration kVerySlow = absl::Milliseconds(200);
  static constexpr absl::Duration kAfterSlow = absl::Seconds(5);

  // `available_memory`: of the machine, in bytes.
  WriteBackLog(EngineThread* thread, LogFile file, std::function<uint64_t()> available_memory);

  uint64_t size_bytes() const override { return direct_.size_bytes(); }
  void Read(uint64_t offset, absl::Span<std::byte> into, Done done) override;
  void Write(uint64_t offset, absl::Span<const std::byte> from, Done done) override;
  void Flush(Done done) override;

  // Not OK: something was answered that the disk never took. Nothing is written or flushed any
  // more.
  const absl::Status& failure() const { return failure_; }

  // That have ended. Any thread.
  uint64_t reads() const { return direct_.reads() + cached_.reads(); }

 private:
  struct Piece {
    uint64_t begin;
    uint64_t end;
    bool on_disk;
    bool Has(uint64_t offset) const { return begin <= offset && offset < end; }
  };
  struct Waiting {
    uint64_t offset;
    absl::Span<const std::byte> from;
    Done done;
  };
  bool UseCache();
  bool TooDirty() const { return dirty_bytes_ + open_.end - open_.begin >= kDirtyBytes; }
  void WriteCached(uint64_t offset, absl::Span<const std::byte> from, Done done);
  void Took(absl::Duration time, bool failed);
  void WriteBack();
  void OnWrittenBack(uint64_t begin, const absl::Status& status);

  EngineThread* const thread_;
  UringLog direct_;
  UringLog cached_;
  const std::function<uint64_t()> available_memory_;
  const bool pages_fit_;
  uint64_t since_flush_ = 0;  // bytes written
  bool enough_memory_ = false;
  absl::Duration look_at_memory_;
  int slow_ = 0;
  absl::Duration past_cache_until_;
  int copying_ = 0;              // writes into the cache that are under way
  Piece open_{};                 // being filled
  std::deque<Piece> pieces_;     // others in the cache, oldest first
  uint64_t dirty_bytes_ = 0;     // of those
  uint64_t cached_bytes_ = 0;    // of all of them
  std::deque<Waiting> waiting_;  // until less is dirty
  absl::Status failure_;
};

// Of the machine; 0 if it can't be found out.
uint64_t AvailableMemory();

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_RUNTIME_WRITE_BACK_LOG_H_
