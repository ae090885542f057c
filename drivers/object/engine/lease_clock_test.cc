// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/lease_clock.h"

#include "gtest/gtest.h"

namespace diskd::object {
namespace {

constexpr LeaseTimes kTimes{60'000, 30'000};
constexpr absl::Duration kTick = absl::Nanoseconds(1);

TEST(LeaseClock_BeforeAnyLook, MayNotAct) {
  const LeaseClock clock(kTimes);
  EXPECT_FALSE(clock.MayAct(absl::ZeroDuration()));
  EXPECT_FALSE(clock.MayAct(-absl::Hours(1)));
}

TEST(LeaseClock_AfterALook_CountsFromItsBegin, NotFromItsEnd) {
  LeaseClock clock(kTimes);
  const absl::Duration began = absl::Seconds(1000);
  clock.Renew(began);  // however long it took
  EXPECT_TRUE(clock.MayAct(began + absl::Seconds(60) - kTick));
  EXPECT_FALSE(clock.MayAct(began + absl::Seconds(60)));
}

TEST(LeaseClock_ALookThatBeganEarlier_TakesNothingBack, AndGivesNothing) {
  LeaseClock clock(kTimes);
  clock.Renew(absl::Seconds(1000));
  clock.Renew(absl::Seconds(990));
  EXPECT_EQ(clock.until(), absl::Seconds(1060));
}

TEST(LeaseClock_ALookAnsweredAfterALease_IsTooLate, ForTheLeaseItWouldGive) {
  LeaseClock clock(kTimes);
  clock.Renew(absl::Seconds(1000));
  EXPECT_FALSE(clock.MayAct(absl::Seconds(1061)));
}

// What others measure on clocks that run slower by all that is allowed has passed.
TEST(LeaseClock_Waits_OutlastTheOthersClocks, AtTheLimitOfTheirDrift) {
  const LeaseClock clock(kTimes);
  const double slower = 1 + kClockDrift;
  EXPECT_GE(clock.Landed(), absl::Seconds(30) * slower);
  EXPECT_GE(clock.Settled(), (clock.ClaimWithin() + absl::Seconds(30)) * slower);
  EXPECT_GE(clock.Silent(), (absl::Seconds(60) + absl::Seconds(30)) * slower);
}

TEST(LeaseClock_Intervals_LeaveSeveralLooksToALease, HoweverShort) {
  for (uint32_t seconds : {1u, 6u, 60u, 3600u}) {
    const LeaseClock clock({seconds * 1000, 1000});
    EXPECT_LE(clock.Interval() * 3, absl::Seconds(seconds));
    EXPECT_GT(clock.Interval() * 4, absl::Seconds(seconds));
    EXPECT_LE(clock.ClaimWithin(), kLongestClaim);
    EXPECT_LE(clock.ClaimWithin() * 6, absl::Seconds(seconds));
  }
}

}  // namespace
}  // namespace diskd::object
