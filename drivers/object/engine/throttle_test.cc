// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/throttle.h"

#include <vector>

#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr uint64_t kRecord = 64 << 10;
constexpr double kRate = 50e6;

Throttle Draining(double rate) {
  Throttle throttle;
  for (int i = 1; i <= 50; ++i) {
    throttle.OnDrained(static_cast<uint64_t>(rate / 10), i * absl::Milliseconds(100));
  }
  return throttle;
}
constexpr absl::Duration kThen = absl::Seconds(5);

TEST(Throttle_Pause, GrowsWithTheFill_FromNothingToTheStoresPace) {
  const Throttle throttle = Draining(kRate);
  EXPECT_EQ(throttle.PauseAfter(kRecord, Throttle::kLowMark, kThen), absl::ZeroDuration());
  absl::Duration last;
  for (double fill = Throttle::kLowMark + 0.01; fill < Throttle::kHighMark; fill += 0.01) {
    const absl::Duration pause = throttle.PauseAfter(kRecord, fill, kThen);
    EXPECT_GT(pause, last);
    EXPECT_LT(pause - last, absl::Microseconds(100)) << "no step at " << fill;
    last = pause;
  }
  const double full = absl::ToDoubleSeconds(throttle.PauseAfter(kRecord, 1, kThen));
  EXPECT_NEAR(full, kRecord / kRate, kRecord / kRate / 50);
}

TEST(Throttle_StoreThatTakesNothing, MakesPausesGrowToTheLongest) {
  const Throttle throttle;
  EXPECT_LT(throttle.PauseAfter(kRecord, 0.51, kThen), absl::Milliseconds(1));
  EXPECT_EQ(throttle.PauseAfter(kRecord, 1, kThen), Throttle::kLongestPause);
  // One that has taken much before is found out.
  EXPECT_GT(Draining(kRate).PauseAfter(kRecord, 1, kThen + absl::Hours(1)),
            Throttle::kLongestPause / 2);
}

// A writer that always has more, and a store that takes an object at a time.
TEST(Throttle_InSteadyState, TheLogIsNeverFull_AndNobodyWaitsLong) {
  constexpr uint64_t kLog = 64 << 20, kObject = 8 << 20;
  Throttle throttle;
  uint64_t used = 0, written = 0;
  absl::Duration now, drained_at = absl::Seconds(kObject / kRate);
  absl::Duration longest;
  while (now < absl::Seconds(60)) {
    while (drained_at <= now) {
      const uint64_t bytes = std::min(used, kObject);
      used -= bytes;
      throttle.OnDrained(bytes, drained_at);
      drained_at += absl::Seconds(kObject / kRate);
    }
    ASSERT_LT(used + kRecord, kLog);
    used += kRecord;
    written += kRecord;
    const absl::Duration pause =
        throttle.PauseAfter(kRecord, static_cast<double>(used) / kLog, now);
    now += absl::Microseconds(100) + pause;
    if (now > absl::Seconds(5)) longest = std::max(longest, pause);
  }
  EXPECT_NEAR(static_cast<double>(written), kRate * 60, kRate * 60 * 0.1);
  EXPECT_LT(longest, absl::Seconds(5 * kRecord / kRate));
}

}  // namespace
}  // namespace diskd::object
