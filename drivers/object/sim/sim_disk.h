// SPDX-License-Identifier: Apache-2.0
//
// A disk with a volatile cache that loses, tears and reorders what no flush has covered; and memory
// of its machine, which outlives processes.
#ifndef DISKD_DRIVERS_OBJECT_SIM_SIM_DISK_H_
#define DISKD_DRIVERS_OBJECT_SIM_SIM_DISK_H_

#include <cstring>
#include <deque>
#include <memory>
#include <set>
#include <vector>

#include "drivers/object/engine/aligned_buffer.h"
#include "drivers/object/env/log_device.h"
#include "drivers/object/sim/sim_scheduler.h"

namespace diskd::object {

class SimDisk final : public LogDevice {
 public:
  // `cached_writes`: so many at most are kept from being durable for want of a flush.
  SimDisk(SimScheduler* scheduler, uint64_t blocks, size_t cached_writes = ~size_t{0});
  // From now on there is so much of it, full of zeros.
  void GiveMemory(uint64_t bytes) {
    memory_ = AlignedBuffer(bytes / kBlockBytes);
    memset(memory_.block(0), 0, bytes);
  }
  absl::Span<std::byte> memory() const { return memory_.span(); }

  uint64_t size_bytes() const override { return volatile_.size(); }
  void Read(uint64_t offset, absl::Span<std::byte> into, Done done) override;
  void Write(uint64_t offset, absl::Span<const std::byte> from, Done done) override;
  void Flush(Done done) override;

  // Every sector written since the last flush keeps its old or gets its new content, or becomes
  // unreadable; what is in flight never completes. Memory is gone.
  void PowerCut();
  // From now on, or not any more.
  void FailWrites(bool fail) { failing_ = fail; }
  // What lies there or behind it can't be read, as if the way to the disk was lost; ~0: all can.
  void FailReadsFrom(uint64_t offset) { unread_from_ = offset; }
  // Until it is written again.
  void LoseSector(uint64_t offset) { unreadable_.insert(offset / 512); }
  // One bit, in what was written.
  void FlipABit();
  bool idle() const { return in_flight_.empty(); }
  uint64_t reads() const { return reads_; }  // calls
  uint64_t writes() const { return next_id_; }

 private:
  struct Pending {
    uint64_t id;
    uint64_t offset;
    std::vector<std::byte> data;
  };
  void Apply(const Pending& write, std::vector<std::byte>& image);

  SimScheduler* const scheduler_;
  const size_t cached_writes_;
  std::vector<std::byte> volatile_;  // what reads see
  std::vector<std::byte> durable_;   // what a power cut leaves
  std::set<uint64_t> unreadable_;    // sectors
  std::deque<Pending> in_flight_;
  std::deque<Pending> unflushed_;  // done, in the order of completion
  AlignedBuffer memory_;
  bool failing_ = false;
  uint64_t unread_from_ = ~uint64_t{0};
  uint64_t next_id_ = 0;
  uint64_t reads_ = 0;
  // Another one after a power cut: events from before it are void, as are those of a lost disk.
  std::shared_ptr<const bool> power_ = std::make_shared<const bool>(true);
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_SIM_SIM_DISK_H_
