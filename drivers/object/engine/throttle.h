// SPDX-License-Identifier: Apache-2.0
//
// How fast a write log that fills up takes writes: from a low mark on it pauses after each record,
// the longer the fuller it is, so that it takes at the high mark what the store takes. Not
// thread-safe.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_THROTTLE_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_THROTTLE_H_

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"

namespace diskd::object {

class Throttle {
 public:
  // Parts of the log that hold what is not in the store.
  static constexpr double kLowMark = 0.5;
  static constexpr double kHighMark = 0.75;
  // After one record; what a store that takes nothing costs at the high mark.
  static constexpr absl::Duration kLongestPause = absl::Milliseconds(500);
  static constexpr absl::Duration kWindow = absl::Seconds(1);

  // 0: not full enough to pause, 1: at the high mark or above.
  static double Pressure(double fill) {
    return std::clamp((fill - kLowMark) / (kHighMark - kLowMark), 0.0, 1.0);
  }

  // So much is in the store since the last call. Times are of one monotonic clock.
  void OnDrained(uint64_t bytes, absl::Duration now) {
    drained_ += bytes;
    const absl::Duration length = now - begin_;
    if (length < kWindow) return;
    const double rate = static_cast<double>(drained_) / absl::ToDoubleSeconds(length);
    rate_ = rate_ == 0 ? rate : (rate_ + rate) / 2;
    begin_ = now;
    drained_ = 0;
  }

  // The pause after a record of so many bytes.
  absl::Duration PauseAfter(uint64_t bytes, double fill, absl::Duration now) const {
    const double pressure = Pressure(fill);
    if (pressure == 0) return absl::ZeroDuration();
    const absl::Duration longest = kLongestPause * (pressure * pressure);
    const double rate = RateAt(now);
    if (rate == 0) return longest;
    return std::min(longest, absl::Seconds(static_cast<double>(bytes) * pressure / rate));
  }

 private:
  // Bytes a second; falls while nothing drains.
  double RateAt(absl::Duration now) const {
    const absl::Duration silent = now - begin_;
    if (silent < 2 * kWindow) return rate_;
    return std::min(rate_, static_cast<double>(drained_) / absl::ToDoubleSeconds(silent));
  }

  absl::Duration begin_;  // of the window
  uint64_t drained_ = 0;  // in it
  double rate_ = 0;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_THROTTLE_H_
