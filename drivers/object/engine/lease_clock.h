// SPDX-License-Identifier: Apache-2.0
//
// The durations of fencing=lease (docs/object-lease.md) on one clock, which counts while the
// machine is suspended. Whoever waits adds to what somebody else's clock measures, so that the
// rates of the two may differ.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_LEASE_CLOCK_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_LEASE_CLOCK_H_

#include <algorithm>

#include "absl/time/time.h"
#include "drivers/object/format/claim.h"

namespace diskd::object {

// By which the rates of two clocks may differ.
inline constexpr double kClockDrift = 0.01;
// A claim is stored so soon after the last look at the former one, or not at all.
inline constexpr absl::Duration kLongestClaim = absl::Seconds(10);

class LeaseClock {
 public:
  explicit LeaseClock(const LeaseTimes& times)
      : lease_(absl::Milliseconds(times.lease_ms)), late_(absl::Milliseconds(times.late_ms)) {}

  // A look that began then has shown that the volume is ours.
  void Renew(absl::Duration began) { until_ = std::max(until_, began + lease_); }
  bool MayAct(absl::Duration now) const { return now < until_; }
  absl::Duration until() const { return until_; }

  absl::Duration lease() const { return lease_; }
  // Between two looks at the claim, and two beats.
  absl::Duration Interval() const { return lease_ / 3; }
  absl::Duration ClaimWithin() const { return std::min(kLongestClaim, lease_ / 6); }
  // What was sent before it is applied, or never.
  absl::Duration Landed() const { return late_ * (1 + kClockDrift); }
  // Everybody who saw the claim before ours has overwritten it, or never will.
  absl::Duration Settled() const { return (ClaimWithin() + late_) * (1 + kClockDrift); }
  // Who did not see its claim in it has stopped, and nothing of it is under way.
  absl::Duration Silent() const { return (lease_ + late_) * (1 + kClockDrift); }

 private:
  const absl::Duration lease_;
  const absl::Duration late_;
  absl::Duration until_ = -absl::InfiniteDuration();
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_LEASE_CLOCK_H_
