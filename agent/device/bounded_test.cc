// SPDX-License-Identifier: Apache-2.0
#include "agent/device/bounded.h"

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

TEST(RunBounded_BodyReturns, ItsStatusIsPassedOnAndNothingUnblocked) {
  const absl::Status status = RunBounded(
      absl::Hours(1), [] { return absl::NotFoundError("x"); }, [] { FAIL(); });
  EXPECT_EQ(status, absl::NotFoundError("x"));
}

TEST(RunBounded_BodyHangs, IsUnblockedAtTheLimit) {
  absl::Notification unblocked;
  const absl::Status status = RunBounded(
      absl::Milliseconds(5),
      [&] {
        unblocked.WaitForNotification();
        return absl::OkStatus();
      },
      [&] { unblocked.Notify(); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

}  // namespace
}  // namespace diskd::agent
