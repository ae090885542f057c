// SPDX-License-Identifier: Apache-2.0
//
// Virtual time and randomness: everything in a simulated world follows from one seed.
#ifndef DISKD_DRIVERS_OBJECT_SIM_SIM_SCHEDULER_H_
#define DISKD_DRIVERS_OBJECT_SIM_SIM_SCHEDULER_H_

#include <functional>
#include <memory>
#include <queue>
#include <tuple>
#include <utility>
#include <vector>

#include "drivers/object/env/scheduler.h"

namespace diskd::object {

class SimScheduler final : public Scheduler {
 public:
  explicit SimScheduler(uint64_t seed) : state_(seed) {}

  absl::Duration Now() const override { return now_; }
  void After(absl::Duration delay, std::function<void()> fn) override {
    events_.push({now_ + delay, next_++, std::move(fn)});
  }
  // splitmix64
  uint64_t Random() override {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  uint64_t Below(uint64_t n) { return Random() % n; }  // n > 0
  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }
  bool Chance(double p) { return static_cast<double>(Random() >> 11) * 0x1p-53 < p; }
  absl::Duration Micros(uint64_t low, uint64_t high) {
    return absl::Microseconds(static_cast<int64_t>(Between(low, high)));
  }

  // False: nothing is left to happen.
  bool RunOne() {
    if (events_.empty()) return false;
    Event event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    now_ = event.at;
    event.fn();
    return true;
  }

 private:
  struct Event {
    absl::Duration at;
    uint64_t order;
    std::function<void()> fn;
    bool operator<(const Event& other) const {
      return std::tie(other.at, other.order) < std::tie(at, order);
    }
  };
  uint64_t state_;
  absl::Duration now_;
  uint64_t next_ = 0;
  std::priority_queue<Event> events_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_SIM_SIM_SCHEDULER_H_
