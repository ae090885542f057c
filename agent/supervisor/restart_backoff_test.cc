// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/restart_backoff.h"

#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1000);

TEST(RestartBackoff_QuickDeaths, WaitDoublesUpToTheLongest) {
  const RestartLimits limits;
  RestartBackoff backoff(limits);
  EXPECT_EQ(backoff.Ended(kStart), absl::ZeroDuration());
  absl::Duration expected = limits.first_delay;
  for (int i = 0; i < 20; ++i) {
    backoff.Served(kStart);
    EXPECT_EQ(backoff.Ended(kStart + absl::Milliseconds(1)), expected);
    expected = std::min(expected * 2, limits.longest_delay);
  }
  EXPECT_EQ(expected, limits.longest_delay);
}

TEST(RestartBackoff_ProcessThatServedForAWhile, IsReplacedAtOnce) {
  const RestartLimits limits;
  RestartBackoff backoff(limits);
  for (int i = 0; i < 3; ++i) backoff.Ended(kStart);
  backoff.Served(kStart);
  EXPECT_EQ(backoff.Ended(kStart + limits.quick_death), absl::ZeroDuration());
}

TEST(RestartBackoff_CrashLoop, IsReportedUntilAProcessStaysHealthy) {
  const RestartLimits limits;
  RestartBackoff backoff(limits);
  for (int i = 1; i < limits.crash_loop; ++i) backoff.Ended(kStart);
  EXPECT_FALSE(backoff.crash_loop());
  backoff.Ended(kStart);
  EXPECT_TRUE(backoff.crash_loop());
  backoff.Served(kStart);
  EXPECT_EQ(backoff.Ended(kStart + limits.healthy), absl::ZeroDuration());
  EXPECT_FALSE(backoff.crash_loop());
  EXPECT_EQ(backoff.deaths(), 1);
}

}  // namespace
}  // namespace diskd::agent
