// SPDX-License-Identifier: Apache-2.0
//
// How often all requests of one lane together may be tried again: each pauses by itself, but a
// store that struggles must not get many times the requests that it struggles with. A token bucket
// that answers fill faster than time does, so that those who wait go on at once when the store
// does. Not thread-safe.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_RETRY_BUDGET_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_RETRY_BUDGET_H_

#include <algorithm>

#include "absl/time/time.h"

namespace diskd::object {

class RetryBudget {
 public:
  static constexpr double kAtOnce = 64;
  static constexpr double kPerSecond = 20;
  static constexpr double kPerAnswer = 1;

  // Whether one may go on now; it is counted then. Times are of one monotonic clock.
  bool Take(absl::Duration now) {
    Add(absl::ToDoubleSeconds(now - filled_) * kPerSecond);
    filled_ = now;
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }
  // A request was answered.
  void OnAnswer() { Add(kPerAnswer); }

 private:
  void Add(double share) { left_ = std::min(kAtOnce, left_ + share); }

  double left_ = kAtOnce;
  absl::Duration filled_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_RETRY_BUDGET_H_
