// SPDX-License-Identifier: Apache-2.0
#include "agent/device/disk_flush.h"

#include <atomic>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

TEST(DiskFlush_InTime, GivesTheFlushsStatusAndFlushesAgainNextTime) {
  int flushes = 0;
  DiskFlush flush([&] {
    ++flushes;
    return absl::DataLossError("x");
  });
  EXPECT_EQ(flush.Wait(absl::Hours(1)), absl::DataLossError("x"));
  EXPECT_EQ(flush.Wait(absl::Hours(1)), absl::DataLossError("x"));
  EXPECT_EQ(flushes, 2);
}

TEST(DiskFlush_TooSlow, IsUnavailableAndTheNextCallWaitsForTheSameFlush) {
  absl::Notification may_finish;
  std::atomic<int> flushes{0};
  DiskFlush flush([&] {
    ++flushes;
    may_finish.WaitForNotification();
    return absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsUnavailable(flush.Wait(absl::Milliseconds(5))));
  EXPECT_TRUE(absl::IsUnavailable(flush.Wait(absl::Milliseconds(5))));
  may_finish.Notify();
  EXPECT_TRUE(flush.Wait(absl::Hours(1)).ok());
  EXPECT_EQ(flushes, 1);
}

}  // namespace
}  // namespace diskd::agent
