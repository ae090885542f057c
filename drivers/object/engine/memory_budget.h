// SPDX-License-Identifier: Apache-2.0
//
// Memory that tasks share: each takes what it needs in one piece, waits until there is so much, and
// has its turn in the order of the calls. Whoever wants more than there is at all gets it when
// nobody else has any. Nobody may wait for a second grant while it holds one.
// Scheduler's thread only.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_MEMORY_BUDGET_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_MEMORY_BUDGET_H_

#include <algorithm>
#include <cstdint>
#include <list>
#include <utility>

#include "drivers/object/engine/task.h"

namespace diskd::object {

class MemoryBudget {
 public:
  // Given back with its end. The budget outlives it.
  class Grant {
   public:
    Grant() = default;
    Grant(MemoryBudget* budget, uint64_t bytes) : budget_(budget), bytes_(bytes) {}
    Grant(Grant&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Grant& operator=(Grant&& other) noexcept {
      Shrink(0);
      budget_ = std::exchange(other.budget_, nullptr);
      bytes_ = std::exchange(other.bytes_, 0);
      return *this;
    }
    ~Grant() { Shrink(0); }

    void Shrink(uint64_t to) {
      if (budget_ == nullptr || to >= bytes_) return;
      budget_->used_ -= bytes_ - to;
      bytes_ = to;
      budget_->freed_.Notify();
    }

   private:
    MemoryBudget* budget_ = nullptr;
    uint64_t bytes_ = 0;
  };

  MemoryBudget(Scheduler* scheduler, uint64_t bytes) : limit_(bytes), freed_(scheduler) {}

  Task<Grant> Take(uint64_t bytes) {
    const Turn turn(this);
    while (!turn.mine() || (used_ > 0 && used_ + bytes > limit_)) co_await freed_.Wait();
    used_ += bytes;
    most_ = std::max(most_, used_);
    co_return Grant(this, bytes);
  }

  uint64_t used() const { return used_; }
  uint64_t most() const { return most_; }  // at the same time, ever

 private:
  // In the queue; also ends when the task that waits is destroyed.
  class Turn {
   public:
    explicit Turn(MemoryBudget* budget)
        : budget_(budget), place_(budget->queue_.insert(budget->queue_.end(), this)) {}
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      budget_->queue_.erase(place_);
      budget_->freed_.Notify();
    }
    bool mine() const { return budget_->queue_.front() == this; }

   private:
    MemoryBudget* const budget_;
    const std::list<const Turn*>::iterator place_;
  };

  const uint64_t limit_;
  uint64_t used_ = 0;
  uint64_t most_ = 0;
  std::list<const Turn*> queue_;
  Signal freed_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_MEMORY_BUDGET_H_
