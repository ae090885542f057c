// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/sim/sim_disk.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace diskd::object {
namespace {

constexpr uint64_t kSector = 512;

}  // namespace

SimDisk::SimDisk(SimScheduler* scheduler, uint64_t blocks, size_t cached_writes)
    : scheduler_(scheduler),
      cached_writes_(cached_writes),
      volatile_(blocks * 4096),
      durable_(blocks * 4096) {}

void SimDisk::Read(uint64_t offset, absl::Span<std::byte> into, Done done) {
  ++reads_;
  scheduler_->After(scheduler_->Micros(20, 200),
                    [=, this, power = std::weak_ptr<const bool>(power_)] {
                      if (power.expired()) return;
                      if (offset + into.size() > unread_from_) {
                        return done(absl::InternalError("the way to the disk is lost"));
                      }
                      const auto bad = unreadable_.lower_bound(offset / kSector);
                      if (bad != unreadable_.end() && *bad < (offset + into.size()) / kSector) {
                        return done(absl::DataLossError("unreadable sector"));
                      }
                      memcpy(into.data(), volatile_.data() + offset, into.size());
                      done(absl::OkStatus());
                    });
}

void SimDisk::Write(uint64_t offset, absl::Span<const std::byte> from, Done done) {
  const uint64_t id = next_id_++;
  if (failing_) {
    return scheduler_->After(scheduler_->Micros(50, 800),
                             [done] { done(absl::InternalError("the disk takes no write")); });
  }
  in_flight_.push_back({id, offset, {from.begin(), from.end()}});
  scheduler_->After(
      scheduler_->Micros(50, 800), [=, this, power = std::weak_ptr<const bool>(power_)] {
        if (power.expired()) return;
        const auto it = std::find_if(in_flight_.begin(), in_flight_.end(),
                                     [id](const Pending& write) { return write.id == id; });
        // A real disk takes it at any time until now.
        const bool lasts = from.data() >= memory_.block(0) && from.data() < memory_.span().end();
        if (lasts && memcmp(from.data(), it->data.data(), from.size()) != 0) abort();
        Apply(*it, volatile_);
        unflushed_.push_back(std::move(*it));
        in_flight_.erase(it);
        if (unflushed_.size() > cached_writes_) {
          Apply(unflushed_.front(), durable_);
          unflushed_.pop_front();
        }
        done(absl::OkStatus());
      });
}

void SimDisk::Flush(Done done) {
  const size_t covered = unflushed_.size();
  const uint64_t last = covered == 0 ? 0 : unflushed_.back().id;
  scheduler_->After(
      scheduler_->Micros(100, 3000), [=, this, power = std::weak_ptr<const bool>(power_)] {
        if (power.expired()) return;
        // Another flush may have taken them along.
        const bool there = std::any_of(unflushed_.begin(), unflushed_.end(),
                                       [last](const Pending& write) { return write.id == last; });
        for (bool more = covered > 0 && there; more; unflushed_.pop_front()) {
          more = unflushed_.front().id != last;
          Apply(unflushed_.front(), durable_);
        }
        done(absl::OkStatus());
      });
}

void SimDisk::Apply(const Pending& write, std::vector<std::byte>& image) {
  memcpy(image.data() + write.offset, write.data.data(), write.data.size());
  const auto first = unreadable_.lower_bound(write.offset / kSector);
  unreadable_.erase(first, unreadable_.lower_bound((write.offset + write.data.size()) / kSector));
}

void SimDisk::FlipABit() {
  const uint64_t at = scheduler_->Below(volatile_.size());
  const std::byte bit{static_cast<uint8_t>(1 << scheduler_->Below(8))};
  volatile_[at] ^= bit;
  durable_[at] ^= bit;
}

void SimDisk::PowerCut() {
  power_ = std::make_shared<const bool>(true);
  for (Pending& write : in_flight_) unflushed_.push_back(std::move(write));
  in_flight_.clear();
  const double kept = scheduler_->Chance(0.2)   ? 0
                      : scheduler_->Chance(0.2) ? 1
                                                : scheduler_->Below(100) / 100.0;
  const double whole = scheduler_->Chance(0.5) ? 0.8 : 0;
  for (const Pending& write : unflushed_) {
    const bool together = scheduler_->Chance(whole);
    const bool keep = scheduler_->Chance(kept);
    for (uint64_t at = 0; at < write.data.size(); at += kSector) {
      const uint64_t sector = (write.offset + at) / kSector;
      if (together ? keep : scheduler_->Chance(kept)) {
        memcpy(durable_.data() + write.offset + at, write.data.data() + at, kSector);
        unreadable_.erase(sector);
      } else if (scheduler_->Chance(0.01)) {
        unreadable_.insert(sector);
      }
    }
  }
  unflushed_.clear();
  volatile_ = durable_;
  if (!memory_.empty()) GiveMemory(memory_.bytes());
}

}  // namespace diskd::object
